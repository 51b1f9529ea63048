//! The backward of a program on the rows of one task. The sites of [`crate::model::fused`] call it.

use super::{
    FixedMatrix, Others, RowProgram, Run, Step, add_gradient, by_row, drop_out, forward::normalise,
    packed_of, swap,
};
use crate::model::{fused::partials::Partials, scratch::Buffer};
use progtune_kernels::{
    activation, elementwise,
    gemm::{Start, multiply},
    layer_norm,
    matrix::Matrix,
};

impl RowProgram {
    /// Turns `d`, the gradient of the result, into that of `y`, and adds the parameters' gradients.
    /// Returns the gradients of the other inputs. `saved` is the result of [`RowProgram::forward`].
    pub(in crate::model::fused) fn backward(
        &self,
        saved: &[Option<Buffer>],
        d: &mut [f32],
        others: Others<'_>,
        partials: &mut Partials<'_>,
        run: &mut Run<'_, '_>,
    ) -> [Option<Buffer>; 2] {
        let value = |at: usize| -> &[f32] {
            match self.steps[at] {
                Step::Input(other @ 1..) => others[other - 1],
                _ => saved[at].as_deref().unwrap_or_default(),
            }
        };
        let mut gradients: Vec<Option<Buffer>> = self.steps.iter().map(|_| None).collect();
        if let Some(last) = gradients.last_mut() {
            *last = Some(run.scratch.copy(d));
        }
        let mut inputs = [None, None, None];
        for (index, step) in self.steps.iter().enumerate().rev() {
            let Some(g) = gradients[index].take() else {
                continue;
            };
            match *step {
                Step::Input(input) => add_gradient(&mut inputs[input], g),
                Step::Add { a, b, factor } => {
                    let mut d_b = run.scratch.copy(&g);
                    elementwise::scale(&mut d_b, factor);
                    add_gradient(&mut gradients[b], d_b);
                    add_gradient(&mut gradients[a], g);
                }
                Step::Mul { a, b } => {
                    let mut d_b = run.scratch.copy(&g);
                    elementwise::multiply(&mut d_b, value(a));
                    add_gradient(&mut gradients[b], d_b);
                    let mut d_a = g;
                    elementwise::multiply(&mut d_a, value(b));
                    add_gradient(&mut gradients[a], d_a);
                }
                Step::MatMul { x, .. }
                | Step::AddVector { x, .. }
                | Step::MulVector { x, .. }
                | Step::Scale { x, .. }
                | Step::Activate { x, .. }
                | Step::Swap { x, .. }
                | Step::Normalise { x, .. }
                | Step::Dropout { x, .. } => {
                    let d_x = self.step_backward(index, g, value(x), partials, run);
                    add_gradient(&mut gradients[x], d_x);
                }
            }
        }
        let [d_y, d_x, d_residual] = inputs;
        match d_y {
            Some(d_y) => d.copy_from_slice(&d_y),
            None => d.fill(0.0),
        }
        [d_x, d_residual]
    }

    /// The gradient of the only operand with rows, `x`, of a step whose result has the gradient
    /// `g`. Adds the gradient of the step's other operand, if it has one.
    fn step_backward(
        &self,
        index: usize,
        mut g: Buffer,
        x: &[f32],
        partials: &mut Partials<'_>,
        run: &mut Run<'_, '_>,
    ) -> Buffer {
        match self.steps[index] {
            Step::MatMul { matrix, .. } => {
                return self.product(index, matrix, &g, x, partials, run);
            }
            Step::AddVector { vector, factor, .. } => {
                if let Some(sum) = self.sum(vector, run.program, partials) {
                    for row in g.chunks_exact(sum.len()) {
                        elementwise::add_scaled(sum, row, factor);
                    }
                }
            }
            Step::MulVector { vector, .. } => {
                if let Some(sum) = self.sum(vector, run.program, partials) {
                    let n = sum.len();
                    for (row, x) in g.chunks_exact(n).zip(x.chunks_exact(n)) {
                        elementwise::add_products(sum, row, x);
                    }
                }
                let vector = self.fixed(vector, run.parameters);
                by_row(&mut g, &vector, elementwise::multiply);
            }
            Step::Scale { by, .. } => elementwise::scale(&mut g, by),
            Step::Activate { activation, .. } => activation::backward(&mut g, x, activation),
            Step::Swap { from, .. } => {
                let mut d_x = run.scratch.take(g.len());
                swap(&mut d_x, &g, (from.1, from.0));
                return d_x;
            }
            Step::Normalise { columns, eps, .. } => {
                let mut x_hat = run.scratch.take(g.len());
                let columns = self.columns(columns, x, run.rows);
                let (rstd, ones) = normalise(&mut x_hat, x, columns, eps, run);
                layer_norm::backward_input(&mut g, &x_hat, &rstd, &ones);
            }
            Step::Dropout { node, p, .. } => drop_out(&mut g, run.program, node, p, run.rows),
            Step::Input(_) | Step::Add { .. } | Step::Mul { .. } => {
                unreachable!("`backward` handles steps with several operands")
            }
        }
        g
    }

    /// Adds the gradient of a product's matrix; returns that of its rows `x`.
    fn product(
        &self,
        step: usize,
        matrix: FixedMatrix,
        d: &[f32],
        x: &[f32],
        partials: &mut Partials<'_>,
        run: &mut Run<'_, '_>,
    ) -> Buffer {
        let b = packed_of(run.packed, step);
        let (n_in, n_out) = (b.columns(), b.k());
        let n = d.len() / n_out;
        let d_rows = Matrix::new(d, n, n_out);
        if let Some(sum) = self.sum(matrix.source, run.program, partials) {
            let x_rows = Matrix::new(x, n, n_in);
            let (left, right) = if matrix.transposed {
                (d_rows, x_rows)
            } else {
                (x_rows, d_rows)
            };
            let width = right.columns();
            run.workspace.rows.pack(left.transposed());
            run.workspace.columns.pack_here(right);
            multiply(
                sum,
                width,
                &run.workspace.rows,
                &run.workspace.columns,
                Start::Stored,
            );
        }
        let mut d_x = run.scratch.take(n * n_in);
        run.workspace.rows.pack(d_rows);
        multiply(&mut d_x, n_in, &run.workspace.rows, b, Start::Zero);
        d_x
    }
}
