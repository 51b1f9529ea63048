//! The backward of a program on the rows of one task. Called by [`crate::model::fused`]'s sites.

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
    /// Turns `d`, the gradient of the result, into that of `y`; adds the parameters' gradients; returns those of the
    /// other inputs. `saved` is what [`RowProgram::forward`] returned.
    pub fn backward(
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
            let Some(mut g) = gradients[index].take() else {
                continue;
            };
            let (scratch, parameters) = (run.scratch, run.parameters);
            match *step {
                Step::Input(input) => add_gradient(&mut inputs[input], g),
                Step::MatMul { x, matrix } => {
                    let d_x = self.product(index, matrix, &g, value(x), partials, run);
                    add_gradient(&mut gradients[x], d_x);
                }
                Step::Add { a, b, factor } => {
                    let mut d_b = scratch.copy(&g);
                    elementwise::scale(&mut d_b, factor);
                    add_gradient(&mut gradients[b], d_b);
                    add_gradient(&mut gradients[a], g);
                }
                Step::Mul { a, b } => {
                    let mut d_b = scratch.copy(&g);
                    elementwise::multiply(&mut d_b, value(a));
                    add_gradient(&mut gradients[b], d_b);
                    elementwise::multiply(&mut g, value(b));
                    add_gradient(&mut gradients[a], g);
                }
                Step::AddVector { x, vector, factor } => {
                    if let Some(sum) = self.sum(vector, run.program, partials) {
                        for row in g.chunks_exact(sum.len()) {
                            elementwise::add_scaled(sum, row, factor);
                        }
                    }
                    add_gradient(&mut gradients[x], g);
                }
                Step::MulVector { x, vector } => {
                    if let Some(sum) = self.sum(vector, run.program, partials) {
                        let n = sum.len();
                        for (row, x) in g.chunks_exact(n).zip(value(x).chunks_exact(n)) {
                            elementwise::add_products(sum, row, x);
                        }
                    }
                    let vector = self.fixed(vector, parameters);
                    by_row(&mut g, &vector, elementwise::multiply);
                    add_gradient(&mut gradients[x], g);
                }
                Step::Scale { x, by } => {
                    elementwise::scale(&mut g, by);
                    add_gradient(&mut gradients[x], g);
                }
                Step::Activate { x, activation } => {
                    activation::backward(&mut g, value(x), activation);
                    add_gradient(&mut gradients[x], g);
                }
                Step::Swap { x, from } => {
                    let mut d_x = scratch.take(g.len());
                    swap(&mut d_x, &g, (from.1, from.0));
                    add_gradient(&mut gradients[x], d_x);
                }
                Step::Normalise { x, columns, eps } => {
                    let (rows, mut x_hat) = (value(x), scratch.take(g.len()));
                    let columns = self.columns(columns, rows, run.rows);
                    let (rstd, ones) = normalise(&mut x_hat, rows, columns, eps, run);
                    layer_norm::backward_input(&mut g, &x_hat, &rstd, &ones);
                    add_gradient(&mut gradients[x], g);
                }
                Step::Dropout { x, node, p } => {
                    drop_out(&mut g, run.program, node, p, run.rows);
                    add_gradient(&mut gradients[x], g);
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
            let (left, right) = match matrix.transposed {
                true => (d_rows, x_rows),
                false => (x_rows, d_rows),
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
