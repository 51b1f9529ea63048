//! The types of configuration values that are not plain numbers or texts. Fields of `RunConfig`, `EvaluateConfig` and
//! `PredictConfig`; each prints (`Display`) as the text that configures it.

use std::fmt;

/// How long the learning rate climbs from zero to its full value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Warmup {
    /// A share of all steps, above 0 and below 1.
    Ratio(f64),
    /// A count of steps; 0 is no warm-up.
    Steps(u64),
}

impl Warmup {
    /// The count of warm-up steps in a run of `total_steps`; a share is rounded up, as in transformers.
    pub fn steps(self, total_steps: u64) -> u64 {
        match self {
            Self::Ratio(ratio) => (ratio * total_steps as f64).ceil() as u64,
            Self::Steps(steps) => steps,
        }
    }

    /// Reads a number: below 1 it is a share of all steps, from 1 a whole count of them (as transformers 5 reads it).
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(steps) = text.parse() {
            return Some(Self::Steps(steps));
        }
        let number: f64 = text.parse().ok()?;
        if number == 0.0 {
            Some(Self::Steps(0))
        } else if number > 0.0 && number < 1.0 {
            Some(Self::Ratio(number))
        } else if number >= 1.0 && number.fract() == 0.0 && number < u64::MAX as f64 {
            Some(Self::Steps(number as u64))
        } else {
            None
        }
    }
}

impl fmt::Display for Warmup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // `{:?}` keeps very small numbers short (1e-5).
            Self::Ratio(ratio) => write!(f, "{ratio:?}"),
            Self::Steps(steps) => write!(f, "{steps}"),
        }
    }
}

/// The learning-rate curve after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LrScheduler {
    /// Falls in a line to zero at the last step.
    Linear,
    /// Stays.
    Constant,
}

impl LrScheduler {
    pub(super) const NAMES: &'static [(&'static str, Self)] =
        &[("linear", Self::Linear), ("constant", Self::Constant)];
}

impl fmt::Display for LrScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

/// Where tensors live and are computed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// The NVIDIA GPU with this number, from 0; needs a build with the `cuda` feature.
    Cuda(usize),
}

impl Device {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "cpu" => Some(Self::Cpu),
            "cuda" => Some(Self::Cuda(0)),
            _ => text.strip_prefix("cuda:")?.parse().ok().map(Self::Cuda),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// Which form of the model's operations runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernels {
    /// Fused on the CPU, composed on CUDA.
    Auto,
    /// The project's own kernels; CPU only.
    Fused,
    /// The same operations made of candle's primitives.
    Composed,
}

impl Kernels {
    pub(super) const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("fused", Self::Fused),
        ("composed", Self::Composed),
    ];

    /// Whether the fused kernels run on this device.
    pub fn fused_on(self, device: Device) -> bool {
        match self {
            Self::Auto => device == Device::Cpu,
            Self::Fused => true,
            Self::Composed => false,
        }
    }
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

/// What is done with tokenised data on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCacheUse {
    /// What is there is read, what is not is written.
    Auto,
    /// Nothing is read or written.
    Off,
    /// Nothing is read, and what is there is written anew.
    Overwrite,
}

impl TokenCacheUse {
    pub(super) const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("off", Self::Off),
        ("overwrite", Self::Overwrite),
    ];
}

impl fmt::Display for TokenCacheUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

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

/// How much classes count in the loss of training.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ClassWeights {
    /// All alike.
    #[default]
    Even,
    /// Each by the inverse of its share of the training set.
    Balanced,
    /// These, a positive number a class, in the order of ids.
    Given(Vec<f32>),
}

impl ClassWeights {
    pub(super) const EXPECTED: &'static str =
        "`balanced`, or a number above 0 for every label, such as 0.5,2 (or `none`)";

    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self::Even),
            "balanced" => Some(Self::Balanced),
            numbers => numbers
                .split(',')
                .map(|number| number.trim().parse::<f32>().ok())
                .map(|number| number.filter(|n| n.is_finite() && *n > 0.0))
                .collect::<Option<_>>()
                .map(Self::Given),
        }
    }
}

impl fmt::Display for ClassWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Even => f.write_str("none"),
            Self::Balanced => f.write_str("balanced"),
            Self::Given(weights) => {
                let weights: Vec<String> = weights.iter().map(f32::to_string).collect();
                f.write_str(&weights.join(","))
            }
        }
    }
}

/// The name of a value in a table that holds all values of its type.
fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names
        .iter()
        .find(|(_, named)| named == value)
        .map_or("?", |(name, _)| name)
}
