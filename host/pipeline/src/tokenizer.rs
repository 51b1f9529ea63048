//! The model's tokenizer, built from `tokenizer.json`, `vocab.txt`, or `vocab.json` and
//! `merges.txt`, with the settings beside them. Called by the recipe, `evaluate` and `predict`. The
//! files are copied beside everything that a run saves.
//!
//! The result equals that of `AutoTokenizer.from_pretrained` in transformers 5.24 for the same
//! files. docs/tokenizers.md describes the role of each file, and `tests/tests/data/tokenizers.rs`
//! compares the ids.

mod added_tokens;
mod build;
mod byte_level;
mod class;
mod contain;
mod encode;
mod fault;
mod save;
mod serialized;
mod settings;
mod unigram;
mod word_piece;

use crate::token_store::key::KeyBuilder;
use build::{Built, Parts};
use contain::contain;
use fault::Fault;
use progtune_datasets::ProblemType;
use progtune_engine::{
    EMBEDDED_VOCABULARY, Error, ModelSource, Result,
    model::{Architecture, ModelConfig, weights::check_vocabulary},
};
use progtune_process::files::bounded::{self, LARGEST_TEXT};
use serde_json::Value;
use std::{path::Path, sync::OnceLock};
use tokenizers::{PostProcessor, TruncationDirection, TruncationParams};

/// A tokenizer and the files it came from. It is built on first use, and not at all if the
/// tokenised examples are cached.
pub struct Tokenizer {
    built: OnceLock<Built>,
    /// Names and contents of the files that a saved model needs beside it.
    files: Vec<(String, Vec<u8>)>,
    architecture: Architecture,
    /// `tokenizer_class` of `config.json`.
    class_in_config: Option<Value>,
    max_length: usize,
    /// Whether `max_length` is the files' own `model_max_length`.
    is_own_limit: bool,
    vocabulary: usize,
    token_types: u32,
    origin: String,
    /// Whether inputs are sequences of words.
    takes_words: bool,
}

/// The files that belong to a tokenizer, in lookup order.
pub const FILES: &[&str] = &[
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
];

impl Tokenizer {
    /// Reads the tokenizer's files from a model's directory. `max_length` limits inputs to this
    /// many tokens; a smaller `model_max_length` in the files takes precedence.
    ///
    /// # Errors
    /// Fails if a file cannot be read.
    pub fn read(directory: &Path, config: &ModelConfig, max_length: usize) -> Result<Self> {
        let mut files = Vec::new();
        for name in FILES {
            let path = directory.join(name);
            if path.exists() {
                let bytes = bounded::read(&path, largest(name));
                let bytes = bytes.map_err(Error::io(&path, "read"))?;
                files.push(((*name).to_owned(), bytes));
            }
        }
        let origin = directory.display().to_string();
        Ok(Self::from_files(files, config, max_length, origin))
    }

    /// Like [`Tokenizer::read`], for a model from any source.
    ///
    /// # Errors
    /// Fails like [`Tokenizer::read`].
    pub fn of_model(source: &ModelSource, config: &ModelConfig, max_length: usize) -> Result<Self> {
        match source {
            ModelSource::Directory(named) => Self::read(named.path(), config, max_length),
            ModelSource::Embedded => {
                let files = vec![("vocab.txt".to_owned(), EMBEDDED_VOCABULARY.to_vec())];
                let origin = "embedded model".into();
                Ok(Self::from_files(files, config, max_length, origin))
            }
        }
    }

    /// Like [`Tokenizer::read`], from the contents of the files.
    pub fn from_files(
        files: Vec<(String, Vec<u8>)>,
        config: &ModelConfig,
        max_length: usize,
        origin: String,
    ) -> Self {
        let own_limit = own_limit(&files);
        let lower = own_limit.filter(|&limit| limit < max_length);
        if let Some(limit) = lower {
            tracing::warn!(
                "{origin}/tokenizer_config.json: `model_max_length` is {limit}, which is less than --max-length {max_length}; \
                 inputs are truncated to {limit} tokens"
            );
        }
        Self {
            built: OnceLock::new(),
            files,
            architecture: config.architecture,
            class_in_config: config.raw.get("tokenizer_class").cloned(),
            max_length: lower.unwrap_or(max_length),
            is_own_limit: lower.is_some(),
            vocabulary: config.encoder.vocab_size,
            token_types: config.encoder.type_vocab_size as u32,
            origin,
            takes_words: false,
        }
    }

    /// Adapts the tokenizer to a task. If inputs are sequences of words, each word is tokenised as
    /// if it followed a space in a text. This is Hugging Face's `add_prefix_space`, which is also
    /// set in the saved tokenizer.
    pub fn for_task(mut self, problem: ProblemType) -> Self {
        self.takes_words = problem == ProblemType::TokenClassification;
        self
    }

