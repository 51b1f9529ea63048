//! Hugging Face's `config.json`: read, checked, and written back with the task's labels.
//! Called by the recipe and by `plan`, which needs nothing else of a model.

use crate::error::{Error, Result};
use candle_transformers::models::bert::{Config as EncoderConfig, HiddenAct};
use progtune_datasets::{ProblemType, Task};
use progtune_kernels::activation::Activation;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The model families of this version, by Hugging Face's `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `bert`.
    Bert,
    /// `roberta`.
    Roberta,
}

impl Architecture {
    /// Hugging Face's `model_type`, which is also the base model's prefix in checkpoints.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Roberta => "roberta",
        }
    }

    /// The name in `architectures` of the model with the head of such a task.
    pub fn class_of(self, problem: ProblemType) -> String {
        let family = match self {
            Self::Bert => "Bert",
            Self::Roberta => "Roberta",
        };
        let head = match problem {
            ProblemType::TokenClassification => "ForTokenClassification",
            ProblemType::QuestionAnswering => "ForQuestionAnswering",
            ProblemType::SingleLabelClassification
            | ProblemType::MultiLabelClassification
            | ProblemType::Regression => "ForSequenceClassification",
        };
        format!("{family}{head}")
    }
}

/// What a model directory's `config.json` says, as far as this program computes with it.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// The family.
    pub architecture: Architecture,
    /// Sizes, as candle-transformers reads them (RoBERTa has the same fields).
    pub encoder: EncoderConfig,
    /// `attention_probs_dropout_prob`.
    pub attention_dropout: f64,
    /// Dropout before the classifier: `classifier_dropout`, else `hidden_dropout_prob`.
    pub classifier_dropout: f64,
    /// The activation of the feed-forward part.
    pub activation: Activation,
    /// The labels of the saved head, in id order; empty when the checkpoint says nothing of them.
    pub labels: Vec<String>,
    /// What the method adds to every position id.
    pub position_shift: u32,
    /// The file as it was, so that what is saved keeps every key.
    pub raw: Map<String, Value>,
}

impl ModelConfig {
    /// Reads `DIR/config.json`.
    ///
    /// # Errors
    /// When the file is absent or not JSON, or a key is missing, of the wrong type, or not supported.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::Model(format!(
                "{}: no config.json here; --model takes a directory with a Hugging Face model \
                 (config.json, model.safetensors, tokenizer.json or vocab.txt)",
                directory.display()
            )),
            _ => Error::Io {
                path: path.clone(),
                action: "read",
                source,
            },
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// As [`ModelConfig::read`], from text; `origin` names it in messages.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).map_err(|e| {
            Error::Model(format!(
                "{origin}: not valid JSON: {e}; download the file again"
            ))
        })?;
        let Value::Object(raw) = value else {
            return Err(Error::Model(format!(
                "{origin}: expected a JSON object; download the file again"
            )));
        };
        let reader = Reader { raw: &raw, origin };
        let architecture = reader.architecture()?;
        let encoder = reader.encoder(architecture)?;
        Ok(Self {
            architecture,
            attention_dropout: reader.probability("attention_probs_dropout_prob", 0.1)?,
            classifier_dropout: reader
                .probability("classifier_dropout", encoder.hidden_dropout_prob)?,
            activation: reader.activation()?,
            labels: reader.labels()?,
            position_shift: 0,
            encoder,
            raw,
        })
    }

    /// What the saved head predicts: by the class in `architectures`, `problem_type`, and the number of labels.
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

    /// L: the number of Transformer blocks.
    pub fn blocks(&self) -> usize {
        self.encoder.num_hidden_layers
    }

    /// Sets every dropout of the model (`--dropout`).
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
        let own = match self.architecture {
            Architecture::Bert => 0,
            Architecture::Roberta => self.encoder.pad_token_id as u32 + 1,
        };
        own.saturating_add(self.position_shift)
    }

    /// `config.json` of a model with `task`'s head.
    pub fn to_json(&self, task: &Task) -> Value {
        let mut raw = self.raw.clone();
        raw.insert("model_type".into(), json!(self.architecture.model_type()));
        raw.insert(
            "architectures".into(),
            json!([self.architecture.class_of(task.problem_type)]),
        );
        match task.problem_type.reads_every_token() {
            true => raw.remove("problem_type"),
            false => raw.insert("problem_type".into(), json!(task.problem_type.as_str())),
        };
        raw.insert("vocab_size".into(), json!(self.encoder.vocab_size));
        for stale in ["_name_or_path", "torch_dtype", "dtype", "num_labels"] {
            raw.remove(stale);
        }
        raw.insert("dtype".into(), json!("float32"));
        let labels: Vec<String> = match task.problem_type {
            ProblemType::Regression => vec!["LABEL_0".into()],
            // Hugging Face's own: the outputs are places, not labels.
            ProblemType::QuestionAnswering => vec!["LABEL_0".into(), "LABEL_1".into()],
            ProblemType::SingleLabelClassification
            | ProblemType::MultiLabelClassification
            | ProblemType::TokenClassification => task.labels.clone(),
        };
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

/// Reads keys of one file with messages that name it.
struct Reader<'a> {
    raw: &'a Map<String, Value>,
    origin: &'a str,
}

