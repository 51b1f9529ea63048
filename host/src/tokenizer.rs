//! The model's tokenizer: `tokenizer.json`, or `vocab.txt`, or `vocab.json` + `merges.txt`.
//! Called by the recipe, `evaluate` and `predict`; the files are copied beside what a run saves.

use crate::{
    batch::{EncodedExample, Target},
    error::{Error, Result},
    files::write_atomically,
    model::{
        config::{Architecture, ModelConfig},
        weights::check_vocabulary,
    },
    token_cache::key::KeyBuilder,
};
use ahash::AHashMap;
use progtune_datasets::{Example, ProblemType, TaggedSentence};
use serde_json::{Value, json};
use std::{path::Path, sync::OnceLock};
use tokenizers::{
    AddedToken, PostProcessor, TruncationParams,
    models::{bpe::BPE, wordpiece::WordPiece},
    normalizers::BertNormalizer,
    pre_tokenizers::{bert::BertPreTokenizer, byte_level::ByteLevel},
    processors::{bert::BertProcessing, roberta::RobertaProcessing},
};

/// A tokenizer and the files it came from. It is built from them when it is first needed: not at all where the
/// tokenised examples are known already.
pub struct Tokenizer {
    inner: OnceLock<tokenizers::Tokenizer>,
    /// File name and contents of what a saved model needs beside it.
    files: Vec<(String, Vec<u8>)>,
    architecture: Architecture,
    max_length: usize,
    vocabulary: usize,
    token_types: u32,
    origin: String,
    /// Whether inputs are given word by word.
    takes_words: bool,
}

