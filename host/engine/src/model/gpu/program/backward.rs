//! The backward of a program's steps on the device. [`super::backward`] calls it.

use super::{DerivedSums, Others, Place, Step, add_gradient, forward::normalise, given, value};
use crate::{
    error::Result,
    model::{
        fused::{Fixed, FixedMatrix, RowProgram},
        gradients::Gradients,
        graph::Program,
        lane::{queue::Address, rows::Rows},
    },
};
use progtune_kernels::cuda::{self, Arguments, DropoutArgument};

/// The backward of one program.
pub(super) struct Backward<'a, 'g> {
    pub compiled: &'a RowProgram,
    pub program: &'a Program,
    pub place: Place<'a>,
    pub gradients: &'g mut Gradients,
    pub derived: &'g mut DerivedSums,
}

impl Backward<'_, '_> {
    /// Undoes all steps; returns the gradients of `y` and of the other inputs.
    pub(super) fn steps(
        &mut self,
        saved: &[Option<Rows>],
        d: Rows,
        others: Others<'_>,
    ) -> Result<(Rows, [Option<Rows>; 2])> {
        let lane = self.place.lane;
        let steps = self.compiled.steps();
        let (n, columns) = (d.n, d.columns);
        let mut gradients: Vec<Option<Rows>> = steps.iter().map(|_| None).collect();
        if let Some(last) = gradients.last_mut() {
            *last = Some(d);
        }
        let mut inputs = [None, None, None];
        for (index, step) in steps.iter().enumerate().rev() {
            let Some(g) = gradients[index].take() else {
                continue;
            };
            let of = |at: usize| value(steps, at, saved, None, others);
            match *step {
                Step::Input(input) => add_gradient(lane, &mut inputs[input], Some(g))?,
                Step::Add { a, b, factor } => {
                    let d_b = lane.copy(&g)?;
                    lane.scale(&d_b, factor)?;
                    add_gradient(lane, &mut gradients[b], Some(d_b))?;
                    add_gradient(lane, &mut gradients[a], Some(g))?;
                }
                Step::Mul { a, b } => {
                    let d_b = lane.copy(&g)?;
                    lane.multiply(&d_b, given(of(a))?)?;
                    add_gradient(lane, &mut gradients[b], Some(d_b))?;
                    lane.multiply(&g, given(of(b))?)?;
                    add_gradient(lane, &mut gradients[a], Some(g))?;
                }
                Step::MatMul { x, .. }
                | Step::AddVector { x, .. }
                | Step::MulVector { x, .. }
                | Step::Scale { x, .. }
                | Step::Activate { x, .. }
                | Step::Swap { x, .. }
                | Step::Normalise { x, .. }
                | Step::Dropout { x, .. } => {
                    let d_x = self.step(index, g, of(x))?;
                    add_gradient(lane, &mut gradients[x], Some(d_x))?;
                }
            }
        }
        let [d_y, d_x, d_residual] = inputs;
        let d_y = match d_y {
            Some(d_y) => d_y,
            None => lane.zero_rows(n, columns)?,
        };
        Ok((d_y, [d_x, d_residual]))
    }

    /// The gradient of the only operand with rows of a step whose result has the gradient `g`. Adds
    /// the gradient of the step's other operand, if it has one.
    fn step(&mut self, index: usize, g: Rows, x: Option<&Rows>) -> Result<Rows> {
        let (lane, place) = (self.place.lane, self.place);
        let width = g.columns;
        match self.compiled.steps()[index] {
            Step::MatMul { matrix, .. } => self.product(matrix, g, given(x)?),
            Step::AddVector { vector, factor, .. } => {
                if let Some(sum) = self.sum(vector)? {
                    let length = self.compiled.length(vector, place.pass.parameters);
                    // Column sums know no factor, and a graph subtracts rarely.
                    let scaled = lane.copy(&g)?.reshaped(length);
                    lane.scale(&scaled, factor)?;
                    lane.bias_gradient(&scaled, Some(sum))?;
                }
                Ok(g)
            }
            Step::MulVector { vector, .. } => {
                let length = self.compiled.length(vector, place.pass.parameters);
                let g = g.reshaped(length);
                if let Some(sum) = self.sum(vector)? {
                    let x = lane.copy(given(x)?)?.reshaped(length);
                    lane.product_sums(&g, &x, sum)?;
                }
                lane.multiply_vector(&g, place.fixed(self.compiled, vector)?)?;
                Ok(g.reshaped(width))
            }
            Step::Scale { by, .. } => {
                lane.scale(&g, by)?;
                Ok(g)
            }
            Step::Activate { activation, .. } => {
                lane.activation_backward(&g, given(x)?, None, activation)?;
                Ok(g)
            }
            Step::Swap { from, .. } => lane.swap(&g, (from.1, from.0)),
            Step::Normalise { columns, eps, .. } => {
                let x = given(x)?;
                let (x_hat, rstd) = normalise(lane, x, columns, eps)?;
                let columns = if columns == 0 { x.columns } else { columns };
                let ones = lane.bytes(&1f32.to_ne_bytes().repeat(columns))?;
                let chunked = cuda::row_chunks(g.count() / columns, columns, lane.number);
                let arguments = Arguments::default()
                    .address(g.address())
                    .address(x_hat.address())
                    .address(rstd.address())
                    .address(ones.address())
                    .address(g.address())
                    .address(0)
                    .address(0)
                    .address(0)
                    .address(0)
                    .size(g.count() / columns)
                    .size(columns)
                    .u32(chunked.rows_per_chunk)
                    .dropout(DropoutArgument::NONE);
                lane.launch_typed("layer_norm_backward", chunked.launch, arguments)?;
                Ok(g)
            }
            Step::Dropout { node, p, .. } => {
                lane.drop_out(&g, place.dropout(self.program, node, p))?;
                Ok(g)
            }
            Step::Input(_) | Step::Add { .. } | Step::Mul { .. } => {
                unreachable!("`steps` handles steps with several operands")
            }
        }
    }

    fn sum(&mut self, fixed: Fixed) -> Result<Option<Address>> {
        let (gradients, derived) = (&mut *self.gradients, &mut *self.derived);
        self.place
            .sum(self.compiled, self.program, fixed, gradients, derived)
    }

    /// Adds the gradient of a product's matrix; returns that of its rows `x`.
    fn product(&mut self, matrix: FixedMatrix, d: Rows, x: &Rows) -> Result<Rows> {
        let lane = self.place.lane;
        let (n_in, n_out) = if matrix.transposed {
            (matrix.columns, matrix.rows)
        } else {
            (matrix.rows, matrix.columns)
        };
        let (n, width) = (x.n, x.columns);
        let d = d.reshaped(n_out);
        if let Some(sum) = self.sum(matrix.source)? {
            let x = lane.copy(x)?.reshaped(n_in);
            if matrix.transposed {
                lane.add_weight_gradient(sum, &d, &x)?;
            } else {
                lane.add_weight_gradient(sum, &x, &d)?;
            }
        }
        let (weight, _kept) = self.place.operand(self.compiled, matrix)?;
        let d_x = lane.rows(d.n, n_in)?;
        lane.multiply_rows(&d_x, &d, n_out, weight, !matrix.transposed)?;
        debug_assert_eq!(d_x.count(), n * width);
        Ok(d_x.reshaped(width))
    }
}
