//! The forecast of the time per epoch on this machine, from a short calibration. Called by
//! `plan --predict`.
//!
//! The calibration runs the real code path on models of two and four blocks with random weights and
//! the run's sizes, method and batches. Half the difference between the two models is the cost of
//! one block of each kind:
//!
//! - frozen, below the lowest trained parameter: forward only;
//! - passed: the gradient passes through, but nothing is trained;
//! - trained.
//!
//! The two-block model that resembles the stage covers the rest. This is the embeddings, the lowest
//! trained block (whose input needs no gradient), the last block (which computes first tokens only)
//! and the head.
//!
//! The time of an epoch has three terms: the stage's cost per token times the data's tokens, one
//! optimizer update per step in proportion to the number of trained parameters, and the evaluation.
//! The prefix cache saves the cost of the frozen blocks for the tokens that it holds.

use crate::{
    config::{MachineConfig, RunConfig},
    prefix_cache::CacheForecast,
};
use candle_core::{Device, Tensor};
use progtune_engine::rng::Stream;
use progtune_engine::{
    Batch, EncodedExample, Error, HeadKind, Result, Target,
    model::{
        Model, ModelConfig, Parameters, Step, description::ParameterInfo, graph::initial_value,
    },
    model_on, open_device,
    optim::{AdamW, Settings},
    plan::{EpochSecs, ModelPlan, Stage},
    plugin::LoadedMethod,
};
use progtune_pipeline::batch_order::BatchLimit;
use progtune_plugin_api::records::Part;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

/// Number of rows in the calibration's vocabulary. The cost of a look-up does not depend on it.
const VOCABULARY: usize = 1024;
/// Tokens per calibration batch, for a model of hidden size at most 512 and for a wider one.
const TOKENS: (usize, usize) = (512, 256);
/// Number of rounds in which every case is timed once, after a warm-up round. The fastest time is
/// kept. Because the cases alternate, a moment of high load does not distort all times of one case.
const ROUNDS: usize = 3;

/// The size of the data, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) struct DataSize {
    /// Mean number of tokens per example.
    pub(crate) mean_length: f64,
    /// Number of training examples, or `None` if it is unknown without the data.
    pub examples: Option<usize>,
    /// Number of tokens in all evaluation splits.
    pub(crate) eval_tokens: f64,
}

/// Forecasts the seconds of every stage and the savings from the prefix cache. `recompute` means
/// that activations are recomputed.
///
/// # Errors
/// Fails if the method rejects a model of a few blocks, or a computation fails.
pub(crate) fn forecast(
    config: &RunConfig,
    recompute: bool,
    model: (&ModelConfig, HeadKind, Option<&LoadedMethod>),
    stages: &[Stage],
    data: &DataSize,
    cache: Option<&CacheForecast>,
) -> Result<Vec<EpochSecs>> {
    let blocks = model.0.blocks();
    let shapes: Vec<Shape> = stages
        .iter()
        .map(|stage| Shape::of(stage, blocks))
        .collect();
    let logits = Shape::logits(blocks);
    let mut cases: Vec<(f64, Case)> = shapes.iter().flat_map(Shape::prices).collect();
    cases.extend(logits.clone());
    if cache.is_some() {
        cases.extend(frozen_block());
    }
    let mut cases: BTreeSet<Case> = cases.into_iter().map(|(_, case)| case).collect();
    cases.insert(Case::Update);
    let calibration = Calibration::new(config, recompute, model, data)?;
    let tokens = calibration.tokens;
    let secs = calibration.measure(cases)?;
    let price = |prices: &[(f64, Case)]| {
        let sum: f64 = prices.iter().map(|(n, case)| n * secs[case]).sum();
        sum.max(0.0) / tokens
    };
    let logits = price(&logits);
    let n_epochs = stages.len() as u64;
    let list = (0..)
        .zip(stages.iter().zip(&shapes))
        .map(|(epoch, (stage, shape))| {
            // Nothing is saved in the last block: its cost for first tokens only is negligible.
            let known = cache.map_or(0, |cache| cache.starts[epoch].min(blocks - 1)) as f64;
            let spared = |share: fn(&CacheForecast) -> f64| match cache {
                Some(cache) if known > 0.0 => known * share(cache) * price(&frozen_block()),
                _ => 0.0,
            };
            let whole = price(&shape.prices());
            let spared_in_training = spared(|cache| cache.training_share).min(whole);
            let spared_in_evaluation = spared(|cache| cache.evaluation_share).min(logits);
            let token = whole - spared_in_training;
            let update = secs[&Case::Update] * stage.trainable_parameters as f64;
            let train_tokens = data.mean_length * data.examples.unwrap_or(0) as f64;
            let in_batch = match config.batching.train {
                BatchLimit::Examples(size) => size as f64,
                BatchLimit::Tokens(budget) => (budget as f64 / data.mean_length).max(1.0),
            };
            let in_batch = in_batch.min(data.examples.map_or(f64::MAX, |examples| examples as f64));
            let in_step = in_batch * config.batching.gradient_accumulation_steps as f64;
            let n_steps = (data.examples.unwrap_or(0) as f64 / in_step).ceil();
            let requested = config.evaluating.evaluations;
            let times = requested.times(n_steps as u64, n_steps as u64 * n_epochs);
            let eval_tokens = data.eval_tokens * times.in_epoch(epoch as u64) as f64;
            let eval_secs = (logits - spared_in_evaluation) * eval_tokens;
            EpochSecs {
                step: token * data.mean_length * in_step + update,
                evaluation: data.examples.map(|_| eval_secs),
                epoch: data
                    .examples
                    .map(|_| token * train_tokens + n_steps * update + eval_secs),
                spared: spared_in_training * train_tokens + spared_in_evaluation * eval_tokens,
            }
        });
    Ok(list.collect())
}

