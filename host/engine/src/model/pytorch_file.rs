//! Reads a file of PyTorch's `torch.save` (`pytorch_model.bin`, `adapter_model.bin`) tensor by
//! tensor as f32, without running anything in it. [`super::tensor_file`] calls it.
//!
//! Such a file contains a pickle, which in Python may run any code. Here it is read by a machine
//! that knows the few calls that describe tensors ([`unpickle`]), and it is refused if it has
//! others. candle's reader is not used: it copies whatever the memo repeats, trusts lengths and
//! panics at short tuples, skips what it does not know, and reads neither the older layout nor
//! views with strides.

mod legacy_layout;
mod object;
mod tensors;
mod unpickle;
mod zip_layout;

use super::tensor_values::{finite, numbers_of, read_floats, wrong_type};
use crate::error::{Error, Result};
use candle_core::Tensor;
use flate2::read::DeflateDecoder;
use progtune_process::files::bounded;
use std::{
    collections::BTreeMap,
    io::{self, BufReader, Cursor, Read, Seek, SeekFrom},
    path::Path,
};
use tensors::{Entry, size_of_dtype};

trait Source: Read + Seek {}
impl<T: Read + Seek> Source for T {}

/// An open file, of which the list of tensors has been read but no tensor.
///
/// ```no_run
/// use progtune_engine::model::PytorchFile;
///
/// let mut file = PytorchFile::open("pytorch_model.bin".as_ref())?;
/// let names: Vec<String> = file.shapes().map(|(name, _)| name.to_owned()).collect();
/// for name in names {
///     println!("{name}: {:?}", file.read(&name)?.dims());
/// }
/// # Ok::<(), progtune_engine::Error>(())
/// ```
pub struct PytorchFile {
    source: Box<dyn Source>,
    origin: String,
    tensors: BTreeMap<String, Entry>,
}

impl PytorchFile {
    /// Opens a file.
    ///
    /// # Errors
    /// When it is absent or damaged, or contains anything but tensors and plain data.
    pub fn open(path: &Path) -> Result<Self> {
        let file = bounded::open(path).map_err(Error::io(path, "open"))?;
        Self::from_source(Box::new(file), path.display().to_string())
    }

    /// Opens the contents of a file.
    ///
    /// # Errors
    /// As for [`PytorchFile::open`].
    pub fn of_bytes(bytes: Vec<u8>, origin: &str) -> Result<Self> {
        Self::from_source(Box::new(Cursor::new(bytes)), origin.to_owned())
    }

    fn from_source(mut source: Box<dyn Source>, origin: String) -> Result<Self> {
        let tensors = list(&mut source).map_err(|what| {
            let advice = if what.contains("contains code") {
                "nothing in it was run. If you trust the file, load it in Python and save it again with \
                 `save_pretrained`, which writes safetensors; otherwise use another one"
            } else if what.contains("expected a state dict") {
                "save the state dict itself with `torch.save`, or the model with `save_pretrained`"
            } else {
                "download or copy the file again, or use one in safetensors"
            };
            Error::Model(format!("{origin}: {what}; {advice}"))
        })?;
        Ok(Self {
            source,
            origin,
            tensors,
        })
    }

    /// The name of the file in messages.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Names and shapes.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        let tensors = self.tensors.iter();
        tensors.map(|(name, entry)| (name.as_str(), entry.shape.as_slice()))
    }

    /// One tensor as f32 on the CPU, converted from f64, f16 or bf16.
    ///
    /// # Errors
    /// When there is no such tensor, its type is not one of those, or a value is NaN or infinite.
    pub fn read(&mut self, name: &str) -> Result<Tensor> {
        let origin = &self.origin;
        let Some(entry) = self.tensors.get(name) else {
            return Err(Error::Model(format!("{origin}: no tensor {name}")));
        };
        let span = read_span(&mut self.source, entry)
            .map_err(|e| Error::Model(format!("{origin}: cannot read tensor {name}: {e}")))?;
        let span = span.ok_or_else(|| wrong_type(entry.dtype, name, origin))?;
        let values = if is_contiguous(entry) {
            span
        } else {
            gathered(&span, entry)
        };
        finite(values, &entry.shape, name, origin)
    }
}

/// The list of tensors of a file in either layout.
fn list(source: &mut dyn Source) -> std::result::Result<BTreeMap<String, Entry>, String> {
    let failed = |e: io::Error| format!("cannot read it: {e}");
    let length = source.seek(SeekFrom::End(0)).map_err(failed)?;
    source.rewind().map_err(failed)?;
    let mut start = Vec::new();
    let magic = zip_layout::MAGIC;
    source
        .take(magic.len() as u64)
        .read_to_end(&mut start)
        .map_err(failed)?;
    source.rewind().map_err(failed)?;
    let mut source = BufReader::new(source);
    if start == magic {
        zip_layout::read(source, length)
    } else {
        legacy_layout::read(&mut source, length)
    }
}

/// The numbers from the first to the last of a tensor; `None` if they are no floats.
fn read_span(source: &mut dyn Source, entry: &Entry) -> io::Result<Option<Vec<f32>>> {
    let place = entry.place;
    let skipped = entry.first * size_of_dtype(entry.dtype);
    let count = entry.span as usize;
    if place.is_deflated {
        source.seek(SeekFrom::Start(place.start))?;
        let mut source = DeflateDecoder::new(source.take(place.stored));
        io::copy(&mut source.by_ref().take(skipped), &mut io::sink())?;
        return read_floats(&mut source, entry.dtype, count);
    }
    source.seek(SeekFrom::Start(place.start + skipped))?;
    read_floats(&mut &mut *source, entry.dtype, count)
}

/// Whether a tensor's values follow each other in the storage in their own order.
fn is_contiguous(entry: &Entry) -> bool {
    if numbers_of(&entry.shape) == Some(0) {
        return true;
    }
    let mut expected = 1;
    entry
        .shape
        .iter()
        .zip(&entry.strides)
        .rev()
        .all(|(&length, &stride)| {
            let fits = length == 1 || stride == expected;
            expected *= length;
            fits
        })
}

/// The values of a tensor in their own order, from the numbers that its strides refer to.
fn gathered(span: &[f32], entry: &Entry) -> Vec<f32> {
    let mut sides = entry.shape.iter().zip(&entry.strides);
    let (&columns, &step) = sides.next_back().unwrap_or((&1, &1));
    // Where each row begins. Rows are the last dimension, so that this list is short.
    let mut rows = vec![0];
    for (&length, &stride) in sides {
        let steps = |&row: &usize| (0..length).map(move |at| row + at * stride);
        rows = rows.iter().flat_map(steps).collect();
    }
    let mut values = Vec::with_capacity(rows.len() * columns);
    for row in rows {
        values.extend((0..columns).map(|column| span[row + column * step]));
    }
    values
}

#[cfg(test)]
mod tests;
