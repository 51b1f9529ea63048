//! The optimizer: AdamW over what is trained now, with clipping, and the learning-rate curve.
//! Called by the trainer.

mod adamw;
mod lr;
mod warmup;

pub use adamw::{AdamW, Norms, Settings};
pub use lr::{LrCurve, LrScheduler};
pub use warmup::Warmup;
