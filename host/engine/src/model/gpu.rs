//! The path on a device with memory of its own: embeddings, blocks, head and optimizer on
//! progtune's CUDA kernels, with a hand-written backward. [`super::Model`] calls it.
//!
//! Everything of a step stays on the device: the batch goes there in one copy, and the loss comes
//! back. The path speaks to the device through a [`queue`], of which there is one for CUDA and one
//! that runs the same kernels on the CPU, for tests.

pub mod arena;
mod block;
mod embeddings;
mod head;
mod linear;
pub mod optimizer;
mod pass;
mod program;
pub mod queue;
pub mod rows;
mod run;

pub use pass::Gpu;
pub use run::{logits, prefix, train};
