//! The optimizer: AdamW over the current trainable set, with clipping, and the learning-rate curve.
//! The recipe calls it.

mod adamw;
mod figures;
mod lr;
mod state;
mod warmup;

pub use adamw::{AdamW, Settings};
pub use figures::{Norms, StepFigures};
pub use lr::{LrCurve, LrRestart, LrScheduler, LrShape};
pub use state::ParameterState;
pub use warmup::Warmup;
