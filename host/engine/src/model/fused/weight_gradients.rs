//! The weight gradients of a block, which read all rows of a batch: what the tasks of its backward keep for them, and the
//! products, in one go. Called by [`super::backward`].

use super::{
    block::{BlockTape, ReadyBlock, Tasks},
    groups::split,
};
use crate::{
    error::Result,
    model::{
        gradients::Gradients,
        layout::{Block, Linear},
        pass::Pass,
        scratch::{Buffer, Columns},
    },
};
use progtune_kernels::{
    linear::{WeightGradient, backward_weights},
    matrix::Matrix,
};

/// What weight gradients read, for the weights that are trained: gradients of the layers' outputs, and inputs that the
/// tape has in another form.
pub struct Kept {
    /// In the order of [`Block::linears`].
    d_outputs: [Option<Buffer>; 6],
    /// What the layers multiplied, in the same order, where the method changes their input.
    multiplied: [Option<Buffer>; 6],
    h: Option<Buffer>,
    g: Option<Buffer>,
}

/// One task's rows of [`Kept`].
#[derive(Default)]
pub struct KeptRows<'a> {
    /// In the order of [`Block::linears`].
    pub d_outputs: [Option<&'a mut [f32]>; 6],
    /// What the layers multiplied, in the same order.
    pub multiplied: [Option<&'a mut [f32]>; 6],
    /// Rows between the sub-layers: the intermediate layer's input.
    pub h: Option<&'a mut [f32]>,
    /// Rows after the activation: the output layer's input.
    pub g: Option<&'a mut [f32]>,
}

/// Places in [`Block::linears`].
const QUERY: usize = 0;
const KEY: usize = 1;
const VALUE: usize = 2;
const INTERMEDIATE: usize = 4;
const OUTPUT: usize = 5;

impl Kept {
    /// Room for the layers whose weights are trained, with `all` rows of keys and values and `computed` of the rest.
    pub fn new(block: &Block, pass: &Pass<'_>, all: usize, computed: usize) -> Self {
        let linears = block.linears();
        let trains = |at: usize| linears[at].trains_weight(pass.parameters);
        let rows = |at: usize| {
            if matches!(at, KEY | VALUE) {
                all
            } else {
                computed
            }
        };
        let room =
            |at: usize, columns: usize| trains(at).then(|| pass.scratch.rows(rows(at), columns));
        let multiplied = |at: usize| match linears[at].site.inputs.is_empty() {
            true => None,
            false => room(at, linears[at].in_dim),
        };
        Self {
            d_outputs: std::array::from_fn(|at| room(at, linears[at].out_dim)),
            multiplied: std::array::from_fn(multiplied),
            h: room(INTERMEDIATE, linears[INTERMEDIATE].in_dim),
            g: room(OUTPUT, linears[OUTPUT].in_dim),
        }
    }

    /// The rows of every attending task (`attend`: query, key, value) or feeding task (the rest).
    pub fn split(
        &mut self,
        tasks: &Tasks,
        block: &ReadyBlock<'_>,
    ) -> (Vec<KeptRows<'_>>, Vec<KeptRows<'_>>) {
        let mut attend: Vec<KeptRows<'_>> =
            tasks.attend.iter().map(|_| KeptRows::default()).collect();
        let mut feed: Vec<KeptRows<'_>> = tasks.feed.iter().map(|_| KeptRows::default()).collect();
        let pieces = |at: usize, buffer, columns| match at {
            QUERY => {
                let computed = tasks.attend.iter().map(|task| task.computed.clone());
                split(buffer, computed, columns)
            }
            KEY | VALUE => {
                let rows = tasks.attend.iter().map(|task| task.rows.clone());
                split(buffer, rows, columns)
            }
            _ => split(buffer, tasks.feed.iter().cloned(), columns),
        };
        let buffers = self.d_outputs.iter_mut().zip(&mut self.multiplied);
        for (at, (d_output, multiplied)) in buffers.enumerate() {
            let layer = block.linear(at).layer;
            let rows = if at <= VALUE { &mut attend } else { &mut feed };
            if let Some(buffer) = d_output {
                for (rows, piece) in rows.iter_mut().zip(pieces(at, buffer, layer.out_dim)) {
                    rows.d_outputs[at] = Some(piece);
                }
            }
            if let Some(buffer) = multiplied {
                for (rows, piece) in rows.iter_mut().zip(pieces(at, buffer, layer.in_dim)) {
                    rows.multiplied[at] = Some(piece);
                }
            }
        }
        if let Some(h) = &mut self.h {
            let columns = block.intermediate.layer.in_dim;
            for (rows, piece) in feed
                .iter_mut()
                .zip(split(h, tasks.feed.iter().cloned(), columns))
            {
                rows.h = Some(piece);
            }
        }
        if let Some(g) = &mut self.g {
            let columns = block.output.layer.in_dim;
            for (rows, piece) in feed
                .iter_mut()
                .zip(split(g, tasks.feed.iter().cloned(), columns))
            {
                rows.g = Some(piece);
            }
        }
        (attend, feed)
    }

    /// `dW += dyᵀ·x` of every trained weight, in one go.
    pub fn weight_gradients(
        self,
        block: &Block,
        tape: &BlockTape,
        x: &[f32],
        pass: &Pass<'_>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let queries = tape.first_rows.as_deref().unwrap_or(x);
        let inputs: [Option<&[f32]>; 6] = [
            Some(queries),
            Some(x),
            Some(x),
            Some(&tape.attended.context),
            self.h.as_deref(),
            self.g.as_deref(),
        ];
        // Layers with the same input share its packed form.
        let mut packed: Vec<(*const f32, Columns<'_>)> = Vec::new();
        let mut work: Vec<(&Linear, &[f32], usize, Vec<f32>)> = Vec::new();
        for (at, layer) in block.linears().into_iter().enumerate() {
            let input = self.multiplied[at].as_deref().or(inputs[at]);
            let (Some(d_y), Some(input)) = (&self.d_outputs[at], input) else {
                continue;
            };
            let found = packed
                .iter()
                .position(|(pointer, _)| *pointer == input.as_ptr());
            let columns = found.unwrap_or_else(|| {
                let rows = input.len() / layer.in_dim;
                let mut columns = pass.scratch.columns(rows, layer.in_dim);
                columns.space().pack(Matrix::new(input, rows, layer.in_dim));
                packed.push((input.as_ptr(), columns));
                packed.len() - 1
            });
            let sum = match layer.site.weights.is_empty() {
                true => gradients.take(layer.weight),
                false => None,
            };
            let sum = sum.unwrap_or_else(|| vec![0f32; layer.in_dim * layer.out_dim]);
            work.push((layer, d_y, columns, sum));
        }
        let jobs = work
            .iter_mut()
            .map(|(_, d_y, columns, sum)| WeightGradient {
                d_weight: sum,
                d_y,
                x: &packed[*columns].1,
            });
        backward_weights(jobs.collect());
        for (layer, _, _, sum) in work {
            let at = block
                .linears()
                .iter()
                .position(|other| std::ptr::eq(*other, layer));
            match at.and_then(|at| tape.rewritten[at].as_ref()) {
                None => gradients.put(layer.weight, sum),
                Some(rewritten) => rewritten.backward(layer, &sum, pass, gradients)?,
            }
        }
        Ok(())
    }
}
