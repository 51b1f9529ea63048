//! Decides at which boundary the cache saves rows in each epoch. Boundary b lies below block b: the
//! rows there are the output of the blocks 0 to b − 1 for an example. Called by the prefix cache.

/// The epoch after the current one, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// There is no further epoch, so nothing that is saved would be read.
    Nothing,
    /// The schedule has not decided yet.
    Unknown,
    /// This many blocks will be frozen.
    Frozen(usize),
}

/// The boundary at which to save while `frozen` blocks are frozen; 0 means that nothing is saved.
///
/// Rows must not depend on anything that is trained before they are read, in this epoch or the
/// next.
pub(super) fn save_boundary(frozen: usize, next: Next) -> usize {
    match next {
        Next::Nothing => 0,
        Next::Unknown => frozen,
        Next::Frozen(next) => frozen.min(next),
    }
}

/// The length of the frozen prefix in every epoch, as far as it is known before the run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Number of epochs that run; the last one may be cut short.
    epochs: u32,
    /// Number of frozen blocks in each epoch (c); `None` if the schedule decides during the run.
    frozen: Option<Vec<usize>>,
}

impl Plan {
    /// The plan of a run of `epochs` epochs; `frozen` has at least one number per epoch.
    pub(super) fn new(epochs: u32, frozen: Option<Vec<usize>>) -> Self {
        Self { epochs, frozen }
    }

    /// The epoch after `epoch`, which is counted from 1.
    pub(super) fn after(&self, epoch: u32) -> Next {
        if epoch >= self.epochs {
            return Next::Nothing;
        }
        let known = self.frozen.as_ref().and_then(|c| c.get(epoch as usize));
        known.map_or(Next::Unknown, |&c| Next::Frozen(c))
    }

    /// The boundary saved in each epoch, with 0 for none; `None` if this is not known yet.
    pub(super) fn saves(&self) -> Option<Vec<usize>> {
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

/// The boundary where cached examples start in each epoch, with 0 for the embeddings. `frozen` is
/// the length of the frozen prefix and `saves` the saved boundary, per epoch. The cache moves up
/// with the stage, and drops entries that depend on what a stage trains.
pub(super) fn starts(frozen: &[usize], saves: &[usize]) -> Vec<usize> {
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
