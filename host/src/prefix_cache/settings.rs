//! The settings of the prefix cache, from `--prefix-cache` and its companion flags. They are part
//! of the configuration, and are read by the cache.

use progtune_process::{ByteSize, name_of};
use std::fmt;

/// The settings of the cache for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The place of the cache.
    pub mode: Mode,
    /// The precision of the kept numbers.
    pub dtype: CacheDtype,
    /// The size limit; `None` means a quarter of the available memory, or half of the free disk
    /// space.
    pub budget: Option<ByteSize>,
}

impl Settings {
    /// Whether the numbers are kept without rounding.
    pub(crate) fn is_exact(&self) -> bool {
        self.mode == Mode::Off || self.dtype == CacheDtype::F32
    }
}

/// The place where the output of the frozen prefix is kept between epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// On the GPU that trains if everything fits there, else in memory if everything fits there,
    /// else on disk if everything fits there, else a part in memory.
    Auto,
    /// Nowhere; every epoch computes it again.
    Off,
    /// In memory, as much as fits.
    Ram,
    /// In the run directory, as much as fits.
    Disk,
}

impl Mode {
    pub(crate) const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("off", Self::Off),
        ("ram", Self::Ram),
        ("disk", Self::Disk),
    ];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

/// The precision of the numbers in the prefix cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheDtype {
    /// Full precision; results are the same bits as without a cache.
    F32,
    /// Half the size; results differ slightly.
    F16,
}

impl CacheDtype {
    pub(crate) const NAMES: &'static [(&'static str, Self)] =
        &[("f32", Self::F32), ("f16", Self::F16)];

    /// Size of a number in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

impl fmt::Display for CacheDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}
