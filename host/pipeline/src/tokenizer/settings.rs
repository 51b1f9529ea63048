//! The settings in the files beside a vocabulary, each from the file that takes precedence. Called
//! when a tokenizer is built.
//!
//! The precedence is that of `PreTrainedTokenizerBase._from_pretrained` of transformers 5.24;
//! docs/tokenizers.md shows it as a table.

use super::added_tokens::{Named, Spec, special_texts};
use super::class::Class;
use super::fault::Fault;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The named special tokens of every tokenizer, in transformers' order.
const NAMES: &[&str] = &[
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(super) const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
pub(super) const ADDED_TOKENS: &str = "added_tokens.json";
pub(super) const TOKENIZER: &str = "tokenizer.json";

const EXTRA: &str = "extra_special_tokens";
const ADDITIONAL: &str = "additional_special_tokens";
const MODEL_SPECIFIC: &str = "model_specific_special_tokens";
const DECODER: &str = "added_tokens_decoder";
/// The key that marks an object as a token with flags.
const TYPE: &str = "__type";

/// The combined settings. Tokens with flags are objects with `__type`.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    values: Map<String, Value>,
    /// `added_tokens_decoder`: tokens by the id in the file, which determines only their order.
    pub decoder: BTreeMap<i64, Spec>,
}

/// The parsed files that contain settings.
pub(super) struct Sources<'a> {
    pub tokenizer_config: Map<String, Value>,
    pub special_tokens_map: Option<Map<String, Value>>,
    pub added_tokens: Option<Map<String, Value>>,
    pub tokenizer: Option<&'a Value>,
}

/// Parses a file as a JSON object.
///
/// # Errors
/// Fails if it is not one.
pub(super) fn object(file: &str, bytes: &[u8]) -> Result<Map<String, Value>, Fault> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Fault::unreadable(file, "expected a JSON object")),
        Err(e) => Err(Fault::unreadable(file, format!("not valid JSON: {e}"))),
    }
}

impl Settings {
    /// Combines the files; the task's `forced` settings override them.
    ///
    /// # Errors
    /// Fails if AutoTokenizer would reject a value.
    pub(super) fn resolve(sources: Sources<'_>, forced: &[(&str, Value)]) -> Result<Self, Fault> {
        let Sources {
            tokenizer_config: mut values,
            special_tokens_map,
            added_tokens,
            tokenizer,
        } = sources;
        values.shift_remove("tokenizer_class");
        for (key, value) in forced {
            values.insert((*key).to_owned(), value.clone());
        }
        if !values.get(EXTRA).is_some_and(is_truthy)
            && let Some(tokens) = values.shift_remove(ADDITIONAL)
        {
            values.insert(EXTRA.into(), tokens);
        }
        gather_model_specific(&mut values);
        let mut decoder = BTreeMap::new();
        if let Some(stated) = values.shift_remove(DECODER) {
            read_decoder(&stated, &mut decoder)?;
        } else {
            let map = special_tokens_map.unwrap_or_default();
            let special = special_texts((NAMES, EXTRA), &values, &map);
            merge_special_tokens_map(&mut values, map)?;
            if let Some(added) = added_tokens {
                read_added_tokens(&added, &special, &mut decoder)?;
            }
            if let Some(file) = tokenizer {
                for (id, spec) in serialized_tokens(file)? {
                    decoder.insert(id, spec);
                }
            }
        }
        let mut settings = Self { values, decoder };
        settings.name_decoded_tokens();
        Ok(settings)
    }

    /// Gives named tokens the flags of the added token with the same text.
    fn name_decoded_tokens(&mut self) {
        let specs: HashMap<&str, &Spec> = self
            .decoder
            .values()
            .map(|spec| (spec.content.as_str(), spec))
            .collect();
        for name in NAMES {
            let Some(value) = self.values.get(*name) else {
                continue;
            };
            if let Some(spec) = content_of(value).and_then(|content| specs.get(content.as_str())) {
                let value = to_value(spec);
                self.values.insert((*name).to_owned(), value);
            }
        }
    }

