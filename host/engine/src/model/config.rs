//! Hugging Face's `config.json`: read, checked, and written back with the task's labels. The recipe
//! calls it, and so does `plan`, which needs nothing else of a model.

mod activation;
mod family;
mod labels;
mod python_json;

pub use family::Architecture;

use crate::{
    error::{Error, Result},
    task_kind::kind_of,
};
use candle_transformers::models::bert::{Config as EncoderConfig, HiddenAct};
use progtune_datasets::{ProblemType, Task};
use progtune_kernels::activation::Activation;
use progtune_process::files::bounded::{LARGEST_TEXT, read_text};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The content of a model directory's `config.json`, as far as this program computes with it.
///
/// ```
/// use progtune_engine::model::ModelConfig;
///
/// let text = r#"{"model_type": "roberta", "vocab_size": 50265, "hidden_size": 768,
///     "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
///     "max_position_embeddings": 514}"#;
/// let config = ModelConfig::parse(text, "config.json")?;
/// assert_eq!(config.blocks(), 12);
/// // RoBERTa numbers positions from `pad_token_id` + 1.
/// assert_eq!((config.first_position(), config.max_tokens()), (2, 512));
/// # Ok::<(), progtune_engine::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// The family.
    pub architecture: Architecture,
    /// Sizes, as candle-transformers reads them (RoBERTa has the same fields).
    pub encoder: EncoderConfig,
    /// `attention_probs_dropout_prob`.
    pub(crate) attention_dropout: f64,
    /// Dropout before the classifier: `classifier_dropout`, else `hidden_dropout_prob`.
    pub classifier_dropout: f64,
    /// The activation of the feed-forward part.
    pub activation: Activation,
    /// The labels of the saved head, in id order. If the file does not mention them, these are
    /// transformers' two placeholders.
    pub labels: Vec<String>,
    /// Whether the file states the labels or their number.
    pub(crate) labels_are_stated: bool,
    /// A doubt about the labels that a person should know before they are used.
    pub(crate) label_doubt: Option<String>,
    /// The number that the method adds to every position id.
    pub position_shift: u32,
    /// The original content of the file, so that saving keeps every key.
    pub raw: Map<String, Value>,
}

