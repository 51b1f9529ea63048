//! How much memory a run holds at its peak, by arithmetic, before it begins; [`budget`] makes it fit.
//! Called by the recipe and by `plan --predict`.
//!
//! A run has four phases, and its peak is that of the largest. In numbers of 4 bytes, with P parameters, of which the
//! stage trains t; a batch of T tokens in S sequences; H `hidden_size`, I `intermediate_size`, h heads:
//!
//! | phase | holds |
//! |---|---|
//! | loading | 2P: the checkpoint's tensors and the variables made of them |
//! | training | P, gradients t, AdamW's moments 2t, activations |
//! | evaluation | the same, but the activations of one block's forward |
//! | saving | P, and twice what is saved: its bytes, and the file put together |
//!
//! and in all of them the program with its tokenizer, and the tokenised data.
//!
//! **Activations.** A block's tape (`fused::BlockTape`) has its input, keys and values on all T rows, and on the R rows
//! it computes (R = T; R = S in the last block, which computes first tokens only) queries, context, both normalised
//! sums, the attention's output, and the feed-forward part before and after its activation:
//! 3·T·H + R·(5H + 2I + h + 2). A rewrite adds what its graph keeps: every node's result, and copies of its inputs. The
//! backward of block b finds the tapes of b and of all below it, and holds four more matrices: two copies of the output's
//! gradient, that of the feed-forward's input, and that of its inner rows. With recomputation a tape is T·H except in the
//! block at hand and in the last one. A frozen block holds its tape while it runs, then nothing.
//!
//! Only the fused path is predicted. What the allocator cannot give back is a share of the activations ([`SLACK`]).

pub mod budget;

use crate::{
    batch::{EncodedExample, epoch_order},
    config::RunConfig,
    error::{Error, Result},
    model::{
        config::ModelConfig,
        description::{HeadKind, sites},
    },
    plan::{Blueprint, Stage},
    rng::Stream,
    train::EvalSplit,
};
use progtune_plugin_api::{
    graph::Op,
    infer::{Scope, Shape, infer},
    records::{Mode, Part, Rewrite, SiteRecord},
};
use std::collections::BTreeMap;

/// Bytes of a number.
const FLOAT: u64 = 4;
/// The program with its plugins, measured on Linux.
const PROGRAM: u64 = 28 << 20;
/// The tokenizer's tables, a token of the vocabulary; measured.
const TOKENIZER_TOKEN: u64 = 640;
/// A tokenised example besides its tokens: three fields and two allocations.
const EXAMPLE: u64 = 112;
/// `input_ids` and `token_type_ids`.
const EXAMPLE_TOKEN: u64 = 8;
/// The share of the activations that fragmentation takes: 1/SLACK. Measured: 2 to 5 %.
const SLACK: u64 = 20;
/// Orders of this many epochs are looked through for the largest batch; later ones are like them.
const LOOKED_THROUGH: u32 = 16;

/// A batch, as far as memory depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchShape {
    /// T.
    pub tokens: u64,
    /// S.
    pub sequences: u64,
    /// Tokens of the longest sequence.
    pub longest: u64,
}

impl BatchShape {
    /// Of sequences of these lengths.
    pub fn of(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut shape = Self::default();
        for length in lengths {
            shape.tokens += length as u64;
            shape.sequences += 1;
            shape.longest = shape.longest.max(length as u64);
        }
        shape
    }

    /// The batch of the run with the most tokens: that of the trainer's own order.
    pub fn largest(config: &RunConfig, lengths: &[usize]) -> Self {
        let order = |epoch| {
            let mut shuffle = Stream::new(config.seed, &format!("shuffle/{epoch}"));
            epoch_order(
                lengths,
                config.batch_size,
                !config.no_shuffle,
                config.group_by_length,
                &mut shuffle,
            )
        };
        (1..=config.epochs.min(LOOKED_THROUGH))
            .flat_map(order)
            .map(|batch| Self::of(batch.iter().map(|&i| lengths[i])))
            .max_by_key(|shape| shape.tokens)
            .unwrap_or_default()
    }

    /// The largest evaluation batch: the longest examples together.
    pub fn largest_sorted(mut lengths: Vec<usize>, batch_size: usize) -> Self {
        lengths.sort_unstable_by_key(|&length| std::cmp::Reverse(length));
        Self::of(lengths.into_iter().take(batch_size))
    }
}

