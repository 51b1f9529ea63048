//! A linear layer of the fused path, ready for one pass: packed weight, bias, the method's
//! programs. The tasks of a block call it.

use super::{
    kept_rows::Piece,
    partials::Partials,
    site::{self, Place, ReadyProgram, SiteTape},
};
use crate::{
    error::Result,
    model::{
        gradients::Gradients,
        graph::RowContext,
        layout::Linear,
        parameters::{HostSlice, Parameters},
        pass::Pass,
        scratch::{Buffer, Columns, Direction, Scratch, WeightValues, Workspace},
    },
};
use candle_core::{Tensor, Var};
use progtune_kernels::{
    bf16::{Bf16, narrow},
    gemm::{PackedColumns, PackedRows},
    linear,
    matrix::Matrix,
};

/// A weight that the method computes from the checkpoint's.
pub(crate) struct RewrittenWeight {
    base: Tensor,
    value: Tensor,
}

impl RewrittenWeight {
    /// The rewritten weight of a layer whose method has programs for it.
    pub(super) fn of(
        layer: &Linear,
        pass: &Pass<'_>,
        rows: RowContext<'_>,
        record: bool,
    ) -> Result<Option<Self>> {
        Self::of_parameters(layer, pass.parameters, rows, record)
    }

    /// As [`RewrittenWeight::of`], for a pass of any path.
    pub(crate) fn of_parameters(
        layer: &Linear,
        parameters: &Parameters,
        rows: RowContext<'_>,
        record: bool,
    ) -> Result<Option<Self>> {
        if layer.site.weights.is_empty() {
            return Ok(None);
        }
        let stored = parameters.variable(layer.weight);
        let base = if record {
            Var::from_tensor(&stored.as_detached_tensor())?.into_inner()
        } else {
            stored.as_detached_tensor()
        };
        let mut value = base.clone();
        for program in &layer.site.weights {
            value = program.run(&[("w", value)], parameters, rows)?;
        }
        let value = value.contiguous()?;
        Ok(Some(Self { base, value }))
    }

    /// Adds the gradients of the parameters from which the weight was computed; `d_weight` is
    /// `[out_dim, in_dim]`.
    pub(super) fn backward(
        &self,
        layer: &Linear,
        d_weight: &[f32],
        pass: &Pass<'_>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        self.backward_of(layer, d_weight, pass.parameters, gradients)
    }

    /// The weight that was computed, `[out_dim, in_dim]`.
    pub(crate) fn value(&self) -> &Tensor {
        &self.value
    }

    /// As [`RewrittenWeight::backward`], for a pass of any path.
    pub(crate) fn backward_of(
        &self,
        layer: &Linear,
        d_weight: &[f32],
        all: &Parameters,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let d_weight = Tensor::from_slice(d_weight, self.value.dims(), self.value.device())?;
        let store = (&self.value * &d_weight)?.sum_all()?.backward()?;
        let parameters = layer
            .site
            .weights
            .iter()
            .flat_map(|program| program.parameters());
        for id in crate::model::graph::distinct(parameters) {
            let trained = all.is_trainable(id);
            if let Some(gradient) = store.get(all.variable(id)).filter(|_| trained) {
                gradients.add(id, gradient)?;
            }
        }
        if let Some(gradient) = store.get(&self.base) {
            gradients.add(layer.weight, gradient)?;
        }
        Ok(())
    }
}

/// A linear layer as the tasks of one pass use it.
pub(super) struct ReadyLinear<'a> {
    /// The layer.
    pub layer: &'a Linear,
    /// The packed weight; `None` when the pass multiplies by no weight.
    weight: Option<Columns<'a>>,
    bias: HostSlice<'a>,
    /// The programs on the rows that it reads, in order.
    inputs: Vec<ReadyProgram<'a>>,
    /// The programs on the rows that it yields.
    outputs: Vec<ReadyProgram<'a>>,
}

/// The values that the backward of a layer's programs needs.
#[derive(Default)]
pub(super) struct LinearTape {
    inputs: Vec<SiteTape>,
    outputs: Vec<SiteTape>,
}

/// The rows that a layer's backward reads and writes.
pub(super) struct LinearRows<'r> {
    /// The layer's input, `[rows, in_dim]`; empty when nothing reads it.
    pub x: &'r [f32],
    /// Receives the gradient of `x`, which is added if the flag beside it says so.
    pub d_x: Option<(&'r mut [f32], bool)>,
    /// Receives the gradient of the layer's own product, rounded, if the weight's gradient reads it
    /// in that form.
    pub kept: Option<&'r mut [Bf16]>,
    /// Receives the rows that the layer multiplied, if programs change them and the weight's
    /// gradient reads them.
    pub multiplied: Option<Piece<'r>>,
}

impl<'a> ReadyLinear<'a> {
    /// Packs the operands that the pass needs.
    pub(super) fn new(
        layer: &'a Linear,
        rewritten: Option<&RewrittenWeight>,
        pass: &'a Pass<'_>,
        scratch: &'a Scratch,
        direction: Direction,
        multiplies: bool,
    ) -> Result<Self> {
        let rewritten = rewritten.map(|w| HostSlice::of(&w.value));
        let weight = WeightValues {
            id: layer.weight,
            rewritten: rewritten.as_deref(),
            in_dim: layer.in_dim,
            out_dim: layer.out_dim,
        };
        let backward = direction == Direction::Backward;
        let prepare = |programs| site::prepare(programs, pass.parameters, scratch, backward);
        // The backward to a program on the input goes through the weight.
        let multiplies = multiplies || !layer.site.inputs.is_empty();
        Ok(Self {
            layer,
            weight: multiplies
                .then(|| scratch.weight(pass.parameters, weight, direction, pass.step.is_some())),
            bias: pass.parameters.host(layer.bias),
            inputs: prepare(&layer.site.inputs)?,
            outputs: prepare(&layer.site.outputs)?,
        })
    }

