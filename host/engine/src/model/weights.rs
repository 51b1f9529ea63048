//! Loads a checkpoint as Hugging Face writes it into the names of [`super::description`]. The
//! recipe, `evaluate` and `predict` call it.
//!
//! It understands keys with and without the base model's prefix and those of wrappers,
//! `gamma`/`beta` for LayerNorm, `position_ids`, and shards with an index. Values may be f64, f32,
//! f16, bf16 or the embedded model's int8 rows. One error reports everything that is wrong with a
//! checkpoint.

mod files;
mod keys;
mod mismatch;

pub(crate) use files::weight_files;
pub use files::{FILES, INDICES, shards};
pub use keys::{canonical_name, checkpoint_key};

use super::{config::Architecture, description::ParameterInfo, tensor_file::TensorFile};
use crate::error::{Error, Result};
use candle_core::{Device, Tensor};
use progtune_process::short_list;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// The treatment of a checkpoint whose head does not fit the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadPolicy {
    /// For training: a head that is absent or of another size is randomly initialised.
    MakeNew,
    /// For evaluation and prediction: the head must be there.
    Require,
}

/// An opened checkpoint, with its tensors by canonical name.
pub(crate) struct Checkpoint {
    files: Vec<TensorFile>,
    /// Canonical name → (file, key in the file, shape).
    tensors: BTreeMap<String, (usize, String, Vec<usize>)>,
    architecture: Architecture,
    origin: String,
}

/// The values of a model.
pub(crate) struct Loaded {
    /// One tensor for each requested parameter; `None` if it must be randomly initialised.
    pub values: Vec<Option<Tensor>>,
}

impl Checkpoint {
    /// Opens the weights of a directory: the first of [`FILES`] that it has.
    ///
    /// # Errors
    /// When there are none, a file is damaged, or the weights are a pickle with code.
    pub(crate) fn open(directory: &Path, architecture: Architecture) -> Result<Self> {
        let paths = weight_files(directory)?;
        let files = paths.iter().map(|path| TensorFile::open(path));
        let files = files.collect::<Result<_>>()?;
        Self::from_files(files, architecture, directory.display().to_string())
    }

    /// A checkpoint of files that are open already.
    pub(crate) fn from_files(
        files: Vec<TensorFile>,
        architecture: Architecture,
        origin: String,
    ) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        let mut wrappers = BTreeSet::new();
        for (number, file) in files.iter().enumerate() {
            for (key, shape) in file.shapes() {
                let (bare, taken) = keys::unwrapped(key);
                wrappers.extend(taken);
                let name = canonical_name(&bare, architecture);
                let entry = (number, key.to_owned(), shape.to_vec());
                if let Some((_, other, _)) = tensors.insert(name.clone(), entry) {
                    return Err(Error::Model(format!(
                        "{origin}: both {other} and {key} hold {name}; keep one of them"
                    )));
                }
            }
        }
        if !wrappers.is_empty() {
            let wrappers: Vec<String> = wrappers.iter().map(|of| format!("`{of}`")).collect();
            tracing::warn!(
                "{origin}: the names of tensors have a wrapper's prefix, {}; they are read without it",
                short_list(&wrappers, ", ")
            );
        }
        Ok(Self {
            files,
            tensors,
            architecture,
            origin,
        })
    }

    /// Reads one parameter; `None` if the checkpoint lacks it or has it in another shape.
    ///
    /// # Errors
    /// When the file cannot be read or the values are not usable.
    pub(crate) fn value(&mut self, info: &ParameterInfo) -> Result<Option<Tensor>> {
        match self.tensors.get(&info.name) {
            Some((file, key, shape)) if *shape == info.shape => {
                let (file, key) = (*file, key.clone());
                Ok(Some(self.files[file].read(&key)?))
            }
            _ => Ok(None),
        }
    }

    /// Reads every parameter of `infos`.
    ///
    /// # Errors
    /// When the number of layers is not the configuration's. Otherwise one error that counts the
    /// missing, unexpected and wrongly shaped tensors and lists the first of them.
    pub(crate) fn load(
        &mut self,
        infos: &[ParameterInfo],
        policy: HeadPolicy,
        device: &Device,
    ) -> Result<Loaded> {
        self.check_layers(infos)?;
        let (mut faults, mut replaced) = (Vec::new(), Vec::new());
        let mut values = Vec::with_capacity(infos.len());
        for info in infos {
            match self.tensors.get(&info.name).cloned() {
                Some((file, key, shape)) if shape == info.shape => {
                    values.push(Some(self.files[file].read(&key)?.to_device(device)?));
                }
                Some((_, key, shape))
                    if !(keys::may_be_new(&info.name) && policy == HeadPolicy::MakeNew) =>
                {
                    faults.push(self.wrong_shape(info, &key, &shape));
                    values.push(None);
                }
                Some((_, key, shape)) => {
                    replaced.push(format!("{key} {shape:?} (needed: {:?})", info.shape));
                    values.push(None);
                }
                None => {
                    if !(keys::may_be_new(&info.name) && policy == HeadPolicy::MakeNew) {
                        faults.push(format!("missing: {} {:?}", info.name, info.shape));
                    }
                    values.push(None);
                }
            }
        }
        let known: BTreeSet<&str> = infos.iter().map(|info| info.name.as_str()).collect();
        for (name, (_, key, shape)) in &self.tensors {
            if !known.contains(name.as_str()) && !keys::is_other_head(name) {
                faults.push(format!("unexpected: {key} {shape:?}"));
            }
        }
        if !faults.is_empty() {
            return Err(self.mismatch(&faults));
        }
        if !replaced.is_empty() {
            tracing::warn!(
                "{}: the checkpoint's head does not fit the task and will be randomly initialised, as is usual for a new \
                 task: {}",
                self.origin,
                short_list(&replaced, ", ")
            );
        }
        Ok(Loaded { values })
    }
}

/// Checks that a model with this vocabulary size can serve a tokenizer of `tokens` entries.
///
/// # Errors
/// When the tokenizer can produce an id beyond the embedding table.
pub fn check_vocabulary(
    vocab_size: usize,
    largest_id: u32,
    tokens: usize,
    origin: &str,
) -> Result<()> {
    if (largest_id as usize) < vocab_size {
        return Ok(());
    }
    Err(Error::Model(format!(
        "{origin}: the tokenizer has {tokens} tokens with ids up to {largest_id}, but config.json says vocab_size \
         {vocab_size}: the tokenizer belongs to another model; use the one that this model was trained with"
    )))
}
