//! A file of tensors in either format: safetensors, or PyTorch's `torch.save`. The loaders of
//! checkpoints and adapters call it.

use super::{pytorch_file::PytorchFile, safetensors_file::SafetensorsFile};
use crate::error::Result;
use candle_core::Tensor;
use std::path::Path;

/// An open file, of which no tensor has been read.
pub(crate) enum TensorFile {
    /// safetensors.
    Safetensors(SafetensorsFile),
    /// PyTorch's pickles.
    Pytorch(PytorchFile),
}

impl TensorFile {
    /// Opens a file. One whose name does not end with `.safetensors` is PyTorch's.
    ///
    /// # Errors
    /// When it is absent, damaged, or contains code.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let is_safetensors = path.extension().is_some_and(|end| end == "safetensors");
        Ok(if is_safetensors {
            Self::Safetensors(SafetensorsFile::open(path)?)
        } else {
            Self::Pytorch(PytorchFile::open(path)?)
        })
    }

    /// The name of the file in messages.
    pub(crate) fn origin(&self) -> &str {
        match self {
            Self::Safetensors(file) => file.origin(),
            Self::Pytorch(file) => file.origin(),
        }
    }

    /// Names and shapes.
    pub(crate) fn shapes(&self) -> Box<dyn Iterator<Item = (&str, &[usize])> + '_> {
        match self {
            Self::Safetensors(file) => Box::new(file.shapes()),
            Self::Pytorch(file) => Box::new(file.shapes()),
        }
    }

    /// One tensor as f32 on the CPU.
    ///
    /// # Errors
    /// As for [`SafetensorsFile::read`].
    pub(crate) fn read(&mut self, name: &str) -> Result<Tensor> {
        match self {
            Self::Safetensors(file) => file.read(name),
            Self::Pytorch(file) => file.read(name),
        }
    }
}