    /// Sets a value that no file contains.
    pub(super) fn set_default(&mut self, key: &str, value: Value) {
        self.values.entry(key).or_insert(value);
    }

    /// A boolean setting.
    ///
    /// # Errors
    /// Fails if the value has another type. As in transformers, null is an error.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, Fault> {
        match self.values.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong(key, other, "true or false")),
        }
    }

    /// A boolean setting that may be null.
    ///
    /// # Errors
    /// Fails like [`Settings::flag`].
    pub(super) fn optional_flag(&self, key: &str) -> Result<Option<bool>, Fault> {
        match self.values.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(wrong(key, other, "true, false or null")),
        }
    }

    /// Whether `truncation_side` or `padding_side` is left.
    ///
    /// # Errors
    /// Fails if it is neither left nor right.
    pub(super) fn is_left(&self, key: &str) -> Result<bool, Fault> {
        match self.values.get(key) {
            None => Ok(false),
            Some(Value::String(side)) if side == "right" => Ok(false),
            Some(Value::String(side)) if side == "left" => Ok(true),
            Some(other) => Err(wrong(key, other, "\"left\" or \"right\"")),
        }
    }

    /// Whether the model receives `token_type_ids`.
    ///
    /// # Errors
    /// Fails if `model_input_names` is not a list of names.
    pub(super) fn gives_types(&self, class: Class) -> Result<bool, Fault> {
        let key = "model_input_names";
        match self.values.get(key) {
            None => Ok(class.gives_types()),
            Some(Value::Array(names)) => Ok(names.iter().any(|name| name == "token_type_ids")),
            Some(other) => Err(wrong(key, other, "a list of names")),
        }
    }

    /// A special token by name; `None` if the files set it to null.
    ///
    /// # Errors
    /// Fails if it is neither a text nor a token with flags.
    pub(super) fn special(&self, name: &str, class: Class) -> Result<Option<Named>, Fault> {
        match self.values.get(name) {
            Some(value) => named(name, value),
            None => {
                let defaults = class.default_tokens();
                let default = defaults.iter().find(|(other, _)| *other == name);
                Ok(default.map(|(_, token)| Named::Text((*token).to_owned())))
            }
        }
    }

    /// All named special tokens in transformers' order, followed by the model's own.
    ///
    /// # Errors
    /// Fails like [`Settings::special`].
    pub(super) fn specials(&self, class: Class) -> Result<Vec<Named>, Fault> {
        let mut tokens = Vec::new();
        for name in NAMES {
            tokens.extend(self.special(name, class)?);
        }
        let mut further: Vec<(&str, &Value)> = self
            .values
            .iter()
            .filter(|(key, value)| is_further_name(key) && content_of(value).is_some())
            .map(|(key, value)| (key.as_str(), value))
            .collect();
        match self.values.get(MODEL_SPECIFIC) {
            None | Some(Value::Null) => {}
            Some(Value::Object(map)) => {
                for (key, value) in map {
                    match further.iter_mut().find(|(other, _)| other == key) {
                        Some(entry) => entry.1 = value,
                        None => further.push((key, value)),
                    }
                }
            }
            Some(other) => return Err(wrong(MODEL_SPECIFIC, other, "an object of tokens by name")),
        }
        for (key, value) in further {
            let token = named(key, value)?;
            tokens.push(token.ok_or_else(|| wrong(key, value, "a token"))?);
        }
        Ok(tokens)
    }

    /// `extra_special_tokens`, formerly `additional_special_tokens`.
    ///
    /// # Errors
    /// Fails if it is not a list of tokens.
    pub(super) fn extra(&self) -> Result<Vec<Named>, Fault> {
        let stated = self
            .values
            .get(EXTRA)
            .or_else(|| self.values.get(ADDITIONAL));
        match stated {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(tokens)) => tokens
                .iter()
                .map(|value| named(EXTRA, value)?.ok_or_else(|| wrong(EXTRA, value, "a token")))
                .collect(),
            Some(other) => Err(wrong(EXTRA, other, "a list of tokens")),
        }
    }
}