impl Reader<'_> {
    fn fault(&self, key: &str, expected: &str) -> Error {
        let found = self
            .raw
            .get(key)
            .map_or("nothing".to_owned(), Value::to_string);
        Error::Model(format!(
            "{}: key `{key}`: expected {expected}, found {found}",
            self.origin
        ))
    }

    fn architecture(&self) -> Result<Architecture> {
        match self.raw.get("model_type").and_then(Value::as_str) {
            Some("bert") => Ok(Architecture::Bert),
            Some("roberta") => Ok(Architecture::Roberta),
            // Old BERT releases (bert_config.json) had no model_type.
            None if self.raw.contains_key("type_vocab_size")
                && !self.raw.contains_key("model_type") =>
            {
                Ok(Architecture::Bert)
            }
            _ => Err(self.fault(
                "model_type",
                "`bert` or `roberta` (other architectures are not supported yet)",
            )),
        }
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
                _ => Err(self.fault(key, "a number from 0 up to but not 1")),
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
        match self
            .raw
            .get("hidden_act")
            .map(|value| value.as_str().unwrap_or_default())
        {
            None | Some("gelu") => Ok(Activation::Gelu),
            Some("gelu_new" | "gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
            Some("relu") => Ok(Activation::Relu),
            Some("silu" | "swish") => Ok(Activation::Silu),
            Some(_) => Err(self.fault("hidden_act", "one of gelu, gelu_new, relu, silu")),
        }
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
        let (types, pad) = match architecture {
            Architecture::Bert => (2, 0),
            Architecture::Roberta => (1, 1),
        };
        let encoder = EncoderConfig {
            vocab_size: self.size("vocab_size", None)?,
            hidden_size: self.size("hidden_size", None)?,
            num_hidden_layers: self.size("num_hidden_layers", None)?,
            num_attention_heads: self.size("num_attention_heads", None)?,
            intermediate_size: self.size("intermediate_size", None)?,
            hidden_act: HiddenAct::Gelu, // ours is in `ModelConfig::activation`, which knows more of them
            hidden_dropout_prob: self.probability("hidden_dropout_prob", 0.1)?,
            max_position_embeddings: self.size("max_position_embeddings", Some(512))?,
            type_vocab_size: self.size("type_vocab_size", Some(types))?,
            initializer_range: self.positive("initializer_range", 0.02)?,
            layer_norm_eps: self.positive("layer_norm_eps", 1e-12)?,
            pad_token_id: match self.raw.get("pad_token_id") {
                None | Some(Value::Null) => pad,
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

    /// `id2label` in id order; empty when absent or when it holds Hugging Face's placeholders only.
    fn labels(&self) -> Result<Vec<String>> {
        let Some(Value::Object(map)) = self.raw.get("id2label") else {
            return Ok(Vec::new());
        };
        let mut labels = vec![String::new(); map.len()];
        for (id, label) in map {
            match (
                id.parse::<usize>().ok().filter(|&id| id < map.len()),
                label.as_str(),
            ) {
                (Some(id), Some(label)) => labels[id] = label.to_owned(),
                _ => return Err(self.fault("id2label", "ids from 0 with text labels")),
            }
        }
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &str = r#"{"model_type":"bert","vocab_size":10,"hidden_size":8,"num_hidden_layers":2,"num_attention_heads":2,"intermediate_size":16}"#;

    #[test]
    fn defaults_are_hugging_faces() {
        let config = ModelConfig::parse(TINY, "x").unwrap();
        assert_eq!(
            (config.attention_dropout, config.classifier_dropout),
            (0.1, 0.1)
        );
        assert_eq!(config.encoder.layer_norm_eps, 1e-12);
        assert_eq!(config.max_tokens(), 512);
    }

    #[test]
    fn faults_name_the_key() {
        for (from, to, key) in [
            ("\"bert\"", "\"t5\"", "model_type"),
            ("\"hidden_size\":8", "\"hidden_size\":\"8\"", "hidden_size"),
            (
                "\"num_attention_heads\":2",
                "\"num_attention_heads\":3",
                "num_attention_heads",
            ),
            ("\"vocab_size\":10,", "", "vocab_size"),
            (
                "\"model_type\"",
                "\"hidden_act\":\"mish\",\"model_type\"",
                "hidden_act",
            ),
        ] {
            let error = ModelConfig::parse(&TINY.replace(from, to), "dir/config.json")
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(key) && error.contains("dir/config.json"),
                "{error}"
            );
        }
        assert!(
            ModelConfig::parse("{", "x")
                .unwrap_err()
                .to_string()
                .contains("JSON")
        );
    }
}
