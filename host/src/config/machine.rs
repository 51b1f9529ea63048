//! The machine on which a command computes. Read by every command that computes.

use super::ConfigError;
use super::export::Written;
use super::settings::Settings;
use crate::flags::{Flag, Form, Offers, Scope};
use progtune_engine::model::{Device, Kernels, Precision};

pub(crate) static THREADS: Flag<usize> = Flag::key("threads", "N", "Number of threads")
    .computed("all cores")
    .example("2")
    .scope(Scope::All)
    .form(Form::Parsed("a whole number from 1 to 1024", |text| {
        text.parse().ok().filter(|n| (1..=1024).contains(n))
    }))
    .elsewhere(&[(&["merge"], "N", "Threads")]);

pub(crate) static DEVICE: Flag<Device> = Flag::key(
    "device",
    "NAME",
    "Device: cpu, cuda or cuda:N (in a build with the cuda feature)",
)
.default("cpu")
.scope(Scope::All)
.form(Form::Parsed(
    "`cpu`, `cuda` or `cuda:N` with the number N of a GPU",
    Device::parse,
))
.offers(Offers::Some(|| vec!["cpu", "cuda"]));

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
    "Kernels: fused (CPU only), composed, or auto for the faster ones on the device",
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
    /// The implementation of the operations; never `Fused` on CUDA.
    pub kernels: Kernels,
    /// The precision of their products; never `Tf32`, and `Bf16` only with the fused kernels.
    pub precision: Precision,
}

impl MachineConfig {
    /// Whether the fused kernels run.
    pub fn is_fused(&self) -> bool {
        self.kernels.fused_on(self.device)
    }

    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let (device, kernels) = (settings.get(&DEVICE)?, settings.get(&KERNELS)?);
        if kernels == Kernels::Fused && device != Device::Cpu {
            return Err(ConfigError::Conflict {
                first: format!("kernels fused (from {})", settings.origin(&KERNELS)),
                second: format!("device {device} (from {})", settings.origin(&DEVICE)),
                reason: "the fused kernels are CPU code".into(),
                advice: "leave kernels at auto, or use device cpu".into(),
            });
        }
        let precision = settings.get(&PRECISION)?;
        let fault = match precision {
            Precision::Tf32 => Some((
                "tf32 is a format of NVIDIA GPUs, which this version computes in f32",
                "use --precision f32 or bf16",
            )),
            Precision::Bf16 if !kernels.fused_on(device) => Some((
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
