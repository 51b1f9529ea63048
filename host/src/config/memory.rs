//! The memory that training may take. Read by `train` and `plan`.

use super::ConfigError;
use super::settings::Settings;
use crate::byte_size::ByteSize;

/// The memory of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryConfig {
    /// Whether blocks keep only their input and run their forward again in the backward.
    pub recompute: bool,
    /// Memory the run may take; `None` is no limit.
    pub budget: Option<ByteSize>,
}

impl MemoryConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            recompute: settings.switch("recompute")?,
            budget: settings.optional_parsed(
                "memory_budget",
                ByteSize::EXPECTED,
                ByteSize::parse,
            )?,
        })
    }
}