/// A computation to be timed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Case {
    /// The forward and backward of the calibration's batch.
    Train {
        blocks: usize,
        embeddings: bool,
        trained: Vec<usize>,
    },
    /// The forward of an evaluation.
    Logits { blocks: usize },
    /// The optimizer's step, per trained parameter.
    Update,
}

/// The shape of a stage as far as its cost depends on it: the two-block model with the same ends,
/// and the number of further blocks of each kind.
#[derive(Debug, Clone, PartialEq)]
struct Shape {
    embeddings: bool,
    /// Whether each of the two blocks is trained.
    ends: [bool; 2],
    frozen: usize,
    passed: usize,
    trained: usize,
}

impl Shape {
    fn of(stage: &Stage, blocks: usize) -> Self {
        let embeddings = stage.embeddings;
        let is_trained = |block: usize| stage.blocks.contains(&block);
        let lower = blocks.saturating_sub(1);
        let lowest = stage.frozen_blocks(blocks);
        let mut trained = (0..lower).filter(|&block| is_trained(block)).count();
        let mut passed = (lowest..lower).filter(|&b| !is_trained(b)).count();
        let mut frozen = lowest.min(lower);
        // The first of the two blocks represents one of them.
        let first = trained > 0;
        for kind in [&mut trained, &mut passed, &mut frozen] {
            if *kind > 0 {
                *kind -= 1;
                break;
            }
        }
        Self {
            embeddings,
            ends: [first, is_trained(blocks.saturating_sub(1))],
            frozen,
            passed,
            trained,
        }
    }

    /// The cost of the batch in a stage of this shape, as a sum of cases.
    fn prices(&self) -> Vec<(f64, Case)> {
        let train = |blocks, embeddings, trained: &[usize]| Case::Train {
            blocks,
            embeddings,
            trained: trained.to_vec(),
        };
        let ends: Vec<usize> = (0..2).filter(|&block| self.ends[block]).collect();
        let mut prices = vec![(1.0, train(2, self.embeddings, &ends))];
        let mut add = |n: usize, embeddings, two: &[usize], four: &[usize]| {
            if n > 0 {
                let half = n as f64 / 2.0;
                prices.push((half, train(4, embeddings, four)));
                prices.push((-half, train(2, embeddings, two)));
            }
        };
        add(self.frozen, false, &[1], &[3]);
        add(self.trained, false, &[0, 1], &[0, 1, 2, 3]);
        // Above trained embeddings every block passes the gradient on. Otherwise there is a trained
        // block below.
        if self.embeddings {
            add(self.passed, true, &[], &[])
        } else {
            add(self.passed, false, &[0], &[0])
        }
        prices
    }

