//! Assembles the next batches on another thread while a step computes. Called by the recipe.
//!
//! The thread waits while two batches are ready, and ends when its receiver is gone. The batches
//! keep the order of [`BatchOrder`], so prefetching does not change the results.

use crate::{batch_order::BatchOrder, token_store::Examples};
use progtune_engine::{Batch, Error, Result, model::LossWeighting};
use std::{
    ops::RangeInclusive,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};
use tracing::trace_span;

/// The maximum number of ready batches, in addition to the one in use.
const READY: usize = 2;

/// One batch of a step.
#[derive(Debug, Clone)]
pub struct MicroBatch {
    /// The batch.
    pub batch: Batch,
    /// The total weight of the labels in the whole step, by which its loss is divided.
    pub step_weight: f64,
    /// Whether this is the last batch of its step.
    pub ends_step: bool,
}

/// The source of the batches.
#[derive(Clone, Copy)]
pub struct BatchSource<'a> {
    /// The training set.
    pub examples: &'a Examples,
    /// The grouping and order of the batches.
    pub order: &'a BatchOrder<'a>,
    /// The model's first position id.
    pub first_position: u32,
    /// The weights of labels in the loss.
    pub weighting: &'a LossWeighting,
}

/// The prefetched batches.
pub struct Batches {
    ready: Receiver<Result<MicroBatch>>,
}

impl Batches {
    /// Waits for the next batch of the run.
    ///
    /// # Errors
    /// Fails if examples cannot be read, or if no batch is left because the run is over or the
    /// thread failed.
    pub fn next_batch(&self) -> Result<MicroBatch> {
        let next = self.ready.recv();
        next.map_err(|_| {
            Error::Training(
                "internal error: the prefetch thread stopped early; please report this".into(),
            )
        })?
    }
}

/// Calls `run` with the batches of `epochs`, without those of the first `skipped` steps, and ends
/// the prefetch thread when it returns.
pub fn with_batches<R>(
    source: BatchSource<'_>,
    epochs: RangeInclusive<u32>,
    skipped: u64,
    run: impl FnOnce(Batches) -> R,
) -> R {
    let (sender, ready) = sync_channel(READY);
    thread::scope(|scope| {
        scope.spawn(move || source.send(epochs, skipped, &sender));
        run(Batches { ready })
    })
}

impl BatchSource<'_> {
    /// The batches of the next step; none at the end of an epoch.
    fn assemble(
        &self,
        batches: &mut impl Iterator<Item = Result<Vec<usize>>>,
    ) -> Result<Vec<Batch>> {
        // A mark for `--profile`, as of `progtune_kernels::timed`.
        let _timed =
            trace_span!(target: "timeline.phase", "assemble the batches of a step").entered();
        let step = batches.take(self.order.batches_per_step());
        step.map(|indices| self.examples.batch(&indices?, self.first_position))
            .collect()
    }

    fn send(
        self,
        epochs: RangeInclusive<u32>,
        skipped: u64,
        sender: &SyncSender<Result<MicroBatch>>,
    ) {
        let mut skipped = skipped as usize * self.order.batches_per_step();
        for epoch in epochs {
            let mut batches = self.order.epoch(epoch).skip(std::mem::take(&mut skipped));
            loop {
                let step = match self.assemble(&mut batches) {
                    Ok(step) if step.is_empty() => break,
                    Ok(step) => step,
                    Err(error) => {
                        // If the receiver is gone, nobody needs the error.
                        let _ = sender.send(Err(error));
                        return;
                    }
                };
                let weights = step.iter();
                let step_weight = weights
                    .map(|batch| self.weighting.weight_of(&batch.labels))
                    .sum();
                let n_batches = step.len();
                for (at, batch) in step.into_iter().enumerate() {
                    let micro_batch = MicroBatch {
                        batch,
                        step_weight,
                        ends_step: at + 1 == n_batches,
                    };
                    if sender.send(Ok(micro_batch)).is_err() {
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch_order::{BatchLimit, Rule};
    use progtune_engine::{EncodedExample, Target};

    fn examples() -> Examples {
        (0..10)
            .map(|n| EncodedExample {
                input_ids: vec![n; 1 + n as usize % 3],
                token_type_ids: vec![0; 1 + n as usize % 3],
                target: Some(Target::Class(0)),
            })
            .collect()
    }

    fn order(examples: &Examples) -> BatchOrder<'_> {
        let rule = Rule {
            limit: BatchLimit::Examples(3),
            shuffle: true,
            group_by_length: true,
            seed: 42,
            gradient_accumulation_steps: 3,
        };
        BatchOrder::new(rule, examples).unwrap()
    }

    fn source<'a>(
        examples: &'a Examples,
        order: &'a BatchOrder<'a>,
        weighting: &'a LossWeighting,
    ) -> BatchSource<'a> {
        BatchSource {
            examples,
            order,
            first_position: 0,
            weighting,
        }
    }

    fn epoch(order: &BatchOrder<'_>, epoch: u32) -> Vec<Vec<usize>> {
        order.epoch(epoch).collect::<Result<_>>().unwrap()
    }

    #[test]
    fn batches_come_in_order_and_say_where_a_step_ends() {
        let examples = examples();
        let order = order(&examples);
        let weighting = LossWeighting::default();
        let source = source(&examples, &order, &weighting);
        with_batches(source, 1..=2, 0, |batches| {
            for epoch in 1..=2 {
                for (at, indices) in self::epoch(&order, epoch).into_iter().enumerate() {
                    let next = batches.next_batch().unwrap();
                    assert_eq!(next.batch.examples, indices);
                    // Four batches: three in the first step, one in the second.
                    assert_eq!(next.ends_step, at >= 2, "epoch {epoch}, batch {at}");
                    let batches = self::epoch(&order, epoch);
                    let last = batches[3].len();
                    let expected = if at < 3 { 10 - last } else { last };
                    assert_eq!(next.step_weight, expected as f64);
                }
            }
            let text = batches.next_batch().unwrap_err().to_string();
            assert!(text.contains("internal error"), "{text}");
        });
    }

    #[test]
    fn a_run_can_begin_in_the_middle_of_an_epoch() {
        let examples = examples();
        let order = order(&examples);
        let weighting = LossWeighting::default();
        let source = source(&examples, &order, &weighting);
        with_batches(source, 2..=3, 1, |batches| {
            let expected = [&epoch(&order, 2)[3..], &epoch(&order, 3)].concat();
            for indices in expected {
                assert_eq!(batches.next_batch().unwrap().batch.examples, indices);
            }
            assert!(batches.next_batch().is_err());
        });
    }

    #[test]
    fn a_run_that_stops_early_ends_the_thread() {
        let examples = examples();
        let order = order(&examples);
        let weighting = LossWeighting::default();
        let source = source(&examples, &order, &weighting);
        let result: Result<()> = with_batches(source, 1..=10_000, 0, |batches| {
            batches.next_batch()?;
            Err(Error::Training("stopped".into()))
        });
        assert_eq!(result.unwrap_err().to_string(), "stopped");
    }
}