/// What is held in a phase, by part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footprint {
    /// The phase, in words: `training in epoch 1`.
    pub phase: String,
    /// Name and bytes of each part.
    pub parts: Vec<(&'static str, u64)>,
}

impl Footprint {
    /// The sum of the parts.
    pub fn total(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// The whole and its parts in words, without the empty ones.
    pub fn describe(&self) -> String {
        let parts = self.parts.iter().filter(|(_, bytes)| *bytes > 0);
        let parts: Vec<String> = parts
            .map(|(name, bytes)| format!("{name} {}", mib(*bytes)))
            .collect();
        format!(
            "predicted peak {} while {}: {}",
            mib(self.total()),
            self.phase,
            parts.join(", ")
        )
    }
}

/// Bytes in words.
pub fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

/// What a block's rewrites keep, in numbers.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    /// A token: keys and values are computed for all of them.
    token: u64,
    /// A computed row.
    row: u64,
    /// Once: rewritten weights.
    fixed: u64,
    /// A computed row, in the backward of the largest rewrite that is met before the tape shrinks.
    backward_row: u64,
}

/// Predicts footprints of one run.
pub struct Estimator<'a> {
    config: &'a ModelConfig,
    blueprint: &'a Blueprint,
    kept: Vec<Kept>,
    threads: u64,
    /// The tokenised data.
    data_bytes: u64,
    /// The largest training batch.
    batch: BatchShape,
    /// The largest evaluation batch.
    eval_batch: BatchShape,
}

impl<'a> Estimator<'a> {
    /// For a model with its method; batches and data are zero.
    ///
    /// # Errors
    /// When a graph of the method has no shapes: a fault of this program, which has checked them.
    pub fn new(
        config: &'a ModelConfig,
        head: HeadKind,
        blueprint: &'a Blueprint,
        threads: Option<usize>,
    ) -> Result<Self> {
        let shapes = |added: bool| -> BTreeMap<String, Vec<u64>> {
            let list = blueprint.parameters.iter();
            list.filter(|info| info.added.is_some() == added)
                .map(|info| {
                    let shape = info.shape.iter().map(|&n| n as u64).collect();
                    (info.name.clone(), shape)
                })
                .collect()
        };
        let (base, added) = (shapes(false), shapes(true));
        let mut kept = vec![Kept::default(); config.blocks()];
        let sites = sites(config, head);
        for rewrite in &blueprint.rewrites {
            let site = sites.iter().find(|site| site.name == rewrite.site);
            let Some((site, block)) =
                site.and_then(|site| Some((site, usize::try_from(site.block).ok()?)))
            else {
                continue;
            };
            add_rewrite(&mut kept[block], rewrite, site, &base, &added)?;
        }
        let threads = threads
            .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
            .unwrap_or(1);
        Ok(Self {
            config,
            blueprint,
            kept,
            threads: threads as u64,
            data_bytes: 0,
            batch: BatchShape::default(),
            eval_batch: BatchShape::default(),
        })
    }

    /// With the batches of this data.
    pub fn with_data(
        mut self,
        config: &RunConfig,
        examples: &[EncodedExample],
        eval_splits: &[EvalSplit],
    ) -> Self {
        let lengths = |examples: &[EncodedExample]| -> Vec<usize> {
            examples.iter().map(|e| e.input_ids.len()).collect()
        };
        self.batch = BatchShape::largest(config, &lengths(examples));
        self.eval_batch = eval_splits
            .iter()
            .map(|split| {
                BatchShape::largest_sorted(lengths(&split.examples), config.eval_batch_size)
            })
            .max_by_key(|shape| shape.tokens)
            .unwrap_or_default();
        let evaluated = eval_splits.iter().flat_map(|split| &split.examples);
        self.data_bytes = examples
            .iter()
            .chain(evaluated)
            .map(|example| EXAMPLE + EXAMPLE_TOKEN * example.input_ids.len() as u64)
            .sum();
        self
    }

    /// With batches of sequences of `length` tokens: an upper bound when the data is not known.
    pub fn with_length(mut self, config: &RunConfig, length: usize) -> Self {
        let batch = |size: usize| BatchShape {
            tokens: (size as u64).saturating_mul(length as u64),
            sequences: size as u64,
            longest: length as u64,
        };
        self.batch = batch(config.batch_size);
        self.eval_batch = batch(config.eval_batch_size);
        self
    }

