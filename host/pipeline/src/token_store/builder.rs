//! Builds a store example by example, first in memory, and in a temporary file once it is large.
//! Called by [`crate::examples`] while it tokenises.

use super::{
    Examples, Medium, SMALL, block,
    directory::{BLOCK, Directory, Place, header},
};
use crate::token_store::key::Key;
use progtune_engine::{EncodedExample, Error, Result};
use progtune_process::files::{
    directory_of,
    temporary::{Access, Temporary},
};
use sha2::{Digest, Sha256};
use std::{
    collections::VecDeque,
    io::Write,
    mem,
    path::{Path, PathBuf},
};

/// The suffix of files with tokens, including temporary ones.
pub(crate) const SUFFIX: &str = ".tokens";

/// Number of bytes written to the file at once.
const WRITTEN_AT_ONCE: usize = 1 << 20;

/// The growth of a file, in bytes, after which others are asked to make room.
const GROWTH: u64 = 64 << 20;

/// The bytes of an unfinished store.
pub(crate) struct Image {
    key: Key,
    /// Examples that do not fill a block yet.
    pending: Vec<EncodedExample>,
    /// Bytes that are not in a file. Without a file these are all bytes.
    bytes: Vec<u8>,
    /// Number of bytes in the file.
    n_written: u64,
    directory: Directory,
    /// The set of tokens that occur, as a bit set.
    seen: Vec<u64>,
    hash: Sha256,
}

impl Image {
    /// Creates the image of an empty store.
    pub(crate) fn new(key: Key) -> Self {
        Self {
            key,
            pending: Vec::with_capacity(BLOCK),
            bytes: header(&key).to_vec(),
            n_written: 0,
            directory: Directory::default(),
            seen: Vec::new(),
            hash: Sha256::new(),
        }
    }

    /// Appends an example.
    pub(crate) fn push(&mut self, example: EncodedExample) {
        let summary = &mut self.directory.summary;
        summary.examples += 1;
        summary.tokens += example.input_ids.len() as u64;
        *summary.lengths.entry(example.input_ids.len()).or_default() += 1;
        for &id in &example.input_ids {
            let word = id as usize / 64;
            if self.seen.len() <= word {
                self.seen.resize(word + 1, 0);
            }
            self.seen[word] |= 1 << (id % 64);
        }
        self.pending.push(example);
        if self.pending.len() == BLOCK {
            self.end_block();
        }
    }

    fn end_block(&mut self) {
        let start = self.bytes.len();
        block::encode(&self.pending, &mut self.bytes);
        self.pending.clear();
        let bytes = &self.bytes[start..];
        self.hash.update(bytes);
        self.directory.blocks.push(Place {
            start: self.n_written + start as u64,
            size: bytes.len() as u32,
            checksum: crc32fast::hash(bytes),
        });
    }

    /// Takes the bytes that are not in the file yet; from now on they count as written.
    fn take(&mut self) -> Vec<u8> {
        self.n_written += self.bytes.len() as u64;
        mem::take(&mut self.bytes)
    }

    /// Finishes the store: returns the last bytes and the directory.
    pub(crate) fn finish(mut self) -> (Vec<u8>, Directory) {
        if !self.pending.is_empty() {
            self.end_block();
        }
        let summary = &mut self.directory.summary;
        summary.distinct_tokens = self
            .seen
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum();
        summary.fingerprint = self.hash.finalize().into();
        let before = self.n_written + self.bytes.len() as u64;
        self.directory.encode(&self.key, before, &mut self.bytes);
        self.bytes.shrink_to_fit();
        (self.bytes, self.directory)
    }
}

/// A builder for a store that may become large.
pub(crate) struct Builder {
    image: Image,
    /// The directories for a file that have not been tried, best first.
    directories: VecDeque<PathBuf>,
    file: Option<Temporary>,
    /// The size in bytes from which on a file is used.
    pub(crate) small: usize,
    /// Called whenever the file has grown by [`GROWTH`] bytes.
    on_growth: Box<dyn Fn() + Send>,
}

impl Builder {
    /// Creates a builder. If a file becomes necessary, it goes into the first of `directories` that
    /// accepts one. If none does, everything stays in memory.
    pub(crate) fn new(key: Key, directories: Vec<PathBuf>) -> Self {
        Self {
            image: Image::new(key),
            directories: directories.into(),
            file: None,
            small: SMALL,
            on_growth: Box::new(|| ()),
        }
    }

