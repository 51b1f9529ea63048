//! The memory available to training. Read by `train` and `plan`.

use super::ConfigError;
use super::export::Written;
use super::settings::Settings;
use crate::flags::{Flag, Form};
use progtune_process::ByteSize;

pub(crate) static RECOMPUTE: Flag<bool> = Flag::switch(
    "recompute",
    "Gradient checkpointing: keep only the blocks' inputs and recompute the rest in the backward pass; less memory, more time, \
     same result",
);

pub(crate) static MEMORY_BUDGET: Flag<ByteSize> = Flag::key(
    "memory_budget",
    "SIZE",
    "Memory limit, such as 2GiB or 900MB: recompute if needed, refuse if the run still does not fit",
)
.computed("none: whatever it takes")
.example("2GiB")
.form(Form::Parsed(ByteSize::EXPECTED, ByteSize::parse));

/// The memory of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryConfig {
    /// Whether blocks keep only their input and repeat their forward pass in the backward pass.
    pub recompute: bool,
    /// The memory that the run may use; `None` sets no limit.
    pub budget: Option<ByteSize>,
}

impl MemoryConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            recompute: settings.get(&RECOMPUTE)?,
            budget: settings.find(&MEMORY_BUDGET)?,
        })
    }

    pub(super) fn write(&self, written: &mut Written) {
        written.set(&RECOMPUTE, self.recompute);
        written.set_if(&MEMORY_BUDGET, self.budget.map(|size| size.to_string()));
    }
}
