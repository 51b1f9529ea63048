//! The proof that a saved result is the model in memory: it is loaded again from disk as `predict`
//! loads it, and every parameter and the logits are compared. Called by the recipe before a run is
//! marked as finished, by `merge`, and by `check`.
//!
//! The examples are the first batch of the validation data and a few generated sequences, the
//! *probes*. Probes hold no text of the user's, so `verification.json` keeps their token ids and
//! logits beside the result, and `check` computes them again. The model in memory is released
//! before the saved one is loaded, so that there is never a second one.

use crate::{
    config::{AdaptedModel, AdapterChoice, HubConfig, InferenceConfig, MachineConfig},
    hardware::simd_name,
    inference::{Opened, Purpose, records},
};
use progtune_engine::{
    Batch, EncodedExample, Error, Result,
    adapter::{NEUTRAL_CONFIG, NEUTRAL_WEIGHTS, peft},
    model::{Device, HostSlice, Model, description::ParameterInfo},
    plugin::PluginSources,
    rng::Stream,
};
use progtune_hub::NamedPath;
use progtune_pipeline::{
    EvalSplit, batch_order::BatchLimit, question_answering::Answering, token_cache::TokenCacheUse,
};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tracing::subscriber::{NoSubscriber, with_default};

mod record;

pub(crate) use record::Verification;
pub use record::{FILE, Recorded};

/// The largest number of validation examples that are compared.
const MOST_EXAMPLES: usize = 32;

/// The lengths of the probes in tokens.
const PROBE_LENGTHS: [usize; 4] = [3, 6, 11, 16];

/// The largest difference of logits, relative to the largest logit or 1, between devices,
/// processors and versions that add in different orders.
pub(crate) const TOLERANCE: f32 = 1e-3;

/// Generated sequences of token ids that a model of these sizes can read. They depend on the sizes
/// only.
pub(crate) fn probes(model: &Model) -> Vec<EncodedExample> {
    let encoder = &model.config.encoder;
    let mut stream = Stream::new(0, "probes");
    let probe = |&length: &usize| {
        let length = length.min(model.config.max_tokens());
        let ids = (0..length).map(|_| stream.below(encoder.vocab_size) as u32);
        let second = |at: usize| u32::from(encoder.type_vocab_size > 1 && at >= length / 2);
        EncodedExample {
            input_ids: ids.collect(),
            token_type_ids: (0..length).map(second).collect(),
            target: None,
        }
    };
    PROBE_LENGTHS.iter().map(probe).collect()
}

/// The first batch of a split, of at most 32 examples.
///
/// # Errors
/// Fails if the examples cannot be read.
pub(crate) fn first_batch(split: &EvalSplit, limit: BatchLimit, model: &Model) -> Result<Batch> {
    let examples = &split.examples;
    let lengths: Vec<usize> = examples
        .lengths()
        .take(MOST_EXAMPLES)
        .collect::<Result<_>>()?;
    let order: Vec<usize> = (0..lengths.len()).collect();
    let batches = limit.cut(&order, |example| lengths[example]);
    let first = batches.into_iter().next().unwrap_or_default();
    examples.batch(&first, model.config.first_position())
}

/// One batch of these examples.
pub(crate) fn batch_of(examples: &[EncodedExample], model: &Model) -> Batch {
    let indices: Vec<usize> = (0..examples.len()).collect();
    Batch::new(examples, &indices, model.config.first_position())
}

/// The logits of a batch, one list per example.
///
/// # Errors
/// Fails if the model cannot compute.
pub(crate) fn logits(model: &Model, batch: &Batch) -> Result<Vec<Vec<f32>>> {
    let logits = model.logits(batch)?;
    let outputs = logits.dim(1)?;
    let numbers = logits.flatten_all()?.to_vec1::<f32>()?;
    let rows = |example: usize| {
        if model.reads_every_token() {
            batch.offsets[example] as usize..batch.offsets[example + 1] as usize
        } else {
            example..example + 1
        }
    };
    let each = (0..batch.sequences()).map(rows);
    let each = each.map(|rows| numbers[rows.start * outputs..rows.end * outputs].to_vec());
    Ok(each.collect())
}

/// The logits of a model in memory, with the examples that they belong to.
pub struct Expected {
    /// The validation examples, if there are any.
    given: Option<(Batch, Vec<Vec<f32>>)>,
    probes: Vec<EncodedExample>,
    probe_logits: Vec<Vec<f32>>,
    /// The name of each parameter, with a sum over its bits.
    parameters: Vec<(String, u32)>,
}