    /// Its programs.
    pub(super) fn programs(&self) -> impl Iterator<Item = &ReadyProgram<'a>> {
        self.inputs.iter().chain(&self.outputs)
    }

    /// Computes `y = x·Wᵀ + b` and the programs; `x` is `[rows, in_dim]`, packed for layers that
    /// share it.
    pub(super) fn forward(
        &self,
        y: &mut [f32],
        x: &[f32],
        packed: &PackedRows,
        place: &mut Place<'_, '_>,
    ) -> Result<LinearTape> {
        let (rewritten, inputs) = self.rewrite_input(x, place)?;
        let x = match rewritten.last() {
            None => {
                linear::forward(y, packed, self.weight(), Some(&self.bias));
                x
            }
            Some(x) => {
                let (Workspace { rows, .. }, n) = (&mut *place.workspace, self.layer.in_dim);
                rows.pack(Matrix::new(x, x.len() / n, n));
                linear::forward(y, rows, self.weight(), Some(&self.bias));
                x
            }
        };
        let outputs = site::forward(&self.outputs, y, [x, &[]], place)?;
        Ok(LinearTape { inputs, outputs })
    }

    /// The result of each of the programs on the input, and their tapes.
    fn rewrite_input(
        &self,
        x: &[f32],
        place: &mut Place<'_, '_>,
    ) -> Result<(Vec<Buffer>, Vec<SiteTape>)> {
        let (mut rewritten, mut tapes) = (Vec::<Buffer>::new(), Vec::new());
        for program in &self.inputs {
            let before = rewritten.last().map_or(x, |rows| rows);
            let mut after = place.scratch.copy(before);
            let program = std::slice::from_ref(program);
            tapes.extend(site::forward(program, &mut after, [before, &[]], place)?);
            rewritten.push(after);
        }
        Ok((rewritten, tapes))
    }

    /// Adds the gradients of bias and programs. `d` comes in as the gradient of the result and
    /// leaves as that of the layer's own product.
    pub(super) fn backward(
        &self,
        tape: &LinearTape,
        d: &mut [f32],
        rows: LinearRows<'_>,
        partials: &mut Partials<'_>,
        place: &mut Place<'_, '_>,
    ) -> Result<()> {
        // This gives the same numbers again, because dropout masks are those of the forward.
        let (rewritten, _) = self.rewrite_input(rows.x, place)?;
        let x = rewritten.last().map_or(rows.x, |rows| rows);
        if let Some(multiplied) = rows.multiplied {
            multiplied.keep(x);
        }
        let [from_programs, _] =
            site::backward(&self.outputs, &tape.outputs, d, [x, &[]], partials, place)?;
        if let Some(kept) = rows.kept {
            narrow(kept, d);
        }
        if let Some(d_bias) = partials.sum(self.layer.bias) {
            linear::backward_bias(d_bias, d);
        }
        if self.inputs.is_empty() {
            if let Some((d_x, accumulate)) = rows.d_x {
                self.backward_input(d_x, accumulate, d, from_programs, place);
            }
            return Ok(());
        }
        let mut d_rewritten = place.scratch.take(x.len());
        self.backward_input(&mut d_rewritten, false, d, from_programs, place);
        for (at, program) in self.inputs.iter().enumerate().rev() {
            let before = match at.checked_sub(1) {
                Some(previous) => &rewritten[previous],
                None => rows.x,
            };
            let (program, tape) = (
                std::slice::from_ref(program),
                std::slice::from_ref(&tape.inputs[at]),
            );
            let others = [before, &[][..]];
            let [d_before, _] =
                site::backward(program, tape, &mut d_rewritten, others, partials, place)?;
            match d_before {
                Some(d_before) => d_rewritten = d_before,
                None => d_rewritten.fill(0.0),
            }
        }
        match rows.d_x {
            Some((d_x, true)) => site::add(d_x, &d_rewritten),
            Some((d_x, false)) => d_x.copy_from_slice(&d_rewritten),
            None => {}
        }
        Ok(())
    }

    /// The gradient of the rows that the layer multiplied: through the weight, and from programs on
    /// the output.
    fn backward_input(
        &self,
        d_x: &mut [f32],
        accumulate: bool,
        d: &[f32],
        from_programs: Option<Buffer>,
        place: &mut Place<'_, '_>,
    ) {
        let Workspace { rows, .. } = place.workspace;
        let n = self.layer.out_dim;
        rows.pack(Matrix::new(d, d.len() / n, n));
        linear::backward_input(d_x, rows, self.weight(), accumulate);
        if let Some(more) = from_programs {
            site::add(d_x, &more);
        }
    }

    fn weight(&self) -> &PackedColumns {
        self.weight
            .as_deref()
            .expect("a pass that multiplies packs the weight")
    }
}
