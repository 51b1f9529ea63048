//! Tokenised examples in any number; every split of a run is stored in this way. Made by
//! `examples`, and from lists by tests. Read by batches, their order, the evaluator and
//! the prefix cache.
//!
//! The examples are the bytes of one file, whose layout [`directory`] describes. A small file is
//! held in memory. For a large one only the directory is, which takes about a tenth of a byte per
//! example. An example is then read from its block on demand.
//!
//! Blocks are read with positioned reads, not through a memory map. The pages of a map count as the
//! process' memory, need `unsafe`, and turn a disk error into a signal. Reading and checking a
//! block of a few kilobytes takes microseconds.

// The parts of a file, which the fuzzer reads one by one.
pub mod block;
pub mod directory;
pub mod key;

pub(crate) mod builder;

use block::Block;
use builder::Image;
use directory::{BLOCK, Directory, HEADER, Summary, TRAILER};
use key::Key;
use progtune_engine::{Batch, EncodedExample, Error, Result};
use progtune_process::files::temporary::{Temporary, TemporaryPath};
use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The size in bytes up to which a store is held in memory.
pub(crate) const SMALL: usize = 4 << 20;

/// Tokenised examples.
#[derive(Debug)]
pub struct Examples {
    medium: Medium,
    directory: Directory,
}

/// The storage of the bytes.
#[derive(Debug)]
pub(crate) enum Medium {
    /// The whole file in memory.
    Memory(Vec<u8>),
    /// A file on disk; a temporary one is deleted together with the store.
    File {
        file: Mutex<File>,
        path: PathBuf,
        temporary: Option<TemporaryPath>,
    },
}

impl Medium {
    fn temporary(file: Temporary) -> Self {
        let path = file.path().to_owned();
        let (file, temporary) = file.into_parts();
        Self::File {
            file: Mutex::new(file),
            path,
            temporary: Some(temporary),
        }
    }
}

/// The reason why a file is not a store.
#[derive(Debug)]
pub enum Fault {
    /// It cannot be read.
    Io(io::Error),
    /// It can be read, but its contents were changed.
    Damaged(&'static str),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Examples {
    /// Opens a file. A small file is read and checked at once. For a large file only the directory
    /// is; each block is checked when it is read.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is damaged.
    pub fn open(path: &Path, key: &Key) -> Result<Self, Fault> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        if size < (HEADER + TRAILER) as u64 {
            return Err(Fault::Damaged("it is too short"));
        }
        if size <= SMALL as u64 {
            let mut bytes = Vec::with_capacity(size as usize);
            file.read_to_end(&mut bytes)?;
            return Self::of_bytes(bytes, key);
        }
        let mut header = [0; HEADER];
        file.read_exact(&mut header)?;
        let mut trailer = [0; TRAILER];
        file.seek(SeekFrom::End(-(TRAILER as i64)))?;
        file.read_exact(&mut trailer)?;
        let start = Directory::start(&trailer, size).ok_or(Fault::Damaged("its end is missing"))?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.read_to_end(&mut bytes)?;
        let directory = Directory::decode(&header, &bytes, key).map_err(Fault::Damaged)?;
        if directory.end_of_blocks() > start {
            return Err(Fault::Damaged("its blocks are longer than the file"));
        }
        let medium = Medium::File {
            file: Mutex::new(file),
            path: path.to_owned(),
            temporary: None,
        };
        Ok(Self { medium, directory })
    }

    fn of_bytes(bytes: Vec<u8>, key: &Key) -> Result<Self, Fault> {
        let trailer = bytes.last_chunk::<TRAILER>();
        let start = trailer.and_then(|trailer| Directory::start(trailer, bytes.len() as u64));
        let end = bytes.get(start.ok_or(Fault::Damaged("its end is missing"))? as usize..);
        let directory = Directory::decode(&bytes[..HEADER], end.unwrap_or_default(), key);
        let directory = directory.map_err(Fault::Damaged)?;
        for (number, block) in directory.blocks.iter().enumerate() {
            let start = block.start as usize;
            let block = bytes
                .get(start..start.saturating_add(block.size as usize))
                .filter(|bytes| block.fits(bytes))
                .ok_or(Fault::Damaged("a checksum in it is wrong"))?;
            Block::read(block)
                .filter(|block| block.n_examples() == directory.n_examples(number))
                .ok_or(Fault::Damaged("a block in it contradicts itself"))?;
        }
        Ok(Self {
            medium: Medium::Memory(bytes),
            directory,
        })
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.directory.summary.examples
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Totals over all examples.
    pub fn summary(&self) -> &Summary {
        &self.directory.summary
    }

    /// The size of the file in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        let blocks: u64 = self
            .directory
            .blocks
            .iter()
            .map(|b| u64::from(b.size))
            .sum();
        let numbers = 5 + 2 * (self.summary().lengths.len() + self.directory.blocks.len());
        blocks + (HEADER + TRAILER + 8 * numbers + 32) as u64
    }

