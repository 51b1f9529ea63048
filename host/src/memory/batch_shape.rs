//! The largest batch of a run, as far as memory depends on it. Called by the estimator.

use crate::{
    batch_order::{BatchLimit, BatchOrder},
    config::RunConfig,
};

/// Orders of this many epochs are looked through for the largest batch; later ones are like them.
const LOOKED_THROUGH: u32 = 16;

/// A batch, as far as memory depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchShape {
    /// T.
    pub tokens: u64,
    /// S.
    pub sequences: u64,
    /// Tokens of the longest sequence.
    pub longest: u64,
}

impl BatchShape {
    /// Of sequences of these lengths.
    pub fn of(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut shape = Self::default();
        for length in lengths {
            shape.tokens += length as u64;
            shape.sequences += 1;
            shape.longest = shape.longest.max(length as u64);
        }
        shape
    }

    /// The batch of the run with the most tokens: that of the trainer's own order.
    pub fn largest(config: &RunConfig, lengths: &[usize]) -> Self {
        let order = BatchOrder::new(config, lengths.to_vec());
        (1..=config.epochs.min(LOOKED_THROUGH))
            .flat_map(|epoch| order.epoch(epoch))
            .map(|batch| Self::of(batch.iter().map(|&i| lengths[i])))
            .max_by_key(|shape| shape.tokens)
            .unwrap_or_default()
    }

    /// The largest evaluation batch: the evaluator puts the longest examples together.
    pub fn largest_sorted(lengths: &[usize], limit: BatchLimit) -> Self {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
        let batches = limit.cut(&order, lengths).into_iter();
        batches
            .map(|batch| Self::of(batch.iter().map(|&i| lengths[i])))
            .max_by_key(|shape| shape.tokens)
            .unwrap_or_default()
    }

    /// A full batch of sequences of `length` tokens.
    pub(super) fn full(limit: BatchLimit, length: usize) -> Self {
        let sequences = match limit {
            BatchLimit::Examples(size) => size,
            BatchLimit::Tokens(budget) => (budget / length.max(1)).max(1),
        } as u64;
        Self {
            tokens: sequences.saturating_mul(length as u64),
            sequences,
            longest: length as u64,
        }
    }
}