    /// The cost of the batch in an evaluation of a model with `blocks` blocks.
    fn logits(blocks: usize) -> Vec<(f64, Case)> {
        let half = (blocks as f64 - 2.0) / 2.0;
        vec![
            (1.0 - half, Case::Logits { blocks: 2 }),
            (half, Case::Logits { blocks: 4 }),
        ]
    }
}

/// The cost of one frozen block in the forward of a training step.
fn frozen_block() -> [(f64, Case); 2] {
    let train = |blocks, trained| Case::Train {
        blocks,
        embeddings: false,
        trained: vec![trained],
    };
    [(0.5, train(4, 3)), (-0.5, train(2, 1))]
}

/// A model of a few blocks with random weights.
struct Small {
    model: Model,
    model_plan: ModelPlan,
}

struct Calibration {
    two: Small,
    four: Small,
    batch: Batch,
    /// Number of tokens in the batch.
    tokens: f64,
    seed: u64,
}

impl Calibration {
    fn new(
        config: &RunConfig,
        recompute: bool,
        (model, head, method): (&ModelConfig, HeadKind, Option<&LoadedMethod>),
        data: &DataSize,
    ) -> Result<Self> {
        let build = |blocks| Small::build(config, recompute, model, head, method, blocks);
        let length = (data.mean_length.round() as usize).clamp(2, model.max_tokens().max(2));
        // A token limit does not determine the number of examples, so the default batch size
        // applies.
        let at_most = match config.batching.train {
            BatchLimit::Examples(size) => size,
            BatchLimit::Tokens(_) => 8,
        };
        let most = if model.encoder.hidden_size <= 512 {
            TOKENS.0
        } else {
            TOKENS.1
        };
        let sequences = (most / length).clamp(1, at_most);
        let target = match head {
            HeadKind::Sequence(1) => Target::Score(0.5),
            HeadKind::Sequence(_) => Target::Class(0),
            HeadKind::Token(_) => Target::Tags(vec![Some(0); length]),
            HeadKind::QuestionAnswering => Target::Span([0, 0]),
        };
        let mut stream = Stream::new(config.training.seed, "calibration");
        let vocabulary = model.encoder.vocab_size.min(VOCABULARY);
        let examples: Vec<EncodedExample> = (0..sequences)
            .map(|_| EncodedExample {
                input_ids: (0..length)
                    .map(|_| stream.below(vocabulary) as u32)
                    .collect(),
                token_type_ids: vec![0; length],
                target: Some(target.clone()),
            })
            .collect();
        let indices: Vec<usize> = (0..sequences).collect();
        Ok(Self {
            two: build(2)?,
            four: build(4)?,
            batch: Batch::new(&examples, &indices, model.first_position()),
            tokens: (sequences * length) as f64,
            seed: config.training.seed,
        })
    }

    /// Measures the seconds of every case.
    fn measure(mut self, cases: BTreeSet<Case>) -> Result<BTreeMap<Case, f64>> {
        let mut best: BTreeMap<Case, f64> = cases
            .into_iter()
            .map(|case| (case, f64::INFINITY))
            .collect();
        for round in 0..=ROUNDS as u64 {
            for (case, best) in &mut best {
                let secs = self.time(case, round)?;
                if round > 0 {
                    *best = best.min(secs);
                }
            }
        }
        Ok(best)
    }

    fn time(&mut self, case: &Case, round: u64) -> Result<f64> {
        match case {
            Case::Train {
                blocks,
                embeddings,
                trained,
            } => self.time_training(*blocks, *embeddings, trained, round),
            Case::Logits { blocks } => {
                let batch = self.batch.clone();
                let start = Instant::now();
                self.small(*blocks).model.logits(&batch)?;
                Ok(start.elapsed().as_secs_f64())
            }
            Case::Update => self.time_update(),
        }
    }

    fn small(&mut self, blocks: usize) -> &mut Small {
        match blocks {
            2 => &mut self.two,
            _ => &mut self.four,
        }
    }

