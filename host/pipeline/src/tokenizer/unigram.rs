//! XLM-RoBERTa's Unigram, rebuilt from the pieces in `tokenizer.json` and the settings
//! (`XLMRobertaTokenizer` of transformers 5.24). Many multilingual BERTs use it. Called when a
//! tokenizer is built.

use super::byte_level::{PREFIX_SPACE, with_id};
use super::class::Class;
use super::fault::Fault;
use super::serialized::Serialized;
use super::settings::{Settings, TOKENIZER};
use tokenizers::{
    NormalizerWrapper, PreTokenizerWrapper,
    models::unigram::Unigram,
    pre_tokenizers::{
        metaspace::{Metaspace, PrependScheme},
        sequence::Sequence,
        whitespace::WhitespaceSplit,
    },
    processors::template::TemplateProcessing,
};

/// The class's id for unknown pieces, regardless of the file.
const UNKNOWN: usize = 3;

/// Builds the tokenizer without added tokens and without the special tokens around texts.
///
/// # Errors
/// Fails if the file has another type of model, or a setting has the wrong type.
pub(super) fn build(
    file: &Serialized,
    settings: &Settings,
) -> Result<tokenizers::Tokenizer, Fault> {
    let model = Unigram::from(file.pieces()?, Some(UNKNOWN), false)
        .map_err(|e| Fault::unreadable(TOKENIZER, e))?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    if let Some(map) = file.precompiled() {
        let normaliser: NormalizerWrapper =
            serde_json::from_value(map.clone()).map_err(|e| Fault::unreadable(TOKENIZER, e))?;
        tokenizer.with_normalizer(Some(normaliser));
    }
    let scheme = if settings.flag(PREFIX_SPACE, true)? {
        PrependScheme::Always
    } else {
        PrependScheme::Never
    };
    let metaspace = Metaspace::new('▁', scheme, true);
    let parts: Vec<PreTokenizerWrapper> = vec![WhitespaceSplit.into(), metaspace.clone().into()];
    tokenizer.with_pre_tokenizer(Some(Sequence::new(parts)));
    tokenizer.with_decoder(Some(metaspace));
    Ok(tokenizer)
}

/// Puts `<s>` and `</s>` around texts, and `</s></s>` between two.
///
/// # Errors
/// Fails if one of them is null.
pub(super) fn frame_texts(
    tokenizer: &mut tokenizers::Tokenizer,
    settings: &Settings,
    class: Class,
) -> Result<(), Fault> {
    let bos = with_id(tokenizer, settings, class, "bos_token")?;
    let eos = with_id(tokenizer, settings, class, "eos_token")?;
    let (b, e) = (bos.0.clone(), eos.0.clone());
    let pieces = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect::<Vec<String>>();
    let fault = |why: String| Fault::new(format!("{b:?} and {e:?} cannot form a template: {why}"));
    let template = TemplateProcessing::builder()
        .try_single(pieces(&[&b, "$A", &e]))
        .map_err(fault)?
        .try_pair(pieces(&[&b, "$A", &e, &e, "$B", &e]))
        .map_err(fault)?
        .special_tokens(vec![bos, eos])
        .build()
        .map_err(|why| fault(why.to_string()))?;
    tokenizer.with_post_processor(Some(template));
    Ok(())
}