impl Expected {
    /// Computes the logits of `model` for a batch, if there is one, and for the probes.
    ///
    /// # Errors
    /// Fails if the model cannot compute.
    pub fn of(model: &Model, given: Option<Batch>) -> Result<Self> {
        let probes = probes(model);
        let given = match given.filter(|batch| batch.sequences() > 0) {
            Some(batch) => {
                let expected = logits(model, &batch)?;
                Some((batch, expected))
            }
            None => None,
        };
        Ok(Self {
            given,
            probe_logits: logits(model, &batch_of(&probes, model))?,
            probes,
            parameters: sums(model)?,
        })
    }

    fn n_examples(&self) -> usize {
        let given = self.given.as_ref();
        given.map_or(0, |(batch, _)| batch.sequences())
    }

    /// Compares with a saved model; returns its logits for the probes.
    fn compare(&self, model: &Model, is_cpu: bool) -> Result<Compared> {
        let parameters = sums(model)?;
        let mut pairs = self.parameters.iter().zip(&parameters);
        // A format may keep other parameters than the run had: the rows of a prefix in place of the
        // network that makes them. These have been rounded in between.
        let is_lossless = self.parameters.len() == parameters.len()
            && pairs.clone().all(|(one, other)| one.0 == other.0);
        if is_lossless && let Some((of, _)) = pairs.find(|(one, other)| one.1 != other.1) {
            return Ok(Err(format!("the values of {} differ", of.0)));
        }
        let is_exact = is_cpu && is_lossless;
        if let Some((batch, expected)) = &self.given {
            let found = logits(model, batch)?;
            if let Some(difference) = difference(expected, &found, is_exact) {
                return Ok(Err(difference.describe()));
            }
        }
        let found = logits(model, &batch_of(&self.probes, model))?;
        let difference = difference(&self.probe_logits, &found, is_exact);
        Ok(difference.map_or(Ok(found), |difference| Err(difference.describe())))
    }
}

/// The logits of the probes, or the first difference from the model in memory, in words.
type Compared = Result<Vec<Vec<f32>>, String>;

/// The name and the CRC of every parameter. A logit may hide a changed bit, because it is rounded.
fn sums(model: &Model) -> Result<Vec<(String, u32)>> {
    let parameters = &model.parameters;
    let sum = |(id, info): (usize, &ParameterInfo)| {
        let value = parameters
            .variable(id)
            .to_device(&candle_core::Device::Cpu)?;
        let mut sum = crc32fast::Hasher::new();
        // In pieces, so that no second copy of a large table is held.
        for piece in HostSlice::of(&value).chunks(1 << 14) {
            sum.update(bytemuck::cast_slice(piece));
        }
        Ok((info.name.clone(), sum.finalize()))
    };
    parameters.infos().iter().enumerate().map(sum).collect()
}

/// A logit that differs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The example, counted from 1.
    pub example: usize,
    /// The expected logit; NaN if the numbers of logits differ.
    pub expected: f32,
    /// The logit found.
    pub found: f32,
}

impl Difference {
    /// The difference in words.
    pub fn describe(&self) -> String {
        format!(
            "example {}: expected the logit {}, found {}",
            self.example, self.expected, self.found
        )
    }
}

/// The first difference between logits: of any bit, or beyond [`TOLERANCE`].
pub(crate) fn difference(
    expected: &[Vec<f32>],
    found: &[Vec<f32>],
    is_exact: bool,
) -> Option<Difference> {
    let all = expected.iter().flatten();
    let largest = all.fold(1f32, |largest, logit| largest.max(logit.abs()));
    for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
        let of = |expected: f32, found: f32| Difference {
            example: at + 1,
            expected,
            found,
        };
        if expected.len() != found.len() {
            return Some(of(f32::NAN, f32::NAN));
        }
        for (&expected, &found) in expected.iter().zip(found) {
            // A NaN is within no tolerance.
            let is_near = (expected - found).abs() <= TOLERANCE * largest;
            if expected.to_bits() != found.to_bits() && (is_exact || !is_near) {
                return Some(of(expected, found));
            }
        }
    }
    (expected.len() != found.len()).then_some(Difference {
        example: expected.len().min(found.len()) + 1,
        expected: f32::NAN,
        found: f32::NAN,
    })
}

/// The way in which a saved result is loaded.
#[derive(Debug, Clone)]
pub struct Loading<'a> {
    /// The base model of an adapter; `None` for the embedded one.
    pub base: Option<&'a NamedPath>,
    /// The search path for plugins, and the pinned builds.
    pub plugins: &'a PluginSources,
    /// Threads, device and kernels.
    pub machine: MachineConfig,
}

impl Loading<'_> {
    /// The configuration by which `predict` would open a result.
    pub fn configuration(&self, directory: &Path) -> InferenceConfig {
        InferenceConfig {
            models: models(directory, self.base.cloned(), true),
            hub: HubConfig::default(),
            task: None,
            metrics: Vec::new(),
            max_length: None,
            answering: Answering::default(),
            is_doc_stride_given: false,
            eval_batch: BatchLimit::Examples(MOST_EXAMPLES),
            sample: None,
            plugins: self.plugins.clone(),
            machine: self.machine,
            token_cache: TokenCacheUse::Off,
        }
    }
}

