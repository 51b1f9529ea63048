//! The forecast of a run's peak memory, computed before it begins; [`budget`] makes the run fit a
//! limit. Called by the recipe and by `plan --predict`.
//!
//! A run has three phases, and its peak is that of the largest. Below, sizes are counts of 4-byte
//! numbers. P is the number of parameters, of which the stage trains t. A batch has T tokens in S
//! sequences. H is `hidden_size`, I is `intermediate_size`, and h is the number of heads.
//!
//! - **Training** holds P, packed weights, t gradients, AdamW's moments 2t, and activations.
//! - **Evaluation** holds the same, but only the activations of one block's forward. With
//!   `--load-best-model-at-end` it also holds the saved parameters, as below.
//! - **Saving** holds P, and the saved parameters twice: their bytes and the assembled file.
//!
//! Every phase also holds the program with its tokenizer, and the tokenised data. For embedding
//! tables, gradients and moments exist only for the rows that occur in the data, with a page or two
//! around each.
//!
//! **Packed weights** (`model::scratch::Scratch`): the linear layers of blocks with frozen weights
//! stay packed for the forward, and in small models also for the backward. Those of the current
//! block are packed for the pass. During evaluation all of them are packed for the forward.
//!
//! **Activations.** A block's tape (`fused::BlockTape`) holds its input, keys and values on all T
//! rows. The block computes R rows: R = S in the last block if the head reads only first tokens,
//! and R = T otherwise. On these rows the tape holds queries, both normalised sums and the
//! feed-forward part before its activation. It also holds attention's output where its dense layer
//! is trained. Together that is 3·T·H + R·(3H + I + h + 2). A rewrite adds the values that its
//! graph's backward reads. With `--precision bf16` the tape has half of this size, apart from the
//! h + 2 numbers, the rewrites' values, and a block that computes first tokens only. So have packed
//! weights and all rows that weight gradients read.
//!
//! When the backward of block b runs, the tapes of b and of all blocks below it exist. The backward
//! holds the gradients of its output (twice) and input. Where weights are trained, it also holds
//! the gradients of every layer's output and the packed inputs of the layers. With recomputation a
//! tape is T·H except in the current block and in the last one. A frozen block holds its input and
//! output.
//!
//! The path of candle's primitives is not forecast; [`gpu`] forecasts that of a GPU. Memory that
//! the allocator cannot return is a share of the activations ([`SLACK`]).

mod batch_shape;
pub(crate) mod budget;
mod gpu;
mod rewrites;
mod trained;

pub(crate) use batch_shape::BatchShape;

use crate::config::{BatchingConfig, MachineConfig, TrainingConfig};
use progtune_engine::{
    HeadKind, Result,
    model::{
        ComputePath, ModelConfig, Precision,
        description::{ParameterInfo, sites},
        fused::most_task_rows,
        keeps_both_directions,
    },
    plan::{ModelPlan, Stage},
};
use progtune_pipeline::{EvalSplit, token_store::Examples};
use progtune_plugin_api::records::Part;
use rewrites::{Kept, add_rewrite};
use std::collections::BTreeMap;
use trained::Trained;

/// Size of a number in bytes.
const FLOAT: u64 = 4;
/// Bytes of the program with its plugins, measured on Linux.
const PROGRAM: u64 = 42 << 20;
/// Bytes of the tokenizer's tables per token of the vocabulary, measured.
const TOKENIZER_TOKEN: u64 = 640;
/// The share of the activations that is lost to fragmentation is 1/SLACK. Measured on batches of
/// 128 sentences: 3 % in full fine-tuning, 13 to 26 % where blocks are frozen.
const SLACK: u64 = 5;
/// Size of a memory page, the least that a row of a table occupies.
const PAGE: u64 = 4096;

/// The memory held in a phase, by part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// The phase as text: `training in epoch 1`.
    pub phase: String,
    /// The name and bytes of each part.
    pub parts: Vec<(&'static str, u64)>,
}

