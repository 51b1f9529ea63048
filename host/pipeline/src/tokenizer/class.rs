//! The class of transformers that reads a tokenizer's files, chosen like
//! `AutoTokenizer.from_pretrained` (transformers 5.24, `models/auto/tokenization_auto.py`). Called
//! when a tokenizer is built. A class that is missing here is refused by name.

use super::fault::Fault;
use progtune_engine::model::Architecture;
use serde_json::{Map, Value};

/// A way to build a tokenizer from files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `BertTokenizer`: WordPiece, rebuilt from the vocabulary and the settings.
    Bert,
    /// `DistilBertTokenizer`: the same without token types.
    DistilBert,
    /// `BertJapaneseTokenizer` with settings that make it BERT's: `word_tokenizer_type` basic.
    JapaneseBasic,
    /// `RobertaTokenizer`: byte-level BPE, rebuilt from vocabulary, merges and settings.
    Roberta,
    /// `XLMRobertaTokenizer`: Unigram, rebuilt from `tokenizer.json`.
    XlmRoberta,
    /// `TokenizersBackend` (`PreTrainedTokenizerFast`): `tokenizer.json` as it is.
    Serialized,
}

/// The files that name a class, for messages.
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const CONFIG: &str = "config.json";

/// The names in transformers 5.24 of its BERT tokenizer, without the suffix `Fast`.
const BERT: &[&str] = &[
    "BertTokenizer",
    "ElectraTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
];

/// The names in transformers 5.24 of its RoBERTa tokenizer.
const ROBERTA: &[&str] = &[
    "RobertaTokenizer",
    "BartTokenizer",
    "LEDTokenizer",
    "LongformerTokenizer",
    "MvpTokenizer",
];

/// Classes of transformers 5.24 with rules of their own, which are not implemented here. A name in
/// none of these lists is unknown to transformers too, which then uses `tokenizer.json` as it is.
const OTHERS: &[&str] = &[
    "AlbertTokenizer",
    "BarthezTokenizer",
    "BartphoTokenizer",
    "BertGenerationTokenizer",
    "BertTokenizerLegacy",
    "BertweetTokenizer",
    "BigBirdTokenizer",
    "BioGptTokenizer",
    "BlenderbotSmallTokenizer",
    "BlenderbotTokenizer",
    "ByT5Tokenizer",
    "CLIPTokenizer",
    "CTRLTokenizer",
    "CamembertTokenizer",
    "CanineTokenizer",
    "ClvpTokenizer",
    "CodeGenTokenizer",
    "CodeLlamaTokenizer",
    "CohereTokenizer",
    "ConvBertTokenizer",
    "CpmAntTokenizer",
    "CpmTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DPRReaderTokenizer",
    "DebertaTokenizer",
    "DebertaV2Tokenizer",
    "DiaTokenizer",
    "EsmTokenizer",
    "EsmcTokenizer",
    "FNetTokenizer",
    "FSMTTokenizer",
    "FastSpeech2ConformerTokenizer",
    "FlaubertTokenizer",
    "FunnelTokenizer",
    "GPT2Tokenizer",
    "GPTNeoXJapaneseTokenizer",
    "GPTNeoXTokenizer",
    "GPTSw3Tokenizer",
    "GemmaTokenizer",
    "HerbertTokenizer",
    "LasrTokenizer",
    "LayoutLMv2Tokenizer",
    "LayoutLMv3Tokenizer",
    "LayoutXLMTokenizer",
    "LlamaTokenizer",
    "LukeTokenizer",
    "M2M100Tokenizer",
    "MBart50Tokenizer",
    "MBartTokenizer",
    "MLukeTokenizer",
    "MPNetTokenizer",
    "MarianTokenizer",
    "MarkupLMTokenizer",
    "MgpstrTokenizer",
    "MistralCommonBackend",
    "MyT5Tokenizer",
    "NllbTokenizer",
    "NougatTokenizer",
    "OpenAIGPTTokenizer",
    "PLBartTokenizer",
    "ParakeetTokenizer",
    "PegasusTokenizer",
    "PerceiverTokenizer",
    "PhobertTokenizer",
    "Pop2PianoTokenizer",
    "ProphetNetTokenizer",
    "Qwen2Tokenizer",
    "Qwen3_5Tokenizer",
    "RagTokenizer",
    "ReformerTokenizer",
    "RemBertTokenizer",
    "RoCBertTokenizer",
    "RoFormerTokenizer",
    "SeamlessM4TTokenizer",
    "SentencePieceBackend",
    "Siglip2Tokenizer",
    "SiglipTokenizer",
    "Speech2TextTokenizer",
    "SpeechT5Tokenizer",
    "SplinterTokenizer",
    "T5Tokenizer",
    "TapasTokenizer",
    "Tipsv2Tokenizer",
    "UdopTokenizer",
    "VideoPrismTokenizer",
    "VitsTokenizer",
    "Wav2Vec2CTCTokenizer",
    "Wav2Vec2PhonemeCTCTokenizer",
    "WhisperTokenizer",
    "XGLMTokenizer",
    "XLMTokenizer",
    "XLNetTokenizer",
];

