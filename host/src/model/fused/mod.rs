//! The CPU path: blocks with a hand-written backward on `progtune-kernels`. Called by [`super::Model`].
//!
//! A block's forward returns a tape with what its backward needs; the backward consumes the tape, so a block's
//! memory is free as soon as its gradients are done.

mod block;
mod embeddings;
mod linear;
mod site;

pub use block::{BlockTape, backward as block_backward, forward as block_forward};
pub use embeddings::{
    EmbeddingsTape, backward as embeddings_backward, forward as embeddings_forward,
};
