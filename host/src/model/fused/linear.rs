//! A linear layer of the fused path, ready for one pass: packed weight, bias, the method's programs. Called by the
//! tasks of a block.

use super::{
    partials::Partials,
    scratch::{Columns, Direction, Scratch, WeightValues, Workspace},
    site::{self, Place, ReadyProgram, SiteTape},
};
use crate::{
    error::Result,
    graph::RowContext,
    model::{gradients::Gradients, layout::Linear, parameters::HostSlice, pass::Pass},
};
use candle_core::{Tensor, Var};
use progtune_kernels::{
    gemm::{PackedColumns, PackedRows},
    linear,
    matrix::Matrix,
};

/// A weight that the method computes from the checkpoint's.
pub struct RewrittenWeight {
    base: Tensor,
    value: Tensor,
}

impl RewrittenWeight {
    /// The rewritten weight of a layer whose method has programs for it.
    pub fn of(
        layer: &Linear,
        pass: &Pass<'_>,
        rows: RowContext<'_>,
        record: bool,
    ) -> Result<Option<Self>> {
        if layer.site.weights.is_empty() {
            return Ok(None);
        }
        let stored = pass.parameters.variable(layer.weight);
        let base = match record {
            true => Var::from_tensor(&stored.as_detached_tensor())?.into_inner(),
            false => stored.as_detached_tensor(),
        };
        let mut value = base.clone();
        for program in &layer.site.weights {
            value = program.run(&[("w", value)], pass.parameters, rows)?;
        }
        let value = value.contiguous()?;
        Ok(Some(Self { base, value }))
    }

    /// Adds the gradients of what the weight was computed from; `d_weight` is `[out_dim, in_dim]`.
    pub fn backward(
        &self,
        layer: &Linear,
        d_weight: &[f32],
        pass: &Pass<'_>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let d_weight = Tensor::from_slice(d_weight, self.value.dims(), self.value.device())?;
        let store = (&self.value * &d_weight)?.sum_all()?.backward()?;
        let parameters = layer
            .site
            .weights
            .iter()
            .flat_map(|program| program.parameters());
        for id in crate::graph::distinct(parameters) {
            let trained = pass.parameters.is_trainable(id);
            if let Some(gradient) = store.get(pass.parameters.variable(id)).filter(|_| trained) {
                gradients.add(id, gradient)?;
            }
        }
        if let Some(gradient) = store.get(&self.base) {
            gradients.add(layer.weight, gradient)?;
        }
        Ok(())
    }
}

/// A linear layer as the tasks of one pass see it.
pub struct ReadyLinear<'a> {
    /// The layer.
    pub layer: &'a Linear,
    /// `None` when the pass multiplies by no weight.
    weight: Option<Columns<'a>>,
    bias: HostSlice<'a>,
    programs: Vec<ReadyProgram<'a>>,
}

impl<'a> ReadyLinear<'a> {
    /// Packs what the pass needs.
    pub fn new(
        layer: &'a Linear,
        rewritten: Option<&RewrittenWeight>,
        pass: &'a Pass<'_>,
        scratch: &'a Scratch,
        direction: Direction,
        multiplies: bool,
    ) -> Self {
        let rewritten = rewritten.map(|w| HostSlice::of(&w.value));
        let weight = WeightValues {
            id: layer.weight,
            rewritten: rewritten.as_deref(),
            in_dim: layer.in_dim,
            out_dim: layer.out_dim,
        };
        let backward = direction == Direction::Backward;
        Self {
            layer,
            weight: multiplies
                .then(|| scratch.weight(pass.parameters, weight, direction, pass.step.is_some())),
            bias: pass.parameters.host(layer.bias),
            programs: site::prepare(&layer.site.outputs, pass.parameters, scratch, backward),
        }
    }

    /// `y = x·Wᵀ + b` and the programs; `x` is `[rows, in_dim]`, packed for layers that share it.
    pub fn forward(
        &self,
        y: &mut [f32],
        x: &[f32],
        packed: &PackedRows,
        place: &mut Place<'_, '_>,
    ) -> Result<Vec<SiteTape>> {
        linear::forward(y, packed, self.weight(), Some(&self.bias));
        site::forward(&self.programs, y, [x, &[]], place)
    }

    /// Adds the gradients of bias and programs; `d` comes in as the gradient of the result and leaves as that of the
    /// layer's own product. `d_x` receives the gradient of the input, added when the flag beside it says so.
    pub fn backward(
        &self,
        tapes: &[SiteTape],
        d: &mut [f32],
        x: &[f32],
        d_x: Option<(&mut [f32], bool)>,
        partials: &mut Partials<'_>,
        place: &mut Place<'_, '_>,
    ) -> Result<()> {
        let [from_programs, _] =
            site::backward(&self.programs, tapes, d, [x, &[]], partials, place)?;
        if let Some(d_bias) = partials.sum(self.layer.bias) {
            linear::backward_bias(d_bias, d);
        }
        if let Some((d_x, accumulate)) = d_x {
            let Workspace { rows, .. } = place.workspace;
            let n = self.layer.out_dim;
            rows.pack(Matrix::new(d, d.len() / n, n));
            linear::backward_input(d_x, rows, self.weight(), accumulate);
            if let Some(more) = from_programs {
                site::add(d_x, &more);
            }
        }
        Ok(())
    }

    fn weight(&self) -> &PackedColumns {
        self.weight.as_deref().expect("whoever multiplies says so")
    }
}
