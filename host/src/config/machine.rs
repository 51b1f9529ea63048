//! The machine that a command computes on. Read by every command that computes.

use super::ConfigError;
use super::settings::Settings;
use crate::model::device::{Device, Kernels};

/// The machine of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineConfig {
    /// Threads, from 1 to 1024; `None` is one for each core.
    pub threads: Option<usize>,
    /// Where the model is computed.
    pub device: Device,
    /// Which form of the operations runs; never `Fused` on CUDA.
    pub kernels: Kernels,
}

impl MachineConfig {
    /// Whether the fused kernels run.
    pub fn is_fused(&self) -> bool {
        self.kernels.fused_on(self.device)
    }

    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let device = settings.parsed(
            "device",
            "`cpu`, `cuda` or `cuda:N` with the number N of a GPU",
            Device::parse,
        )?;
        let kernels = settings.choice("kernels", Kernels::NAMES)?;
        if kernels == Kernels::Fused && device != Device::Cpu {
            return Err(ConfigError::Conflict {
                first: format!("kernels fused (from {})", settings.origin("kernels")),
                second: format!("device {device} (from {})", settings.origin("device")),
                reason: "the fused kernels are CPU code".into(),
                advice: "leave kernels at auto, or use device cpu".into(),
            });
        }
        Ok(Self {
            threads: read_threads(settings)?,
            device,
            kernels,
        })
    }
}

pub(super) fn read_threads(settings: &Settings) -> Result<Option<usize>, ConfigError> {
    settings.optional_number("threads", "a whole number from 1 to 1024", |n| {
        (1..=1024).contains(n)
    })
}