    /// The memory in bytes that the store occupies.
    pub fn held_bytes(&self) -> u64 {
        let directory = self.directory.blocks.len() * size_of::<directory::Place>();
        let bytes = match &self.medium {
            Medium::Memory(bytes) => bytes.len(),
            Medium::File { .. } => 0,
        };
        (bytes + directory) as u64
    }

    /// Concatenates several stores.
    ///
    /// # Errors
    /// Fails like [`Examples::get`].
    pub fn concat(mut stores: Vec<Self>) -> Result<Self> {
        if stores.len() == 1 {
            return Ok(stores.remove(0));
        }
        stores.iter().flat_map(Self::iter).collect()
    }

    /// The storage of the bytes.
    pub(crate) fn medium(&mut self) -> &mut Medium {
        &mut self.medium
    }

    /// Reads an example.
    ///
    /// # Errors
    /// Fails if it cannot be read, or is damaged on disk.
    ///
    /// # Panics
    /// Panics if the index is out of range.
    pub fn get(&self, index: usize) -> Result<EncodedExample> {
        let example = self.in_block(index / BLOCK, |block| block.example(index % BLOCK))?;
        example.ok_or_else(|| self.damaged())
    }

    /// The number of tokens of an example.
    ///
    /// # Errors
    /// Fails like [`Examples::get`].
    ///
    /// # Panics
    /// Panics if the index is out of range.
    pub fn length(&self, index: usize) -> Result<usize> {
        self.in_block(index / BLOCK, |block| block.length(index % BLOCK))
    }

    /// All examples in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<EncodedExample>> + '_ {
        self.blocks(|block| {
            (0..block.n_examples())
                .map(|at| block.example(at))
                .collect()
        })
        .map(|example| example?.ok_or_else(|| self.damaged()))
    }

    /// The number of tokens of each example in order.
    pub fn lengths(&self) -> impl Iterator<Item = Result<usize>> + '_ {
        self.blocks(|block| (0..block.n_examples()).map(|at| block.length(at)).collect())
    }

    /// The batch of these examples; positions count from `first_position`.
    ///
    /// # Errors
    /// Fails like [`Examples::get`].
    ///
    /// # Panics
    /// Panics if an index is out of range.
    pub fn batch(&self, indices: &[usize], first_position: u32) -> Result<Batch> {
        let rows: Vec<EncodedExample> = indices
            .iter()
            .map(|&index| self.get(index))
            .collect::<Result<_>>()?;
        let rows: Vec<&EncodedExample> = rows.iter().collect();
        Ok(Batch::of(&rows, indices, first_position))
    }

    /// Applies `read` to each block in order, and chains the results.
    fn blocks<T>(&self, read: impl Fn(&Block<'_>) -> Vec<T>) -> impl Iterator<Item = Result<T>> {
        (0..self.directory.blocks.len()).flat_map(move |number| {
            match self.in_block(number, &read) {
                Ok(found) => found.into_iter().map(Ok).collect::<Vec<_>>(),
                Err(error) => vec![Err(error)],
            }
        })
    }

    fn in_block<T>(&self, number: usize, read: impl FnOnce(&Block<'_>) -> T) -> Result<T> {
        let place = self.directory.blocks[number];
        let bytes: Cow<'_, [u8]> = match &self.medium {
            Medium::Memory(bytes) => {
                let start = place.start as usize;
                (&bytes[start..start + place.size as usize]).into()
            }
            Medium::File { file, path, .. } => {
                let mut bytes = vec![0; place.size as usize];
                // A lock poisoned by a panic guards only the file position, which is set again
                // here.
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(place.start))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .map_err(Error::io(path, "read"))?;
                if !place.fits(&bytes) {
                    return Err(self.damaged());
                }
                bytes.into()
            }
        };
        let block = Block::read(&bytes)
            .filter(|block| block.n_examples() == self.directory.n_examples(number));
        Ok(read(&block.ok_or_else(|| self.damaged())?))
    }

    fn damaged(&self) -> Error {
        let path = match &self.medium {
            Medium::Memory(_) => Path::new("tokenised examples"),
            Medium::File { path, .. } => path,
        };
        Error::Model(format!(
            "{}: these tokenised examples are damaged (a checksum is wrong); run once with --token-cache overwrite to \
             recreate them",
            path.display()
        ))
    }
}

impl FromIterator<EncodedExample> for Examples {
    /// Builds a store in memory, whatever its size.
    fn from_iter<I: IntoIterator<Item = EncodedExample>>(examples: I) -> Self {
        let mut image = Image::new(Key::default());
        examples.into_iter().for_each(|example| image.push(example));
        let (bytes, directory) = image.finish();
        Self {
            medium: Medium::Memory(bytes),
            directory,
        }
    }
}

impl From<Vec<EncodedExample>> for Examples {
    fn from(examples: Vec<EncodedExample>) -> Self {
        examples.into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
