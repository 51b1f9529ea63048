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

    /// The form of the operands of the fused kernels.
    ///
    /// ```
    /// use progtune_engine::model::Precision;
    /// use progtune_kernels::gemm::Operands;
    ///
    /// assert_eq!(Precision::Auto.operands(), Operands::F32);
    /// assert_eq!(Precision::Bf16.operands(), Operands::Bf16);
    /// ```
    pub fn operands(self) -> Operands {
        match self {
            Self::Auto | Self::F32 | Self::Tf32 => Operands::F32,
            Self::Bf16 => Operands::Bf16,
        }
    }

    /// The name of the precision that is computed in.
    pub fn resolved(self) -> &'static str {
        match self.operands() {
            Operands::F32 => "f32",
            Operands::Bf16 => "bf16",
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
    /// Fused on the CPU, composed on CUDA.
    Auto,
    /// The project's own kernels, on the CPU only.
    Fused,
    /// The same operations, composed of candle's primitives.
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
    ///
    /// ```
    /// use progtune_engine::model::{Device, Kernels};
    ///
    /// assert!(Kernels::Auto.fused_on(Device::Cpu));
    /// assert!(!Kernels::Auto.fused_on(Device::Cuda(0)));
    /// ```
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