/// The files that belong to a tokenizer, in the order they are looked for.
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
    /// Reads the tokenizer's files in a model's directory. `max_length` is the longest input in tokens.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn read(directory: &Path, config: &ModelConfig, max_length: usize) -> Result<Self> {
        let mut files = Vec::new();
        for name in FILES {
            let path = directory.join(name);
            if path.exists() {
                files.push((
                    (*name).to_owned(),
                    std::fs::read(&path).map_err(Error::io(&path, "read"))?,
                ));
            }
        }
        let origin = directory.display().to_string();
        Ok(Self::from_files(files, config, max_length, origin))
    }

    /// As [`Tokenizer::read`], from contents.
    pub fn from_files(
        files: Vec<(String, Vec<u8>)>,
        config: &ModelConfig,
        max_length: usize,
        origin: String,
    ) -> Self {
        Self {
            inner: OnceLock::new(),
            files,
            architecture: config.architecture,
            max_length,
            vocabulary: config.encoder.vocab_size,
            token_types: config.encoder.type_vocab_size as u32,
            origin,
            takes_words: false,
        }
    }

    /// As a task needs it: where inputs are given word by word, each word is tokenised as within a text, after a space
    /// (Hugging Face's `add_prefix_space`, which a saved tokenizer then says as well).
    pub fn for_task(mut self, problem: ProblemType) -> Self {
        self.takes_words = problem == ProblemType::TokenClassification;
        self
    }

    /// Takes in everything of the tokenizer and its model that decides ids and types, or whether there are any.
    pub fn add_to(&self, key: &mut KeyBuilder) {
        for (name, bytes) in &self.files {
            key.add(name, bytes);
        }
        key.add("architecture", self.architecture.model_type().as_bytes());
        key.add_number("max_length", self.max_length as u64);
        key.add_number("vocab_size", self.vocabulary as u64);
        key.add_number("type_vocab_size", self.token_types.into());
    }

    fn inner(&self) -> Result<&tokenizers::Tokenizer> {
        if let Some(inner) = self.inner.get() {
            return Ok(inner);
        }
        let built = self.build()?;
        Ok(self.inner.get_or_init(|| built))
    }

    /// Builds the tokenizer, checked against the model's vocabulary.
    ///
    /// # Errors
    /// When no known file is there, one is damaged, or they belong to another model.
    fn build(&self) -> Result<tokenizers::Tokenizer> {
        let origin = &self.origin;
        let find = |name: &str| {
            self.files
                .iter()
                .find(|(file, _)| file == name)
                .map(|(_, bytes)| bytes.as_slice())
        };
        let fault = |file: &str, e: &dyn std::fmt::Display| {
            Error::Model(format!(
                "{origin}/{file}: not a tokenizer this program can read: {e}"
            ))
        };
        let mut inner = if let Some(json) = find("tokenizer.json") {
            tokenizers::Tokenizer::from_bytes(json).map_err(|e| fault("tokenizer.json", &e))?
        } else if let Some(vocabulary) = find("vocab.txt") {
            let text = std::str::from_utf8(vocabulary).map_err(|e| fault("vocab.txt", &e))?;
            word_piece(text, lower_case(find("tokenizer_config.json")))
                .map_err(|e| fault("vocab.txt", &e))?
        } else if let (Some(vocabulary), Some(merges)) = (find("vocab.json"), find("merges.txt")) {
            byte_level_bpe(vocabulary, merges).map_err(|e| fault("vocab.json + merges.txt", &e))?
        } else {
            return Err(Error::Model(format!(
                "{origin}: no tokenizer here: expected tokenizer.json, or vocab.txt, or vocab.json with merges.txt"
            )));
        };
        if self.takes_words {
            add_prefix_space(&mut inner).map_err(|e| fault("tokenizer", &e))?;
        }
        // The library would panic.
        check_length(&inner, self.max_length, false)?;
        let truncation = TruncationParams {
            max_length: self.max_length,
            ..Default::default()
        };
        inner
            .with_truncation(Some(truncation))
            .map_err(|e| fault("tokenizer", &e))?;
        inner.with_padding(None);
        let vocabulary = inner.get_vocab(true);
        let largest = vocabulary.values().copied().max().unwrap_or(0);
        check_vocabulary(self.vocabulary, largest, vocabulary.len(), origin)?;
        Ok(inner)
    }

    /// Tokenises examples (pairs become one sequence each), on all threads.
    ///
    /// # Errors
    /// When the tokenizer refuses a text, or the longest input is too short for these.
    pub fn encode(&self, examples: &[Example]) -> Result<Vec<EncodedExample>> {
        self.encode_rows(examples, 0)
    }

    /// As [`Tokenizer::encode`], of a part of the examples: `n_before` come before.
    pub fn encode_rows(
        &self,
        examples: &[Example],
        n_before: usize,
    ) -> Result<Vec<EncodedExample>> {
        let pairs = examples.iter().any(|example| example.pair.is_some());
        let inner = self.inner()?;
        check_length(inner, self.max_length, pairs)?;
        let inputs: Vec<tokenizers::EncodeInput<'_>> = examples
            .iter()
            .map(|example| match &example.pair {
                Some(pair) => (example.text.as_str(), pair.as_str()).into(),
                None => example.text.as_str().into(),
            })
            .collect();
        let text = |row: usize| examples[row].text.clone();
        let encodings = self.encode_all(inputs, n_before, text)?;
        Ok(encodings
            .iter()
            .zip(examples)
            .map(|(encoding, example)| {
                self.example(encoding, example.label.clone().map(Target::from))
            })
            .collect())
    }

    /// Tokenises sentences whose words are given (Hugging Face's `is_split_into_words`), on all threads; with each the word
    /// that its tokens belong to, counted from 0.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_words(
        &self,
        sentences: &[TaggedSentence],
    ) -> Result<Vec<(EncodedExample, Vec<Option<u32>>)>> {
        let inputs = sentences
            .iter()
            .map(|sentence| sentence.words.as_slice().into())
            .collect();
        let encodings = self.encode_all(inputs, 0, |row| sentences[row].words.join(" "))?;
        Ok(encodings
            .iter()
            .map(|encoding| {
                (
                    self.example(encoding, None),
                    encoding.get_word_ids().to_vec(),
                )
            })
            .collect())
    }

    /// Tokenises inputs, on all threads; `n_before` come before them, `text` tells what a message calls one of them.
    fn encode_all(
        &self,
        inputs: Vec<tokenizers::EncodeInput<'_>>,
        n_before: usize,
        text: impl Fn(usize) -> String,
    ) -> Result<Vec<tokenizers::Encoding>> {
        let encodings = self
            .inner()?
            .encode_batch(inputs, true)
            .map_err(|e| Error::Model(format!("{}: the tokenizer failed: {e}", self.origin)))?;
        if let Some(row) = encodings.iter().position(|encoding| encoding.is_empty()) {
            return Err(Error::Model(format!(
                "{}: the tokenizer makes no token of example {} (`{}`): expected special tokens around every text; \
                 use the model's own tokenizer.json, with its post_processor",
                self.origin,
                n_before + row + 1,
                text(row)
            )));
        }
        let largest_type = encodings
            .iter()
            .flat_map(|e| e.get_type_ids())
            .max()
            .copied();
        if self.architecture == Architecture::Bert && largest_type >= Some(self.token_types) {
            return Err(Error::Model(format!(
                "{}: the tokenizer gives token types up to {}, but config.json says type_vocab_size {}: this model takes \
                 single texts only, or the tokenizer belongs to another model",
                self.origin,
                largest_type.unwrap_or_default(),
                self.token_types
            )));
        }
        Ok(encodings)
    }

    fn example(&self, encoding: &tokenizers::Encoding, target: Option<Target>) -> EncodedExample {
        EncodedExample {
            input_ids: encoding.get_ids().to_vec(),
            token_type_ids: match self.architecture {
                Architecture::Bert => encoding.get_type_ids().to_vec(),
                // RoBERTa has one type; its fast tokenizer does not use the second.
                Architecture::Roberta => vec![0; encoding.len()],
            },
            target,
        }
    }

    /// Writes the tokenizer's files into a model directory; always a `tokenizer.json` among them.
    pub fn save(&self, directory: &Path) -> Result<()> {
        for (name, bytes) in &self.files {
            let path = directory.join(name);
            match self
                .takes_words
                .then(|| with_prefix_space(name, bytes, self.architecture))
            {
                Some(Some(changed)) => write_atomically(&path, &changed)?,
                _ => write_atomically(&path, bytes)?,
            }
        }
        if !self.files.iter().any(|(name, _)| name == "tokenizer.json") {
            let path = directory.join("tokenizer.json");
            let mut plain = self.inner()?.clone();
            let plain = plain
                .with_truncation(None)
                .map_err(|e| Error::Model(e.to_string()))?;
            let json = plain
                .to_string(true)
                .map_err(|e| Error::Model(e.to_string()))?;
            write_atomically(&path, json.as_bytes())?;
        }
        if !self
            .files
            .iter()
            .any(|(name, _)| name == "tokenizer_config.json")
        {
            let path = directory.join("tokenizer_config.json");
            let mut config = json!({"tokenizer_class": match self.architecture {
                Architecture::Bert => "BertTokenizer",
                Architecture::Roberta => "RobertaTokenizer",
            }});
            if let Some(lower_case) = lower_cases(self.inner()?) {
                config["do_lower_case"] = json!(lower_case);
            }
            if self.takes_words && self.architecture == Architecture::Roberta {
                config[PREFIX_SPACE] = json!(true);
            }
            write_atomically(&path, format!("{config:#}\n").as_bytes())?;
        }
        Ok(())
    }
}

