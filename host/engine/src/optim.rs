//! The optimizer: AdamW over the current trainable set, with clipping, and the learning-rate curve.
//! The recipe calls it.

mod adamw;
mod lr;
mod state;
mod warmup;

pub use adamw::{AdamW, Norms, Settings};
pub use lr::{LrCurve, LrRestart, LrScheduler, LrShape};
pub use state::ParameterState;
pub use warmup::Warmup;
