//! Reads one safetensors file tensor by tensor as f32, from disk or from the binary itself. The
//! weight loader and adapter loading call it.

use super::tensor_values::{finite, numbers_of, read_floats, read_numbers, wrong_type};
use crate::error::{Error, Result};
use candle_core::Tensor;
use progtune_process::files::bounded;
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use std::{
    collections::BTreeMap,
    io::{Cursor, Read, Seek, SeekFrom},
    path::Path,
};

/// The suffix of the per-row scale beside an int8 matrix (the embedded model's format).
const SCALE_SUFFIX: &str = ".scale";

trait Source: Read + Seek {}
impl<T: Read + Seek> Source for T {}

/// An open file, of which the header has been read but no tensor.
///
/// ```no_run
/// use progtune_engine::model::SafetensorsFile;
///
/// let mut file = SafetensorsFile::open("model.safetensors".as_ref())?;
/// let names: Vec<String> = file.shapes().map(|(name, _)| name.to_owned()).collect();
/// for name in names {
///     println!("{name}: {:?}", file.read(&name)?.dims());
/// }
/// # Ok::<(), progtune_engine::Error>(())
/// ```
pub struct SafetensorsFile {
    source: Box<dyn Source>,
    origin: String,
    /// The byte offset of the data, after the header.
    data_start: u64,
    tensors: BTreeMap<String, TensorInfo>,
    metadata: BTreeMap<String, String>,
}

impl SafetensorsFile {
    /// Opens a file.
    ///
    /// # Errors
    /// When it is absent, not safetensors, or shorter than its header says.
    pub fn open(path: &Path) -> Result<Self> {
        let file = bounded::open(path).map_err(Error::io(path, "open"))?;
        Self::from_source(Box::new(file), path.display().to_string())
    }

    /// Opens bytes that are part of the binary.
    pub fn embedded(bytes: &'static [u8], origin: &str) -> Result<Self> {
        Self::from_source(Box::new(Cursor::new(bytes)), origin.to_owned())
    }

    /// Opens the contents of a file.
    ///
    /// # Errors
    /// As for [`SafetensorsFile::open`].
    pub fn of_bytes(bytes: Vec<u8>, origin: &str) -> Result<Self> {
        Self::from_source(Box::new(Cursor::new(bytes)), origin.to_owned())
    }

    fn from_source(mut source: Box<dyn Source>, origin: String) -> Result<Self> {
        let broken = |what: String| {
            Error::Model(format!("{origin}: {what}; download or copy the file again"))
        };
        let length = source
            .seek(SeekFrom::End(0))
            .map_err(|e| broken(format!("cannot read: {e}")))?;
        let mut size = [0u8; 8];
        let start = source
            .seek(SeekFrom::Start(0))
            .and_then(|_| source.read_exact(&mut size));
        start.map_err(|_| {
            broken(format!(
                "expected a safetensors file of at least 8 bytes, found {length}"
            ))
        })?;
        let header_length = u64::from_le_bytes(size);
        if header_length > length.saturating_sub(8) || header_length > 100_000_000 {
            return Err(broken(format!(
                "expected a safetensors file, found a file of {length} bytes whose header would have {header_length}"
            )));
        }
        let mut buffer = vec![0u8; header_length as usize];
        source
            .read_exact(&mut buffer)
            .map_err(|e| broken(format!("cannot read the header: {e}")))?;
        // The header is parsed separately, so that the file need not be in memory. Deserialising
        // checks the offsets.
        let header: Metadata = serde_json::from_slice(&buffer)
            .map_err(|e| broken(format!("the safetensors header is damaged: {e}")))?;
        let tensors: BTreeMap<String, TensorInfo> = header
            .tensors()
            .into_iter()
            .map(|(name, info)| (name, info.clone()))
            .collect();
        let data_start = 8 + header_length;
        let end = tensors
            .values()
            .map(|info| info.data_offsets.1 as u64)
            .max()
            .unwrap_or(0);
        let end = data_start.saturating_add(end);
        if end > length {
            return Err(broken(format!(
                "truncated: expected {end} bytes, found {length}"
            )));
        }
        // Without values, any other length of a dimension fits the file.
        if let Some((name, info)) = tensors
            .iter()
            .find(|(_, info)| numbers_of(&info.shape).is_none())
        {
            let sides = info.shape.len();
            return Err(broken(format!(
                "tensor {name:.80}: expected the shape of a model's tensor, found {sides} dimensions that no tensor has"
            )));
        }
        let metadata = header
            .metadata()
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect();
        Ok(Self {
            source,
            origin,
            data_start,
            tensors,
            metadata,
        })
    }

