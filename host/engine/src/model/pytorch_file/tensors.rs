//! The tensors of an unpickled state dict, checked against the bytes that the file has for them.
//! [`super`] calls it when a file is opened.

use super::object::{Id, Object, Objects, Storage, Tensor};
use crate::model::tensor_values::numbers_of;
use safetensors::Dtype;
use std::collections::{BTreeMap, HashMap};

/// The bytes of a storage in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The position of the first byte in the file.
    pub start: u64,
    /// The number of bytes in the file.
    pub stored: u64,
    /// The number of bytes of the storage, which is larger if it is compressed.
    pub bytes: u64,
    /// Whether the bytes are compressed with deflate.
    pub is_deflated: bool,
}

/// A tensor with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub dtype: Dtype,
    pub place: Place,
    /// The position of the tensor's first number in the storage.
    pub first: u64,
    /// The numbers from the tensor's first to its last in the storage.
    pub span: u64,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// The bytes that tensors may take for each byte of the file. Tied weights, transposed views and
/// the parts of a fused layer need a few; a file that is made to exhaust memory needs many.
const MOST_FOLD: u64 = 32;

/// The allowance for small files.
const ALLOWANCE: u64 = 1 << 20;

/// The size of a number in bytes.
pub(super) fn size_of_dtype(dtype: Dtype) -> u64 {
    dtype.bitsize() as u64 / 8
}

/// The tensors of a state dict by name. `place_of` gives the bytes of a storage.
///
/// # Errors
/// The fault, in words.
pub(super) fn tensors(
    objects: &Objects,
    root: Id,
    mut place_of: impl FnMut(&Storage) -> Result<Place, String>,
) -> Result<BTreeMap<String, Entry>, String> {
    let Object::Dict(pairs) = objects.get(root) else {
        return Err("expected a state dict, found another object".into());
    };
    let mut places: HashMap<&str, Place> = HashMap::new();
    let mut all = BTreeMap::new();
    for &(key, value) in pairs {
        let (Some(name), Object::Tensor(tensor)) = (objects.text(key), objects.get(value)) else {
            continue;
        };
        let key = tensor.storage.key.as_str();
        let place = match places.get(key) {
            Some(place) => *place,
            None => {
                let place = place_of(&tensor.storage)?;
                places.insert(key, place);
                place
            }
        };
        let entry = entry(tensor, place).ok_or_else(|| {
            format!(
                "tensor {name}: expected its values inside the storage {key} of {} bytes, found a tensor {:?} beyond it",
                place.bytes, tensor.shape
            )
        })?;
        all.insert(name.to_owned(), entry);
    }
    if all.is_empty() {
        let keys = pairs.iter().filter_map(|&(key, _)| objects.text(key));
        let keys: Vec<String> = keys.take(5).map(|key| format!("`{key:.40}`")).collect();
        return Err(format!(
            "expected a state dict with tensors, found {}",
            if keys.is_empty() {
                "none".to_owned()
            } else {
                format!("none beside the keys {}", keys.join(", "))
            }
        ));
    }
    bound(&all, places.values())?;
    Ok(all)
}

/// A tensor with its place; `None` if it reaches beyond its storage.
fn entry(tensor: &Tensor, place: Place) -> Option<Entry> {
    let Tensor {
        storage,
        offset,
        shape,
        strides,
    } = tensor;
    let size = size_of_dtype(storage.dtype);
    let first = storage.first.checked_add(*offset)?;
    let numbers = numbers_of(shape)?;
    let mut span = u64::from(numbers > 0);
    for (&length, &stride) in shape.iter().zip(strides) {
        if numbers > 0 {
            let reach = (length as u64 - 1).checked_mul(stride as u64)?;
            span = span.checked_add(reach)?;
        }
    }
    let end = first.checked_add(span)?.checked_mul(size)?;
    let is_inside = end <= place.bytes && storage.numbers.checked_mul(size)? <= place.bytes;
    is_inside.then(|| Entry {
        dtype: storage.dtype,
        place,
        first,
        span,
        shape: shape.clone(),
        strides: strides.clone(),
    })
}

/// Refuses tensors that take far more memory or time than their file is large.
fn bound<'a>(
    all: &BTreeMap<String, Entry>,
    places: impl Iterator<Item = &'a Place>,
) -> Result<(), String> {
    let available = places.fold(0u64, |sum, place| sum.saturating_add(place.bytes));
    let mut needed = 0u64;
    for entry in all.values() {
        let size = size_of_dtype(entry.dtype);
        let mut read = entry.span.max(numbers_of(&entry.shape).unwrap_or(u64::MAX));
        if entry.place.is_deflated {
            // What lies before it is decompressed, too.
            read = read.saturating_add(entry.first);
        }
        needed = needed.saturating_add(read.saturating_mul(size));
    }
    let most = available
        .saturating_mul(MOST_FOLD)
        .saturating_add(ALLOWANCE);
    if needed <= most {
        return Ok(());
    }
    Err(format!(
        "expected tensors of at most {most} bytes in a file with {available} bytes of numbers, found {needed}"
    ))
}