    /// The largest phase of a run with these stages.
    pub fn peak(&self, stages: &[Stage], recompute: bool) -> Footprint {
        let mut phases = vec![self.loading(), self.saving()];
        for stage in stages {
            phases.push(self.training(stage, recompute));
            phases.push(self.evaluation(stage));
        }
        // The first of equals, so that the phase named is the earliest.
        phases
            .into_iter()
            .rev()
            .max_by_key(Footprint::total)
            .unwrap_or_else(|| self.loading())
    }

    /// The larger of training and evaluating in a stage.
    pub fn stage_peak(&self, stage: &Stage, recompute: bool) -> u64 {
        let training = self.training(stage, recompute).total();
        training.max(self.evaluation(stage).total())
    }

    fn loading(&self) -> Footprint {
        self.footprint("loading the model", 0, vec![("copies of them", self.all())])
    }

    fn training(&self, stage: &Stage, recompute: bool) -> Footprint {
        let activations = self.activations(stage, self.batch, recompute);
        let phase = format!("training in epoch {}", stage.epoch);
        self.footprint(&phase, activations, self.optimizer(stage))
    }

    fn evaluation(&self, stage: &Stage) -> Footprint {
        let shape = self.eval_batch;
        let activations = (0..self.config.blocks()).map(|block| self.forward(block, shape));
        let activations = activations.max().unwrap_or(0) + self.scratch(shape);
        let phase = format!("evaluating after epoch {}", stage.epoch);
        self.footprint(&phase, activations, self.optimizer(stage))
    }

    fn saving(&self) -> Footprint {
        let blueprint = self.blueprint;
        let adds = blueprint.parameters.iter().any(|info| info.added.is_some());
        let saved = match adds || !blueprint.rewrites.is_empty() {
            true => blueprint.candidate_size(),
            false => self.all(),
        };
        self.footprint("saving the result", 0, vec![("the file", 2 * saved)])
    }

    /// Numbers trained, their gradients and AdamW's two moments.
    fn optimizer(&self, stage: &Stage) -> Vec<(&'static str, u64)> {
        let sizes = stage.trainable.iter();
        let trained: u64 = sizes
            .map(|&id| self.blueprint.parameters[id].size() as u64)
            .sum();
        vec![("gradients", trained), ("optimizer", 2 * trained)]
    }

