//! The types of values that only the run itself reads: where frozen rows are kept, and a part of the data. Fields of `RunConfig`,
//! `EvaluateConfig` and `PredictConfig`; each prints (`Display`) as the text that configures it.

use crate::choice::name_of;
use std::fmt;

/// Where the output of frozen blocks is kept between epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefixCache {
    /// In memory if all of it fits there, else on disk if all of it fits there, else a part of it in memory.
    Auto,
    /// Nowhere: every epoch computes it again.
    Off,
    /// In memory, as much as fits.
    Ram,
    /// In the run directory, as much as fits.
    Disk,
}

impl PrefixCache {
    pub(super) const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("off", Self::Off),
        ("ram", Self::Ram),
        ("disk", Self::Disk),
    ];
}

impl fmt::Display for PrefixCache {
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
    pub(super) const NAMES: &'static [(&'static str, Self)] =
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

/// A part of a task's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// What training reads.
    Train,
    /// What evaluation reads: `dev` in GLUE's files.
    Validation,
    /// Often without labels.
    Test,
}

impl Split {
    pub(super) const NAMES: &'static [(&'static str, Self)] = &[
        ("validation", Self::Validation),
        ("test", Self::Test),
        ("train", Self::Train),
    ];
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}
