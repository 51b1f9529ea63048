//! The keys and values that a method adds to a block's attention, the same rows for every sequence. Made for each pass over a
//! block; attention reads them beside the sequences' own.

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
pub struct PrefixRows {
    /// `[prefix, 2·hidden]`, with candle's graph when something trained is in it.
    rows: Tensor,
}

impl PrefixRows {
    /// Those that the method's programs at `site` make; `None` when there are no programs.
    pub fn of(site: &Site, pass: &Pass<'_>) -> Result<Option<Self>> {
        let rows = key_value_prefix(site, pass)?;
        Ok(rows.map(|rows| Self { rows }))
    }

    /// The numbers.
    pub fn values(&self) -> HostSlice<'_> {
        HostSlice::of(&self.rows)
    }

    /// Where a task adds their gradient; `None` when nothing in them is trained.
    pub fn sum<'p>(&self, partials: &'p mut Partials<'_>) -> Option<&'p mut [f32]> {
        let n = self.rows.elem_count();
        self.rows
            .track_op()
            .then(|| partials.target(Target::Prefix, n))
    }

    /// Takes their gradient, added up over all tasks, back to the parameters.
    pub fn backward(
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