    /// Adds what every phase holds; `activations` and `more` are counts of numbers. A new kind of cache is one more
    /// part here.
    fn footprint(
        &self,
        phase: &str,
        activations: u64,
        more: Vec<(&'static str, u64)>,
    ) -> Footprint {
        let vocabulary = self.config.encoder.vocab_size as u64;
        let mut parts = vec![("parameters", FLOAT * self.all())];
        parts.extend(more.into_iter().map(|(name, n)| (name, FLOAT * n)));
        parts.push((
            "activations",
            FLOAT * (activations + activations.div_ceil(SLACK)),
        ));
        parts.push(("data", self.data_bytes));
        parts.push(("program", PROGRAM + TOKENIZER_TOKEN * vocabulary));
        Footprint {
            phase: phase.to_owned(),
            parts,
        }
    }

    fn all(&self) -> u64 {
        let sizes = self.blueprint.parameters.iter();
        sizes.map(|info| info.size() as u64).sum()
    }

    /// Numbers held at the worst moment of a training step.
    fn activations(&self, stage: &Stage, shape: BatchShape, recompute: bool) -> u64 {
        let hidden = self.config.encoder.hidden_size as u64;
        let infos = || {
            stage
                .trainable
                .iter()
                .map(|&id| &self.blueprint.parameters[id])
        };
        let embeddings = infos().any(|info| info.part == Part::EMBEDDINGS);
        let blocks = self.config.blocks();
        let lowest = match embeddings {
            true => 0,
            false => infos()
                .filter_map(|info| info.block)
                .min()
                .unwrap_or(blocks),
        };
        let mut worst = (0..lowest).map(|block| self.forward(block, shape)).max();
        let mut below = match embeddings {
            true => shape.tokens * (hidden + 1),
            false => 0,
        };
        for block in lowest..blocks {
            let tape = self.tape(block, shape);
            worst = worst.max(Some(below + tape + self.backward(block, shape)));
            below += match recompute && block + 1 < blocks {
                true => shape.tokens * hidden,
                false => tape,
            };
        }
        worst.unwrap_or(0) + self.scratch(shape)
    }

    /// Rows that a block computes.
    fn rows(&self, block: usize, shape: BatchShape) -> u64 {
        match block + 1 == self.config.blocks() {
            true => shape.sequences,
            false => shape.tokens,
        }
    }

    fn tape(&self, block: usize, shape: BatchShape) -> u64 {
        let encoder = &self.config.encoder;
        let (hidden, inner) = (encoder.hidden_size as u64, encoder.intermediate_size as u64);
        let kept = self.kept[block];
        let row = 5 * hidden + 2 * inner + encoder.num_attention_heads as u64 + 2 + kept.row;
        shape.tokens * (3 * hidden + kept.token) + self.rows(block, shape) * row + kept.fixed
    }

    /// A block's forward without a backward to come: its tape, and its output.
    fn forward(&self, block: usize, shape: BatchShape) -> u64 {
        let hidden = self.config.encoder.hidden_size as u64;
        self.tape(block, shape) + self.rows(block, shape) * hidden
    }

    /// What a block's backward holds besides its tape.
    fn backward(&self, block: usize, shape: BatchShape) -> u64 {
        let encoder = &self.config.encoder;
        let (hidden, inner) = (encoder.hidden_size as u64, encoder.intermediate_size as u64);
        let feed_forward =
            self.rows(block, shape) * (3 * hidden + inner + self.kept[block].backward_row);
        match block + 1 == self.config.blocks() {
            // The gradients of keys and values, and of the input through each, outweigh its few rows.
            true => feed_forward + 4 * shape.tokens * hidden,
            false => feed_forward,
        }
    }

    /// Attention's probabilities and their gradients in each thread, and the head's few rows.
    fn scratch(&self, shape: BatchShape) -> u64 {
        let threads = self.threads.min(shape.sequences);
        let head = 12 * self.config.encoder.hidden_size as u64;
        threads * 3 * shape.longest * shape.longest + shape.sequences * head
    }
}

/// Adds what a rewrite's graph keeps for its backward.
fn add_rewrite(
    kept: &mut Kept,
    rewrite: &Rewrite,
    site: &SiteRecord,
    base: &BTreeMap<String, Vec<u64>>,
    added: &BTreeMap<String, Vec<u64>>,
) -> Result<()> {
    let (rows_in, rows_out) = (u64::from(site.in_dim), u64::from(site.out_dim));
    let weight = rewrite.mode == Mode::WEIGHT;
    let inputs: Vec<(&str, Shape)> = match weight {
        true => vec![("w", Shape::fixed(&[rows_out, rows_in]))],
        false => site
            .inputs
            .iter()
            .map(|input| match input.as_str() {
                "y" => ("y", Shape::rows(rows_out)),
                other => (other, Shape::rows(rows_in)),
            })
            .collect(),
    };
    let copies: u64 = inputs
        .iter()
        .filter_map(|(_, shape)| shape.elements())
        .sum();
    let scope = Scope {
        inputs,
        parameters: added,
        base,
        init: false,
    };
    let shapes = infer(&rewrite.graph, &scope)
        .map_err(|fault| Error::Model(format!("rewrite of {}: {fault}", rewrite.site)))?;
    let mut with_rows = 0;
    for (node, shape) in rewrite.graph.nodes.iter().zip(&shapes) {
        let elements = shape.elements().unwrap_or(0);
        match node.op {
            // Views of what others hold.
            Op::INPUT | Op::PARAMETER | Op::BASE | Op::TRANSPOSE | Op::RESHAPE | Op::DETACH => {}
            _ if shape.rows => with_rows += elements,
            _ => kept.fixed += elements,
        }
    }
    let name = site.name.as_str();
    if weight {
        kept.fixed += copies;
    } else if name.ends_with("self.key") || name.ends_with("self.value") {
        kept.token += with_rows + copies;
    } else {
        kept.row += with_rows + copies;
        if !name.ends_with("self.query") {
            kept.backward_row = kept.backward_row.max(with_rows + copies);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
