//! The forward of a program on the rows of one task. The sites of [`crate::model::fused`] call it.

use super::{Others, RowProgram, Run, Step, by_row, drop_out, packed_of, swap};
use crate::model::scratch::Buffer;
use progtune_kernels::{
    activation, elementwise,
    gemm::{Start, multiply},
    layer_norm,
    matrix::Matrix,
};

impl RowProgram {
    /// Replaces `y` by the graph's result; with `record`, returns the values that the backward
    /// reads.
    pub(in crate::model::fused) fn forward(
        &self,
        y: &mut [f32],
        others: Others<'_>,
        run: &mut Run<'_, '_>,
        record: bool,
    ) -> Vec<Option<Buffer>> {
        let mut values: Vec<Option<Buffer>> = Vec::with_capacity(self.steps.len());
        for index in 0..self.steps.len() {
            let new = self.step(index, &values, y, others, run);
            values.push(new);
        }
        let last = self.steps.len() - 1;
        let result = match self.steps[last] {
            Step::Input(0) => None,
            Step::Input(other) => Some(run.scratch.copy(others[other - 1])),
            _ => values[last].take(),
        };
        let Some(result) = result else {
            return values;
        };
        for (at, value) in values.iter_mut().enumerate() {
            match self.steps[at] {
                Step::Input(0) if record && self.needed[at] => *value = Some(run.scratch.copy(y)),
                _ if !record || !self.needed[at] => *value = None,
                _ => {}
            }
        }
        y.copy_from_slice(&result);
        values
    }

    /// The value of a step; `None` for an input, which exists already.
    fn step(
        &self,
        index: usize,
        values: &[Option<Buffer>],
        y: &[f32],
        others: Others<'_>,
        run: &mut Run<'_, '_>,
    ) -> Option<Buffer> {
        let (scratch, parameters, rows) = (run.scratch, run.parameters, run.rows);
        let value = |at: usize| -> &[f32] {
            match self.steps[at] {
                Step::Input(0) => y,
                Step::Input(other) => others[other - 1],
                _ => values[at].as_deref().unwrap_or_default(),
            }
        };
        Some(match self.steps[index] {
            Step::Input(_) => return None,
            Step::MatMul { x, .. } => {
                let (b, x) = (packed_of(run.packed, index), value(x));
                let n = x.len() / b.k();
                let mut out = scratch.take(n * b.columns());
                run.workspace.rows.pack(Matrix::new(x, n, b.k()));
                multiply(&mut out, b.columns(), &run.workspace.rows, b, Start::Zero);
                out
            }
            Step::Add { a, b, factor } => {
                let mut out = scratch.copy(value(a));
                elementwise::add_scaled(&mut out, value(b), factor);
                out
            }
            Step::Mul { a, b } => {
                let mut out = scratch.copy(value(a));
                elementwise::multiply(&mut out, value(b));
                out
            }
            Step::AddVector { x, vector, factor } => {
                let mut out = scratch.copy(value(x));
                by_row(&mut out, &self.fixed(vector, parameters), |row, v| {
                    elementwise::add_scaled(row, v, factor)
                });
                out
            }
            Step::MulVector { x, vector } => {
                let mut out = scratch.copy(value(x));
                let vector = self.fixed(vector, parameters);
                by_row(&mut out, &vector, elementwise::multiply);
                out
            }
            Step::Scale { x, by } => {
                let mut out = scratch.copy(value(x));
                elementwise::scale(&mut out, by);
                out
            }
            Step::Activate { x, activation } => {
                let mut out = scratch.take(value(x).len());
                activation::forward(&mut out, value(x), activation);
                out
            }
            Step::Swap { x, from } => {
                let mut out = scratch.take(value(x).len());
                swap(&mut out, value(x), from);
                out
            }
            Step::Normalise { x, columns, eps } => {
                let (x, mut y) = (value(x), scratch.take(value(x).len()));
                let (_, _) = normalise(&mut y, x, self.columns(columns, x, rows), eps, run);
                y
            }
            Step::Dropout { x, node, p } => {
                let mut out = scratch.copy(value(x));
                drop_out(&mut out, run.program, node, p, rows);
                out
            }
        })
    }

    /// The number of columns that are normalised together; 0 stands for a whole row.
    pub(super) fn columns(
        &self,
        columns: usize,
        x: &[f32],
        rows: crate::model::graph::RowContext<'_>,
    ) -> usize {
        match columns {
            0 => (x.len() / rows.row_keys.len().max(1)).max(1),
            columns => columns,
        }
    }
}

/// Normalises the rows of `x` into `y`; returns the reciprocal deviations and the scale of ones.
pub(super) fn normalise(
    y: &mut [f32],
    x: &[f32],
    columns: usize,
    eps: f32,
    run: &Run<'_, '_>,
) -> (Buffer, Buffer) {
    let scratch = run.scratch;
    let mut rstd = scratch.take(x.len() / columns);
    let (mut ones, mut zeros) = (scratch.take(columns), scratch.take(columns));
    ones.fill(1.0);
    zeros.fill(0.0);
    let mut x_hat = scratch.copy(x);
    let norm = layer_norm::Norm {
        gamma: &ones,
        beta: &zeros,
        eps,
    };
    layer_norm::forward(y, &mut x_hat, &mut rstd, None, norm, None);
    (rstd, ones)
}
