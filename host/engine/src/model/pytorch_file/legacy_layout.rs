//! The layout of `torch.save` before PyTorch 1.6: five pickles one after the other, then the bytes
//! of each storage. [`super`] opens it.
//!
//! ```text
//! magic number · version · description of the machine · state dict · keys of the storages ·
//! for each key: number of values (8 bytes) · values
//! ```

use super::{
    object::{Id, Object, Objects, Storage},
    tensors::{Entry, Place, size_of_dtype, tensors},
    unpickle::unpickle,
};
use std::{
    collections::{BTreeMap, HashMap},
    io::{Read, Seek, SeekFrom},
};

/// The magic number.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;

/// The version of the layout.
const VERSION: i128 = 1001;

/// The tensors of a file of `length` bytes.
///
/// # Errors
/// The fault, in words.
pub(super) fn read(
    source: &mut (impl Read + Seek),
    length: u64,
) -> Result<BTreeMap<String, Entry>, String> {
    let unknown = || "expected a file of torch.save, found another".to_owned();
    let mut number = || {
        let (objects, root) = unpickle(source).ok()?;
        match objects.get(root) {
            Object::Int(number) => Some(*number),
            _ => None,
        }
    };
    if number() != Some(MAGIC) || number() != Some(VERSION) {
        return Err(unknown());
    }
    let (machine, root) = unpickle(source)?;
    if !is_little_endian(&machine, root) {
        return Err("expected numbers in little-endian order, found another".into());
    }
    let (objects, root) = unpickle(source)?;
    let (listed, keys) = unpickle(source)?;
    let start = source.stream_position();
    let start = start.map_err(|e| format!("cannot read it: {e}"))?;
    let mut storages = Storages {
        sizes: sizes_of_storages(&objects)?,
        next: start,
        length,
    };
    let places = storages.places(source, &listed, keys)?;
    tensors(&objects, root, |Storage { key, .. }| {
        let place = places.get(key).copied();
        place.ok_or_else(|| format!("the storage {key} is missing in it"))
    })
}

fn is_little_endian(objects: &Objects, root: Id) -> bool {
    let Object::Dict(pairs) = objects.get(root) else {
        return false;
    };
    pairs.iter().any(|&(key, value)| {
        objects.text(key) == Some("little_endian") && *objects.get(value) == Object::Bool(true)
    })
}

/// The size of a value of each storage in bytes.
fn sizes_of_storages(objects: &Objects) -> Result<HashMap<&str, u64>, String> {
    let mut sizes = HashMap::new();
    for storage in objects.storages() {
        let size = size_of_dtype(storage.dtype);
        if *sizes.entry(storage.key.as_str()).or_insert(size) != size {
            return Err(format!("the storage {} in it has two types", storage.key));
        }
    }
    Ok(sizes)
}

/// The storages at the end of a file.
struct Storages<'a> {
    sizes: HashMap<&'a str, u64>,
    /// The position of the next one.
    next: u64,
    length: u64,
}

impl Storages<'_> {
    fn places(
        &mut self,
        source: &mut (impl Read + Seek),
        listed: &Objects,
        keys: Id,
    ) -> Result<HashMap<String, Place>, String> {
        let Object::List(keys) = listed.get(keys) else {
            return Err("its list of storages is damaged".into());
        };
        let mut places = HashMap::new();
        for &key in keys {
            let key = listed.text(key).ok_or("its list of storages is damaged")?;
            let place = self.place(source, key)?;
            places.insert(key.to_owned(), place);
        }
        Ok(places)
    }

    fn place(&mut self, source: &mut (impl Read + Seek), key: &str) -> Result<Place, String> {
        let cut = || format!("the storage {key:.64} in it is cut off");
        let mut count = [0; 8];
        let read = source.seek(SeekFrom::Start(self.next));
        let read = read.and_then(|_| source.read_exact(&mut count));
        read.map_err(|_| cut())?;
        let size = self.sizes.get(key).copied();
        // Without a tensor of this storage, the size of its values is unknown.
        let size = size.ok_or_else(|| format!("the storage {key:.64} in it has no tensor"))?;
        let start = self.next + 8;
        let bytes = u64::from_le_bytes(count).checked_mul(size);
        let bytes = bytes.ok_or_else(cut)?;
        let end = start.checked_add(bytes).filter(|&end| end <= self.length);
        self.next = end.ok_or_else(cut)?;
        Ok(Place {
            start,
            stored: bytes,
            bytes,
            is_deflated: false,
        })
    }
}
