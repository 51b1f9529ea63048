//! A library as it was listed, and private copies of it. Made by `load` and for
//! [`crate::isolation`].

use crate::{
    cache::{Cache, PrivateCopy},
    digest::sha256_hex,
    discover::Library,
    manifest_reader,
};
use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
};

/// The bytes of a library as it was listed, and their hash.
pub(crate) fn checked(library: &Library) -> Result<(Vec<u8>, String), String> {
    let bytes = fs::read(&library.file).map_err(|error| format!("cannot be read: {error}"))?;
    let listed = manifest_reader::read(bytes.as_slice()).map_err(|why| why.to_string())?;
    let hash = sha256_hex(&bytes);
    if listed == library.manifest && library.sha256_or(&hash) == hash {
        Ok((bytes, hash))
    } else {
        Err("the file has changed since it was listed; start again".into())
    }
}

/// A copy of these bytes under their hash.
pub(crate) fn private_copy(cache: &Cache, bytes: &[u8], hash: &str) -> Result<PrivateCopy, String> {
    cache
        .copy(bytes, hash)
        .map_err(|error| format!("no private copy of it could be written: {error}"))
}

/// A library whose private copies are made when they are needed.
pub(crate) struct Private {
    library: Arc<Library>,
    hash: String,
    cache: Cache,
    /// The first copy, which exists already.
    first: Mutex<Option<PrivateCopy>>,
}

impl Private {
    /// The library as it was listed, with its hash, and a first copy.
    pub(crate) fn new(
        library: &Arc<Library>,
        hash: String,
        cache: &Cache,
        first: PrivateCopy,
    ) -> Self {
        Self {
            library: Arc::clone(library),
            hash,
            cache: cache.clone(),
            first: Mutex::new(Some(first)),
        }
    }

    /// A private copy. It may be temporary and is then removed when it is dropped.
    pub(crate) fn copy(&self) -> Result<PrivateCopy, String> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copy) = first.take() {
            return Ok(copy);
        }
        let (bytes, hash) = checked(&self.library)?;
        private_copy(&self.cache, &bytes, &hash)
    }

    /// The hash of its bytes.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// The manifest as it was listed.
    pub(crate) fn manifest(&self) -> &str {
        &self.library.manifest.json
    }
}

impl std::fmt::Display for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.library.fmt(f)
    }
}
