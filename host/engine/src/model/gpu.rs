//! The path on a device with memory of its own: embeddings, blocks, head and optimizer on
//! progtune's CUDA kernels, with a hand-written backward. [`super::Model`] calls it.
//!
//! Everything of a step stays on the device: the batch goes there in one copy, and losses and norms
//! come back when the host reads those of many steps. The path speaks to the device through a
//! [`queue`](super::lane::queue), of which there is one for CUDA and one that runs the same kernels
//! on the CPU, for tests.

mod backward;
mod block;
mod device_batch;
mod embeddings;
mod head;
mod kept_rows;
mod linear;
pub(crate) mod optimizer;
mod pass;
mod program;
mod run;

pub use kept_rows::KeptRows;
pub(crate) use pass::Gpu;
pub(crate) use run::{logits, prefix, train};
