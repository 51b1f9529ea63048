//! The weight gradients of a block, which read all rows of a batch. The tasks of its backward keep
//! rows for them, and all products are computed together. [`super::backward`] calls it.

use super::{
    block::ReadyBlock,
    kept_rows::{Piece, Room},
    tape::BlockTape,
    tasks::Tasks,
};
use crate::{
    error::Result,
    model::{
        gradients::{Gradients, HostGradient},
        layout::Block,
        pass::Pass,
        per_linear::{LinearSite, PerLinear},
        scratch::Columns,
    },
};
use progtune_kernels::{
    linear::{Rows, WeightGradient, backward_weights},
    matrix::Matrix,
    timed,
};
use std::ops::Range;

/// The rows that weight gradients read, for the weights that are trained: gradients of the layers'
/// outputs, and inputs that the tape has in another form.
pub(super) struct Kept {
    d_outputs: PerLinear<Option<Room>>,
    /// The rows that the layers multiplied, where the method changes their input.
    multiplied: PerLinear<Option<Room>>,
    h: Option<Room>,
    g: Option<Room>,
}

/// One task's rows of [`Kept`].
#[derive(Default)]
pub(super) struct KeptRows<'a> {
    pub d_outputs: PerLinear<Option<Piece<'a>>>,
    /// The rows that the layers multiplied, where the method changes their input.
    pub multiplied: PerLinear<Option<Piece<'a>>>,
    /// The rows between the sub-layers: the intermediate layer's input.
    pub h: Option<Piece<'a>>,
    /// The rows after the activation: the output layer's input.
    pub g: Option<Piece<'a>>,
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
            trains.then(|| Room::new(rows, columns, pass.scratch))
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
            if let Some(room) = d_output {
                let pieces = room.split(tasks.ranges(site), layer.out_dim);
                for (rows, piece) in rows.iter_mut().zip(pieces) {
                    rows.d_outputs[site] = Some(piece);
                }
            }
            if let Some(room) = multiplied {
                let pieces = room.split(tasks.ranges(site), layer.in_dim);
                for (rows, piece) in rows.iter_mut().zip(pieces) {
                    rows.multiplied[site] = Some(piece);
                }
            }
        }
        if let Some(h) = &mut self.h {
            let columns = block.linears.intermediate.layer.in_dim;
            let pieces = h.split(tasks.feed.clone(), columns);
            for (rows, piece) in feed.iter_mut().zip(pieces) {
                rows.h = Some(piece);
            }
        }
        if let Some(g) = &mut self.g {
            let columns = block.linears.output.layer.in_dim;
            let pieces = g.split(tasks.feed.clone(), columns);
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
        pass: &Pass<'_>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        timed!("weight gradients");
        let [first, x, context] = tape.rows.layer_inputs();
        let inputs: PerLinear<Option<Rows<'_>>> = PerLinear {
            query: Some(first),
            key: Some(x),
            value: Some(x),
            attention_dense: Some(context),
            intermediate: self.h.as_ref().map(Room::rows),
            output: self.g.as_ref().map(Room::rows),
        };
        let mut packed = PackedInputs::default();
        let mut work: Vec<Work<'_>> = Vec::new();
        for (site, layer) in block.linears.each() {
            let multiplied = self.multiplied[site].as_ref().map(Room::rows);
            let input = multiplied.or(inputs[site]);
            let (Some(d_y), Some(input)) = (&self.d_outputs[site], input) else {
                continue;
            };
            let taken = if layer.site.weights.is_empty() {
                gradients.take(layer.weight)
            } else {
                None
            };
            let n = layer.in_dim * layer.out_dim;
            let HostGradient { values, is_zero } = taken.unwrap_or_else(|| HostGradient::zero(n));
            work.push(Work {
                site,
                d_y: d_y.rows(),
                input: packed.place_of(input, layer.in_dim, pass),
                sum: values,
                adds: !is_zero,
            });
        }
        let jobs = work.iter_mut().map(|work| WeightGradient {
            d_weight: &mut work.sum,
            adds: work.adds,
            d_y: work.d_y,
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
    d_y: Rows<'a>,
    /// The input's place in [`PackedInputs`].
    input: usize,
    sum: Vec<f32>,
    /// Whether the gradient is added to the sum.
    adds: bool,
}

/// The packed inputs of layers, by their address: layers with the same input share its packed form.
#[derive(Default)]
struct PackedInputs<'a>(Vec<(usize, Columns<'a>)>);

impl<'a> PackedInputs<'a> {
    /// The place of `input`, `[rows, in_dim]`, which is packed if it is new.
    fn place_of(&mut self, input: Rows<'_>, in_dim: usize, pass: &Pass<'a>) -> usize {
        let (address, n) = match input {
            Rows::F32(rows) => (rows.as_ptr().addr(), rows.len()),
            Rows::Bf16(rows) => (rows.as_ptr().addr(), rows.len()),
        };
        let known = self.0.iter().position(|(at, _)| *at == address);
        known.unwrap_or_else(|| {
            let rows = n / in_dim;
            let mut columns = pass.scratch.columns(rows, in_dim);
            match input {
                Rows::F32(input) => columns.space().pack(Matrix::new(input, rows, in_dim)),
                Rows::Bf16(input) => {
                    let input = Matrix::new(input, rows, in_dim);
                    columns.space().pack_rounded(input);
                }
            }
            self.0.push((address, columns));
            self.0.len() - 1
        })
    }
}

impl Tasks {
    /// The rows of each task that computes the layer.
    fn ranges(&self, site: LinearSite) -> Vec<Range<usize>> {
        let attend = self.attend.iter();
        match site {
            LinearSite::Query => attend.map(|task| task.computed.clone()).collect(),
            LinearSite::Key | LinearSite::Value => attend.map(|task| task.rows.clone()).collect(),
            _ => self.feed.clone(),
        }
    }
}
