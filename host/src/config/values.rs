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

/// An amount of memory in bytes, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Units by name; the first that divides a size is the one it is printed in.
    const UNITS: [(&'static str, u64); 7] = [
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("KiB", 1 << 10),
        ("kB", 1_000),
        ("B", 1),
    ];

    /// Reads `2GiB`, `1.5 GB`, `900MB` or a number of bytes; units in any case.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| c.is_ascii_alphabetic());
        let (number, unit) = text.split_at(end.unwrap_or(text.len()));
        let number: f64 = number.trim().parse().ok()?;
        let unit = if unit.is_empty() { "B" } else { unit.trim() };
        let (_, size) = Self::UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
        let bytes = number * *size as f64;
        (bytes >= 1.0 && bytes < u64::MAX as f64).then_some(Self(bytes as u64))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = Self::UNITS
            .iter()
            .find(|(_, size)| self.0.is_multiple_of(*size));
        let (name, size) = unit.copied().unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / size)
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

/// The name of a value in a table that holds all values of its type.
fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names
        .iter()
        .find(|(_, named)| named == value)
        .map_or("?", |(name, _)| name)
}
