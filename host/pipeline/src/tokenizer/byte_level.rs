//! RoBERTa's byte-level BPE, rebuilt from a vocabulary, merges and the settings (`RobertaTokenizer` of transformers 5.24).
//! Called by the tokenizer's building.

use super::added_tokens::{Named, check_known};
use super::class::Class;
use super::fault::Fault;
use super::settings::Settings;
use ahash::AHashMap;
use serde_json::Value;
use tokenizers::{
    models::bpe::BPE, pre_tokenizers::byte_level::ByteLevel, processors::roberta::RobertaProcessing,
};

/// The key that says whether a text begins as after a space.
pub(super) const PREFIX_SPACE: &str = "add_prefix_space";

/// `vocab.json`: ids by token. Entries that are no numbers are left out, as tokenizers does.
///
/// # Errors
/// When it is no JSON object, or an id is negative or broken.
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

/// `merges.txt`: two tokens a line with a space between, after lines that begin with `#version`.
///
/// # Errors
/// When a line has another number of tokens.
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

/// The tokenizer without added tokens and without what goes around a text.
///
/// # Errors
/// When a merge is about a token that the vocabulary lacks, or a setting has the wrong type.
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
                "the merges and the vocabulary do not go together: {e}; use the two files of one tokenizer"
            ))
        })?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    let prefix = settings.flag(PREFIX_SPACE, false)?;
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(prefix, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    Ok(tokenizer)
}

/// Puts `<s>` and `</s>` around texts, whatever their names.
///
/// # Errors
/// When one is null, or a setting has the wrong type.
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

/// A special token that must be there, with its id.
///
/// # Errors
/// When the files say null.
pub(super) fn with_id(
    tokenizer: &tokenizers::Tokenizer,
    settings: &Settings,
    class: Class,
    name: &str,
) -> Result<(String, u32), Fault> {
    let token = settings.special(name, class)?;
    let unknown = settings.special("unk_token", class)?;
    let id_of = |token: &Named| tokenizer.token_to_id(token.content());
    // A token without text is unknown.
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
            "`{name}` is null, and {} puts it around every text; name a token of the vocabulary",
            class.name()
        ))),
    }
}
