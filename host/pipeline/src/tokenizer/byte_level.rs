//! RoBERTa's byte-level BPE, rebuilt from a vocabulary, merges and the settings (`RobertaTokenizer`
//! of transformers 5.24). Called when a tokenizer is built.

use super::added_tokens::{Named, check_known};
use super::class::Class;
use super::fault::Fault;
use super::settings::Settings;
use ahash::AHashMap;
use serde_json::Value;
use tokenizers::{
    models::bpe::BPE, pre_tokenizers::byte_level::ByteLevel, processors::roberta::RobertaProcessing,
};

/// The key that decides whether a text is treated as if it followed a space.
pub(super) const PREFIX_SPACE: &str = "add_prefix_space";

/// Parses `vocab.json`, an object of ids by token. Like tokenizers, it skips values that are not
/// numbers.
///
/// # Errors
/// Fails if this is not a JSON object, or an id is negative or fractional.
pub(super) fn vocabulary(bytes: &[u8]) -> Result<Vec<(String, u32)>, Fault> {
    let fault = |why: String| Fault::unreadable("vocab.json", why);
    let value: Value = serde_json::from_slice(bytes).map_err(|e| fault(e.to_string()))?;
    let Value::Object(ids) = value else {
        return Err(fault("expected an object of ids by token".into()));
    };
    ids.into_iter()
        .filter_map(|(token, id)| match id {
            Value::Number(number) => Some((token, number)),
            _ => None,
        })
        .map(|(token, number)| match number.as_u64() {
            Some(id) => Ok((token, id as u32)),
            None => Err(fault(format!("the token {token:?} has the id {number}"))),
        })
        .collect()
}

/// Parses `merges.txt`: two tokens per line, separated by a space, after lines that begin with
/// `#version`.
///
/// # Errors
/// Fails if a line has a different number of tokens.
pub(super) fn merges(bytes: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    let fault = |why: String| Fault::unreadable("merges.txt", why);
    let text = std::str::from_utf8(bytes).map_err(|e| fault(e.to_string()))?;
    text.lines()
        .zip(1..)
        .filter(|(line, _)| !line.starts_with("#version"))
        .map(|(line, number)| {
            let parts: Vec<&str> = line.split(' ').collect();
            match parts.as_slice() {
                [first, second] => Ok(((*first).to_owned(), (*second).to_owned())),
                _ => Err(fault(format!(
                    "line {number}: expected two tokens, found `{}`",
                    line.escape_debug()
                ))),
            }
        })
        .collect()
}

/// Builds the tokenizer without added tokens and without the special tokens around texts.
///
/// # Errors
/// Fails if a merge contains a token that is not in the vocabulary, or a setting has the wrong
/// type.
pub(super) fn build(
    vocabulary: Vec<(String, u32)>,
    merges: Vec<(String, String)>,
    settings: &Settings,
) -> Result<tokenizers::Tokenizer, Fault> {
    let model = BPE::builder()
        .vocab_and_merges(AHashMap::from_iter(vocabulary), merges)
        .build()
        .map_err(|e| {
            Fault::new(format!(
                "the merges do not match the vocabulary: {e}; use the two files of one tokenizer"
            ))
        })?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    let prefix = settings.flag(PREFIX_SPACE, false)?;
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(prefix, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    Ok(tokenizer)
}

/// Puts `<s>` and `</s>`, whatever their names, around texts.
///
/// # Errors
/// Fails if one of them is null, or a setting has the wrong type.
pub(super) fn frame_texts(
    tokenizer: &mut tokenizers::Tokenizer,
    settings: &Settings,
    class: Class,
) -> Result<(), Fault> {
    let sep = with_id(tokenizer, settings, class, "sep_token")?;
    let cls = with_id(tokenizer, settings, class, "cls_token")?;
    let processor = RobertaProcessing::new(sep, cls)
        .trim_offsets(settings.flag("trim_offsets", true)?)
        .add_prefix_space(settings.flag(PREFIX_SPACE, false)?);
    tokenizer.with_post_processor(Some(processor));
    Ok(())
}

/// A required special token with its id.
///
/// # Errors
/// Fails if the files set it to null.
pub(super) fn with_id(
    tokenizer: &tokenizers::Tokenizer,
    settings: &Settings,
    class: Class,
    name: &str,
) -> Result<(String, u32), Fault> {
    let token = settings.special(name, class)?;
    let unknown = settings.special("unk_token", class)?;
    let id_of = |token: &Named| tokenizer.token_to_id(token.content());
    // An empty token maps to the unknown token.
    let id = token
        .as_ref()
        .and_then(|token| id_of(token).or(unknown.as_ref().and_then(id_of)));
    let token = token.as_ref().map(Named::content);
    if let Some(token) = token {
        check_known(tokenizer, &settings.decoder, name, token)?;
    }
    match (token, id) {
        (Some(token), Some(id)) => Ok((token.to_owned(), id)),
        _ => Err(Fault::new(format!(
            "`{name}` is null, but {} puts it around every text; set it to a token of the vocabulary",
            class.name()
        ))),
    }
}
