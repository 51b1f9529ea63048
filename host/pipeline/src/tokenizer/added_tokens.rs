//! Added and special tokens: their order, flags and ids. Called when a tokenizer is built.
//!
//! The tokens are collected as by `TokenizersBackend.__init__` of transformers 5.24. As in
//! `AddedVocabulary` of tokenizers 0.23.3, the last flags given for a token count. The Rust library
//! partly keeps the first ones, so each token is added only once.

use super::fault::Fault;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use tokenizers::{AddedToken, Model, NormalizedString, Normalizer};

/// An `AddedToken` as a file gives it; `None` stands for a missing flag.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Spec {
    pub content: String,
    pub single_word: Option<bool>,
    pub lstrip: Option<bool>,
    pub rstrip: Option<bool>,
    pub normalized: Option<bool>,
    pub special: bool,
}

/// A named or extra special token: a text, or a token with flags.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Named {
    Text(String),
    Token(Spec),
}

impl Spec {
    /// Parses a JSON object with Hugging Face's keys.
    ///
    /// # Errors
    /// Fails if a value has the wrong type.
    pub(super) fn parse(map: &Map<String, Value>) -> Result<Self, String> {
        let content = match map.get("content") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(content)) => content.clone(),
            Some(other) => return Err(format!("`content` is {other}: expected a text")),
        };
        let flag = |key: &str| match map.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(format!(
                "`{key}` of the token {content:?} is {other}: expected true or false"
            )),
        };
        Ok(Self {
            single_word: flag("single_word")?,
            lstrip: flag("lstrip")?,
            rstrip: flag("rstrip")?,
            normalized: flag("normalized")?,
            special: flag("special")?.unwrap_or(false),
            content,
        })
    }

    /// A special token without explicit flags.
    fn special(content: &str) -> Self {
        Self {
            content: content.to_owned(),
            single_word: None,
            lstrip: None,
            rstrip: None,
            normalized: None,
            special: true,
        }
    }

    /// Converts to the library's token.
    pub(super) fn build(&self) -> AddedToken {
        AddedToken::from(self.content.clone(), self.special)
            .single_word(self.single_word.unwrap_or(false))
            .lstrip(self.lstrip.unwrap_or(false))
            .rstrip(self.rstrip.unwrap_or(false))
            .normalized(self.normalized.unwrap_or(!self.special))
    }
}

impl Named {
    pub(super) fn content(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Token(spec) => &spec.content,
        }
    }
}

/// The texts of special tokens that AutoTokenizer knows when it reads `added_tokens.json`. A token
/// with flags in `tokenizer_config.json` is not known by its text yet, but one in
/// `special_tokens_map.json` is. Named tokens are stored under the keys `names`, further ones in
/// the list `extra`.
pub(super) fn special_texts(
    (names, extra): (&[&str], &str),
    config: &Map<String, Value>,
    map: &Map<String, Value>,
) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let of_map = |value: &Value| match value {
        Value::Object(flags) => flags.get("content").and_then(text),
        value => text(value),
    };
    let of_name = |name: &&str| match map.get(*name) {
        Some(value) => of_map(value),
        None => config.get(*name).and_then(text),
    };
    let list = |values: &Map<String, Value>| match values.get(extra) {
        Some(Value::Array(tokens)) => tokens.clone(),
        _ => Vec::new(),
    };
    let mut texts: BTreeSet<String> = names.iter().filter_map(of_name).collect();
    if map.get(extra).is_none_or(Value::is_array) {
        texts.extend(list(config).iter().filter_map(text));
        texts.extend(list(map).iter().filter_map(of_map));
    }
    texts
}

/// The tokens that the settings add. Those of `added_tokens_decoder` come first, in the order of
/// their ids, followed by named and extra special tokens that are not among them. `present`
/// contains the tokens that the tokenizer already has.
pub(super) fn to_add(
    present: &HashSet<String>,
    decoder: &BTreeMap<i64, Spec>,
    named: &[Named],
    extra: &[Named],
) -> Vec<AddedToken> {
    let mut tokens: Vec<Named> = decoder.values().cloned().map(Named::Token).collect();
    let mut known = present.clone();
    known.extend(decoder.values().map(|spec| spec.content.clone()));
    let mut seen: HashSet<&Named> = HashSet::new();
    for token in named.iter().chain(extra) {
        if !known.contains(token.content()) && seen.insert(token) {
            tokens.push(token.clone());
        }
    }
    let names: HashSet<&str> = named.iter().map(Named::content).collect();
    tokens
        .into_iter()
        .map(|token| match token {
            Named::Text(text) => Spec::special(&text).build(),
            Named::Token(mut spec) => {
                spec.special |= names.contains(spec.content.as_str());
                spec.build()
            }
        })
        .collect()
}