/// The model and the adapter of a result's directory. `base` is the base model of an adapter.
pub(crate) fn models(
    directory: &Path,
    base: Option<NamedPath>,
    is_base_given: bool,
) -> AdaptedModel {
    let is_adapter = is_adapter(directory);
    AdaptedModel {
        model: if is_adapter {
            base
        } else {
            Some(NamedPath::new(directory))
        },
        is_model_given: is_base_given || !is_adapter,
        adapters: vec![AdapterChoice {
            name: directory.display().to_string(),
            directory: is_adapter.then(|| directory.to_owned()),
        }],
    }
}

/// Whether the result in a directory is an adapter and not a whole model.
pub(crate) fn is_adapter(directory: &Path) -> bool {
    let has = |name: &str| directory.join(name).is_file();
    has(NEUTRAL_CONFIG) || has(peft::CONFIG)
}

/// The file with the weights of a result.
pub(crate) fn weights_file(directory: &Path) -> PathBuf {
    let names = ["adapter_model.safetensors", NEUTRAL_WEIGHTS];
    let mut files = names.iter().map(|name| directory.join(name));
    let found = files.find(|file| file.is_file());
    found.unwrap_or_else(|| directory.join("model.safetensors"))
}

/// Opens a result and applies `f` to its model.
///
/// # Errors
/// Fails if the result cannot be loaded, or `f` fails.
pub fn with_result<T>(
    config: &InferenceConfig,
    models: &AdaptedModel,
    f: impl Fn(&Model) -> Result<T>,
) -> Result<T> {
    let records = records(models)?;
    let opened = Opened::new(config, models, &records, Purpose::Input)?;
    let mut results = opened.with_each_model(|model, _| f(model))?;
    let result = results.pop().map(|(_, result)| result);
    result.ok_or_else(|| {
        Error::Model("internal error: no model was opened; please report this".into())
    })
}

/// Runs `f` without warnings and log entries, because the command has already made them.
pub(crate) fn quietly<T>(f: impl FnOnce() -> T) -> T {
    with_default(NoSubscriber::default(), f)
}

/// Loads the result in `directory` and compares it with the model that was saved.
///
/// # Errors
/// Fails if the result cannot be loaded, or its logits differ. The message is for the command that
/// wrote it: it names the file, what was expected, and what was found.
pub fn verify(
    directory: &Path,
    expected: &Expected,
    loading: &Loading<'_>,
) -> Result<Verification, String> {
    let config = loading.configuration(directory);
    let machine = loading.machine;
    let is_cpu = machine.device == Device::Cpu;
    let compared = quietly(|| {
        let compare = |model: &Model| expected.compare(model, is_cpu);
        with_result(&config, &config.models, compare)
    });
    match compared {
        Err(error) => Err(format!(
            "{}: the saved result cannot be loaded again: {error}",
            directory.display()
        )),
        Ok(Err(difference)) => Err(format!(
            "{}: the saved result is not the model in memory: {difference}",
            weights_file(directory).display()
        )),
        // These are the logits of what is on disk, which `check` computes again.
        Ok(Ok(logits)) => Ok(Verification {
            examples: expected.n_examples(),
            recorded: Recorded {
                progtune: env!("CARGO_PKG_VERSION").into(),
                device: machine.device.to_string(),
                simd: simd_name(machine.precision).into(),
                is_fused: machine.is_fused(),
                precision: machine.precision_name(),
                probes: expected.probes.clone(),
                logits,
            },
        }),
    }
}

/// The SHA-256 of logits' bits.
fn sha256(logits: &[Vec<f32>]) -> String {
    let mut hash = Sha256::new();
    for logit in logits.iter().flatten() {
        hash.update(logit.to_le_bytes());
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_or_the_tolerance_decides() {
        let expected = [vec![1.0f32, -20.0], vec![0.5, 3.0]];
        let same = expected.clone();
        assert_eq!(difference(&expected, &same, true), None);
        let near = [vec![1.0f32, -20.01], vec![0.5, 3.0]];
        let found = difference(&expected, &near, true).unwrap();
        assert_eq!((found.example, found.found), (1, -20.01));
        assert_eq!(difference(&expected, &near, false), None);
        let far = [vec![1.0f32, -20.0], vec![0.5, 3.1]];
        assert_eq!(difference(&expected, &far, false).unwrap().example, 2);
        let broken = [vec![1.0f32, -20.0], vec![f32::NAN, 3.0]];
        assert!(difference(&expected, &broken, false).is_some());
        assert!(difference(&expected, &expected[..1], false).is_some());
        let short = [vec![1.0f32], vec![0.5, 3.0]];
        assert!(difference(&expected, &short, false).is_some());
    }
}
