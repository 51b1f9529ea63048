//! Builds the library's tokenizer from files, as `AutoTokenizer` of transformers 5.24 does. Called
//! when a tokenizer is first needed.

use super::added_tokens::{self, to_add};
use super::byte_level::{self, PREFIX_SPACE};
use super::class::Class;
use super::fault::Fault;
use super::serialized::{Serialized, sides};
use super::settings::{
    self, ADDED_TOKENS, SPECIAL_TOKENS_MAP, Settings, Sources, TOKENIZER, TOKENIZER_CONFIG, object,
};
use super::{unigram, word_piece};
use ahash::AHashMap;
use progtune_engine::model::Architecture;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use tokenizers::processors::template::TemplateProcessing;

/// The most keys of a file of settings.
const MOST_KEYS: usize = 5000;

/// The parts from which a tokenizer is built.
pub(super) struct Parts<'a> {
    /// Names and contents of the files.
    pub files: &'a [(String, Vec<u8>)],
    /// `tokenizer_class` of `config.json`.
    pub class_in_config: Option<&'a Value>,
    pub architecture: Architecture,
    /// Whether inputs are sequences of words.
    pub takes_words: bool,
}

/// A tokenizer, and the properties that the library's type does not store.
pub(super) struct Built {
    /// The library's tokenizer, without truncation and padding.
    pub inner: tokenizers::Tokenizer,
    pub class: Class,
    /// Whether the model receives `token_type_ids`.
    pub gives_types: bool,
    /// Whether long inputs lose their beginning.
    pub cuts_left: bool,
    /// Whether `padding_side` is left, which makes `run_qa.py` put the context first.
    pub pads_left: bool,
}