impl Class {
    /// Resolves the class of a model's tokenizer: `tokenizer_class` in `tokenizer_config.json`,
    /// otherwise in `config.json`, otherwise the default of the family.
    ///
    /// # Errors
    /// Fails if the class is not implemented here, or the tokenizer needs code that comes with the
    /// model.
    pub(super) fn resolve(
        settings: &Map<String, Value>,
        in_config: Option<&Value>,
        architecture: Architecture,
    ) -> Result<Self, Fault> {
        let stated = |value: Option<&Value>, file| match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(name)) => Ok(Some((name.clone(), file))),
            Some(other) => Err(Fault::of(
                file,
                format!("`tokenizer_class` is {other}: expected the name of a class"),
            )),
        };
        let in_config = stated(in_config, CONFIG)?.filter(|(name, _)| !name.is_empty());
        let named = match stated(settings.get("tokenizer_class"), TOKENIZER_CONFIG)? {
            // AutoTokenizer does not know an empty name, unless `config.json` names a class of
            // another family.
            Some(named) if named.0.is_empty() => match in_config {
                Some(other) if !is_of(&other.0, architecture) => Some(other),
                _ => Some(named),
            },
            Some(named) => Some(named),
            None => in_config,
        };
        let own_code = own_code(settings);
        let Some((name, file)) = named else {
            if let Some(code) = own_code {
                return Err(own_code_refused(&code));
            }
            return Ok(match architecture {
                Architecture::Bert => Self::Bert,
                Architecture::Roberta => Self::Roberta,
            });
        };
        let class = Self::of_name(&name, file, settings)?;
        match own_code {
            Some(code) if class == Self::Serialized => Err(own_code_refused(&code)),
            Some(code) => {
                tracing::warn!(
                    "{TOKENIZER_CONFIG} names custom tokenizer code (`auto_map`: {code}), which is not run; the tokenizer is \
                     read as its `tokenizer_class` {name}, as AutoTokenizer does without `trust_remote_code`"
                );
                Ok(class)
            }
            None => Ok(class),
        }
    }

    fn of_name(
        name: &str,
        file: &'static str,
        settings: &Map<String, Value>,
    ) -> Result<Self, Fault> {
        let bare = name.strip_suffix("Fast").unwrap_or(name);
        if BERT.contains(&bare) {
            Ok(Self::Bert)
        } else if ROBERTA.contains(&bare) {
            Ok(Self::Roberta)
        } else if bare == "DistilBertTokenizer" {
            Ok(Self::DistilBert)
        } else if bare == "XLMRobertaTokenizer" {
            Ok(Self::XlmRoberta)
        } else if bare == "BertJapaneseTokenizer" {
            japanese(file, settings)
        } else if OTHERS.contains(&bare) {
            Err(Fault::of(
                file,
                format!(
                    "`tokenizer_class` is {name}, whose rules progtune does not have, and other rules would produce other \
                     tokens; use a model with BertTokenizer, RobertaTokenizer or XLMRobertaTokenizer, or save its \
                     tokenizer.json as `PreTrainedTokenizerFast`"
                ),
            ))
        } else {
            Ok(Self::Serialized)
        }
    }

    /// The class name in a saved tokenizer.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bert => "BertTokenizer",
            Self::DistilBert => "DistilBertTokenizer",
            Self::JapaneseBasic => "BertJapaneseTokenizer",
            Self::Roberta => "RobertaTokenizer",
            Self::XlmRoberta => "XLMRobertaTokenizer",
            Self::Serialized => "TokenizersBackend",
        }
    }

    /// Whether models receive `token_type_ids` if `model_input_names` does not say.
    pub(super) fn gives_types(self) -> bool {
        self == Self::Bert
    }

    /// The class's default special tokens by key, used if no file names others.
    pub(super) fn default_tokens(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Bert | Self::DistilBert | Self::JapaneseBasic => &[
                ("unk_token", "[UNK]"),
                ("sep_token", "[SEP]"),
                ("pad_token", "[PAD]"),
                ("cls_token", "[CLS]"),
                ("mask_token", "[MASK]"),
            ],
            Self::Roberta | Self::XlmRoberta => &[
                ("bos_token", "<s>"),
                ("eos_token", "</s>"),
                ("unk_token", "<unk>"),
                ("sep_token", "</s>"),
                ("pad_token", "<pad>"),
                ("cls_token", "<s>"),
                ("mask_token", "<mask>"),
            ],
            Self::Serialized => &[],
        }
    }
}

