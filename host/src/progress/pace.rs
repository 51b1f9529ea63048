//! The expected duration of a run, from the time that its first part took. Called by the progress.
//!
//! Epochs differ: a schedule trains fewer blocks in some of them, and the prefix cache spares
//! frozen ones. The work of each epoch is therefore counted in passes of tokens through blocks, and
//! the time per unit of work is taken from the work so far.

use crate::evaluations::EvalTimes;
use progtune_engine::plan::Stage;

/// The size of a run, as far as it determines its work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    /// Number of blocks of the model.
    pub blocks: usize,
    /// Whether the weights of trained blocks are trained themselves, as in full fine-tuning.
    pub is_full: bool,
    /// Number of tokens in an epoch.
    pub(crate) train_tokens: u64,
    /// Number of tokens in an evaluation.
    pub(crate) eval_tokens: u64,
    /// The times of evaluations, with the steps of an epoch and of the run.
    pub times: EvalTimes,
}

/// The work of one epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Work {
    step: f64,
    evaluation: f64,
    /// Number of its evaluations.
    evaluations: u64,
}

/// The work of a run, and the part of it that is done.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    load: Workload,
    /// The work of each epoch that runs.
    epochs: Vec<Work>,
    steps: u64,
    evaluations: u64,
    /// The steps and evaluations of earlier processes, whose time is not known.
    before: (u64, u64),
}

impl Pace {
    /// The pace of a run whose epochs begin with these stages. `starts` has the block at which each
    /// epoch starts from the prefix cache; epochs without an entry start at the embeddings.
    pub(crate) fn new(load: Workload, stages: &[Stage], starts: &[usize]) -> Self {
        let times = load.times;
        let n_epochs = times.last_step.div_ceil(times.steps_per_epoch) as usize;
        let tokens_per_step = load.train_tokens as f64 / times.steps_per_epoch as f64;
        let stages = stages.iter().enumerate().take(n_epochs);
        let epochs = stages.map(|(at, stage)| {
            let start = starts.get(at).copied().unwrap_or(0);
            // The embeddings and the head count like one more block.
            let forward = (load.blocks + 1 - start.min(load.blocks)) as f64;
            let trained = (load.blocks + 1 - stage.frozen_blocks(load.blocks)) as f64;
            // The gradients of rows take about one forward, those of weights another one.
            let backward = if load.is_full { 2.0 } else { 1.0 };
            Work {
                step: tokens_per_step * (forward + backward * trained),
                evaluation: load.eval_tokens as f64 * forward,
                evaluations: times.in_epoch(at as u64),
            }
        });
        Self {
            load,
            epochs: epochs.collect(),
            steps: 0,
            evaluations: 0,
            before: (0, 0),
        }
    }

    /// The last step of the run.
    pub(crate) fn last_step(&self) -> u64 {
        self.load.times.last_step
    }

    /// Counts what earlier processes of the run did as done.
    pub(crate) fn continue_at(&mut self, step: u64, evaluations: u64) {
        self.before = (step, evaluations);
        (self.steps, self.evaluations) = self.before;
    }

    /// The number of steps that are done.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// Counts the steps up to this one as done.
    pub(crate) fn reach_step(&mut self, step: u64) {
        self.steps = step;
    }

    /// Counts an evaluation as done.
    pub(crate) fn reach_evaluation(&mut self) {
        self.evaluations += 1;
    }

    /// The expected duration of the whole training in seconds, if the part that is done took
    /// `secs`, without the part before this process. `None` before the first step.
    pub(crate) fn total_secs(&self, secs: f64) -> Option<f64> {
        let (steps, evaluations) = self.before;
        let before = self.work(steps, evaluations);
        let done = self.work(self.steps, self.evaluations) - before;
        let all = self.work(self.last_step(), u64::MAX) - before;
        (self.steps > steps && done > 0.0).then(|| secs * (all / done).max(1.0))
    }

