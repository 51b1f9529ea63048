//! BERT's WordPiece, rebuilt from a vocabulary and the settings (`BertTokenizer` of transformers
//! 5.24). Called when a tokenizer is built.

use super::added_tokens::{Named, check_known};
use super::class::Class;
use super::fault::Fault;
use super::settings::Settings;
use ahash::AHashMap;
use tokenizers::{
    models::wordpiece::WordPiece, normalizers::BertNormalizer,
    pre_tokenizers::bert::BertPreTokenizer, processors::template::TemplateProcessing,
};

/// Parses a vocabulary with one token per line. The last of equal tokens counts, and trailing white
/// space is ignored.
///
/// # Errors
/// Fails if a line is not UTF-8.
pub(super) fn vocabulary(lines: &[u8]) -> Result<AHashMap<String, u32>, Fault> {
    std::str::from_utf8(lines).map_err(|e| Fault::unreadable("vocab.txt", e))?;
    WordPiece::read_bytes(lines).map_err(|e| Fault::unreadable("vocab.txt", e))
}

/// Builds the tokenizer without added tokens and without the special tokens around texts.
///
/// # Errors
/// Fails if a setting has the wrong type.
pub(super) fn build(
    vocabulary: AHashMap<String, u32>,
    settings: &Settings,
    class: Class,
) -> Result<tokenizers::Tokenizer, Fault> {
    let unknown = settings.special("unk_token", class)?;
    let model = WordPiece::builder()
        .vocab(vocabulary)
        .unk_token(text_of(unknown.as_ref()))
        .build()
        .map_err(|e| Fault::new(e.to_string()))?;
    let normaliser = match class {
        Class::JapaneseBasic => BertNormalizer::new(
            true,
            false,
            settings.optional_flag("strip_accents")?,
            settings.flag("do_lower_case", false)?,
        ),
        _ => BertNormalizer::new(
            true,
            settings.flag("tokenize_chinese_chars", true)?,
            settings.optional_flag("strip_accents")?,
            settings.flag("do_lower_case", true)?,
        ),
    };
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_normalizer(Some(normaliser));
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::new(
        "##".into(),
        true,
    )));
    Ok(tokenizer)
}

/// Puts `[CLS]` and `[SEP]`, whatever their names, around texts.
///
/// # Errors
/// Fails if a name cannot be part of a template.
pub(super) fn frame_texts(
    tokenizer: &mut tokenizers::Tokenizer,
    settings: &Settings,
    class: Class,
) -> Result<(), Fault> {
    let cls = settings.special("cls_token", class)?;
    let sep = settings.special("sep_token", class)?;
    for (name, token) in [("cls_token", &cls), ("sep_token", &sep)] {
        if let Some(token) = token {
            check_known(tokenizer, &settings.decoder, name, token.content())?;
        }
    }
    // The ids of null tokens follow transformers; an empty token is unknown.
    let unknown = settings.special("unk_token", class)?;
    let unknown = unknown.and_then(|token| tokenizer.token_to_id(token.content()));
    let id = |token: Option<&Named>, default: u32| {
        let found = token.and_then(|token| tokenizer.token_to_id(token.content()).or(unknown));
        found.unwrap_or(default)
    };
    let (cls_id, sep_id) = (id(cls.as_ref(), 2), id(sep.as_ref(), 3));
    let (cls, sep) = (text_of(cls.as_ref()), text_of(sep.as_ref()));
    let fault = |e: String| {
        Fault::new(format!(
            "cls_token {cls:?} and sep_token {sep:?} cannot form a template: {e}; expected names without spaces and \
             colons; rename them in the tokenizer's files"
        ))
    };
    let template = TemplateProcessing::builder()
        .try_single(format!("{cls}:0 $A:0 {sep}:0").as_str())
        .map_err(fault)?
        .try_pair(format!("{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1").as_str())
        .map_err(fault)?
        .special_tokens(vec![(cls.clone(), cls_id), (sep.clone(), sep_id)])
        .build()
        .map_err(|e| fault(e.to_string()))?;
    tokenizer.with_post_processor(Some(template));
    Ok(())
}

/// A token's text; for null it is Python's `None`.
fn text_of(token: Option<&Named>) -> String {
    token.map_or("None", Named::content).to_owned()
}
