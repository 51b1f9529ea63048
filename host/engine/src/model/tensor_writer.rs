//! Writes a safetensors file tensor by tensor, so that no second copy of the numbers is made.
//! Checkpoints of runs and [`crate::export`] call it.

use super::parameters::HostSlice;
use crate::error::{Error, Result};
use candle_core::{DType, Device, Tensor};
use serde_json::{Map, Value, json};
use std::{
    borrow::Cow,
    cmp::Reverse,
    io::{self, Write},
    path::Path,
};

/// The numbers that are converted at a time.
const PIECE: usize = 1 << 16;

/// Writes numbers piece by piece to the function that it is given.
pub type Stream<'a> =
    Box<dyn FnOnce(&mut dyn FnMut(&[f32]) -> io::Result<()>) -> io::Result<()> + 'a>;

/// The content of a tensor.
pub enum Content<'a> {
    /// Values on any device, rounded to f16 or bf16, or else f32.
    Tensor(Tensor, DType),
    /// Numbers, f32.
    Numbers(Cow<'a, [f32]>),
    /// Numbers, f32, that are nowhere in one piece.
    Stream(Stream<'a>),
    /// Bytes, u8.
    Bytes(Cow<'a, [u8]>),
}

/// A tensor to write.
pub struct Entry<'a> {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its content, which has the size of the shape.
    pub content: Content<'a>,
}

impl Content<'_> {
    fn dtype(&self) -> (&'static str, usize) {
        match self {
            Self::Tensor(_, DType::F16) => ("F16", 2),
            Self::Tensor(_, DType::BF16) => ("BF16", 2),
            Self::Tensor(..) | Self::Numbers(_) | Self::Stream(_) => ("F32", 4),
            Self::Bytes(_) => ("U8", 1),
        }
    }
}

/// Writes `entries` as a safetensors file with these `metadata`. Entries of the same type stay in
/// order.
///
/// # Errors
/// When `out` refuses, or a tensor cannot be copied from its device.
pub fn write(
    out: &mut dyn Write,
    metadata: &[(&str, &str)],
    mut entries: Vec<Entry<'_>>,
) -> Result<(), WriteError> {
    // Large numbers come first, so that each of them lies at a multiple of its size.
    entries.sort_by_key(|entry| Reverse(entry.content.dtype().1));
    let mut header = Map::new();
    if !metadata.is_empty() {
        let values = metadata.iter().map(|(key, value)| (*key, *value));
        header.insert("__metadata__".into(), values.collect());
    }
    let mut start = 0;
    for entry in &entries {
        let (dtype, bytes) = entry.content.dtype();
        let end = start + entry.shape.iter().product::<usize>() * bytes;
        let about = json!({"dtype": dtype, "shape": entry.shape, "data_offsets": [start, end]});
        header.insert(entry.name.clone(), about);
        start = end;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for entry in entries {
        match entry.content {
            Content::Numbers(numbers) => write_numbers(out, &numbers)?,
            Content::Stream(stream) => stream(&mut |numbers| write_numbers(out, numbers))?,
            Content::Bytes(bytes) => out.write_all(&bytes)?,
            Content::Tensor(tensor, dtype) => write_tensor(out, &tensor, dtype)?,
        }
    }
    Ok(())
}

fn write_tensor(out: &mut dyn Write, tensor: &Tensor, dtype: DType) -> Result<(), WriteError> {
    let round = |dtype| tensor.to_dtype(dtype)?.flatten_all();
    match dtype {
        DType::F16 => {
            let numbers = round(dtype).and_then(|flat| flat.to_vec1::<half::f16>());
            write_each(out, &numbers.map_err(Error::from)?, half::f16::to_le_bytes)?;
        }
        DType::BF16 => {
            let numbers = round(dtype).and_then(|flat| flat.to_vec1::<half::bf16>());
            write_each(out, &numbers.map_err(Error::from)?, half::bf16::to_le_bytes)?;
        }
        _ => {
            let here = tensor.to_device(&Device::Cpu);
            let numbers = here.and_then(|tensor| tensor.to_dtype(DType::F32)?.contiguous());
            write_numbers(out, &HostSlice::of(&numbers.map_err(Error::from)?))?;
        }
    }
    Ok(())
}

fn write_numbers(out: &mut dyn Write, numbers: &[f32]) -> io::Result<()> {
    write_each(out, numbers, |number| number.to_le_bytes())
}

/// Writes numbers that `to_bytes` converts.
fn write_each<T: Copy, const SIZE: usize>(
    out: &mut dyn Write,
    numbers: &[T],
    to_bytes: impl Fn(T) -> [u8; SIZE],
) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(SIZE * PIECE.min(numbers.len()));
    for piece in numbers.chunks(PIECE) {
        bytes.clear();
        bytes.extend(piece.iter().flat_map(|&number| to_bytes(number)));
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// The reason why a file could not be written.
#[derive(Debug)]
pub enum WriteError {
    /// The file system refused.
    Io(io::Error),
    /// A tensor could not be read.
    Other(Box<Error>),
}

impl WriteError {
    /// The error of writing the file at `path`, for `map_err`.
    pub fn at(path: &Path) -> impl FnOnce(Self) -> Error {
        move |error| match error {
            Self::Io(error) => Error::io(path, "write")(error),
            Self::Other(error) => *error,
        }
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        Self::Other(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::safetensors_file::SafetensorsFile;

    #[test]
    fn what_is_written_is_read_again_bit_for_bit() {
        let values = [0.1f32, -0.0, 1e-42];
        let value = Tensor::from_slice(&values, (1, 3), &Device::Cpu).unwrap();
        let many: Vec<f32> = (0..PIECE + 3).map(|n| n as f32).collect();
        let entry = |name: &str, shape: &[usize], content| Entry {
            name: name.into(),
            shape: shape.to_vec(),
            content,
        };
        let entries = vec![
            entry("bytes", &[5], Content::Bytes(vec![1, 2, 3, 0, 255].into())),
            entry("p", &[1, 3], Content::Tensor(value, DType::F32)),
            entry("many", &[PIECE + 3], Content::Numbers(many.clone().into())),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let mut file = std::fs::File::create(&path).unwrap();
        write(&mut file, &[], entries).unwrap();
        let mut file = SafetensorsFile::open(&path).unwrap();
        let read = file.read("p").unwrap();
        assert_eq!(read.dims(), [1, 3]);
        let bits = |numbers: &[f32]| numbers.iter().map(|n| n.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&HostSlice::of(&read)), bits(&values));
        assert_eq!(*HostSlice::of(&file.read("many").unwrap()), *many);
        assert_eq!(file.bytes("bytes").unwrap(), [1, 2, 3, 0, 255]);
        assert!(file.bytes("p").is_err() && file.bytes("none").is_err());
    }
}