    fn work(&self, steps: u64, evaluations: u64) -> f64 {
        let (mut steps, mut evaluations) = (steps, evaluations);
        let mut sum = 0.0;
        for epoch in &self.epochs {
            let steps_here = steps.min(self.load.times.steps_per_epoch);
            let evaluations_here = evaluations.min(epoch.evaluations);
            steps -= steps_here;
            evaluations -= evaluations_here;
            sum += steps_here as f64 * epoch.step + evaluations_here as f64 * epoch.evaluation;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluations::{EvalSteps, EvalStrategy, Evaluations};

    const EPOCHS: Evaluations = Evaluations {
        strategy: EvalStrategy::Epoch,
        steps: None,
    };

    fn pace(last_step: u64, eval_tokens: u64, starts: &[usize]) -> Pace {
        pace_with(EPOCHS, last_step, eval_tokens, starts)
    }

    fn pace_with(
        evaluations: Evaluations,
        last_step: u64,
        eval_tokens: u64,
        starts: &[usize],
    ) -> Pace {
        let load = Workload {
            blocks: 4,
            is_full: true,
            train_tokens: 1000,
            eval_tokens,
            times: evaluations.times(10, last_step),
        };
        let stage = |blocks: &[usize], embeddings: bool| Stage {
            blocks: blocks.to_vec(),
            embeddings,
            ..Stage::default()
        };
        let stages = [
            stage(&[0, 1, 2, 3], true),
            stage(&[2, 3], false),
            stage(&[2, 3], false),
        ];
        Pace::new(load, &stages, starts)
    }

    #[test]
    fn epochs_with_fewer_blocks_take_less_time() {
        // A step has 5 + 2 · 5 passes in the first epoch, and 5 + 2 · 3 in the others.
        let mut pace = pace(30, 0, &[]);
        assert_eq!(pace.total_secs(1.0), None);
        pace.reach_step(5);
        let total = pace.total_secs(5.0 * 15.0).unwrap();
        assert!(
            (total - 10.0 * (15.0 + 11.0 + 11.0)).abs() < 1e-9,
            "{total}"
        );
        pace.reach_step(30);
        assert_eq!(pace.total_secs(7.0), Some(7.0));
    }

    #[test]
    fn a_run_that_continues_knows_only_its_own_time() {
        let mut pace = pace(30, 0, &[]);
        pace.continue_at(10, 1);
        assert_eq!((pace.total_secs(1.0), pace.steps()), (None, 10));
        pace.reach_step(15);
        assert_eq!(pace.total_secs(5.0), Some(20.0));
    }

    #[test]
    fn evaluations_and_the_cache_count() {
        let mut pace = pace(25, 200, &[0, 0, 2]);
        pace.reach_step(10);
        pace.reach_evaluation();
        // 100 tokens a step. The last epoch is half as long, and starts at block 2.
        let done = 1000.0 * 15.0 + 200.0 * 5.0;
        let rest = 1000.0 * 11.0 + 200.0 * 5.0 + 500.0 * (3.0 + 6.0) + 200.0 * 3.0;
        let total = pace.total_secs(8.0).unwrap();
        assert!((total - 8.0 * (done + rest) / done).abs() < 1e-9, "{total}");
    }
    #[test]
    fn evaluations_inside_epochs_count() {
        let steps = Evaluations {
            strategy: EvalStrategy::Steps,
            steps: Some(EvalSteps::Steps(4)),
        };
        let mut pace = pace_with(steps, 20, 200, &[]);
        pace.reach_step(4);
        pace.reach_evaluation();
        // Each of the two epochs has three evaluations.
        let done = 400.0 * 15.0 + 200.0 * 5.0;
        let all = 1000.0 * (15.0 + 11.0) + 6.0 * 200.0 * 5.0;
        let total = pace.total_secs(1.0).unwrap();
        assert!((total - all / done).abs() < 1e-9, "{total}");
    }
}