impl Parts<'_> {
    fn find(&self, name: &str) -> Option<&[u8]> {
        let found = self.files.iter().find(|(file, _)| file == name);
        found.map(|(_, bytes)| bytes.as_slice())
    }

    fn object(&self, name: &str) -> Result<Option<Map<String, Value>>, Fault> {
        self.find(name).map(|bytes| object(name, bytes)).transpose()
    }

    /// Parses a file of settings, whose keys are compared with each other.
    fn settings(&self, name: &str) -> Result<Option<Map<String, Value>>, Fault> {
        let values = self.object(name)?;
        let keys = values.as_ref().map_or(0, Map::len);
        if keys <= MOST_KEYS {
            return Ok(values);
        }
        let what = format!("expected at most {MOST_KEYS} keys, found {keys}");
        Err(Fault::unreadable(name, what))
    }

    /// Builds the tokenizer.
    ///
    /// # Errors
    /// Fails if files are missing or damaged, or contain values that AutoTokenizer refuses.
    pub(super) fn build(&self) -> Result<Built, Fault> {
        let tokenizer_config = self.settings(TOKENIZER_CONFIG)?.unwrap_or_default();
        settings::model_max_length(&tokenizer_config)?;
        let class = Class::resolve(&tokenizer_config, self.class_in_config, self.architecture)?;
        let serialized = self.find(TOKENIZER).map(Serialized::parse).transpose()?;
        let sources = Sources {
            tokenizer_config,
            special_tokens_map: self.settings(SPECIAL_TOKENS_MAP)?,
            added_tokens: self.object(ADDED_TOKENS)?,
            tokenizer: serialized.as_ref().map(|file| &file.value),
        };
        // `run_ner.py` does the same for this family.
        let forced = [(PREFIX_SPACE, Value::Bool(true))];
        let is_forced = self.takes_words && self.architecture == Architecture::Roberta;
        let forced = if is_forced { &forced[..] } else { &[] };
        let mut settings = Settings::resolve(sources, forced)?;
        let mut inner = self.model(class, serialized.as_ref(), &mut settings)?;
        let named = settings.specials(class)?;
        let extra = settings.extra()?;
        let mut batches = Vec::new();
        let mut present = HashSet::new();
        if let (Class::Serialized, Some(file)) = (class, &serialized) {
            // The file's own tokens come first.
            let own = settings::serialized_tokens(&file.value)?;
            present.extend(own.iter().map(|(_, spec)| spec.content.clone()));
            batches.push(own.iter().map(|(_, spec)| spec.build()).collect());
        }
        batches.push(to_add(&present, &settings.decoder, &named, &extra));
        added_tokens::install(&mut inner, &batches)?;
        frame_texts(&mut inner, &settings, class)?;
        inner.set_encode_special_tokens(settings.flag("split_special_tokens", false)?);
        Ok(Built {
            class,
            gives_types: settings.gives_types(class)?,
            cuts_left: settings.is_left("truncation_side")?,
            pads_left: settings.is_left("padding_side")?,
            inner,
        })
    }

    /// The class's model, normaliser and pre-tokenizer.
    fn model(
        &self,
        class: Class,
        serialized: Option<&Serialized>,
        settings: &mut Settings,
    ) -> Result<tokenizers::Tokenizer, Fault> {
        let Some(file) = serialized.filter(|_| class != Class::JapaneseBasic) else {
            return self.model_without_json(class, settings);
        };
        let frame = match class {
            Class::Serialized => file.whole()?,
            _ => file.frame()?,
        };
        let sides = sides(&frame);
        if let Some(side) = sides.truncation {
            settings.set_default("truncation_side", json!(side));
        }
        if let Some((side, pad_token)) = sides.padding {
            settings.set_default("padding_side", json!(side));
            settings.set_default("pad_token", json!(pad_token));
        }
        match class {
            Class::Bert | Class::DistilBert | Class::JapaneseBasic => {
                let vocabulary = AHashMap::from_iter(file.vocabulary()?);
                word_piece::build(vocabulary, settings, class)
            }
            Class::Roberta => byte_level::build(file.vocabulary()?, file.merges()?, settings),
            Class::XlmRoberta => unigram::build(file, settings),
            Class::Serialized => Ok(frame),
        }
    }

    /// The same without `tokenizer.json`.
    fn model_without_json(
        &self,
        class: Class,
        settings: &Settings,
    ) -> Result<tokenizers::Tokenizer, Fault> {
        let is_any = ["vocab.txt", "vocab.json", "merges.txt"]
            .iter()
            .any(|name| self.find(name).is_some());
        let missing = |needed: &str| {
            Fault::new(if is_any {
                format!(
                    "no tokenizer here that {} can read: expected {needed}; if the files belong to another class, name it as \
                     `tokenizer_class` in {TOKENIZER_CONFIG}",
                    class.name()
                )
            } else {
                "no tokenizer here: expected tokenizer.json, or vocab.txt, or vocab.json with merges.txt".to_owned()
            })
        };
        match class {
            Class::Bert | Class::DistilBert | Class::JapaneseBasic => {
                let lines = self.find("vocab.txt");
                let lines = lines.ok_or_else(|| missing("tokenizer.json or vocab.txt"))?;
                word_piece::build(word_piece::vocabulary(lines)?, settings, class)
            }
            Class::Roberta => match (self.find("vocab.json"), self.find("merges.txt")) {
                (Some(vocabulary), Some(merges)) => byte_level::build(
                    byte_level::vocabulary(vocabulary)?,
                    byte_level::merges(merges)?,
                    settings,
                ),
                _ => Err(missing("tokenizer.json, or vocab.json with merges.txt")),
            },
            Class::XlmRoberta | Class::Serialized => Err(missing("tokenizer.json")),
        }
    }
}

/// Puts special tokens around texts, as the class does.
fn frame_texts(
    inner: &mut tokenizers::Tokenizer,
    settings: &Settings,
    class: Class,
) -> Result<(), Fault> {
    match class {
        Class::Bert | Class::DistilBert | Class::JapaneseBasic => {
            word_piece::frame_texts(inner, settings, class)
        }
        Class::Roberta => byte_level::frame_texts(inner, settings, class),
        Class::XlmRoberta => unigram::frame_texts(inner, settings, class),
        Class::Serialized if inner.get_post_processor().is_some() => Ok(()),
        Class::Serialized => {
            let template = TemplateProcessing::builder()
                .try_single("$A:0")
                .and_then(|builder| builder.try_pair("$A:0 $B:1"))
                .map_err(Fault::new)?
                .build()
                .map_err(|e| Fault::new(e.to_string()))?;
            inner.with_post_processor(Some(template));
            Ok(())
        }
    }
}