/// Whether a name belongs to the family's own tokenizer.
fn is_of(name: &str, architecture: Architecture) -> bool {
    let own = match architecture {
        Architecture::Bert => "BertTokenizer",
        Architecture::Roberta => "RobertaTokenizer",
    };
    name.strip_suffix("Fast").unwrap_or(name) == own
}

/// Resolves `BertJapaneseTokenizer`: without a morphological analyser it is BERT's WordPiece with
/// other defaults.
fn japanese(file: &'static str, settings: &Map<String, Value>) -> Result<Class, Fault> {
    let kind = |key: &str, default: &'static str| match settings.get(key) {
        None => default.to_owned(),
        Some(Value::String(kind)) => kind.clone(),
        Some(other) => other.to_string(),
    };
    let words = kind("word_tokenizer_type", "basic");
    let parts = kind("subword_tokenizer_type", "wordpiece");
    let is_on = |key: &str| {
        settings
            .get(key)
            .is_none_or(|value| value == &Value::Bool(true))
    };
    let has_rules = is_on("do_word_tokenize")
        && is_on("do_subword_tokenize")
        && settings.get("never_split").is_none_or(Value::is_null);
    if words == "basic" && parts == "wordpiece" && has_rules {
        return Ok(Class::JapaneseBasic);
    }
    Err(Fault::of(
        file,
        format!(
            "`tokenizer_class` is BertJapaneseTokenizer with word_tokenizer_type {words} and subword_tokenizer_type {parts}: \
             it splits words with a tool that progtune does not have (MeCab, Sudachi, Juman++ or SentencePiece), and plain \
             WordPiece would produce other tokens; use a model whose tokenizer needs none, such as one with tokenizer.json \
             and `PreTrainedTokenizerFast`"
        ),
    ))
}

