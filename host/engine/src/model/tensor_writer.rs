//! Writes a safetensors file tensor by tensor, so that no second copy of the numbers is made.
//! Checkpoints of runs call it.

use super::parameters::{HostSlice, ParameterId, Parameters};
use crate::error::{Error, Result};
use candle_core::Device;
use serde_json::{Map, Value, json};
use std::{
    borrow::Cow,
    io::{self, Write},
};

/// The numbers that are converted at a time.
const PIECE: usize = 1 << 16;

/// Writes numbers piece by piece to the function that it is given.
pub type Stream<'a> =
    Box<dyn FnOnce(&mut dyn FnMut(&[f32]) -> io::Result<()>) -> io::Result<()> + 'a>;

/// The content of a tensor.
pub enum Content<'a> {
    /// The values of a parameter, f32.
    Parameter(ParameterId),
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
            Self::Parameter(_) | Self::Numbers(_) | Self::Stream(_) => ("F32", 4),
            Self::Bytes(_) => ("U8", 1),
        }
    }
}

/// Writes `entries` as a safetensors file; parameters are those of `parameters`.
///
/// # Errors
/// When `out` refuses, or a parameter cannot be copied from its device.
pub fn write(
    out: &mut dyn Write,
    parameters: &Parameters,
    mut entries: Vec<Entry<'_>>,
) -> Result<(), WriteError> {
    // Numbers come first, so that each of them lies at a multiple of its size.
    entries.sort_by_key(|entry| entry.content.dtype().0 != "F32");
    let mut header = Map::new();
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
            Content::Parameter(id) if parameters.device().is_cpu() => {
                write_numbers(out, &parameters.host(id))?;
            }
            Content::Parameter(id) => {
                let value = parameters.variable(id).as_detached_tensor();
                let value = value.to_device(&Device::Cpu).and_then(|v| v.contiguous());
                let value = value.map_err(Error::from)?;
                write_numbers(out, &HostSlice::of(&value))?;
            }
        }
    }
    Ok(())
}

fn write_numbers(out: &mut dyn Write, numbers: &[f32]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(4 * PIECE.min(numbers.len()));
    for piece in numbers.chunks(PIECE) {
        bytes.clear();
        bytes.extend(piece.iter().flat_map(|number| number.to_le_bytes()));
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// The reason why a file could not be written.
#[derive(Debug)]
pub enum WriteError {
    /// The file system refused.
    Io(io::Error),
    /// A parameter could not be read.
    Other(Box<Error>),
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
    use crate::model::{description::ParameterInfo, safetensors_file::SafetensorsFile};
    use candle_core::Tensor;
    use progtune_plugin_api::records::{Part, Role};

    #[test]
    fn what_is_written_is_read_again_bit_for_bit() {
        let info = ParameterInfo {
            name: "p".into(),
            shape: vec![1, 3],
            part: Part::HEAD,
            block: None,
            role: Role::WEIGHT,
            lr_scale: 1.0,
            added: None,
        };
        let values = [0.1f32, -0.0, 1e-42];
        let value = Tensor::from_slice(&values, (1, 3), &Device::Cpu).unwrap();
        let parameters = Parameters::new(vec![info], vec![value]).unwrap();
        let many: Vec<f32> = (0..PIECE + 3).map(|n| n as f32).collect();
        let entry = |name: &str, shape: &[usize], content| Entry {
            name: name.into(),
            shape: shape.to_vec(),
            content,
        };
        let entries = vec![
            entry("bytes", &[5], Content::Bytes(vec![1, 2, 3, 0, 255].into())),
            entry("p", &[1, 3], Content::Parameter(0)),
            entry("many", &[PIECE + 3], Content::Numbers(many.clone().into())),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let mut file = std::fs::File::create(&path).unwrap();
        write(&mut file, &parameters, entries).unwrap();
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