impl ModelConfig {
    /// Reads `DIR/config.json`.
    ///
    /// # Errors
    /// When the file is absent or not JSON, or a key is missing, of the wrong type, or not
    /// supported.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join("config.json");
        let text = read_text(&path, LARGEST_TEXT).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::Model(format!(
                "{}: no config.json here; --model takes a directory with a Hugging Face model \
                 (config.json, model.safetensors or pytorch_model.bin, tokenizer.json or vocab.txt)",
                directory.display()
            )),
            _ => Error::io(&path, "read")(source),
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads a configuration from text; `origin` names it in messages.
    ///
    /// # Errors
    /// As for [`ModelConfig::read`].
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let value = python_json::parse(text).map_err(|e| {
            Error::Model(format!(
                "{origin}: not valid JSON: {e}; download the file again"
            ))
        })?;
        let Value::Object(mut raw) = value else {
            return Err(Error::Model(format!(
                "{origin}: expected a JSON object; download the file again"
            )));
        };
        make_whole(&mut raw);
        let reader = Reader { raw: &raw, origin };
        let architecture = reader.architecture()?;
        let encoder = reader.encoder(architecture)?;
        let labels = labels::read(&raw).map_err(|(key, expected)| reader.fault(key, &expected))?;
        let doubt = labels.doubt.map(|doubt| format!("{origin}: {doubt}"));
        Ok(Self {
            architecture,
            attention_dropout: reader.probability("attention_probs_dropout_prob", 0.1)?,
            classifier_dropout: reader
                .probability("classifier_dropout", encoder.hidden_dropout_prob)?,
            activation: reader.activation()?,
            labels: labels.names,
            labels_are_stated: labels.are_stated,
            label_doubt: doubt,
            position_shift: 0,
            encoder,
            raw,
        })
    }

    /// The type of the saved head's predictions, by the class in `architectures`, `problem_type`,
    /// and the number of labels.
    pub fn problem_type(&self) -> ProblemType {
        let class = self.raw.get("architectures").and_then(|list| list.get(0));
        let class = class.and_then(Value::as_str).unwrap_or_default();
        let stated = self.raw.get("problem_type").and_then(Value::as_str);
        if class.ends_with("ForTokenClassification") {
            ProblemType::TokenClassification
        } else if class.ends_with("ForQuestionAnswering") {
            ProblemType::QuestionAnswering
        } else if stated == Some(ProblemType::MultiLabelClassification.as_str()) {
            ProblemType::MultiLabelClassification
        } else if self.labels.len() == 1 {
            ProblemType::Regression
        } else {
            ProblemType::SingleLabelClassification
        }
    }

    /// Whether the class that was saved is known and has no head for a task.
    pub(crate) fn has_no_head(&self) -> bool {
        let class = self.raw.get("architectures").and_then(|list| list.get(0));
        let class = class.and_then(Value::as_str);
        let heads = ["Classification", "QuestionAnswering"];
        class.is_some_and(|class| !heads.iter().any(|head| class.ends_with(head)))
    }

    /// Checks that `problem_type` and the number of labels agree.
    ///
    /// # Errors
    /// For several numbers per text, which no task here has, and for classes with a single output,
    /// which transformers refuses.
    pub fn check_problem_type(&self, origin: &str) -> Result<()> {
        let stated = self.raw.get("problem_type").and_then(Value::as_str);
        let stated = stated.and_then(ProblemType::by_name);
        let n = self.labels.len();
        let what = match (self.problem_type(), stated) {
            (ProblemType::SingleLabelClassification, Some(ProblemType::Regression)) => {
                "regression has one output here"
            }
            (ProblemType::Regression, Some(ProblemType::SingleLabelClassification)) => {
                "classes need at least two outputs"
            }
            _ => return Ok(()),
        };
        Err(Error::Model(format!(
            "{origin}/config.json: key `problem_type` does not fit the labels, of which there are {n}: {what}; correct \
             `problem_type` or `id2label`"
        )))
    }

    /// L, the number of Transformer blocks.
    pub fn blocks(&self) -> usize {
        self.encoder.num_hidden_layers
    }

    /// Sets every dropout probability of the model (`--dropout`).
    pub fn override_dropout(&mut self, p: f64) {
        self.encoder.hidden_dropout_prob = p;
        self.attention_dropout = p;
        self.classifier_dropout = p;
    }

    /// The longest input in tokens. RoBERTa numbers positions from `pad_token_id + 1`.
    pub fn max_tokens(&self) -> usize {
        let positions = self.encoder.max_position_embeddings;
        positions.saturating_sub(self.first_position() as usize)
    }

    /// The position id of the first token.
    pub fn first_position(&self) -> u32 {
        let own = if self.architecture.family().positions_follow_padding {
            self.encoder.pad_token_id as u32 + 1
        } else {
            0
        };
        own.saturating_add(self.position_shift)
    }

    /// The `config.json` of a model with `task`'s head.
    pub fn to_json(&self, task: &Task) -> Value {
        let mut raw = self.raw.clone();
        raw.insert("model_type".into(), json!(self.architecture.model_type()));
        raw.insert(
            "architectures".into(),
            json!([self.architecture.class_of(task.problem_type)]),
        );
        if task.problem_type.reads_every_token() {
            raw.remove("problem_type")
        } else {
            raw.insert("problem_type".into(), json!(task.problem_type.as_str()))
        };
        raw.insert("vocab_size".into(), json!(self.encoder.vocab_size));
        for stale in ["_name_or_path", "torch_dtype", "dtype", "num_labels"] {
            raw.remove(stale);
        }
        raw.insert("dtype".into(), json!("float32"));
        let labels = kind_of(task.problem_type).output_names(&task.labels);
        let id2label: Map<String, Value> = labels
            .iter()
            .enumerate()
            .map(|(id, label)| (id.to_string(), json!(label)))
            .collect();
        let label2id: Map<String, Value> = labels
            .iter()
            .enumerate()
            .map(|(id, label)| (label.clone(), json!(id)))
            .collect();
        raw.insert("id2label".into(), Value::Object(id2label));
        raw.insert("label2id".into(), Value::Object(label2id));
        Value::Object(raw)
    }
}

/// Keys whose values are whole numbers.
const WHOLE: [&str; 9] = [
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
    "pad_token_id",
    "num_labels",
];

/// Repairs whole numbers that were written as `3.0` by tools that have no others. transformers can
/// then read the saved file.
fn make_whole(raw: &mut Map<String, Value>) {
    for key in WHOLE {
        if let Some(value) = raw.get_mut(key)
            && let Some(number) = value.as_f64().filter(|_| value.is_f64())
            && number.fract() == 0.0
            && (0.0..=f64::from(u32::MAX)).contains(&number)
        {
            *value = json!(number as u64);
        }
    }
}

/// A reader of one file's keys, whose messages name the file.
struct Reader<'a> {
    raw: &'a Map<String, Value>,
    origin: &'a str,
}