    /// The name of the file in messages.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The file's own metadata.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Names and shapes, without the scales of int8 matrices.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors
            .iter()
            .filter(|(name, _)| !self.is_scale(name))
            .map(|(name, info)| (name.as_str(), info.shape.as_slice()))
    }

    fn is_scale(&self, name: &str) -> bool {
        name.strip_suffix(SCALE_SUFFIX)
            .and_then(|base| self.tensors.get(base))
            .is_some_and(|base| base.dtype == Dtype::I8)
    }

    /// One tensor as f32 on the CPU, converted from f64, f16, bf16 or int8 rows with scales. It is
    /// a variable, so that [`candle_core::Var::from_tensor`] takes it without a copy.
    ///
    /// # Errors
    /// When there is no such tensor, its type is not one of those, or a value is NaN or infinite.
    pub fn read(&mut self, name: &str) -> Result<Tensor> {
        let Some(info) = self.tensors.get(name).cloned() else {
            return Err(Error::Model(format!("{}: no tensor {name}", self.origin)));
        };
        let is_scaled = self.tensors.contains_key(&format!("{name}{SCALE_SUFFIX}"));
        let values = if info.dtype == Dtype::I8 && is_scaled {
            self.dequantise(name, &info)?
        } else {
            self.floats(name, &info)?
        };
        finite(values, &info.shape, name, &self.origin)
    }

    /// Some numbers of a tensor of the type F32: `count` from number `start` on.
    ///
    /// # Errors
    /// When there is no such tensor, it has another type, or fewer numbers.
    pub fn part(&mut self, name: &str, start: usize, count: usize) -> Result<Vec<f32>> {
        match self.tensors.get(name).cloned() {
            Some(info) if info.dtype == Dtype::F32 => {
                let numbers = self.seek(name, &info)?;
                if start.checked_add(count).is_none_or(|end| end > numbers) {
                    let origin = &self.origin;
                    return Err(Error::Model(format!(
                        "{origin}: tensor {name}: expected more than {numbers} numbers; the file is damaged"
                    )));
                }
                let skipped = self.source.seek_relative(4 * start as i64);
                let read = skipped
                    .and_then(|()| read_numbers(&mut self.source, count, f32::from_le_bytes));
                read.map_err(|e| self.unreadable(name, &e))
            }
            _ => Err(Error::Model(format!(
                "{}: no tensor {name} of the type F32",
                self.origin
            ))),
        }
    }

    /// The bytes of a tensor of the type U8.
    ///
    /// # Errors
    /// When there is no such tensor, or it has another type.
    pub fn bytes(&mut self, name: &str) -> Result<Vec<u8>> {
        match self.tensors.get(name).cloned() {
            Some(info) if info.dtype == Dtype::U8 => {
                let count = self.seek(name, &info)?;
                let bytes = read_numbers(&mut self.source, count, u8::from_le_bytes);
                bytes.map_err(|e| self.unreadable(name, &e))
            }
            _ => Err(Error::Model(format!(
                "{}: no tensor {name} of the type U8",
                self.origin
            ))),
        }
    }

    /// The values of a tensor of floats.
    fn floats(&mut self, name: &str, info: &TensorInfo) -> Result<Vec<f32>> {
        let count = self.seek(name, info)?;
        let values = read_floats(&mut self.source, info.dtype, count);
        let values = values.map_err(|e| self.unreadable(name, &e))?;
        values.ok_or_else(|| wrong_type(info.dtype, name, &self.origin))
    }

    /// Goes to the beginning of a tensor. Returns the number of its values, which the file has.
    fn seek(&mut self, name: &str, info: &TensorInfo) -> Result<usize> {
        let (start, end) = info.data_offsets;
        let at = SeekFrom::Start(self.data_start + start as u64);
        self.source
            .seek(at)
            .map_err(|e| self.unreadable(name, &e))?;
        Ok((end - start) * 8 / info.dtype.bitsize())
    }

    fn unreadable(&self, name: &str, error: &std::io::Error) -> Error {
        Error::Model(format!(
            "{}: cannot read tensor {name}: {error}",
            self.origin
        ))
    }

    /// The values of an int8 matrix, each multiplied by the scale of its row.
    fn dequantise(&mut self, name: &str, info: &TensorInfo) -> Result<Vec<f32>> {
        let scale_name = format!("{name}{SCALE_SUFFIX}");
        let rows = info.shape.first().copied().unwrap_or(0);
        let scales: Vec<f32> = match self.tensors.get(&scale_name).cloned() {
            Some(scale) if scale.dtype == Dtype::F32 && scale.shape == [rows] => {
                self.floats(&scale_name, &scale)?
            }
            _ => {
                return Err(Error::Model(format!(
                    "{}: int8 tensor {name} needs {scale_name}, F32 of {rows} rows",
                    self.origin
                )));
            }
        };
        let count = self.seek(name, info)?;
        let values = read_numbers(&mut self.source, count, i8::from_le_bytes);
        let values: Vec<i8> = values.map_err(|e| self.unreadable(name, &e))?;
        let columns = values.len() / rows.max(1);
        Ok(values
            .chunks_exact(columns.max(1))
            .zip(scales)
            .flat_map(|(row, scale)| row.iter().map(move |&value| f32::from(value) * scale))
            .collect())
    }
}
