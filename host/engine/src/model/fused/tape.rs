//! The tape of a block: everything that its backward needs. [`super::forward`] makes it, and
//! [`super::backward`] takes it apart.

use super::{
    block::Rewritten,
    groups::rows_of,
    half_rows::HalfRows,
    saved::{AttendTapes, AttendValues, Attended, Fed, FeedTapes, FeedValues, Qkv, Widths},
    tasks::AttendTask,
};
use crate::model::{pass::BlockMode, scratch::Buffer};
use progtune_kernels::linear::Rows;
use std::{ops::Range, sync::Arc};

/// Everything that the backward of a block needs.
pub(crate) struct BlockTape {
    pub(super) mode: BlockMode,
    pub(super) rows: TapeRows,
    /// For each attending task.
    pub(super) attend_tapes: Vec<AttendTapes>,
    /// For each feeding task.
    pub(super) feed_tapes: Vec<FeedTapes>,
    pub(super) rewritten: Rewritten,
}

/// The rows that a forward leaves behind.
pub(super) enum TapeRows {
    /// As they were computed.
    Whole(Box<WholeRows>),
    /// In half the room.
    Halves(Box<HalfRows>),
}

impl TapeRows {
    /// The inputs of the layers, of which weight gradients read all rows: that of query, that of
    /// key and value, and attention's output.
    pub(super) fn layer_inputs(&self) -> [Rows<'_>; 3] {
        match self {
            Self::Whole(rows) => {
                let first = rows.first_rows.as_ref().unwrap_or(&rows.x);
                [first, &*rows.x, &rows.attended.context].map(|rows| Rows::F32(rows))
            }
            Self::Halves(rows) => [&rows.x, &rows.x, &rows.context].map(|rows| Rows::Bf16(rows)),
        }
    }
}

/// Rows as they were computed: `[T, …]` for keys and values, the computed rows for the rest.
pub(super) struct WholeRows {
    pub x: Arc<Buffer>,
    /// The first token's row of each sequence, in a block that computes no other.
    pub first_rows: Option<Buffer>,
    pub attended: Attended<Buffer>,
    pub fed: Fed<Buffer>,
}

impl WholeRows {
    /// Those of an attending task.
    pub(super) fn attend(&self, task: &AttendTask, widths: Widths) -> AttendValues<'_> {
        let (Widths { hidden, heads, .. }, of) = (widths, &self.attended);
        let computed = self.first_rows.as_ref().unwrap_or(&self.x);
        AttendValues {
            x: rows_of(&self.x, &task.rows, hidden),
            x_query: rows_of(computed, &task.computed, hidden),
            qkv: Qkv {
                q: rows_of(&of.qkv.q, &task.computed, hidden),
                k: rows_of(&of.qkv.k, &task.rows, hidden),
                v: rows_of(&of.qkv.v, &task.rows, hidden),
            },
            log_sum_exp: rows_of(&of.log_sum_exp, &task.computed, heads),
        }
    }

    /// Those of a feeding task.
    pub(super) fn feed(&self, rows: &Range<usize>, widths: Widths) -> FeedValues<'_> {
        let Widths { hidden, inner, .. } = widths;
        let context = &self.attended.context;
        FeedValues {
            x: rows_of(self.first_rows.as_ref().unwrap_or(&self.x), rows, hidden),
            context: if context.is_empty() {
                &[]
            } else {
                rows_of(context, rows, hidden)
            },
            fed: Fed {
                attention: self.fed.attention.rows(rows, hidden),
                u: rows_of(&self.fed.u, rows, inner),
                output: self.fed.output.rows(rows, hidden),
            },
        }
    }
}