/// The class in custom code (`auto_map`), which transformers runs with `trust_remote_code`.
fn own_code(settings: &Map<String, Value>) -> Option<String> {
    let map = match settings.get("auto_map")? {
        Value::Object(map) => map.get("AutoTokenizer")?,
        list => list,
    };
    match map {
        Value::Array(names) => names
            .iter()
            .rev()
            .find_map(Value::as_str)
            .map(str::to_owned),
        Value::String(name) => Some(name.clone()),
        _ => None,
    }
}

fn own_code_refused(code: &str) -> Fault {
    Fault::of(
        TOKENIZER_CONFIG,
        format!(
            "`auto_map` names custom tokenizer code ({code}), which progtune does not run; use a model whose \
             `tokenizer_class` is one of transformers' own, such as BertTokenizer or RobertaTokenizer"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolve(
        settings: Value,
        in_config: Value,
        architecture: Architecture,
    ) -> Result<Class, String> {
        Class::resolve(
            settings.as_object().unwrap(),
            Some(&in_config),
            architecture,
        )
        .map_err(|fault| fault.at("DIR"))
    }

    /// Reference: `tokenizer_class_from_name` of transformers 5.24.
    #[test]
    fn classes_are_those_of_auto_tokenizer() {
        let (bert, roberta) = (Architecture::Bert, Architecture::Roberta);
        for (settings, in_config, architecture, class) in [
            (json!({}), Value::Null, bert, Class::Bert),
            (json!({}), Value::Null, roberta, Class::Roberta),
            (
                json!({"tokenizer_class": null}),
                json!("RobertaTokenizer"),
                bert,
                Class::Roberta,
            ),
            (
                json!({"tokenizer_class": "BertTokenizerFast"}),
                json!("RobertaTokenizer"),
                roberta,
                Class::Bert,
            ),
            (
                json!({"tokenizer_class": "ElectraTokenizerFast"}),
                Value::Null,
                bert,
                Class::Bert,
            ),
            (
                json!({"tokenizer_class": "LongformerTokenizer"}),
                Value::Null,
                bert,
                Class::Roberta,
            ),
            (
                json!({"tokenizer_class": "PreTrainedTokenizerFast"}),
                Value::Null,
                bert,
                Class::Serialized,
            ),
            (
                json!({"tokenizer_class": "KoBertTokenizer"}),
                Value::Null,
                bert,
                Class::Serialized,
            ),
            (
                json!({"tokenizer_class": "XLMRobertaTokenizerFast"}),
                Value::Null,
                bert,
                Class::XlmRoberta,
            ),
            (
                json!({"tokenizer_class": "BertJapaneseTokenizer"}),
                Value::Null,
                bert,
                Class::JapaneseBasic,
            ),
            (
                json!({"tokenizer_class": "BertTokenizer", "auto_map": {"AutoTokenizer": ["own.Slow", null]}}),
                Value::Null,
                bert,
                Class::Bert,
            ),
        ] {
            assert_eq!(
                resolve(settings.clone(), in_config, architecture),
                Ok(class),
                "{settings}"
            );
        }
    }

    #[test]
    fn what_is_not_here_is_refused_by_name() {
        for (settings, says) in [
            (
                json!({"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}),
                "BertJapaneseTokenizer with word_tokenizer_type mecab",
            ),
            (
                json!({"tokenizer_class": "BertweetTokenizer"}),
                "BertweetTokenizer, whose rules",
            ),
            (
                json!({"auto_map": {"AutoTokenizer": ["own.Slow", null]}}),
                "(own.Slow)",
            ),
            (
                json!({"tokenizer_class": "Own", "auto_map": ["own.Slow", "own.Own"]}),
                "(own.Own)",
            ),
            (json!({"tokenizer_class": 3}), "`tokenizer_class` is 3"),
        ] {
            let message = resolve(settings, Value::Null, Architecture::Bert).unwrap_err();
            assert!(message.contains(says), "{message}");
            assert!(
                message.starts_with("DIR/tokenizer_config.json: "),
                "{message}"
            );
        }
    }
}
