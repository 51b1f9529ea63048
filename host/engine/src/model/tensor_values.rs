//! From the bytes of a tensor in a file to f32. The readers of [`super::safetensors_file`] and
//! [`super::pytorch_file`] call it.

use crate::error::{Error, Result};
use candle_core::{Device, Tensor, Var};
use safetensors::Dtype;
use std::io::{self, Read};

/// The bytes that are read and converted at a time: few enough to stay in the processor's cache
/// between the two.
const PIECE_BYTES: usize = 1 << 18;

/// The largest number of dimensions of a tensor. Those of a model have two.
pub(super) const MOST_DIMENSIONS: usize = 8;

/// The number of values of a shape; `None` if it has too many values or dimensions to compute with.
pub(super) fn numbers_of(shape: &[usize]) -> Option<u64> {
    // Lengths of zero are left out, because strides are computed even for an empty tensor.
    let lengths = shape.iter().filter(|&&length| length > 0);
    let product = lengths.into_iter().try_fold(1u64, |product, &length| {
        product.checked_mul(u64::try_from(length).ok()?)
    })?;
    let is_small = product < 1 << 48 && shape.len() <= MOST_DIMENSIONS;
    let is_empty = shape.contains(&0);
    is_small.then_some(if is_empty { 0 } else { product })
}

/// Reads `count` numbers of a float type. The caller has checked that the file has them. `None`
/// for another type.
///
/// # Errors
/// When `source` ends before, or cannot be read.
pub(super) fn read_floats(
    source: &mut dyn Read,
    dtype: Dtype,
    count: usize,
) -> io::Result<Option<Vec<f32>>> {
    Ok(Some(match dtype {
        Dtype::F32 => read_numbers(source, count, f32::from_le_bytes)?,
        Dtype::F64 => read_numbers(source, count, |b| f64::from_le_bytes(b) as f32)?,
        Dtype::F16 => read_numbers(source, count, |b| half::f16::from_le_bytes(b).to_f32())?,
        Dtype::BF16 => read_numbers(source, count, |b| half::bf16::from_le_bytes(b).to_f32())?,
        _ => return Ok(None),
    }))
}

/// Reads `count` numbers of N bytes each.
pub(super) fn read_numbers<const N: usize, T>(
    source: &mut dyn Read,
    count: usize,
    convert: impl Fn([u8; N]) -> T,
) -> io::Result<Vec<T>> {
    let mut left = count * N;
    let mut numbers = Vec::with_capacity(count);
    let mut piece = vec![0u8; left.min(PIECE_BYTES)];
    while left > 0 {
        let piece = &mut piece[..left.min(PIECE_BYTES)];
        source.read_exact(piece)?;
        numbers.extend(piece.as_chunks::<N>().0.iter().map(|&bytes| convert(bytes)));
        left -= piece.len();
    }
    Ok(numbers)
}

/// The tensor of finite values. It is a variable, so that [`Var::from_tensor`] takes it without a
/// copy.
///
/// # Errors
/// When a value is NaN or infinite.
pub(super) fn finite(
    values: Vec<f32>,
    shape: &[usize],
    name: &str,
    origin: &str,
) -> Result<Tensor> {
    let bad = values.iter().filter(|value| !value.is_finite()).count();
    if bad > 0 {
        return Err(Error::Model(format!(
            "{origin}: tensor {name}: expected finite numbers, found NaN or infinity in {bad} of {}; the file is damaged or \
             its training diverged: use another one",
            values.len()
        )));
    }
    Ok(Var::from_vec(values, shape, &Device::Cpu)?.into_inner())
}

/// The refusal of a type that is not read.
pub(super) fn wrong_type(dtype: Dtype, name: &str, origin: &str) -> Error {
    Error::Model(format!(
        "{origin}: tensor {name}: expected the type F64, F32, F16 or BF16, found {dtype:?}; save the model again \
         in one of these"
    ))
}
