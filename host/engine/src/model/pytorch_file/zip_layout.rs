//! The layout of `torch.save` since PyTorch 1.6: a zip archive with the pickle `data.pkl` and a
//! file for each storage, normally without compression. [`super`] opens it.

use super::{
    object::Storage,
    tensors::{Entry, Place, tensors},
    unpickle::unpickle,
};
use flate2::read::DeflateDecoder;
use std::{
    collections::BTreeMap,
    io::{Read, Seek},
};
use zip::{CompressionMethod, ZipArchive};

/// The beginning of a zip archive.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

/// The pickle that describes the tensors.
const PICKLE: &str = "data.pkl";

/// The best ratio that deflate reaches.
const DEFLATE_RATIO: u64 = 1032;

/// An open archive.
struct Archive<S> {
    zip: ZipArchive<S>,
    /// The size of the whole file.
    length: u64,
}

/// The tensors of an archive of `length` bytes.
///
/// # Errors
/// The fault, in words.
pub(super) fn read(
    source: impl Read + Seek,
    length: u64,
) -> Result<BTreeMap<String, Entry>, String> {
    let zip = ZipArchive::new(source)
        .map_err(|e| format!("its zip archive is damaged or cut off ({e})"))?;
    let folder = folder(&zip)?;
    let mut archive = Archive { zip, length };
    let order = format!("{folder}byteorder");
    if archive.place(&order)?.is_some() {
        let mut text = String::new();
        let read = archive.open(&order)?.take(16).read_to_string(&mut text);
        if read.is_err() || text != "little" {
            return Err("expected numbers in little-endian order, found another".into());
        }
    }
    let (objects, root) = unpickle(&mut archive.open(&format!("{folder}{PICKLE}"))?)?;
    tensors(&objects, root, |Storage { key, .. }| {
        let place = archive.place(&format!("{folder}data/{key}"))?;
        place.ok_or_else(|| format!("the storage {key} is missing in it"))
    })
}

/// The folder of the pickle, with a slash at its end.
fn folder(archive: &ZipArchive<impl Read + Seek>) -> Result<String, String> {
    let names: Vec<&[u8]> = archive.file_names_raw().collect();
    let pickles = names.iter().filter_map(|name| {
        let folder = name.strip_suffix(PICKLE.as_bytes())?;
        let slashes = folder.iter().filter(|&&byte| byte == b'/').count();
        let is_folder = folder.is_empty() || slashes == 1 && folder.ends_with(b"/");
        is_folder.then_some(folder)
    });
    let mut pickles = pickles.take(2);
    let (first, second) = (pickles.next(), pickles.next());
    let is_script = names.iter().any(|name| name.ends_with(b"/constants.pkl"));
    match (first, second) {
        _ if is_script => Err("it contains code: it is a TorchScript archive".into()),
        (Some(folder), None) => String::from_utf8(folder.to_vec())
            .map_err(|_| "a name in its zip archive is not UTF-8".into()),
        (Some(_), Some(_)) => Err("expected one data.pkl in its zip archive, found two".into()),
        (None, _) => Err("expected a zip archive of torch.save, found one without data.pkl".into()),
    }
}

impl<S: Read + Seek> Archive<S> {
    /// The place of a file in the archive; `None` if there is no such file.
    fn place(&mut self, name: &str) -> Result<Option<Place>, String> {
        let Some(index) = self.zip.index_for_name(name) else {
            return Ok(None);
        };
        let fault = |what: &str| format!("{name} in its zip archive {what}");
        let file = self.zip.by_index_raw(index);
        let file = file.map_err(|e| fault(&format!("is damaged: {e}")))?;
        let place = Place {
            start: file.data_start().unwrap_or(u64::MAX),
            stored: file.compressed_size(),
            bytes: file.size(),
            is_deflated: file.compression() == CompressionMethod::DEFLATE,
        };
        if !(place.is_deflated || file.compression() == CompressionMethod::STORE) {
            let method = file.compression();
            return Err(fault(&format!(
                "is compressed in an unknown way ({method})"
            )));
        }
        let most = if place.is_deflated {
            place.stored.saturating_mul(DEFLATE_RATIO)
        } else {
            place.stored
        };
        let end = place.start.checked_add(place.stored);
        let is_inside = end.is_some_and(|end| end <= self.length);
        if file.encrypted() || place.bytes > most || !is_inside {
            return Err(fault("is damaged, encrypted or cut off"));
        }
        Ok(Some(place))
    }

    /// The contents of a file.
    fn open<'a>(&'a mut self, name: &str) -> Result<Box<dyn Read + 'a>, String> {
        let missing = || format!("{name} is missing in it");
        let place = self.place(name)?.ok_or_else(missing)?;
        let index = self.zip.index_for_name(name).ok_or_else(missing)?;
        let file = self.zip.by_index_raw(index);
        let file = file.map_err(|e| format!("{name} in its zip archive is damaged: {e}"))?;
        Ok(if place.is_deflated {
            Box::new(DeflateDecoder::new(file).take(place.bytes))
        } else {
            Box::new(file)
        })
    }
}
