//! The device of a model, and the form of its operations: `--device`, `--precision`, `--kernels`.
//! They are values of the configuration, read wherever a model is made.

use progtune_kernels::gemm::Operands;
use progtune_process::name_of;
use std::fmt;

/// The device that holds tensors and computes with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// The NVIDIA GPU with this number, counted from 0. It needs a build with the `cuda` feature.
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

/// The precision of the model's products. Parameters, sums and everything else are f32 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// The one that the device computes best without loss of quality.
    Auto,
    /// f32.
    F32,
    /// Operands rounded to tf32, on NVIDIA GPUs only.
    Tf32,
    /// Operands rounded to bfloat16.
    Bf16,
}

impl Precision {
    /// The names of the flag's values.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("f32", Self::F32),
        ("tf32", Self::Tf32),
        ("bf16", Self::Bf16),
    ];

    /// The precision that is computed in on a device.
    ///
    /// ```
    /// use progtune_engine::model::{Device, Precision};
    ///
    /// assert_eq!(Precision::Auto.on(Device::Cpu), Precision::F32);
    /// assert_eq!(Precision::Auto.on(Device::Cuda(0)), Precision::Tf32);
    /// assert_eq!(Precision::Bf16.on(Device::Cpu), Precision::Bf16);
    /// ```
    #[must_use]
    pub fn on(self, device: Device) -> Self {
        match (self, device) {
            (Self::Auto, Device::Cpu) => Self::F32,
            (Self::Auto, Device::Cuda(_)) => Self::Tf32,
            _ => self,
        }
    }

    /// The form of the operands of the CPU's kernels.
    pub fn operands(self) -> Operands {
        match self {
            Self::Auto | Self::F32 | Self::Tf32 => Operands::F32,
            Self::Bf16 => Operands::Bf16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

/// The form of the model's operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernels {
    /// The faster ones, which are fused.
    Auto,
    /// The project's own kernels.
    Fused,
    /// The same operations, composed of candle's primitives.
    Composed,
}

/// The code that computes a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComputePath {
    /// The project's kernels for the CPU.
    Fused,
    /// The project's kernels for CUDA.
    Gpu,
    /// candle's primitives, on any device.
    Composed,
}

impl Kernels {
    /// The names of the flag's values.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("fused", Self::Fused),
        ("composed", Self::Composed),
    ];

    /// The code that computes a model on a device.
    ///
    /// ```
    /// use progtune_engine::model::{ComputePath, Device, Kernels};
    ///
    /// assert_eq!(Kernels::Auto.path_on(Device::Cpu), ComputePath::Fused);
    /// assert_eq!(Kernels::Auto.path_on(Device::Cuda(0)), ComputePath::Gpu);
    /// ```
    pub fn path_on(self, device: Device) -> ComputePath {
        match (self, device) {
            (Self::Composed, _) => ComputePath::Composed,
            (Self::Auto | Self::Fused, Device::Cpu) => ComputePath::Fused,
            (Self::Auto | Self::Fused, Device::Cuda(_)) => ComputePath::Gpu,
        }
    }
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}
