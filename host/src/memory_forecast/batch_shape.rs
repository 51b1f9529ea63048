//! The largest batch of a run, as far as memory depends on it. Called by the memory forecast.

use crate::config::{BatchingConfig, TrainingConfig};
use progtune_engine::Result;
use progtune_pipeline::{
    batch_order::{BatchLimit, BatchOrder, LISTED},
    token_store::Examples,
};

/// Number of epochs whose batches are searched for the largest one. Later epochs are similar.
const LOOKED_THROUGH: u32 = 16;

/// The shape of a batch, as far as memory depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BatchShape {
    /// Number of tokens (T).
    pub tokens: u64,
    /// Number of sequences (S).
    pub sequences: u64,
    /// Number of tokens in the longest sequence.
    pub longest: u64,
}

impl BatchShape {
    /// Adds one sequence.
    fn add(&mut self, length: usize) {
        self.tokens += length as u64;
        self.sequences += 1;
        self.longest = self.longest.max(length as u64);
    }

    /// The shape of a batch of sequences with these lengths.
    pub(crate) fn of(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut shape = Self::default();
        lengths.into_iter().for_each(|length| shape.add(length));
        shape
    }

    /// The training batch with the most tokens. It comes from the recipe's own order or, if
    /// searching that would take long, from the longest examples.
    ///
    /// # Errors
    /// Fails if examples cannot be read.
    pub(crate) fn largest(
        batching: &BatchingConfig,
        training: &TrainingConfig,
        examples: &Examples,
    ) -> Result<Self> {
        if examples.len() > LISTED {
            return Ok(Self::largest_sorted(examples, batching.train));
        }
        let lengths: Vec<usize> = examples.lengths().collect::<Result<_>>()?;
        let order = BatchOrder::new(batching.rule(training.seed), examples)?;
        let mut largest = Self::default();
        for epoch in 1..=training.epochs.min(LOOKED_THROUGH) {
            for batch in order.epoch(epoch) {
                let shape = Self::of(batch?.into_iter().map(|i| lengths[i]));
                largest = largest.larger(shape);
            }
        }
        Ok(largest)
    }

    /// The largest batch of examples in the evaluator's order, which sorts them by length.
    pub(crate) fn largest_sorted(examples: &Examples, limit: BatchLimit) -> Self {
        let lengths = examples.summary().lengths.iter().rev();
        let lengths =
            lengths.flat_map(|(&length, &count)| std::iter::repeat_n(length, count as usize));
        let (mut largest, mut batch) = (Self::default(), Self::default());
        for length in lengths {
            let fits = match limit {
                BatchLimit::Examples(size) => batch.sequences < size as u64,
                BatchLimit::Tokens(budget) => batch.tokens + length as u64 <= budget as u64,
            };
            if !fits {
                largest = largest.larger(batch);
                batch = Self::default();
            }
            batch.add(length);
        }
        largest.larger(batch)
    }

    /// The batch with more tokens, or `other` if they are equal.
    fn larger(self, other: Self) -> Self {
        if self.tokens > other.tokens {
            self
        } else {
            other
        }
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