    /// Adds everything in the tokenizer and its model that determines the ids and types, or whether
    /// they are valid.
    pub(crate) fn add_to(&self, key: &mut KeyBuilder) {
        for (name, bytes) in &self.files {
            key.add(name, bytes);
        }
        key.add("architecture", self.architecture.model_type().as_bytes());
        if let Some(class) = &self.class_in_config {
            key.add("tokenizer_class", class.to_string().as_bytes());
        }
        key.add_number("takes_words", self.takes_words.into());
        key.add_number("max_length", self.max_length as u64);
        key.add_number("vocab_size", self.vocabulary as u64);
        key.add_number("type_vocab_size", self.token_types.into());
    }

    /// The maximum length of an input in tokens.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// An error that the library reported about this tokenizer.
    pub fn failure(&self, error: &dyn std::fmt::Display) -> Error {
        Error::Model(format!("{}: the tokenizer failed: {error}", self.origin))
    }

    /// The library's tokenizer, which truncates to the maximum length; an error if the files are
    /// unusable.
    pub fn inner(&self) -> Result<&tokenizers::Tokenizer> {
        Ok(&self.built()?.inner)
    }

    /// The side on which long inputs are truncated (`truncation_side`).
    ///
    /// # Errors
    /// Fails like [`Tokenizer::inner`].
    pub(crate) fn truncation_direction(&self) -> Result<TruncationDirection> {
        Ok(if self.built()?.cuts_left {
            TruncationDirection::Left
        } else {
            TruncationDirection::Right
        })
    }

    /// Whether the files set `padding_side` to left.
    ///
    /// # Errors
    /// Fails like [`Tokenizer::inner`].
    pub(crate) fn pads_left(&self) -> Result<bool> {
        Ok(self.built()?.pads_left)
    }

    fn built(&self) -> Result<&Built> {
        if let Some(built) = self.built.get() {
            return Ok(built);
        }
        let built = self.build()?;
        Ok(self.built.get_or_init(|| built))
    }

    /// Checks that the maximum length has room for the special tokens and at least one word.
    fn check_length(&self, inner: &tokenizers::Tokenizer, pairs: bool) -> Result<()> {
        let special = inner
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(pairs));
        if self.max_length > special {
            return Ok(());
        }
        let (limit, least) = (self.max_length, special + 1);
        let texts = if pairs { "a pair of texts" } else { "a text" };
        Err(if self.is_own_limit {
            Error::Model(format!(
                "{}/tokenizer_config.json: `model_max_length` is {limit}: expected at least {least}, because the tokenizer adds \
                 {special} special tokens to {texts}; raise it to the length that the model was trained with",
                self.origin
            ))
        } else {
            Error::Usage(format!(
                "--max-length {limit}: expected at least {least}, because the tokenizer adds {special} special tokens to \
                 {texts}; choose a larger one"
            ))
        })
    }

    /// Builds the tokenizer and checks it against the model's vocabulary.
    ///
    /// # Errors
    /// Fails if no known file exists, a file is damaged, or the files belong to another model.
    fn build(&self) -> Result<Built> {
        let origin = &self.origin;
        let parts = Parts {
            files: &self.files,
            class_in_config: self.class_in_config.as_ref(),
            architecture: self.architecture,
            takes_words: self.takes_words,
        };
        let unusable = |fault: Fault| Error::Model(fault.at(origin));
        let built = contain(|| parts.build()).map_err(Fault::unusable).flatten();
        let mut built = built.map_err(unusable)?;
        let inner = &mut built.inner;
        // The library would panic.
        self.check_length(inner, false)?;
        let truncation = TruncationParams {
            max_length: self.max_length,
            direction: if built.cuts_left {
                TruncationDirection::Left
            } else {
                TruncationDirection::Right
            },
            ..Default::default()
        };
        inner
            .with_truncation(Some(truncation))
            .map_err(|e| self.failure(&e))?;
        inner.with_padding(None);
        // Tokens added beyond the vocabulary matter only when a text contains one.
        let vocabulary = inner.get_vocab(false);
        let largest = vocabulary.values().copied().max().unwrap_or(0);
        check_vocabulary(self.vocabulary, largest, vocabulary.len(), origin)?;
        Ok(built)
    }
}

/// The largest size of a file. A vocabulary may have some megabytes.
fn largest(name: &str) -> u64 {
    match name {
        "tokenizer.json" | "vocab.txt" | "vocab.json" | "merges.txt" => 4 * LARGEST_TEXT,
        _ => LARGEST_TEXT,
    }
}

/// `model_max_length`. A wrong value is reported when the tokenizer is built.
fn own_limit(files: &[(String, Vec<u8>)]) -> Option<usize> {
    let config = files
        .iter()
        .find(|(name, _)| name == settings::TOKENIZER_CONFIG)?;
    let config = settings::object(&config.0, &config.1).ok()?;
    settings::model_max_length(&config).ok()?
}