    /// Calls this whenever the file has grown much, so that others can make room.
    pub(crate) fn on_growth(mut self, call: impl Fn() + Send + 'static) -> Self {
        self.on_growth = Box::new(call);
        self
    }

    /// Appends an example.
    ///
    /// # Errors
    /// Fails if a file can be written no further, and cannot be read to go on elsewhere either.
    pub(crate) fn push(&mut self, example: EncodedExample) -> Result<()> {
        self.image.push(example);
        if self.file.is_none() && self.image.bytes.len() > self.small {
            self.file = next_file(&mut self.directories);
            if self.file.is_none() {
                tracing::warn!(
                    "tokenised examples stay in memory, because no directory accepts a file for them; set PROGTUNE_CACHE_DIR \
                     or TMPDIR to a writable directory"
                );
                self.small = usize::MAX;
            }
        }
        if self.image.bytes.len() > WRITTEN_AT_ONCE {
            self.write()
        } else {
            Ok(())
        }
    }

    fn write(&mut self) -> Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let before = self.image.n_written;
        let bytes = self.image.take();
        match append(file, before, bytes, &mut self.directories)? {
            Appended::File(file) => self.file = Some(file),
            Appended::Memory(bytes) => {
                self.image.bytes = bytes;
                self.image.n_written = 0;
                self.small = usize::MAX;
            }
        }
        if self.image.n_written / GROWTH > before / GROWTH {
            (self.on_growth)();
        }
        Ok(())
    }

    /// Finishes the store.
    ///
    /// # Errors
    /// Fails like [`Builder::push`].
    pub(crate) fn finish(mut self) -> Result<Examples> {
        let before = self.image.n_written;
        let (bytes, directory) = self.image.finish();
        let medium = match self.file {
            None => Medium::Memory(bytes),
            Some(file) => match append(file, before, bytes, &mut self.directories)? {
                Appended::File(file) => Medium::temporary(file),
                Appended::Memory(bytes) => Medium::Memory(bytes),
            },
        };
        Ok(Examples { medium, directory })
    }
}

/// The place of all bytes after some were appended.
enum Appended {
    File(Temporary),
    Memory(Vec<u8>),
}

/// Appends bytes to a file that has `n_written` bytes. If its disk is full or fails, everything
/// moves into a file in the next directory, and at last into memory: a run needs its tokens, but no
/// certain place for them.
fn append(
    mut file: Temporary,
    n_written: u64,
    bytes: Vec<u8>,
    directories: &mut VecDeque<PathBuf>,
) -> Result<Appended> {
    let Err(mut error) = file.write_all(&bytes) else {
        return Ok(Appended::File(file));
    };
    let mut whole = Vec::new();
    let full = file.path().to_owned();
    let full = directory_of(&full);
    while let Some(mut next) = next_file(directories) {
        let copied = file
            .copy_to(n_written, &mut next)
            .map_err(Error::io(full, "read"))?;
        match copied.and_then(|()| next.write_all(&bytes)) {
            Ok(()) => {
                tracing::warn!(
                    "{}: cannot write tokenised examples: {error}; they are written to {} instead",
                    full.display(),
                    directory_of(next.path()).display()
                );
                return Ok(Appended::File(next));
            }
            Err(another) => error = another,
        }
    }
    file.copy_to(n_written, &mut whole)
        .and_then(|written| written)
        .map_err(Error::io(full, "read"))?;
    whole.extend(bytes);
    tracing::warn!(
        "{}: cannot write tokenised examples: {error}; they stay in memory instead; free some space, or set \
         PROGTUNE_CACHE_DIR or TMPDIR to a directory on another disk",
        full.display()
    );
    Ok(Appended::Memory(whole))
}

/// A file in the first directory that accepts one. The directories tried are taken from the list.
fn next_file(directories: &mut VecDeque<PathBuf>) -> Option<Temporary> {
    std::iter::from_fn(|| directories.pop_front()).find_map(|directory| create(&directory))
}

fn create(directory: &Path) -> Option<Temporary> {
    match Temporary::new_in(directory, SUFFIX, Access::Private) {
        Ok(file) => Some(file),
        Err(error) => {
            tracing::debug!("{}: cannot create a file: {error}", directory.display());
            None
        }
    }
}
