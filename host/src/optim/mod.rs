//! The optimizer: AdamW over what is trained now, with clipping, and the learning-rate curve.
//! Called by the trainer.

mod adamw;
mod lr;

pub use adamw::{AdamW, Norms, Settings};
pub use lr::LrCurve;
