//! The source of a model: a directory, to which `fetch` has resolved an id on the hub, or the model
//! inside the binary. The recipe, `plan`, `evaluate` and `predict` call it.

use crate::{
    adapter::{NEUTRAL_CONFIG, peft},
    error::{Error, Result},
    model::{
        config::{Architecture, ModelConfig},
        safetensors_file::SafetensorsFile,
        tensor_file::TensorFile,
        weights::{Checkpoint, weight_files},
    },
};
use progtune_hub::NamedPath;
use progtune_process::{
    files::{bounded, near_path},
    interrupt,
};
use sha2::{Digest, Sha256};
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// A model that can be opened.
///
/// ```
/// use progtune_engine::ModelSource;
///
/// let config = ModelSource::Embedded.config()?;
/// assert_eq!(config.blocks(), 6);
/// # Ok::<(), progtune_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum ModelSource {
    /// A directory as Hugging Face writes it.
    Directory(NamedPath),
    /// The model inside the binary: MiniLM with a pruned vocabulary and 8-bit weights.
    Embedded,
}

const CONFIG: &str = include_str!("../assets/minilm-l6-12k/config.json");
/// The vocabulary of the embedded model's tokenizer.
pub const EMBEDDED_VOCABULARY: &[u8] = include_bytes!("../assets/minilm-l6-12k/vocab.txt");
const WEIGHTS: &[u8] = include_bytes!("../assets/minilm-l6-12k/model.safetensors");
/// The name of the model inside the binary.
pub(crate) const EMBEDDED: &str = "embedded";

impl ModelSource {
    /// The source that `--model` names; `None` is the embedded model.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn new(model: Option<&NamedPath>) -> Result<Self> {
        let Some(model) = model else {
            return Ok(Self::Embedded);
        };
        let path = model.path();
        if path.is_dir() {
            refuse_adapter(path)?;
            return Ok(Self::Directory(model.clone()));
        }
        Err(Error::Model(format!(
            "{}: no such directory{}; --model takes a directory with config.json, model.safetensors (or pytorch_model.bin) and the \
             tokenizer's files, the id of a model on the Hugging Face hub (org/name), or nothing for the embedded model",
            path.display(),
            near_path(path)
        )))
    }

    /// The name in messages and saved files: the id of a model from the hub, otherwise its path.
    pub fn name(&self) -> String {
        match self {
            Self::Directory(named) => match named.pin() {
                Some(pin) => pin.id.clone(),
                None => named.path().display().to_string(),
            },
            Self::Embedded => EMBEDDED.into(),
        }
    }

    /// The commit of a model from the hub.
    pub fn revision(&self) -> Option<String> {
        match self {
            Self::Directory(named) => named.pin().map(|pin| pin.commit.clone()),
            Self::Embedded => None,
        }
    }

    /// Its configuration.
    pub fn config(&self) -> Result<ModelConfig> {
        match self {
            Self::Directory(named) => ModelConfig::read(named.path()),
            Self::Embedded => ModelConfig::parse(CONFIG, "embedded model: config.json"),
        }
    }

    /// The SHA-256 of its weights in hexadecimal digits: of the file, or of all shards in the order
    /// of their names. `None` for the model inside the binary.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn weights_sha256(&self) -> Result<Option<String>> {
        let Self::Directory(named) = self else {
            return Ok(None);
        };
        let mut hash = Sha256::new();
        let mut bytes = vec![0; 1 << 20];
        for path in hashed_files(named.path())? {
            let mut file = bounded::open(&path).map_err(Error::io(&path, "read"))?;
            loop {
                let n = file.read(&mut bytes).map_err(Error::io(&path, "read"))?;
                if n == 0 {
                    break;
                }
                hash.update(&bytes[..n]);
                interrupt::check()?;
            }
        }
        let digits = hash.finalize();
        Ok(Some(
            digits.iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    /// Opens its weights.
    pub(crate) fn checkpoint(&self, architecture: Architecture) -> Result<Checkpoint> {
        match self {
            Self::Directory(named) => Checkpoint::open(named.path(), architecture),
            Self::Embedded => {
                let file = SafetensorsFile::embedded(WEIGHTS, "embedded model: model.safetensors")?;
                let file = TensorFile::Safetensors(file);
                Checkpoint::from_files(vec![file], architecture, "embedded model".into())
            }
        }
    }
}

/// The files whose hash is the weights': the single file, or every safetensors file beside the
/// index. PyTorch's are those that are read.
fn hashed_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let single = directory.join("model.safetensors");
    if single.is_file() {
        return Ok(vec![single]);
    }
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let is_shard = |path: &PathBuf| path.extension().is_some_and(|end| end == "safetensors");
    let mut shards: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_shard).collect();
    shards.sort();
    if shards.is_empty() {
        return weight_files(directory);
    }
    Ok(shards)
}

/// Refuses the directory of an adapter, which is not a model by itself.
fn refuse_adapter(directory: &Path) -> Result<()> {
    let has = |name: &str| directory.join(name).is_file();
    if has("config.json") || !(has(peft::CONFIG) || has(NEUTRAL_CONFIG)) {
        return Ok(());
    }
    let path = directory.display();
    Err(Error::Model(format!(
        "--model {path}: this directory holds an adapter, not a model; use --adapter {path} (training continues from it \
         with --init-adapter {path})"
    )))
}
