//! The machine on which a command computes. Read by every command that computes.

use super::ConfigError;
use super::export::Written;
use super::settings::Settings;
use crate::flags::{Flag, Form, Offers, Scope};
use progtune_engine::{
    model::{ComputePath, Device, Kernels, Precision},
    open_device,
};

pub(crate) static THREADS: Flag<usize> = Flag::key("threads", "N", "Number of threads")
    .computed("all cores")
    .example("2")
    .scope(Scope::All)
    .form(Form::Parsed("a whole number from 1 to 1024", |text| {
        text.parse().ok().filter(|n| (1..=1024).contains(n))
    }))
    .elsewhere(&[(&["merge"], "N", "Threads")]);

pub(crate) static DEVICE: Flag<DeviceChoice> = Flag::key(
    "device",
    "NAME",
    "Device: cpu, cuda or cuda:N (in a build for CUDA), or auto for a GPU if there is one",
)
.default("auto")
.scope(Scope::All)
.form(Form::Parsed(
    "`auto`, `cpu`, `cuda` or `cuda:N` with the number N of a GPU",
    DeviceChoice::parse,
))
.offers(Offers::Some(|| vec!["auto", "cpu", "cuda"]));

/// The value of `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceChoice {
    /// The first GPU if there is one that this build can use, else the CPU.
    Auto,
    /// This one.
    Named(Device),
}

impl DeviceChoice {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            _ => Device::parse(text).map(Self::Named),
        }
    }

    /// The device itself.
    fn settled(self) -> Device {
        let first = Device::Cuda(0);
        match self {
            Self::Named(device) => device,
            Self::Auto if open_device(first).is_ok() => first,
            Self::Auto => Device::Cpu,
        }
    }
}

pub(crate) static PRECISION: Flag<Precision> = Flag::key(
    "precision",
    "NAME",
    "Precision of products: f32, bf16 (faster on processors with AVX512-BF16; parameters and sums stay f32), or auto",
)
.default("auto")
.scope(Scope::All)
.form(Form::OneOf(Precision::NAMES));

pub(crate) static KERNELS: Flag<Kernels> = Flag::key(
    "kernels",
    "NAME",
    "Kernels: fused, composed of candle's operations, or auto for the faster ones",
)
.default("auto")
.scope(Scope::All)
.form(Form::OneOf(Kernels::NAMES));

/// The machine of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineConfig {
    /// Threads, from 1 to 1024; `None` uses one per core.
    pub threads: Option<usize>,
    /// The device on which the model is computed.
    pub device: Device,
    /// The implementation of the operations.
    pub kernels: Kernels,
    /// The precision of their products; `Tf32` only on CUDA, and `Bf16` only with fused kernels.
    pub precision: Precision,
}

impl MachineConfig {
    /// Whether the fused kernels of the CPU run.
    pub fn is_fused(&self) -> bool {
        self.path() == ComputePath::Fused
    }

    /// The code that computes.
    pub fn path(&self) -> ComputePath {
        self.kernels.path_on(self.device)
    }

    /// The name of the precision that is computed in.
    pub fn precision_name(&self) -> String {
        self.precision.on(self.device).to_string()
    }

    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let (device, kernels) = (settings.get(&DEVICE)?.settled(), settings.get(&KERNELS)?);
        let precision = settings.get(&PRECISION)?;
        let is_composed = kernels.path_on(device) == ComputePath::Composed;
        let fault = match precision {
            Precision::Tf32 if device == Device::Cpu => Some((
                "tf32 is a format of NVIDIA GPUs",
                "use --precision f32 or bf16",
            )),
            Precision::Tf32 if is_composed => Some((
                "only the fused kernels compute in tf32",
                "leave kernels at auto, or use --precision f32",
            )),
            Precision::Bf16 if is_composed => Some((
                "only the fused kernels compute in bf16",
                "leave kernels at auto, or use --precision f32",
            )),
            _ => None,
        };
        if let Some((reason, advice)) = fault {
            return Err(ConfigError::Conflict {
                first: format!(
                    "precision {precision} (from {})",
                    settings.origin(&PRECISION)
                ),
                second: format!("device {device} and kernels {kernels}"),
                reason: reason.into(),
                advice: advice.into(),
            });
        }
        Ok(Self {
            threads: settings.find(&THREADS)?,
            device,
            kernels,
            precision,
        })
    }

    pub(super) fn write(&self, written: &mut Written) {
        written.set_if(&THREADS, self.threads);
        written.set(&DEVICE, self.device.to_string());
        written.set(&KERNELS, self.kernels.to_string());
        written.set(&PRECISION, self.precision.to_string());
    }
}