impl Reader<'_> {
    fn fault(&self, key: &str, expected: &str) -> Error {
        let found = self.raw.get(key);
        let found = found.map_or("nothing".to_owned(), python_json::show);
        Error::Model(format!(
            "{}: key `{key}`: expected {expected}, found {found}; correct it, or choose another model",
            self.origin
        ))
    }

    fn architecture(&self) -> Result<Architecture> {
        let known = Architecture::ALL;
        let of = |stated: &str| known.into_iter().find(|a| a.model_type() == stated);
        let stated = self.raw.get("model_type");
        let found = match stated.and_then(Value::as_str) {
            Some(stated) => of(stated),
            None if stated.is_some_and(|stated| !stated.is_null()) => None,
            // Files of old releases have no model_type but the saved class, or neither
            // (bert_config.json).
            None => match self.class() {
                Some(class) => known
                    .into_iter()
                    .find(|a| class.starts_with(a.family().class_prefix)),
                None => (self.raw.get("type_vocab_size") == Some(&json!(2)))
                    .then_some(Architecture::Bert),
            },
        };
        found.ok_or_else(|| {
            self.fault(
                "model_type",
                "`bert` or `roberta` (other architectures are not supported yet)",
            )
        })
    }

    /// The class that was saved.
    fn class(&self) -> Option<&str> {
        let classes = self.raw.get("architectures")?.as_array()?;
        classes.first()?.as_str()
    }

    /// A size, small enough that parameters can be listed and counted.
    fn size(&self, key: &str, default: Option<usize>) -> Result<usize> {
        let most: u64 = match key {
            "num_hidden_layers" => 1000,
            _ => 1 << 24,
        };
        match (self.raw.get(key).map(Value::as_u64), default) {
            (None, Some(default)) => Ok(default),
            (Some(Some(n)), _) if (1..=most).contains(&n) => Ok(n as usize),
            _ => Err(self.fault(key, &format!("a whole number from 1 to {most}"))),
        }
    }

    fn probability(&self, key: &str, default: f64) -> Result<f64> {
        match self.raw.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => match value.as_f64() {
                Some(p) if (0.0..1.0).contains(&p) => Ok(p),
                _ => Err(self.fault(key, "a number of at least 0 and below 1")),
            },
        }
    }

    fn positive(&self, key: &str, default: f64) -> Result<f64> {
        match self.raw.get(key) {
            None => Ok(default),
            Some(value) => match value.as_f64() {
                Some(x) if x > 0.0 && x.is_finite() => Ok(x),
                _ => Err(self.fault(key, "a positive number")),
            },
        }
    }

    fn activation(&self) -> Result<Activation> {
        let Some(stated) = self.raw.get("hidden_act") else {
            return Ok(Activation::Gelu);
        };
        activation::by_name(stated.as_str().unwrap_or_default())
            .map_err(|expected| self.fault("hidden_act", &expected))
    }

    fn encoder(&self, architecture: Architecture) -> Result<EncoderConfig> {
        for (key, expected) in [
            ("position_embedding_type", json!("absolute")),
            ("is_decoder", json!(false)),
            ("add_cross_attention", json!(false)),
        ] {
            if self
                .raw
                .get(key)
                .is_some_and(|value| *value != expected && !value.is_null())
            {
                return Err(self.fault(key, &expected.to_string()));
            }
        }
        let family = architecture.family();
        let encoder = EncoderConfig {
            vocab_size: self.size("vocab_size", None)?,
            hidden_size: self.size("hidden_size", None)?,
            num_hidden_layers: self.size("num_hidden_layers", None)?,
            num_attention_heads: self.size("num_attention_heads", None)?,
            intermediate_size: self.size("intermediate_size", None)?,
            hidden_act: HiddenAct::Gelu, // ours is in `ModelConfig::activation`, which knows more of them
            hidden_dropout_prob: self.probability("hidden_dropout_prob", 0.1)?,
            max_position_embeddings: self.size("max_position_embeddings", Some(512))?,
            type_vocab_size: self.size("type_vocab_size", Some(family.type_vocab_size))?,
            initializer_range: self.positive("initializer_range", 0.02)?,
            layer_norm_eps: self.positive("layer_norm_eps", 1e-12)?,
            pad_token_id: match self.raw.get("pad_token_id") {
                None => family.pad_token_id,
                // If positions are counted from it, transformers needs a number, too.
                Some(Value::Null) if !family.positions_follow_padding => family.pad_token_id,
                Some(value) => value
                    .as_u64()
                    .filter(|&id| id < 1 << 24)
                    .ok_or_else(|| self.fault("pad_token_id", "a token id"))?
                    as usize,
            },
            position_embedding_type: Default::default(),
            use_cache: false,
            classifier_dropout: None,
            model_type: Some(architecture.model_type().to_owned()),
        };
        if !encoder
            .hidden_size
            .is_multiple_of(encoder.num_attention_heads)
        {
            let expected = format!("a divisor of hidden_size {}", encoder.hidden_size);
            return Err(self.fault("num_attention_heads", &expected));
        }
        Ok(encoder)
    }
}

#[cfg(test)]
mod tests;
