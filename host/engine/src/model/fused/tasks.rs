//! The tasks of a pass over a block: the rows that each of them attends or feeds (see
//! [`super::block`]).

use super::groups::{groups, row_groups};
use crate::model::pass::{BlockMode, Pass};
use std::ops::Range;

/// The division of a pass over a block into tasks.
pub(super) struct Tasks {
    /// The attending tasks.
    pub attend: Vec<AttendTask>,
    /// The computed rows of each feeding task. They are those of the attending tasks, unless the
    /// block computes first tokens only.
    pub feed: Vec<Range<usize>>,
}

/// The rows of an attending task.
#[derive(Clone)]
pub(super) struct AttendTask {
    pub sequences: Range<usize>,
    /// Rows of keys and values.
    pub rows: Range<usize>,
    /// Rows of queries, and of everything after them.
    pub computed: Range<usize>,
}

impl Tasks {
    /// The tasks of a batch.
    pub(super) fn new(pass: &Pass<'_>, mode: BlockMode) -> Self {
        let groups = groups(&pass.batch.offsets).into_iter();
        let task = groups.map(|group| AttendTask {
            computed: if mode.first_only {
                group.sequences.clone()
            } else {
                group.rows.clone()
            },
            sequences: group.sequences,
            rows: group.rows,
        });
        let attend: Vec<AttendTask> = task.collect();
        let feed = if mode.first_only {
            row_groups(pass.batch.sequences())
        } else {
            attend.iter().map(|task| task.computed.clone()).collect()
        };
        Self { attend, feed }
    }
}
