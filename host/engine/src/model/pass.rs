//! The state that a forward and its backward share: the batch, the step, the rows that are
//! computed, and dropout. [`super::Model`] makes it for every batch.

use super::{
    Model,
    config::ModelConfig,
    layout::Head,
    loss::LossWeighting,
    parameters::Parameters,
    scratch::Scratch,
    step::{DropoutSite, Step},
};
use crate::{batch::Batch, model::graph::RowContext};
use progtune_kernels::dropout::Dropout;

/// One batch on its way through the model.
pub(super) struct Pass<'a> {
    /// The model's sizes and probabilities.
    pub config: &'a ModelConfig,
    /// The parameters.
    pub parameters: &'a Parameters,
    /// The batch.
    pub batch: &'a Batch,
    /// Memory of the fused path.
    pub scratch: &'a Scratch,
    /// Memory of the fused path's head.
    pub head_scratch: &'a Scratch,
    /// The weight of its labels.
    pub weighting: &'a LossWeighting,
    /// The training step. It is `None` during evaluation, which records nothing and has no dropout.
    pub step: Option<Step>,
    /// The row keys of the first tokens.
    pub(crate) first_row_keys: Vec<u64>,
    /// The query offsets of a block that computes first tokens only: 0, 1, 2, ….
    pub(crate) first_offsets: Vec<u32>,
}

/// The mode in which a block is computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockMode {
    /// Whether queries, and everything after them, are computed for each sequence's first token
    /// only.
    pub first_only: bool,
    /// Whether a backward will follow.
    pub record: bool,
    /// Whether that backward must reach the block's input.
    pub(crate) input_gradient: bool,
    /// Whether dropout applies in this block. Below the lowest trained parameter it does so only on
    /// request.
    pub dropout: bool,
}

impl<'a> Pass<'a> {
    /// The pass of a batch.
    pub(super) fn new(model: &'a Model, batch: &'a Batch, step: Option<Step>) -> Self {
        Self {
            scratch: &model.scratch,
            head_scratch: &model.head_scratch,
            config: &model.config,
            parameters: &model.parameters,
            weighting: &model.loss_weighting,
            batch,
            step,
            first_row_keys: batch
                .first_tokens()
                .iter()
                .map(|&row| batch.row_keys[row as usize])
                .collect(),
            first_offsets: (0..=batch.sequences() as u32).collect(),
        }
    }

    /// The keys of the rows that the head reads.
    pub(crate) fn head_row_keys(&self, head: &Head) -> &[u64] {
        if head.every_token {
            &self.batch.row_keys
        } else {
            &self.first_row_keys
        }
    }

    /// The keys of the rows that a block computes.
    pub(super) fn row_keys(&self, mode: BlockMode) -> &[u64] {
        if mode.first_only {
            &self.first_row_keys
        } else {
            &self.batch.row_keys
        }
    }

    /// The offsets of the queries of a block.
    pub(super) fn query_offsets(&self, mode: BlockMode) -> &[u32] {
        if mode.first_only {
            &self.first_offsets
        } else {
            &self.batch.offsets
        }
    }

    /// The dropout of a place, if there is any.
    pub(super) fn dropout<'k>(
        &self,
        p: f64,
        site: DropoutSite,
        row_keys: &'k [u64],
        on: bool,
    ) -> Option<Dropout<'k>> {
        let step = self.step.filter(|_| on && p > 0.0)?;
        Some(Dropout {
            p: p as f32,
            site_key: step.site_key(site.number()),
            row_keys,
        })
    }

    /// The rows as the programs at a block's sites need them.
    pub(crate) fn row_context<'k>(&self, row_keys: &'k [u64], on: bool) -> RowContext<'k> {
        RowContext {
            step: self.step.filter(|_| on),
            row_keys,
        }
    }
}
