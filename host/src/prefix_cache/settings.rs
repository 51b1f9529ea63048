//! What a run asks of the prefix cache: `--prefix-cache` and the flags beside it. Values of the configuration, read by the cache.

use progtune_process::{byte_size::ByteSize, choice::name_of};
use std::fmt;

/// What a run asks of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Where it goes.
    pub mode: Mode,
    /// The precision in which numbers are kept.
    pub dtype: CacheDtype,
    /// The most it may take there; `None` is a quarter of the available memory, or half of the free disk.
    pub budget: Option<ByteSize>,
}

/// Where the output of frozen blocks is kept between epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In memory if all of it fits there, else on disk if all of it fits there, else a part of it in memory.
    Auto,
    /// Nowhere: every epoch computes it again.
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

/// The precision in which the prefix cache keeps numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheDtype {
    /// As they are computed: results are the same bits as without a cache.
    F32,
    /// Half the space; results differ slightly.
    F16,
}

impl CacheDtype {
    pub(crate) const NAMES: &'static [(&'static str, Self)] =
        &[("f32", Self::F32), ("f16", Self::F16)];

    /// Bytes of a number.
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
