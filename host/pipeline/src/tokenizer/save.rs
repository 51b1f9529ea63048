//! Saves a tokenizer's files beside a run's result, so that AutoTokenizer and progtune read the
//! same tokenizer from them. Called by `export`, `merge` and the saving of adapters.

use super::Tokenizer;
use super::build::Built;
use super::byte_level::PREFIX_SPACE;
use super::class::Class;
use super::settings::{TOKENIZER, TOKENIZER_CONFIG};
use progtune_engine::{Result, model::Architecture};
use progtune_process::files::write_atomically;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::Path;
use tokenizers::ModelWrapper;

impl Tokenizer {
    /// Writes the tokenizer's files into a model directory, always including `tokenizer.json` and
    /// `tokenizer_config.json`. Both describe the actual tokenizer, even if the original files
    /// contradict each other.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let built = self.built()?;
        for (name, bytes) in &self.files {
            if name != TOKENIZER && name != TOKENIZER_CONFIG {
                write_atomically(&directory.join(name), bytes)?;
            }
        }
        let given = self.file(TOKENIZER);
        let rewritten = self.rewritten(built, given)?;
        self.write(directory, TOKENIZER, given, rewritten)?;
        let given = self.file(TOKENIZER_CONFIG);
        let config = self.rewritten_config(built, given);
        self.write(directory, TOKENIZER_CONFIG, given, config)
    }

    fn file(&self, name: &str) -> Option<&[u8]> {
        let found = self.files.iter().find(|(file, _)| file == name);
        found.map(|(_, bytes)| bytes.as_slice())
    }

    /// Writes a file; its bytes stay the same if its values do.
    fn write(&self, directory: &Path, name: &str, given: Option<&[u8]>, now: Value) -> Result<()> {
        let path = directory.join(name);
        match given {
            Some(bytes) if serde_json::from_slice::<Value>(bytes).is_ok_and(|was| was == now) => {
                Ok(write_atomically(&path, bytes)?)
            }
            _ => Ok(write_atomically(&path, format!("{now:#}\n").as_bytes())?),
        }
    }

    /// The `tokenizer.json` of the tokenizer as built.
    fn rewritten(&self, built: &Built, given: Option<&[u8]>) -> Result<Value> {
        let read = given.and_then(|bytes| serde_json::from_slice(bytes).ok());
        match (built.class, read) {
            (Class::Serialized, Some(value)) => Ok(value),
            (_, read) => self.patched(built, read).map_err(|e| self.failure(&e)),
        }
    }

    /// Replaces the parts of the file that the class rebuilds.
    fn patched(&self, built: &Built, read: Option<Value>) -> serde_json::Result<Value> {
        let mut map = match read {
            Some(Value::Object(map)) if built.class != Class::JapaneseBasic => map,
            _ => Map::new(),
        };
        let inner = &built.inner;
        let defaults = [
            ("version", json!("1.0")),
            ("truncation", Value::Null),
            ("padding", Value::Null),
        ];
        for (key, value) in defaults {
            map.entry(key).or_insert(value);
        }
        let mut tokens: Vec<_> = inner.get_added_tokens_decoder().into_iter().collect();
        tokens.sort_by_key(|(id, _)| *id);
        let tokens: Vec<Value> = tokens
            .iter()
            .map(|(id, token)| {
                json!({
                    "id": id, "content": token.content, "single_word": token.single_word, "lstrip": token.lstrip,
                    "rstrip": token.rstrip, "normalized": token.normalized, "special": token.special,
                })
            })
            .collect();
        map.insert("added_tokens".into(), Value::Array(tokens));
        for (key, part) in [
            ("normalizer", part(inner.get_normalizer())?),
            ("pre_tokenizer", part(inner.get_pre_tokenizer())?),
            ("post_processor", part(inner.get_post_processor())?),
        ] {
            map.insert(key.into(), part);
        }
        if !map.contains_key("decoder") {
            map.insert("decoder".into(), part(inner.get_decoder())?);
        }
        let model = match map.shift_remove("model") {
            Some(Value::Object(model)) => model,
            _ => Map::new(),
        };
        map.insert("model".into(), Value::Object(self.model(built, model)));
        Ok(Value::Object(map))
    }

    /// The model part, with the vocabulary even if the original files had it elsewhere. The library
    /// is not used for this, because it prints to standard output if ids have no token.
    fn model(&self, built: &Built, mut model: Map<String, Value>) -> Map<String, Value> {
        let settings: &[(&str, Value)] = match built.inner.get_model() {
            ModelWrapper::WordPiece(word_piece) => &[
                ("type", json!("WordPiece")),
                ("unk_token", json!(word_piece.unk_token)),
                (
                    "continuing_subword_prefix",
                    json!(word_piece.continuing_subword_prefix),
                ),
                (
                    "max_input_chars_per_word",
                    json!(word_piece.max_input_chars_per_word),
                ),
            ],
            ModelWrapper::BPE(_) => &[
                ("type", json!("BPE")),
                ("dropout", Value::Null),
                ("unk_token", Value::Null),
                ("fuse_unk", json!(false)),
                ("byte_fallback", json!(false)),
                ("ignore_merges", json!(false)),
            ],
            ModelWrapper::Unigram(_) => &[
                ("type", json!("Unigram")),
                ("unk_id", json!(3)),
                ("byte_fallback", json!(false)),
            ],
            ModelWrapper::WordLevel(_) => &[],
        };
        for (key, value) in settings {
            model.insert((*key).to_owned(), value.clone());
        }
        if matches!(built.inner.get_model(), ModelWrapper::BPE(_)) {
            for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
                // An empty value means the same as none.
                let is_empty = model.get(key).is_some_and(|value| value == "");
                if !is_empty {
                    model.insert(key.into(), Value::Null);
                }
            }
        }
        if !model.contains_key("vocab") {
            let mut ids: Vec<_> = built.inner.get_vocab(false).into_iter().collect();
            ids.sort_by(|(a, n), (b, m)| n.cmp(m).then_with(|| a.cmp(b)));
            self.warn_of_holes(&ids);
            let ids: Map<String, Value> = ids.into_iter().map(|(t, id)| (t, json!(id))).collect();
            model.insert("vocab".into(), Value::Object(ids));
            if let Some(merges) = self
                .file("merges.txt")
                .filter(|_| built.class == Class::Roberta)
            {
                let pairs = super::byte_level::merges(merges).unwrap_or_default();
                model.insert("merges".into(), json!(pairs));
            }
        }
        model
    }

    /// Warns of ids without a token, which indicate a damaged vocabulary; the library would print
    /// this to standard output.
    fn warn_of_holes(&self, ids: &[(String, u32)]) {
        let end = ids.last().map_or(0, |&(_, id)| u64::from(id) + 1);
        let mut taken: Vec<u32> = ids.iter().map(|&(_, id)| id).collect();
        taken.dedup();
        let n_missing = end - taken.len() as u64;
        if n_missing > 0 {
            let first = taken.iter().zip(0..).find(|&(&id, at)| id != at);
            let first = first.map_or(0, |(_, at)| at);
            tracing::warn!(
                "{}: {n_missing} ids of the tokenizer's vocabulary have no token (the first is {first}); lines of its file may \
                 be repeated or missing",
                self.origin
            );
        }
    }

    /// `tokenizer_config.json` with the values that differ from it.
    fn rewritten_config(&self, built: &Built, given: Option<&[u8]>) -> Value {
        let read = given.and_then(|bytes| serde_json::from_slice(bytes).ok());
        let is_new = read.is_none();
        let mut config: Map<String, Value> = read.unwrap_or_default();
        if config.get("tokenizer_class").is_none_or(Value::is_null) {
            config.insert("tokenizer_class".into(), json!(built.class.name()));
        }
        if is_new
            && matches!(built.class, Class::Bert | Class::DistilBert)
            && let Some(lower_case) = lower_cases(&built.inner)
        {
            config.insert("do_lower_case".into(), json!(lower_case));
        }
        if self.takes_words
            && self.architecture == Architecture::Roberta
            && matches!(built.class, Class::Roberta | Class::XlmRoberta)
        {
            config.insert(PREFIX_SPACE.into(), json!(true));
        }
        Value::Object(config)
    }
}

/// A part of the tokenizer as JSON.
fn part(part: Option<&impl Serialize>) -> serde_json::Result<Value> {
    part.map_or(Ok(Value::Null), serde_json::to_value)
}

/// BERT's `do_lower_case`, taken from the tokenizer's normaliser.
fn lower_cases(inner: &tokenizers::Tokenizer) -> Option<bool> {
    let normaliser = serde_json::to_value(inner.get_normalizer()?).ok()?;
    normaliser.get("lowercase").and_then(Value::as_bool)
}