/// Adds tokens in batches, each with the last flags given for it.
///
/// # Errors
/// Fails if two tokens are equal after normalisation, because tokenizers then chooses one at
/// random, or if a token becomes empty.
pub(super) fn install(
    tokenizer: &mut tokenizers::Tokenizer,
    batches: &[Vec<AddedToken>],
) -> Result<(), Fault> {
    let mut last: HashMap<&str, AddedToken> = HashMap::new();
    for token in batches.iter().flatten() {
        let was_special = last
            .get(token.content.as_str())
            .is_some_and(|earlier| earlier.special);
        let mut token_now = token.clone();
        // A token that was special once is kept whole or split like the special ones
        // (`split_special_tokens`).
        token_now.special |= was_special;
        last.insert(&token.content, token_now);
    }
    let mut done: HashSet<&str> = HashSet::new();
    for batch in batches {
        let mut fresh = Vec::new();
        for token in batch {
            if !token.content.is_empty() && done.insert(&token.content) {
                fresh.push(last[token.content.as_str()].clone());
            }
        }
        if !fresh.is_empty() {
            tokenizer.add_tokens(&fresh);
        }
    }
    check_patterns(tokenizer, last.values())
}

/// Checks that a token placed around every text is in the vocabulary or added by a file.
/// AutoTokenizer would give it the next free id, which belongs to another token's embedding or to
/// none.
///
/// # Errors
/// Fails if it is in neither.
pub(super) fn check_known(
    tokenizer: &tokenizers::Tokenizer,
    decoder: &BTreeMap<i64, Spec>,
    name: &str,
    content: &str,
) -> Result<(), Fault> {
    let is_known = content.is_empty()
        || tokenizer.get_model().token_to_id(content).is_some()
        || decoder.values().any(|spec| spec.content == content);
    if is_known {
        return Ok(());
    }
    Err(Fault::new(format!(
        "the vocabulary (tokenizer.json, vocab.txt or vocab.json) has no {content}, which is the `{name}` around every text; \
         use the vocabulary that the model was trained with, or set `{name}` in tokenizer_config.json to its token"
    )))
}

fn check_patterns<'a>(
    tokenizer: &tokenizers::Tokenizer,
    tokens: impl Iterator<Item = &'a AddedToken>,
) -> Result<(), Fault> {
    let mut patterns: HashMap<String, &str> = HashMap::new();
    for token in tokens.filter(|token| token.normalized && !token.content.is_empty()) {
        let mut pattern = NormalizedString::from(token.content.as_str());
        if let Some(normaliser) = tokenizer.get_normalizer() {
            normaliser
                .normalize(&mut pattern)
                .map_err(|e| Fault::new(e.to_string()))?;
        }
        let advice = "remove it, or set its `normalized` to false";
        if pattern.get().is_empty() {
            return Err(Fault::new(format!(
                "the added token {:?} is empty after normalisation, so it would match everywhere; {advice}",
                token.content
            )));
        }
        if let Some(other) = patterns.insert(pattern.get().to_owned(), &token.content) {
            return Err(Fault::new(format!(
                "the added tokens {:?} and {other:?} are equal after normalisation, and AutoTokenizer chooses one of them at \
                 random; {advice}",
                token.content
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(value: Value) -> Spec {
        Spec::parse(value.as_object().unwrap()).unwrap()
    }

    /// `BertTokenizer` of transformers 5.24 finds the mask token "é" in "uber" if
    /// `tokenizer_config.json` gives it with flags.
    #[test]
    fn texts_of_special_tokens_are_known_but_for_those_with_flags() {
        let config = json!({
            "mask_token": {"__type": "AddedToken", "content": "é"}, "cls_token": "[CLS]", "sep_token": "[SEP]",
            "extra": ["[A]", {"__type": "AddedToken", "content": "[B]"}],
        });
        let map = json!({"sep_token": {"content": "</s>"}, "extra": [{"content": "[C]"}]});
        let names: &[&str] = &["cls_token", "sep_token", "mask_token"];
        let object = |value: Value| value.as_object().unwrap().clone();
        let texts = special_texts((names, "extra"), &object(config), &object(map));
        let expected = ["[CLS]", "</s>", "[A]", "[C]"].map(str::to_owned);
        assert_eq!(texts, BTreeSet::from(expected));
    }

    /// The order and flags that `BertTokenizer` of transformers 5.24 assigns.
    #[test]
    fn tokens_come_by_id_then_by_name() {
        let decoder = BTreeMap::from([
            (9, spec(json!({"content": "[B]", "normalized": true}))),
            (
                7,
                spec(json!({"content": "[A]", "special": true, "lstrip": true})),
            ),
        ]);
        let named = [
            Named::Text("[B]".into()),
            Named::Text("[C]".into()),
            Named::Text("[C]".into()),
        ];
        let extra = [Named::Token(spec(json!({"content": "[D]"})))];
        let tokens = to_add(
            &HashSet::from(["[C]x".to_owned()]),
            &decoder,
            &named,
            &extra,
        );
        let flags: Vec<_> = tokens
            .iter()
            .map(|t| (t.content.as_str(), t.special, t.normalized, t.lstrip))
            .collect();
        assert_eq!(
            flags,
            [
                ("[A]", true, false, true),
                ("[B]", true, true, false),
                ("[C]", true, false, false),
                ("[D]", false, true, false),
            ]
        );
    }

    #[test]
    fn flags_of_the_wrong_type_are_named() {
        let wrong = json!({"content": "[A]", "lstrip": "yes"});
        let error = Spec::parse(wrong.as_object().unwrap()).unwrap_err();
        assert_eq!(
            error,
            r#"`lstrip` of the token "[A]" is "yes": expected true or false"#
        );
    }
}