/// BERT's `do_lower_case`, as the tokenizer's normaliser has it.
fn lower_cases(inner: &tokenizers::Tokenizer) -> Option<bool> {
    let normaliser = serde_json::to_value(inner.get_normalizer()?).ok()?;
    normaliser.get("lowercase").and_then(Value::as_bool)
}

/// The key of byte-level tokenizers that says whether a text begins as after a space.
const PREFIX_SPACE: &str = "add_prefix_space";

/// Makes a byte-level tokenizer take each word as after a space; others do so anyway.
fn add_prefix_space(
    inner: &mut tokenizers::Tokenizer,
) -> std::result::Result<(), serde_json::Error> {
    let Some(pre_tokenizer) = inner.get_pre_tokenizer() else {
        return Ok(());
    };
    let mut value = serde_json::to_value(pre_tokenizer)?;
    if set_prefix_space(&mut value) {
        let changed: tokenizers::PreTokenizerWrapper = serde_json::from_value(value)?;
        inner.with_pre_tokenizer(Some(changed));
    }
    Ok(())
}

/// Sets the key in a pre-tokenizer and those within it; whether there was one that has it.
fn set_prefix_space(value: &mut Value) -> bool {
    let Value::Object(map) = value else {
        return false;
    };
    let mut found = false;
    if let Some(has) = map.get_mut(PREFIX_SPACE) {
        *has = json!(true);
        found = true;
    }
    if let Some(Value::Array(parts)) = map.get_mut("pretokenizers") {
        for part in parts {
            found |= set_prefix_space(part);
        }
    }
    found
}

