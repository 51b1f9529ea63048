//! `tokenizer.json`, either as a complete tokenizer or as the vocabulary for a class that rebuilds
//! one. Called when a tokenizer is built.

use super::fault::Fault;
use super::settings::TOKENIZER;
use serde_json::{Map, Value, json};
use tokenizers::TruncationDirection;

/// The parsed file.
pub(super) struct Serialized {
    pub value: Value,
}

/// The file's truncation and padding sides. They are only defaults for settings; they do not
/// truncate or pad anything.
pub(super) struct Sides {
    /// `truncation_side`.
    pub truncation: Option<&'static str>,
    /// `padding_side` and `pad_token`.
    pub padding: Option<(String, String)>,
}

impl Serialized {
    /// Parses the file.
    ///
    /// # Errors
    /// Fails if it is not JSON.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let value = serde_json::from_slice(bytes).map_err(|e| Fault::unreadable(TOKENIZER, e))?;
        Ok(Self { value })
    }

    /// The tokenizer in the file, without its added tokens.
    ///
    /// # Errors
    /// Fails if the library rejects it.
    pub(super) fn whole(&self) -> Result<tokenizers::Tokenizer, Fault> {
        let mut value = self.value.clone();
        if let Some(map) = value.as_object_mut() {
            map.insert("added_tokens".into(), json!([]));
        }
        from_value(value)
    }

    /// The same without a vocabulary, for a class that uses only the vocabulary. The rest of the
    /// file must still be valid.
    ///
    /// # Errors
    /// Fails like [`Serialized::whole`].
    pub(super) fn frame(&self) -> Result<tokenizers::Tokenizer, Fault> {
        let kind = self.model().and_then(|model| model.get("type"));
        if kind.is_none_or(|kind| kind == "Unigram") {
            return self.whole();
        }
        let is_bpe = kind.is_some_and(|kind| kind == "BPE");
        let mut value = self.value.clone();
        if let Some(model) = value.get_mut("model").and_then(Value::as_object_mut) {
            model.insert("vocab".into(), json!({}));
            if is_bpe {
                model.insert("merges".into(), json!([]));
            }
        }
        if let Some(map) = value.as_object_mut() {
            map.insert("added_tokens".into(), json!([]));
        }
        from_value(value)
    }

    fn model(&self) -> Option<&Map<String, Value>> {
        self.value.get("model").and_then(Value::as_object)
    }

    /// The vocabulary with an id for each token; in a list the ids count from 0.
    ///
    /// # Errors
    /// Fails if there is none, or an id is not a number.
    pub(super) fn vocabulary(&self) -> Result<Vec<(String, u32)>, Fault> {
        let fault = |what: &str| Fault::unreadable(TOKENIZER, format!("`model.vocab` has {what}"));
        match self.model().and_then(|model| model.get("vocab")) {
            Some(Value::Object(ids)) => ids
                .iter()
                .map(|(token, id)| {
                    let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
                    let number =
                        number.ok_or_else(|| fault(&format!("the id {id} for {token:?}")))?;
                    Ok((token.clone(), number))
                })
                .collect(),
            Some(Value::Array(tokens)) => tokens
                .iter()
                .zip(0..)
                .map(|(entry, id)| {
                    let token = match entry {
                        Value::Array(pair) => pair.first().and_then(Value::as_str),
                        other => other.as_str(),
                    };
                    let token = token.ok_or_else(|| fault(&format!("the entry {entry}")))?;
                    Ok((token.to_owned(), id))
                })
                .collect(),
            _ => Err(fault("no tokens: expected an object of ids by token")),
        }
    }

    /// The merges of a BPE model; empty if the model has none.
    ///
    /// # Errors
    /// Fails if an entry is not a pair.
    pub(super) fn merges(&self) -> Result<Vec<(String, String)>, Fault> {
        let Some(merges) = self.model().and_then(|model| model.get("merges")) else {
            return Ok(Vec::new());
        };
        let fault = |entry: &Value| {
            Fault::unreadable(
                TOKENIZER,
                format!("`model.merges` has {entry}: expected two tokens"),
            )
        };
        let list = merges.as_array().ok_or_else(|| fault(merges))?;
        list.iter()
            .map(|entry| {
                let parts: Option<Vec<&str>> = match entry {
                    Value::String(text) => Some(text.split(' ').collect()),
                    Value::Array(parts) => parts.iter().map(Value::as_str).collect(),
                    _ => None,
                };
                match parts.as_deref() {
                    Some([first, second]) => Ok(((*first).to_owned(), (*second).to_owned())),
                    _ => Err(fault(entry)),
                }
            })
            .collect()
    }

    /// The pieces and scores of a Unigram model.
    ///
    /// # Errors
    /// Fails if the model has another type.
    pub(super) fn pieces(&self) -> Result<Vec<(String, f64)>, Fault> {
        let fault = || {
            Fault::unreadable(
                TOKENIZER,
                "`model.vocab` is not a list of pieces with scores, which XLMRobertaTokenizer needs",
            )
        };
        let list = self.model().and_then(|model| model.get("vocab"));
        let list = list.and_then(Value::as_array).ok_or_else(fault)?;
        list.iter()
            .map(|entry| match entry.as_array().map(Vec::as_slice) {
                Some([Value::String(piece), Value::Number(score)]) => {
                    Ok((piece.clone(), score.as_f64().unwrap_or_default()))
                }
                _ => Err(fault()),
            })
            .collect()
    }

    /// SentencePiece's character map among the normalisers, if there is one.
    pub(super) fn precompiled(&self) -> Option<&Value> {
        let normaliser = self.value.get("normalizer")?;
        let parts = match normaliser.get("type").and_then(Value::as_str) {
            Some("Sequence") => normaliser.get("normalizers")?.as_array()?.as_slice(),
            _ => std::slice::from_ref(normaliser),
        };
        parts.iter().find(|part| {
            part.get("type").is_some_and(|kind| kind == "Precompiled")
                && part.get("precompiled_charsmap").is_some()
        })
    }
}

fn from_value(value: Value) -> Result<tokenizers::Tokenizer, Fault> {
    let text = value.to_string();
    tokenizers::Tokenizer::from_bytes(text.as_bytes()).map_err(|e| Fault::unreadable(TOKENIZER, e))
}

/// The truncation and padding sides of the parsed file.
pub(super) fn sides(frame: &tokenizers::Tokenizer) -> Sides {
    Sides {
        truncation: frame.get_truncation().map(|cut| match cut.direction {
            TruncationDirection::Left => "left",
            TruncationDirection::Right => "right",
        }),
        padding: frame.get_padding().map(|padding| {
            let side = padding.direction.as_ref();
            (side.to_owned(), padding.pad_token.clone())
        }),
    }
}
