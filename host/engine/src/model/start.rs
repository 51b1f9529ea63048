//! The place where a forward starts, if not at the embeddings. The prefix cache makes it.

use candle_core::Tensor;

/// The start of a forward: rows that are known already.
#[derive(Debug, Clone)]
pub struct Start {
    /// The boundary: the first block that remains to be computed.
    pub block: usize,
    /// The rows there, on the model's device, in the order of the batch.
    pub hidden: Tensor,
}