/// A tokenizer's file with what [`add_prefix_space`] does written down; `None` where it says nothing of it.
fn with_prefix_space(name: &str, bytes: &[u8], architecture: Architecture) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    let is_changed = match name {
        "tokenizer.json" => set_prefix_space(value.get_mut("pre_tokenizer")?),
        "tokenizer_config.json" if architecture == Architecture::Roberta => {
            value
                .as_object_mut()?
                .insert(PREFIX_SPACE.into(), json!(true));
            true
        }
        _ => false,
    };
    is_changed.then(|| format!("{value:#}\n").into_bytes())
}

/// Whether an input of `max_length` tokens has room for the special ones and a word.
fn check_length(inner: &tokenizers::Tokenizer, max_length: usize, pairs: bool) -> Result<()> {
    let special = inner
        .get_post_processor()
        .map_or(0, |processor| processor.added_tokens(pairs));
    if max_length > special {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "--max-length {max_length}: expected at least {}, because the tokenizer adds {special} special tokens to {}; \
         give a larger one",
        special + 1,
        if pairs { "a pair of texts" } else { "a text" }
    )))
}

/// `do_lower_case` of `tokenizer_config.json`; Hugging Face's default for BERT is true.
fn lower_case(config: Option<&[u8]>) -> bool {
    config
        .and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok())
        .and_then(|config| config.get("do_lower_case").and_then(Value::as_bool))
        .unwrap_or(true)
}

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// BERT's tokenizer from its vocabulary, one token a line (Hugging Face's `BertTokenizer`).
fn word_piece(
    text: &str,
    lower_case: bool,
) -> std::result::Result<tokenizers::Tokenizer, BoxedError> {
    let vocabulary: Vec<(String, u32)> = text
        .lines()
        .map(|line| line.trim_end_matches('\r').to_owned())
        .enumerate()
        .map(|(id, token)| (token, id as u32))
        .collect();
    let id = |token: &str| {
        let found = vocabulary.iter().find(|(entry, _)| entry == token);
        found
            .map(|&(_, id)| id)
            .ok_or_else(|| format!("the vocabulary has no {token}; is this BERT's vocab.txt?"))
    };
    let (cls, sep) = (id("[CLS]")?, id("[SEP]")?);
    id("[UNK]")?;
    let model = WordPiece::builder()
        .vocab(AHashMap::from_iter(vocabulary))
        .unk_token("[UNK]".into())
        .build()?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    let normaliser = BertNormalizer::new(true, true, None, lower_case);
    tokenizer.with_normalizer(Some(normaliser));
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(BertProcessing::new(
        ("[SEP]".into(), sep),
        ("[CLS]".into(), cls),
    )));
    let special: Vec<AddedToken> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        .into_iter()
        .filter(|token| tokenizer.token_to_id(token).is_some())
        .map(|token| AddedToken::from(token, true))
        .collect();
    tokenizer.add_special_tokens(&special);
    Ok(tokenizer)
}

/// RoBERTa's tokenizer from its two files (Hugging Face's `RobertaTokenizer`).
fn byte_level_bpe(
    vocabulary: &[u8],
    merges: &[u8],
) -> std::result::Result<tokenizers::Tokenizer, BoxedError> {
    let ids: std::collections::HashMap<String, u32> = serde_json::from_slice(vocabulary)?;
    let pairs: Vec<(String, String)> = std::str::from_utf8(merges)?
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.trim().is_empty())
        .map(|line| {
            let pair = line
                .split_once(' ')
                .ok_or_else(|| format!("merges.txt: expected two tokens, found `{line}`"))?;
            Ok::<_, BoxedError>((pair.0.to_owned(), pair.1.to_owned()))
        })
        .collect::<std::result::Result<_, _>>()?;
    let id = |token: &str| {
        ids.get(token)
            .copied()
            .ok_or_else(|| format!("vocab.json has no {token}; is this RoBERTa's tokenizer?"))
    };
    let (bos, eos) = (id("<s>")?, id("</s>")?);
    let model = BPE::builder()
        .vocab_and_merges(AHashMap::from_iter(ids.clone()), pairs)
        .build()?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    let processor = RobertaProcessing::new(("</s>".into(), eos), ("<s>".into(), bos))
        .trim_offsets(true)
        .add_prefix_space(false);
    tokenizer.with_post_processor(Some(processor));
    let special: Vec<AddedToken> = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        .into_iter()
        .filter(|token| tokenizer.token_to_id(token).is_some())
        .map(|token| AddedToken::from(token, true).lstrip(token == "<mask>"))
        .collect();
    tokenizer.add_special_tokens(&special);
    Ok(tokenizer)
}
