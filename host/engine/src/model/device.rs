//! Where a model is computed, and by which form of its operations: `--device`, `--kernels`. Values of the configuration, read by
//! whatever makes a model.

use progtune_process::choice::name_of;
use std::fmt;

/// Where tensors live and are computed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// The NVIDIA GPU with this number, from 0; needs a build with the `cuda` feature.
    Cuda(usize),
}

impl Device {
    /// Reads `cpu`, `cuda` or `cuda:N`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
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
    /// The names of the flag's values.
    pub const NAMES: &'static [(&'static str, Self)] = &[
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
