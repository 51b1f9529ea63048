//! Batches and the length of the sequences in them. Read by `train` and `plan`; `evaluate`,
//! `predict` and `data inspect` read parts of it.

use super::export::Written;
use super::settings::Settings;
use super::{ConfigError, limit};
use crate::flags::{Flag, Form, Scope};
use progtune_pipeline::batch_order::{BatchLimit, Rule};

pub(crate) static BATCH_SIZE: Flag<usize> =
    Flag::key("batch_size", "N", "Examples per training batch")
        .default("8")
        .usual()
        .form(limit());

pub(crate) static BATCH_TOKENS: Flag<usize> = Flag::key(
    "batch_tokens",
    "N",
    "Maximum tokens per training batch, instead of a number of examples",
)
.computed("none: --batch-size counts examples")
.example("2048")
.form(limit());

pub(crate) static EVAL_BATCH_SIZE: Flag<usize> =
    Flag::key("eval_batch_size", "N", "Examples per evaluation batch")
        .default("8")
        .scope(Scope::All)
        .form(limit())
        .elsewhere(&[(&["evaluate", "predict"], "N", "Examples per batch")]);

pub(crate) static EVAL_BATCH_TOKENS: Flag<usize> = Flag::key(
    "eval_batch_tokens",
    "N",
    "Maximum tokens per evaluation batch, instead of a number of examples",
)
.computed("none: --eval-batch-size counts examples")
.example("4096")
.scope(Scope::All)
.form(limit())
.elsewhere(&[(
    &["evaluate", "predict"],
    "N",
    "Maximum tokens per batch, instead of a number of examples",
)]);

pub(crate) static GRADIENT_ACCUMULATION_STEPS: Flag<usize> = Flag::key(
    "gradient_accumulation_steps",
    "N",
    "Batches per optimizer step; the gradient is the mean over all their examples",
)
.default("1")
.form(limit());

pub(crate) static MAX_LENGTH: Flag<usize> = Flag::key(
    "max_length",
    "N",
    "Maximum sequence length in tokens; longer sequences are truncated",
)
.computed("128; for questions about texts 384")
.example("128")
.scope(Scope::All)
.usual()
.form(Form::Parsed(
    "a whole number of at least 3 (two special tokens and a word)",
    |text| text.parse().ok().filter(|&n| n >= 3),
));

pub(crate) static NO_SHUFFLE: Flag<bool> =
    Flag::switch("no_shuffle", "Keep the order of the training set");

pub(crate) static NO_GROUP_BY_LENGTH: Flag<bool> = Flag::switch(
    "no_group_by_length",
    "Shuffle without grouping sequences of similar length",
);

/// The batches of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchingConfig {
    /// The limit of a training batch.
    pub train: BatchLimit,
    /// The limit of an evaluation batch.
    pub eval: BatchLimit,
    /// Batches per optimizer step, at least 1.
    pub gradient_accumulation_steps: usize,
    /// Maximum sequence length in tokens, including special tokens; at least 3. The model may have
    /// a lower limit. `None` chooses it by the kind of task (`max_length`).
    pub max_length: Option<usize>,
    /// Whether the order of the examples differs between epochs.
    pub shuffle: bool,
    /// Whether a shuffled epoch groups sequences of similar length into batches.
    pub group_by_length: bool,
}

impl BatchingConfig {
    /// The rule that forms training batches from examples.
    pub fn rule(&self, seed: u64) -> Rule {
        Rule {
            limit: self.train,
            shuffle: self.shuffle,
            group_by_length: self.group_by_length,
            seed,
            gradient_accumulation_steps: self.gradient_accumulation_steps,
        }
    }

    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            train: read_batch(settings, &BATCH_SIZE, &BATCH_TOKENS)?,
            eval: read_eval_batch(settings)?,
            gradient_accumulation_steps: settings.get(&GRADIENT_ACCUMULATION_STEPS)?,
            max_length: settings.find(&MAX_LENGTH)?,
            shuffle: !settings.get(&NO_SHUFFLE)?,
            group_by_length: !settings.get(&NO_GROUP_BY_LENGTH)?,
        })
    }

    pub(super) fn write(&self, written: &mut Written) {
        for (limit, size, tokens) in [
            (self.train, &BATCH_SIZE, &BATCH_TOKENS),
            (self.eval, &EVAL_BATCH_SIZE, &EVAL_BATCH_TOKENS),
        ] {
            // A limit in tokens excludes the size, which is then meaningless.
            match limit {
                BatchLimit::Examples(n) => written.set(size, n),
                BatchLimit::Tokens(n) => written.set(tokens, n),
            }
        }
        let accumulated = self.gradient_accumulation_steps;
        written.set(&GRADIENT_ACCUMULATION_STEPS, accumulated);
        written.set_if(&MAX_LENGTH, self.max_length);
        written.set(&NO_SHUFFLE, !self.shuffle);
        written.set(&NO_GROUP_BY_LENGTH, !self.group_by_length);
    }
}

/// The limit of a batch: a number of tokens if it is set, otherwise a number of examples.
fn read_batch(
    settings: &Settings,
    size: &Flag<usize>,
    tokens: &Flag<usize>,
) -> Result<BatchLimit, ConfigError> {
    let Some(budget) = settings.find(tokens)? else {
        return Ok(BatchLimit::Examples(settings.get(size)?));
    };
    // `none` unsets a size that a lower layer has set.
    if settings.find(size)?.is_some() && settings.is_set(size) {
        return Err(ConfigError::Conflict {
            first: settings.named(size),
            second: settings.named(tokens),
            reason: "a batch is limited by examples or by tokens, not by both".into(),
            advice: "give one of them, and `none` for the other if a file or variable sets it"
                .into(),
        });
    }
    Ok(BatchLimit::Tokens(budget))
}

pub(super) fn read_eval_batch(settings: &Settings) -> Result<BatchLimit, ConfigError> {
    read_batch(settings, &EVAL_BATCH_SIZE, &EVAL_BATCH_TOKENS)
}
