//! The weight gradients of a block, which read all rows of a batch. The tasks of its backward keep
//! rows for them, and all products are computed together. [`super::backward`] calls it.

use super::{block::ReadyBlock, groups::split, saved::BlockTape, tasks::Tasks};
use crate::{
    error::Result,
    model::{
        gradients::Gradients,
        layout::Block,
        pass::Pass,
        per_linear::{LinearSite, PerLinear},
        scratch::{Buffer, Columns},
    },
};
use progtune_kernels::{
    linear::{Rows, WeightGradient, backward_weights},
    matrix::Matrix,
    timed,
};

/// The rows that weight gradients read, for the weights that are trained: gradients of the layers'
/// outputs, and inputs that the tape has in another form.
pub(super) struct Kept {
    d_outputs: PerLinear<Option<Buffer>>,
    /// The rows that the layers multiplied, where the method changes their input.
    multiplied: PerLinear<Option<Buffer>>,
    h: Option<Buffer>,
    g: Option<Buffer>,
}

/// One task's rows of [`Kept`].
#[derive(Default)]
pub(super) struct KeptRows<'a> {
    pub d_outputs: PerLinear<Option<&'a mut [f32]>>,
    /// The rows that the layers multiplied, where the method changes their input.
    pub multiplied: PerLinear<Option<&'a mut [f32]>>,
    /// The rows between the sub-layers: the intermediate layer's input.
    pub h: Option<&'a mut [f32]>,
    /// The rows after the activation: the output layer's input.
    pub g: Option<&'a mut [f32]>,
}

impl Kept {
    /// Room for the layers whose weights are trained, with `all` rows of keys and values and
    /// `computed` of the rest.
    pub(super) fn new(block: &Block, pass: &Pass<'_>, all: usize, computed: usize) -> Self {
        let linears = &block.linears;
        let room = |site: LinearSite, columns: usize| {
            let rows = if site.computes_all_rows() {
                all
            } else {
                computed
            };
            let trains = linears[site].trains_weight(pass.parameters);
            trains.then(|| pass.scratch.rows(rows, columns))
        };
        let multiplied = |site: LinearSite| {
            let changes = !linears[site].site.inputs.is_empty();
            changes.then(|| room(site, linears[site].in_dim)).flatten()
        };
        Self {
            d_outputs: PerLinear::from_fn(|site| room(site, linears[site].out_dim)),
            multiplied: PerLinear::from_fn(multiplied),
            h: room(LinearSite::Intermediate, linears.intermediate.in_dim),
            g: room(LinearSite::Output, linears.output.in_dim),
        }
    }

    /// The rows of every attending task (query, key and value) and of every feeding task (the
    /// rest).
    pub(super) fn split(
        &mut self,
        tasks: &Tasks,
        block: &ReadyBlock<'_>,
    ) -> (Vec<KeptRows<'_>>, Vec<KeptRows<'_>>) {
        let mut attend: Vec<KeptRows<'_>> =
            tasks.attend.iter().map(|_| KeptRows::default()).collect();
        let mut feed: Vec<KeptRows<'_>> = tasks.feed.iter().map(|_| KeptRows::default()).collect();
        let multiplied = self.multiplied.each_mut().into_iter();
        let buffers = self.d_outputs.each_mut().into_iter().zip(multiplied);
        for ((site, d_output), (_, multiplied)) in buffers {
            let layer = block.linears[site].layer;
            let rows = if site.feeds_attention() {
                &mut attend
            } else {
                &mut feed
            };
            if let Some(buffer) = d_output {
                let pieces = tasks.pieces(site, buffer, layer.out_dim);
                for (rows, piece) in rows.iter_mut().zip(pieces) {
                    rows.d_outputs[site] = Some(piece);
                }
            }
            if let Some(buffer) = multiplied {
                let pieces = tasks.pieces(site, buffer, layer.in_dim);
                for (rows, piece) in rows.iter_mut().zip(pieces) {
                    rows.multiplied[site] = Some(piece);
                }
            }
        }
        if let Some(h) = &mut self.h {
            let columns = block.linears.intermediate.layer.in_dim;
            let pieces = tasks.pieces(LinearSite::Intermediate, h, columns);
            for (rows, piece) in feed.iter_mut().zip(pieces) {
                rows.h = Some(piece);
            }
        }
        if let Some(g) = &mut self.g {
            let columns = block.linears.output.layer.in_dim;
            let pieces = tasks.pieces(LinearSite::Output, g, columns);
            for (rows, piece) in feed.iter_mut().zip(pieces) {
                rows.g = Some(piece);
            }
        }
        (attend, feed)
    }

