//! The key/value prefix of a block: the same rows for every sequence, which the method adds to the
//! block's attention. They are made for each pass over a block, and attention reads them before
//! each sequence's own.

use super::partials::{Partials, Target};
use crate::{
    error::Result,
    model::{
        gradients::Gradients, graph::distinct, key_value_prefix::key_value_prefix, layout::Site,
        parameters::HostSlice, pass::Pass, scratch::Buffer,
    },
};
use candle_core::Tensor;

/// The rows of one block.
pub(super) struct PrefixRows {
    /// `[prefix, 2·hidden]`, with candle's graph if they depend on something trained.
    rows: Tensor,
}

impl PrefixRows {
    /// The rows that the method's programs at `site` make; `None` when there are no programs.
    pub(super) fn of(site: &Site, pass: &Pass<'_>) -> Result<Option<Self>> {
        let rows = key_value_prefix(site, pass)?;
        Ok(rows.map(|rows| Self { rows }))
    }

    /// The numbers.
    pub(super) fn values(&self) -> HostSlice<'_> {
        HostSlice::of(&self.rows)
    }

    /// The sum to which a task adds their gradient; `None` when they depend on nothing trained.
    pub(super) fn sum<'p>(&self, partials: &'p mut Partials<'_>) -> Option<&'p mut [f32]> {
        let n = self.rows.elem_count();
        self.rows
            .track_op()
            .then(|| partials.target(Target::Prefix, n))
    }

    /// Takes their gradient, added up over all tasks, back to the parameters.
    pub(super) fn backward(
        &self,
        site: &Site,
        sums: &[(Target, Buffer)],
        pass: &Pass<'_>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let Some((_, d)) = sums.iter().find(|(target, _)| *target == Target::Prefix) else {
            return Ok(());
        };
        let d = Tensor::from_slice(d, self.rows.dims(), self.rows.device())?;
        let store = (&self.rows * &d)?.sum_all()?.backward()?;
        for id in distinct(site.parameters()) {
            let trained = pass.parameters.is_trainable(id);
            if let Some(gradient) = store.get(pass.parameters.variable(id)).filter(|_| trained) {
                gradients.add(id, gradient)?;
            }
        }
        Ok(())
    }
}