/// The added tokens in `tokenizer.json`, with their ids.
///
/// # Errors
/// Fails if there is no such list, or an entry is invalid.
pub(super) fn serialized_tokens(file: &Value) -> Result<Vec<(i64, Spec)>, Fault> {
    let tokens = file.get("added_tokens").and_then(Value::as_array);
    let tokens = tokens
        .ok_or_else(|| Fault::unreadable(TOKENIZER, "expected the key `added_tokens`, a list"))?;
    tokens
        .iter()
        .map(|token| {
            let map = token.as_object();
            let id = map.and_then(|map| map.get("id")).and_then(Value::as_i64);
            let (Some(map), Some(id)) = (map, id) else {
                return Err(Fault::unreadable(
                    TOKENIZER,
                    format!(
                        "`added_tokens` has {token}: expected an object with `id` and `content`"
                    ),
                ));
            };
            let spec = Spec::parse(map).map_err(|what| Fault::of(TOKENIZER, what))?;
            Ok((id, spec))
        })
        .collect()
}

/// `model_max_length` of `tokenizer_config.json`, or `max_len` in old files; `None` without a
/// limit.
///
/// # Errors
/// Fails if it is not a number of tokens.
pub(super) fn model_max_length(config: &Map<String, Value>) -> Result<Option<usize>, Fault> {
    let key = if config.contains_key("model_max_length") {
        "model_max_length"
    } else {
        "max_len"
    };
    match config.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(n)) => match n.as_f64() {
            Some(length) if length >= 1.0 => Ok(Some(length as usize)),
            _ => Err(wrong(key, &json!(n), "a number of tokens, 1 or more")),
        },
        Some(other) => Err(wrong(key, other, "a number of tokens, 1 or more")),
    }
}

/// Collects the tokens of this model only: keys like `image_token` with a text, and an object of
/// extra tokens.
fn gather_model_specific(values: &mut Map<String, Value>) {
    let mut found = Map::new();
    let keys: Vec<String> = values
        .iter()
        .filter(|(key, value)| is_further_name(key) && value.is_string())
        .map(|(key, _)| key.clone())
        .collect();
    for key in keys {
        if let Some(value) = values.shift_remove(&key) {
            found.insert(key, value);
        }
    }
    if values.get(EXTRA).is_some_and(Value::is_object)
        && let Some(Value::Object(extra)) = values.shift_remove(EXTRA)
    {
        found.extend(extra);
    }
    if !found.is_empty() {
        values.insert(MODEL_SPECIFIC.into(), Value::Object(found));
    }
}

fn is_further_name(key: &str) -> bool {
    key.ends_with("_token") && !NAMES.contains(&key)
}

fn read_decoder(stated: &Value, decoder: &mut BTreeMap<i64, Spec>) -> Result<(), Fault> {
    let entries = stated
        .as_object()
        .ok_or_else(|| wrong(DECODER, stated, "an object of tokens by id"))?;
    for (id, token) in entries {
        let number = id.trim().parse().map_err(|_| {
            Fault::of(
                TOKENIZER_CONFIG,
                format!("`{DECODER}` has the key {id:?}: expected an id"),
            )
        })?;
        let map = token
            .as_object()
            .ok_or_else(|| wrong(DECODER, token, "an object with `content` for each id"))?;
        let spec = Spec::parse(map).map_err(|what| Fault::of(TOKENIZER_CONFIG, what))?;
        decoder.insert(number, spec);
    }
    Ok(())
}