    /// Adds `dyᵀ·x` to the gradient of every trained weight, all at once.
    pub(super) fn weight_gradients(
        self,
        block: &Block,
        tape: &BlockTape,
        x: &[f32],
        pass: &Pass<'_>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        timed!("weight gradients");
        let inputs: PerLinear<Option<&[f32]>> = PerLinear {
            query: Some(tape.first_rows.as_deref().unwrap_or(x)),
            key: Some(x),
            value: Some(x),
            attention_dense: Some(&tape.saved.attended.context),
            intermediate: self.h.as_deref(),
            output: self.g.as_deref(),
        };
        let mut packed = PackedInputs::default();
        let mut work: Vec<Work<'_>> = Vec::new();
        for (site, layer) in block.linears.each() {
            let input = self.multiplied[site].as_deref().or(inputs[site]);
            let (Some(d_y), Some(input)) = (&self.d_outputs[site], input) else {
                continue;
            };
            let taken = if layer.site.weights.is_empty() {
                gradients.take(layer.weight)
            } else {
                None
            };
            work.push(Work {
                site,
                d_y,
                input: packed.place_of(input, layer.in_dim, pass),
                sum: taken.unwrap_or_else(|| vec![0f32; layer.in_dim * layer.out_dim]),
            });
        }
        let jobs = work.iter_mut().map(|work| WeightGradient {
            d_weight: &mut work.sum,
            d_y: Rows::F32(work.d_y),
            x: &packed.0[work.input].1,
        });
        backward_weights(jobs.collect());
        for Work { site, sum, .. } in work {
            let layer = &block.linears[site];
            match &tape.rewritten[site] {
                None => gradients.put(layer.weight, sum),
                Some(rewritten) => rewritten.backward(layer, &sum, pass, gradients)?,
            }
        }
        Ok(())
    }
}

/// The gradient of one weight.
struct Work<'a> {
    site: LinearSite,
    d_y: &'a [f32],
    /// The input's place in [`PackedInputs`].
    input: usize,
    sum: Vec<f32>,
}

/// The packed inputs of layers, by their address: layers with the same input share its packed form.
#[derive(Default)]
struct PackedInputs<'a>(Vec<(*const f32, Columns<'a>)>);

impl<'a> PackedInputs<'a> {
    /// The place of `input`, `[rows, in_dim]`, which is packed if it is new.
    fn place_of(&mut self, input: &[f32], in_dim: usize, pass: &Pass<'a>) -> usize {
        let known = self.0.iter().position(|(at, _)| *at == input.as_ptr());
        known.unwrap_or_else(|| {
            let rows = input.len() / in_dim;
            let mut columns = pass.scratch.columns(rows, in_dim);
            columns.space().pack(Matrix::new(input, rows, in_dim));
            self.0.push((input.as_ptr(), columns));
            self.0.len() - 1
        })
    }
}

impl Tasks {
    /// The rows of `buffer`, `[rows, columns]`, that belong to each task that computes the layer.
    fn pieces<'b>(
        &self,
        site: LinearSite,
        buffer: &'b mut [f32],
        columns: usize,
    ) -> Vec<&'b mut [f32]> {
        let attend = self.attend.iter();
        match site {
            LinearSite::Query => split(buffer, attend.map(|task| task.computed.clone()), columns),
            LinearSite::Key | LinearSite::Value => {
                split(buffer, attend.map(|task| task.rows.clone()), columns)
            }
            _ => split(buffer, self.feed.iter().cloned(), columns),
        }
    }
}