    fn time_training(
        &mut self,
        blocks: usize,
        embeddings: bool,
        trained: &[usize],
        round: u64,
    ) -> Result<f64> {
        let (seed, batch) = (self.seed, self.batch.clone());
        let Small { model, model_plan } = self.small(blocks);
        let wanted = |info: &ParameterInfo| match info.block {
            Some(block) => trained.contains(&block),
            None => embeddings || info.part != Part::EMBEDDINGS,
        };
        let ids: Vec<usize> = model_plan
            .candidates
            .iter()
            .copied()
            .filter(|&id| wanted(&model_plan.parameters[id]))
            .collect();
        model.parameters.set_trainable(&ids);
        let mut gradients = model.gradients()?;
        let step = Step {
            seed,
            number: round,
        };
        let start = Instant::now();
        model.train(&batch, step, batch.sequences() as f64, &mut gradients)?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Times the second step, which allocates no more state.
    fn time_update(&mut self) -> Result<f64> {
        let Small { model, model_plan } = &mut self.two;
        model.parameters.set_trainable(&model_plan.candidates);
        let mut gradients = model.gradients()?;
        let mut optimizer = AdamW::new(Settings {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
        });
        let mut secs = 0.0;
        for _ in 0..2 {
            let start = Instant::now();
            let norms = optimizer.norms(&model.parameters, &mut gradients, 2)?;
            optimizer.step(
                &model.parameters,
                &mut gradients,
                Some(norms.global),
                1e-5,
                &|_| 1.0,
            )?;
            secs = start.elapsed().as_secs_f64();
        }
        Ok(secs / model_plan.candidate_size().max(1) as f64)
    }
}

impl Small {
    fn build(
        run: &RunConfig,
        recompute: bool,
        config: &ModelConfig,
        head: HeadKind,
        method: Option<&LoadedMethod>,
        blocks: usize,
    ) -> Result<Self> {
        let mut config = config.clone();
        config.encoder.num_hidden_layers = blocks;
        config.encoder.vocab_size = config.encoder.vocab_size.min(VOCABULARY);
        let model_plan =
            ModelPlan::new(&config, head, method, run.schedule_and_method.train_pooler)?;
        let device = open_device(run.machine.device)?;
        let numbers = random_numbers(run.training.seed);
        let mut base = BTreeMap::new();
        for info in model_plan.parameters.iter().filter(|i| i.added.is_none()) {
            base.insert(info.name.as_str(), base_value(info, &numbers)?);
        }
        let find = |name: &str| {
            base.get(name).cloned().ok_or_else(|| {
                Error::Model(format!(
                    "an init graph reads {name}, which is not a parameter"
                ))
            })
        };
        let mut values = Vec::with_capacity(model_plan.parameters.len());
        for info in &model_plan.parameters {
            let value = match &info.added {
                None => find(&info.name)?,
                Some(added) => initial_value(&added.init, &info.name, run.training.seed, &find)?
                    .broadcast_as(info.shape.as_slice())?
                    .contiguous()?,
            };
            values.push(value.to_device(&device)?);
        }
        let parameters = Parameters::new(model_plan.parameters.clone(), values)?;
        let MachineConfig {
            device,
            kernels,
            precision,
            ..
        } = run.machine;
        let machine = (device, kernels, precision);
        let mut model = model_on(machine, config, parameters, head, &model_plan.rewrites)?;
        model.frozen_dropout = run.training.frozen_dropout;
        model.recompute = recompute;
        Ok(Self { model, model_plan })
    }
}

/// Draws numbers distributed like weights. They are repeated, because drawing all of them would
/// take longer than the calibration.
fn random_numbers(seed: u64) -> Vec<f32> {
    let mut stream = Stream::new(seed, "weights");
    (0..65_537)
        .map(|_| (stream.normal() * 0.02) as f32)
        .collect()
}

fn base_value(info: &ParameterInfo, numbers: &[f32]) -> Result<Tensor> {
    let values: Vec<f32> = if info.name.ends_with("LayerNorm.weight") {
        vec![1.0; info.size()]
    } else {
        numbers.iter().copied().cycle().take(info.size()).collect()
    };
    Ok(Tensor::from_vec(
        values,
        info.shape.as_slice(),
        &Device::Cpu,
    )?)
}

#[cfg(test)]
mod tests;
