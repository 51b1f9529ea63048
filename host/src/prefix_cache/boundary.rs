//! The rule which boundary is saved in which epoch. Boundary b lies below block b: the rows there are what the blocks
//! 0 to b − 1 make of an example. Called by the prefix cache.

/// What is known about the epoch after the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There is none: nothing that is saved would be read.
    Nothing,
    /// The schedule has yet to decide.
    Unknown,
    /// This many blocks will be frozen.
    Frozen(usize),
}

/// The boundary to save at while `frozen` blocks are frozen; 0: save nothing.
///
/// Rows must not depend on anything that is trained before they are read: neither now nor in the next epoch.
pub fn save_boundary(frozen: usize, next: Next) -> usize {
    match next {
        Next::Nothing => 0,
        Next::Unknown => frozen,
        Next::Frozen(next) => frozen.min(next),
    }
}

/// The frozen blocks of every epoch, as far as they are known before the run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Epochs that run, the last one perhaps in part.
    epochs: u32,
    /// c of each of them; `None` when the schedule decides on the way.
    frozen: Option<Vec<usize>>,
}

impl Plan {
    /// The plan of a run of `epochs` epochs; `frozen` has a number for each of them at least.
    pub fn new(epochs: u32, frozen: Option<Vec<usize>>) -> Self {
        Self { epochs, frozen }
    }

    /// What follows `epoch` (from 1).
    pub fn after(&self, epoch: u32) -> Next {
        if epoch >= self.epochs {
            return Next::Nothing;
        }
        let known = self.frozen.as_ref().and_then(|c| c.get(epoch as usize));
        known.map_or(Next::Unknown, |&c| Next::Frozen(c))
    }

    /// Every boundary that will be saved, epoch by epoch, 0 for none; `None` when that is not known.
    pub fn saves(&self) -> Option<Vec<usize>> {
        if self.epochs < 2 {
            return Some(Vec::new());
        }
        let frozen = self.frozen.as_ref()?.iter().zip(1..);
        Some(
            frozen
                .map(|(&c, epoch)| save_boundary(c, self.after(epoch)))
                .collect(),
        )
    }
}

/// Where kept examples start in each epoch, 0 for the embeddings, when so many leading blocks are `frozen` and these
/// boundaries are saved: the cache moves up with the stage, and forgets what a stage trains.
pub fn starts(frozen: &[usize], saves: &[usize]) -> Vec<usize> {
    let mut boundary = 0;
    frozen
        .iter()
        .zip(saves)
        .map(|(&frozen, &saved)| {
            let start = if boundary > frozen { 0 } else { boundary };
            boundary = start.max(saved);
            start
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saves(frozen: &[usize]) -> Vec<usize> {
        Plan::new(frozen.len() as u32, Some(frozen.to_vec()))
            .saves()
            .unwrap()
    }

    #[test]
    fn what_is_saved_is_frozen_now_and_in_the_next_epoch() {
        assert_eq!(saves(&[0, 2, 4]), [0, 2, 0], "progressive, 6 blocks");
        assert_eq!(saves(&[0, 1, 2, 3]), [0, 1, 2, 0], "it moves up");
        assert_eq!(
            saves(&[4, 2, 0]),
            [2, 0, 0],
            "grow-from-hb saves for the next stage"
        );
        assert_eq!(saves(&[2, 4, 6]), [2, 4, 0], "wo-lb");
        assert_eq!(saves(&[3, 3, 3]), [3, 3, 0], "single-block");
        assert_eq!(saves(&[0, 0, 0]), [0, 0, 0], "full");
        assert_eq!(saves(&[6]), Vec::<usize>::new(), "one epoch");
    }

    #[test]
    fn epochs_start_where_the_last_one_saved() {
        let starts = |frozen: &[usize]| starts(frozen, &saves(frozen));
        assert_eq!(starts(&[0, 2, 4]), [0, 0, 2], "progressive, 6 blocks");
        assert_eq!(starts(&[0, 1, 2, 3]), [0, 0, 1, 2]);
        assert_eq!(starts(&[4, 2, 0]), [0, 2, 0], "grow-from-hb");
        assert_eq!(starts(&[3, 3, 3]), [0, 3, 3], "single-block");
        assert_eq!(starts(&[6]), Vec::<usize>::new(), "one epoch");
    }

    #[test]
    fn an_undecided_schedule_saves_what_is_frozen_now() {
        let plan = Plan::new(3, None);
        assert_eq!(plan.saves(), None);
        assert_eq!(plan.after(1), Next::Unknown);
        assert_eq!(save_boundary(4, plan.after(2)), 4);
        assert_eq!(save_boundary(4, plan.after(3)), 0, "the last epoch");
    }

    #[test]
    fn a_run_that_stops_early_saves_nothing_in_its_last_epoch() {
        let plan = Plan::new(2, Some(vec![1, 2, 3]));
        assert_eq!(plan.after(1), Next::Frozen(2));
        assert_eq!(plan.after(2), Next::Nothing);
    }
}
