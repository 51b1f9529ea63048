//! Run-time selection of the instruction set: one generic body, compiled once per set. Used by
//! every kernel.
//!
//! ```
//! use progtune_kernels::simd::{Level, level};
//!
//! assert!(level() >= Level::Portable);
//! ```
#![allow(unsafe_code)]

/// The instruction sets for which the kernels are compiled; each contains the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The features that the target triple guarantees.
    Portable,
    /// AVX2 with FMA (x86-64).
    Avx2,
    /// AVX-512 F, BW, DQ and VL (x86-64).
    Avx512,
    /// The same with BF16, which only products of bfloat16 numbers use.
    Avx512Bf16,
}

impl Level {
    /// The names of the levels, as in [`VARIABLE`].
    pub const NAMES: [(&'static str, Self); 4] = [
        ("portable", Self::Portable),
        ("avx2", Self::Avx2),
        ("avx512", Self::Avx512),
        ("avx512bf16", Self::Avx512Bf16),
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        let known = Self::NAMES.iter().find(|(_, level)| *level == self);
        known.map_or("portable", |(name, _)| name)
    }
}

/// The environment variable that limits the level.
pub const VARIABLE: &str = "PROGTUNE_SIMD";

/// The level that the kernels use, decided once: the best of this machine, or the lower one that
/// [`VARIABLE`] names.
pub fn level() -> Level {
    use std::sync::OnceLock;
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| wanted().unwrap_or_else(|_| detect()))
}

/// Checks that [`VARIABLE`], if it is set, names a level of this machine.
///
/// # Errors
/// If it does not. The text says which levels there are.
pub fn check_variable() -> Result<(), String> {
    wanted()
        .map(|_| ())
        .map_err(|what| format!("{VARIABLE}: {what}"))
}

fn wanted() -> Result<Level, String> {
    let name = std::env::var(VARIABLE).unwrap_or_default();
    if name.is_empty() {
        return Ok(detect());
    }
    of_name(&name, detect())
}

/// The level of this name, which is at most `best`.
fn of_name(name: &str, best: Level) -> Result<Level, String> {
    let here: Vec<_> = Level::NAMES
        .iter()
        .filter(|(_, level)| *level <= best)
        .collect();
    let found = here.iter().find(|(known, _)| *known == name);
    found.map(|(_, level)| *level).ok_or_else(|| {
        let names: Vec<&str> = here.iter().map(|(name, _)| *name).collect();
        format!(
            "expected one of the instruction sets of this machine ({}), found {name:?}",
            names.join(", ")
        )
    })
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    let fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    let pairs = is_x86_feature_detected!("avx512bf16");
    match (fma, wide) {
        (true, true) if pairs => Level::Avx512Bf16,
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2,
        _ => Level::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
}

/// Defines a function whose body is compiled for every [`Level`] and selected at run time.
///
/// The compiler vectorises loops over slices in the body for each set. The body must be plain safe
/// code. Products and sums stay as written (no contraction), so all levels give the same bits
/// unless the body calls `mul_add`.
macro_rules! simd_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                match $crate::simd::level() {
                    // SAFETY: the level was detected on this machine, so every enabled feature is
                    // present.
                    #[allow(unsafe_code)]
                    $crate::simd::Level::Avx512 | $crate::simd::Level::Avx512Bf16 => {
                        return unsafe { avx512($($arg),*) };
                    }
                    // SAFETY: as above.
                    #[allow(unsafe_code)]
                    $crate::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::simd::Level::Portable => {}
                }
            }
            body($($arg),*)
        }
    };
}
pub(crate) use simd_fn;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detection_is_stable() {
        assert_eq!(level(), level());
    }

    #[test]
    fn a_level_beyond_the_machine_is_refused() {
        assert_eq!(of_name("avx2", Level::Avx512), Ok(Level::Avx2));
        assert_eq!(of_name("portable", Level::Portable), Ok(Level::Portable));
        let error = of_name("avx512", Level::Avx2).unwrap_err();
        assert!(
            error.contains("(portable, avx2), found \"avx512\""),
            "{error}"
        );
        assert_eq!(Level::Avx512Bf16.name(), "avx512bf16");
    }
}