impl Footprint {
    /// The sum of the parts.
    pub(crate) fn total(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Describes the total and its parts, without the empty ones.
    pub(crate) fn describe(&self) -> String {
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

/// Formats bytes in MiB.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Forecasts the footprints of one run.
pub(crate) struct MemoryForecast<'a> {
    config: &'a ModelConfig,
    head: HeadKind,
    model_plan: &'a ModelPlan,
    kept: Vec<Kept>,
    threads: u64,
    /// Bytes of the tokenised data.
    data_bytes: u64,
    /// Number of distinct tokens in the training set, or `None` if it is unknown.
    distinct_tokens: Option<u64>,
    /// The largest training batch.
    batch: BatchShape,
    /// The largest evaluation batch.
    eval_batch: BatchShape,
    /// Bytes of the prefix cache at the end of each epoch. If empty, the cache is not counted.
    cached_bytes: Vec<u64>,
    /// Whether the best model is saved after an evaluation.
    keeps_best: bool,
    /// The size of an activation in bytes, if a GPU computes them.
    on_gpu: Option<u64>,
    /// Whether products on the CPU read bfloat16.
    halves: bool,
}

impl<'a> MemoryForecast<'a> {
    /// Creates a forecast for a model with its method. Batches and data are zero.
    ///
    /// # Errors
    /// Fails if a graph of the method has no shapes. That is an internal error, because they have
    /// been checked.
    pub(crate) fn new(
        config: &'a ModelConfig,
        head: HeadKind,
        model_plan: &'a ModelPlan,
        machine: &MachineConfig,
    ) -> Result<Self> {
        let shapes = |added: bool| -> BTreeMap<String, Vec<u64>> {
            let list = model_plan.parameters.iter();
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
        for rewrite in &model_plan.rewrites {
            let site = sites.iter().find(|site| site.name == rewrite.site);
            let Some((site, block)) =
                site.and_then(|site| Some((site, usize::try_from(site.block).ok()?)))
            else {
                continue;
            };
            add_rewrite(&mut kept[block], rewrite, site, &base, &added)?;
        }
        let threads = machine
            .threads
            .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
            .unwrap_or(1);
        let on_gpu = machine.path() == ComputePath::Gpu;
        let is_bf16 = machine.precision.on(machine.device) == Precision::Bf16;
        Ok(Self {
            config,
            head,
            model_plan,
            kept,
            threads: threads as u64,
            data_bytes: 0,
            distinct_tokens: None,
            batch: BatchShape::default(),
            eval_batch: BatchShape::default(),
            cached_bytes: Vec::new(),
            keeps_best: false,
            on_gpu: on_gpu.then_some(if is_bf16 { 2 } else { FLOAT }),
            halves: is_bf16 && !on_gpu,
        })
    }

    /// Adds the batches of this data.
    ///
    /// # Errors
    /// Fails if examples cannot be read.
    pub(crate) fn with_data(
        mut self,
        batching: &BatchingConfig,
        training: &TrainingConfig,
        examples: &Examples,
        eval_splits: &[EvalSplit],
    ) -> Result<Self> {
        self.keeps_best = training.best_model_metric.is_some();
        self.batch = BatchShape::largest(batching, training, examples)?;
        let limit = batching.eval;
        self.eval_batch = eval_splits
            .iter()
            .map(|split| BatchShape::largest_sorted(&split.examples, limit))
            .max_by_key(|shape| shape.tokens)
            .unwrap_or_default();
        self.distinct_tokens = Some(examples.summary().distinct_tokens);
        let evaluated = eval_splits.iter().map(|split| &split.examples);
        self.data_bytes = std::iter::once(examples)
            .chain(evaluated)
            .map(Examples::held_bytes)
            .sum();
        Ok(self)
    }

    /// Adds batches of sequences of `length` tokens, an upper bound if the data is unknown.
    pub(crate) fn with_length(
        mut self,
        batching: &BatchingConfig,
        training: &TrainingConfig,
        length: usize,
    ) -> Self {
        self.keeps_best = training.best_model_metric.is_some();
        self.batch = BatchShape::full(batching.train, length);
        self.eval_batch = BatchShape::full(batching.eval, length);
        self
    }

    /// Adds a prefix cache that holds these bytes of memory at the end of each epoch.
    pub(crate) fn with_cached(mut self, bytes: Vec<u64>) -> Self {
        self.cached_bytes = bytes;
        self
    }

    /// Returns the largest phase of a run with these stages.
    pub(crate) fn peak(&self, stages: &[Stage], recompute: bool) -> Footprint {
        let mut phases = Vec::new();
        if self.on_gpu.is_none() {
            phases.push(self.saving());
        }
        for stage in stages {
            phases.push(self.training(stage, recompute));
            phases.push(self.evaluation(stage));
        }
        // Of equal phases the first is taken, so that the earliest one is named.
        phases
            .into_iter()
            .rev()
            .max_by_key(Footprint::total)
            .unwrap_or_else(|| self.saving())
    }

    /// Returns the larger of training and evaluation in a stage.
    pub(crate) fn stage_peak(&self, stage: &Stage, recompute: bool) -> u64 {
        let training = self.training(stage, recompute).total();
        training.max(self.evaluation(stage).total())
    }

    fn training(&self, stage: &Stage, recompute: bool) -> Footprint {
        if let Some(number) = self.on_gpu {
            return self.training_on_gpu(stage, recompute, number);
        }
        let trained = Trained::of(self.model_plan, stage, self.config.blocks());
        let activations = self.activations(&trained, self.batch, recompute);
        let packed = self.halved(self.packed(&trained));
        let mut more = vec![("packed weights", FLOAT * packed)];
        more.extend(self.lasting(stage));
        self.footprint(
            &format!("training in epoch {}", stage.epoch),
            activations,
            more,
        )
    }

    fn evaluation(&self, stage: &Stage) -> Footprint {
        if let Some(number) = self.on_gpu {
            return self.evaluation_on_gpu(stage, number);
        }
        let activations = self.forward(self.eval_batch) + self.scratch(self.eval_batch);
        let packed = self.halved(self.block_weights() * self.config.blocks() as u64);
        let mut more = vec![("packed weights", FLOAT * packed)];
        more.extend(self.lasting(stage));
        self.footprint(
            &format!("evaluating after epoch {}", stage.epoch),
            activations,
            more,
        )
    }

    /// Files are written in pieces, so only the best parameters need memory, which are read first.
    fn saving(&self) -> Footprint {
        let mut more = Vec::new();
        if self.keeps_best {
            more.push(("best model", FLOAT * 2 * self.model_plan.candidate_size()));
        }
        self.footprint("saving the result", 0, more)
    }

    /// Returns the bytes that persist between steps: gradients, AdamW's two moments and the prefix
    /// cache.
    fn lasting(&self, stage: &Stage) -> Vec<(&'static str, u64)> {
        let bytes: u64 = stage
            .trainable
            .iter()
            .map(|&id| self.trained_bytes(&self.model_plan.parameters[id]))
            .sum();
        let cached = (stage.epoch as usize).checked_sub(1);
        let cached = cached.and_then(|epoch| self.cached_bytes.get(epoch));
        vec![
            ("gradients", bytes),
            ("optimizer", 2 * bytes),
            ("prefix cache", cached.copied().unwrap_or(0)),
        ]
    }

    /// Returns the bytes of one number per trained number of a parameter. For a table only the rows
    /// that are read count.
    fn trained_bytes(&self, info: &ParameterInfo) -> u64 {
        let all = FLOAT * info.size() as u64;
        let (Some(distinct), [_, columns], Part::EMBEDDINGS, None) = (
            self.distinct_tokens,
            &info.shape[..],
            info.part,
            &info.added,
        ) else {
            return all;
        };
        all.min(distinct * (FLOAT * *columns as u64 + PAGE))
    }

    /// Adds the parts of every phase. `activations` counts numbers, and `more` bytes. A new kind of
    /// cache is one more part here.
    fn footprint(
        &self,
        phase: &str,
        activations: u64,
        more: Vec<(&'static str, u64)>,
    ) -> Footprint {
        let vocabulary = self.config.encoder.vocab_size as u64;
        let mut parts = vec![("parameters", FLOAT * self.all())];
        parts.extend(more);
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

    /// Returns the room, in 4-byte numbers, of `n` numbers in the form in which products read them.
    fn halved(&self, n: u64) -> u64 {
        if self.halves { n.div_ceil(2) } else { n }
    }

    /// Returns the count of numbers in the linear layers of a block.
    fn block_weights(&self) -> u64 {
        let encoder = &self.config.encoder;
        let (hidden, inner) = (encoder.hidden_size as u64, encoder.intermediate_size as u64);
        hidden * (4 * hidden + 2 * inner)
    }

    /// Returns the count of numbers in packed weights during training.
    fn packed(&self, trained: &Trained) -> u64 {
        let blocks = self.config.blocks();
        let weights = self.block_weights();
        let frozen = |from: usize| {
            (from..blocks)
                .filter(|&block| !trained.weights[block])
                .count() as u64
        };
        let keeps_both = keeps_both_directions(weights as usize * blocks);
        let backward = if keeps_both {
            frozen(trained.lowest)
        } else {
            0
        };
        let for_the_pass = u64::from(!keeps_both || trained.weights.contains(&true));
        weights * (frozen(0) + backward + for_the_pass)
    }

    fn all(&self) -> u64 {
        let sizes = self.model_plan.parameters.iter();
        sizes.map(|info| info.size() as u64).sum()
    }

    /// Returns the count of numbers held at the worst moment of a training step.
    fn activations(&self, trained: &Trained, shape: BatchShape, recompute: bool) -> u64 {
        let hidden = self.config.encoder.hidden_size as u64;
        let blocks = self.config.blocks();
        let mut worst = if trained.lowest > 0 {
            self.forward(shape)
        } else {
            0
        };
        let mut below = if trained.embeddings {
            shape.tokens * (hidden + 1)
        } else {
            0
        };
        for block in trained.lowest..blocks {
            let weights = trained.weights[block];
            let tape = self.tape(block, shape, weights);
            worst = worst.max(below + tape + self.backward(block, shape, weights));
            below += if recompute && block + 1 < blocks {
                shape.tokens * hidden
            } else {
                tape
            };
        }
        worst + self.scratch(shape)
    }

    /// Returns the number of rows that a block computes.
    fn rows(&self, block: usize, shape: BatchShape) -> u64 {
        if block + 1 == self.config.blocks() && !self.head.reads_every_token() {
            shape.sequences
        } else {
            shape.tokens
        }
    }

    /// Returns the size of a block's tape. `weights` states that the block's weights are trained.
    fn tape(&self, block: usize, shape: BatchShape, weights: bool) -> u64 {
        let encoder = &self.config.encoder;
        let (hidden, inner) = (encoder.hidden_size as u64, encoder.intermediate_size as u64);
        let kept = self.kept[block];
        let (rows, context) = (self.rows(block, shape), u64::from(weights) * hidden);
        let mut values = shape.tokens * 3 * hidden + rows * (3 * hidden + inner + context);
        if rows == shape.tokens {
            values = self.halved(values);
        }
        let sums = rows * (encoder.num_attention_heads as u64 + 2);
        values + sums + shape.tokens * kept.token + rows * kept.row + kept.fixed
    }

    /// Returns the size of a block's forward without a backward: its input and its output.
    fn forward(&self, shape: BatchShape) -> u64 {
        2 * shape.tokens * self.config.encoder.hidden_size as u64
    }

    /// Returns the size of a block's backward without its tape.
    fn backward(&self, block: usize, shape: BatchShape, weights: bool) -> u64 {
        let encoder = &self.config.encoder;
        let (hidden, inner) = (encoder.hidden_size as u64, encoder.intermediate_size as u64);
        let rows = self.rows(block, shape);
        let gradients = 2 * rows * hidden + shape.tokens * hidden;
        if weights {
            // The gradients of the six layers' outputs and of two inputs, and all inputs packed.
            let kept = rows * (6 * hidden + 3 * inner) + shape.tokens * 3 * hidden;
            gradients + self.halved(kept)
        } else {
            gradients
        }
    }

    /// Returns the working memory of the tasks, including attention's probabilities and their
    /// gradients, and of the head.
    fn scratch(&self, shape: BatchShape) -> u64 {
        let encoder = &self.config.encoder;
        let (hidden, inner) = (encoder.hidden_size as u64, encoder.intermediate_size as u64);
        let threads = self.threads.min(shape.sequences);
        let rows = most_task_rows(
            shape.tokens as usize,
            shape.sequences as usize,
            shape.longest as usize,
        ) as u64;
        let prefix = self.kept.iter().map(|kept| kept.prefix).max().unwrap_or(0);
        let scores = shape.longest * (shape.longest + prefix);
        let of_head = if self.head.reads_every_token() {
            // The head's input, with dropout and packed, and its gradient twice.
            shape.tokens * 5 * hidden
        } else {
            shape.sequences * 12 * hidden
        };
        // The rows of the tape that a task widens.
        let widened = if self.halves { 7 * hidden + inner } else { 0 };
        threads * (rows * (8 * hidden + 3 * inner + widened) + 3 * scores) + of_head
    }
}

#[cfg(test)]
mod tests;
