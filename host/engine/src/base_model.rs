//! The base model of an adapter: its name, its commit on the hub and the SHA-256 of its weights.
//! The recipe writes them beside an adapter. `fetch` finds the model by them, and every command
//! that uses the adapter compares them with the model that it reads.

use crate::{
    adapter::{NEUTRAL_CONFIG, peft, read_json, refuse_without_adapter, write_json},
    error::Result,
    model_source::{EMBEDDED, ModelSource},
};
use serde_json::{Value, json};
use std::path::Path;

/// The file beside an adapter. PEFT's own configuration has no place for a hash.
pub const FILE: &str = "progtune_base_model.json";

/// The keys of the file.
const NAME: &str = "base_model";
const REVISION: &str = "revision";
const SHA256: &str = "sha256";

/// The base model that an adapter records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseModel {
    /// The `--model` of its training: a path, an id on the hub, or `embedded`.
    pub name: String,
    /// The commit of a model from the hub.
    pub revision: Option<String>,
    /// The SHA-256 of its weights, if it is known.
    pub sha256: Option<String>,
}

impl BaseModel {
    /// The record of a model, for an adapter that was trained on it.
    ///
    /// # Errors
    /// When its weights cannot be read.
    pub fn of(source: &ModelSource) -> Result<Self> {
        Ok(Self {
            name: source.name(),
            revision: source.revision(),
            sha256: source.weights_sha256()?,
        })
    }

    /// Writes the record beside an adapter.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, adapter: &Path) -> Result<()> {
        write_json(&adapter.join(FILE), &self.with_name(NAME))
    }

    /// The model as JSON for the records of a run: `name`, `revision`, `sha256`.
    pub fn to_json(&self) -> Value {
        self.with_name("name")
    }

    fn with_name(&self, key: &str) -> Value {
        let mut value = json!({ key: self.name });
        for (key, text) in [(REVISION, &self.revision), (SHA256, &self.sha256)] {
            if let Some(text) = text {
                value[key] = json!(text);
            }
        }
        value
    }

    /// The base model that an adapter's directory records, by progtune's file, or by the
    /// configuration of either format. `None` if it records none.
    ///
    /// # Errors
    /// When there is no adapter, or a file is damaged.
    pub fn read(adapter: &Path) -> Result<Option<Self>> {
        refuse_without_adapter(adapter)?;
        for (file, name, revision) in [
            (FILE, NAME, REVISION),
            (NEUTRAL_CONFIG, NAME, "base_model_revision"),
            (peft::CONFIG, "base_model_name_or_path", REVISION),
        ] {
            let path = adapter.join(file);
            if !path.is_file() {
                continue;
            }
            let value = read_json(&path)?;
            let text = |key: &str| {
                let text = value.get(key).and_then(Value::as_str)?;
                (!text.is_empty()).then(|| text.to_owned())
            };
            if let Some(name) = text(name) {
                return Ok(Some(Self {
                    name,
                    revision: text(revision),
                    sha256: text(SHA256),
                }));
            }
        }
        Ok(None)
    }

    /// Whether it is the model inside the binary.
    pub fn is_embedded(&self) -> bool {
        self.name == EMBEDDED
    }

    /// The name with the commit, as it can be typed: `org/name@COMMIT`.
    pub fn typed(&self) -> String {
        match &self.revision {
            Some(revision) if !self.name.contains('@') => format!("{}@{revision}", self.name),
            _ => self.name.clone(),
        }
    }

    /// Whether two adapters have the same base: the same weights if both record a hash, otherwise
    /// the same name.
    pub fn is(&self, other: &Self) -> bool {
        match (&self.sha256, &other.sha256) {
            (Some(one), Some(other)) => one == other,
            _ => self.typed() == other.typed(),
        }
    }

    /// The warning when `source` is not this model; `None` if it is. Hashes decide if one is
    /// recorded, otherwise names.
    ///
    /// # Errors
    /// When the weights of `source` cannot be read.
    pub fn difference(&self, source: &ModelSource) -> Result<Option<String>> {
        let (name, revision) = (source.name(), source.revision());
        if name == self.name && revision.is_some() && revision == self.revision {
            return Ok(None);
        }
        let recorded = self.typed();
        let Some(recorded_hash) = &self.sha256 else {
            return Ok((!is_same_name(&self.name, &name)).then(|| {
                format!(
                    "the adapter records the base model `{recorded}`, but it is used with `{name}`: if their weights \
                     differ, so do the results"
                )
            }));
        };
        let found = source.weights_sha256()?;
        if found.as_ref() == Some(recorded_hash) {
            return Ok(None);
        }
        let found = match &found {
            Some(hash) => format!("sha256 {}", short(hash)),
            None => "the model inside the program".into(),
        };
        let recorded_hash = short(recorded_hash);
        Ok(Some(if is_same_name(&self.name, &name) {
            format!(
                "the weights of the base model `{name}` ({found}) are not those on which the adapter was trained (sha256 \
                 {recorded_hash}): the results are not those of its training"
            )
        } else {
            format!(
                "the adapter was trained on `{recorded}` (sha256 {recorded_hash}), but it is used with `{name}` ({found}), \
                 whose weights differ: the results are not those of its training"
            )
        }))
    }
}

fn short(hash: &str) -> String {
    let mut start: String = hash.chars().take(12).collect();
    start.push('…');
    start
}

/// Whether two names may mean the same model: a copy of `org/name` is usually called `name`.
fn is_same_name(recorded: &str, found: &str) -> bool {
    let last = |name: &str| {
        let name = name.split('@').next().unwrap_or_default();
        let name = name.trim_end_matches(['/', '\\']);
        let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
        last.to_owned()
    };
    recorded == found || last(recorded) == last(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(name: &str, sha256: Option<&str>) -> BaseModel {
        BaseModel {
            name: name.into(),
            revision: None,
            sha256: sha256.map(str::to_owned),
        }
    }

    #[test]
    fn an_adapter_without_a_name_records_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(BaseModel::read(path).is_err(), "no adapter");
        let write = |text: &str| std::fs::write(path.join(peft::CONFIG), text).unwrap();
        write(r#"{"base_model_name_or_path": null}"#);
        assert_eq!(BaseModel::read(path).unwrap(), None);
        write(r#"{"base_model_name_or_path": "org/name", "revision": "abc"}"#);
        let read = BaseModel::read(path).unwrap().unwrap();
        assert_eq!(read.typed(), "org/name@abc");
        let saved = base("models/bert", Some("0123456789abcdef"));
        saved.save(path).unwrap();
        assert_eq!(BaseModel::read(path).unwrap(), Some(saved));
    }

    #[test]
    fn names_decide_only_without_a_hash() {
        let source = ModelSource::Embedded;
        let said = |base: BaseModel| base.difference(&source).unwrap();
        assert_eq!(said(base("embedded", None)), None);
        assert!(said(base("org/name", None)).unwrap().contains("`org/name`"));
        let other = said(base("org/name", Some("0123456789abcdef"))).unwrap();
        assert!(
            other.contains("(sha256 0123456789ab…), but it is used with `embedded`"),
            "{other}"
        );
        assert!(is_same_name("google-bert/bert-base", "models/bert-base/"));
        assert!(is_same_name("org/name@abc", "org/name"));
        assert!(!is_same_name("bert-base", "bert-large"));
        assert!(base("a", Some("x")).is(&base("b", Some("x"))));
        assert!(!base("a", None).is(&base("b", None)));
    }
}