/// Merges `special_tokens_map.json` over `tokenizer_config.json`, unless the latter has
/// `added_tokens_decoder`.
fn merge_special_tokens_map(
    values: &mut Map<String, Value>,
    map: Map<String, Value>,
) -> Result<(), Fault> {
    for (key, value) in map {
        let value = match value {
            Value::Object(flags) if key != EXTRA => to_value(&special_spec(&flags)?),
            Value::Array(tokens) if key == EXTRA => {
                let mut all = match values.get(EXTRA) {
                    Some(Value::Array(earlier)) => earlier.clone(),
                    _ => Vec::new(),
                };
                let mut known: HashSet<Value> = all.iter().cloned().collect();
                for token in tokens {
                    let token = match &token {
                        Value::Object(flags) => to_value(&special_spec(flags)?),
                        _ => token,
                    };
                    if known.insert(token.clone()) {
                        all.push(token);
                    }
                }
                Value::Array(all)
            }
            other => other,
        };
        values.insert(key, value);
    }
    if values.get(EXTRA).is_some_and(Value::is_object)
        && let Some(Value::Object(extra)) = values.shift_remove(EXTRA)
    {
        let specific = values
            .entry(MODEL_SPECIFIC)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(specific) = specific {
            specific.extend(extra);
        }
    }
    Ok(())
}

fn special_spec(flags: &Map<String, Value>) -> Result<Spec, Fault> {
    let mut flags = flags.clone();
    flags.insert("special".into(), Value::Bool(true));
    Spec::parse(&flags).map_err(|what| Fault::of(SPECIAL_TOKENS_MAP, what))
}

/// Merges `added_tokens.json`. A token there that is not `special` is an ordinary word, so it is
/// matched after normalisation.
fn read_added_tokens(
    added: &Map<String, Value>,
    special: &BTreeSet<String>,
    decoder: &mut BTreeMap<i64, Spec>,
) -> Result<(), Fault> {
    for (content, id) in added {
        let id = id.as_i64().ok_or_else(|| {
            Fault::of(
                ADDED_TOKENS,
                format!("the token {content:?} has {id}: expected its id"),
            )
        })?;
        let is_special = special.contains(content);
        let spec = Spec {
            content: content.clone(),
            single_word: None,
            lstrip: Some(false),
            rstrip: Some(false),
            normalized: Some(!is_special),
            special: is_special,
        };
        decoder.insert(id, spec);
    }
    Ok(())
}

/// Parses a special token; `None` for null.
fn named(key: &str, value: &Value) -> Result<Option<Named>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(Named::Text(text.clone()))),
        Value::Object(map) if map.get(TYPE).is_some_and(|kind| kind == "AddedToken") => {
            let spec = Spec::parse(map).map_err(|what| Fault::new(format!("`{key}`: {what}")))?;
            Ok(Some(Named::Token(spec)))
        }
        other => Err(wrong(
            key,
            other,
            "a text, or an object with `\"__type\": \"AddedToken\"`, which is what AutoTokenizer takes",
        )),
    }
}

/// The text of a token in any of its forms.
fn content_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(map) if map.contains_key(TYPE) => map
            .get("content")
            .and_then(Value::as_str)
            .map(str::to_owned),
        _ => None,
    }
}

fn to_value(spec: &Spec) -> Value {
    let mut map = Map::new();
    map.insert(TYPE.into(), json!("AddedToken"));
    map.insert("content".into(), json!(spec.content));
    for (key, flag) in [
        ("single_word", spec.single_word),
        ("lstrip", spec.lstrip),
        ("rstrip", spec.rstrip),
        ("normalized", spec.normalized),
        ("special", Some(spec.special)),
    ] {
        if let Some(flag) = flag {
            map.insert(key.into(), json!(flag));
        }
    }
    Value::Object(map)
}

/// Python's truth value of a JSON value.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn wrong(key: &str, found: &Value, expected: &str) -> Fault {
    let mut found = found.to_string();
    if found.chars().count() > 80 {
        found = found.chars().take(79).chain(['…']).collect();
    }
    Fault::of(
        TOKENIZER_CONFIG,
        format!("`{key}` is {found}: expected {expected}"),
    )
}
