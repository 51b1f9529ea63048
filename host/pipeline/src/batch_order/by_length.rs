//! All examples sorted by length, in a temporary file with 4 bytes per example. Memory holds only
//! the number of examples of each length. Called by the windowed order.

use crate::token_store::Examples;
use progtune_engine::{Error, Result};
use std::{
    env,
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// Number of examples of one length that are written at once.
const WRITTEN_AT_ONCE: usize = 1024;

/// Examples by rank: shorter ones before longer ones, and those of equal length in their original
/// order.
#[derive(Debug)]
pub(super) struct ByLength {
    file: Mutex<File>,
    /// Each length with the end of its range of ranks.
    ends: Vec<(usize, usize)>,
}

/// The buffered examples of one length.
struct Deck {
    next: usize,
    waiting: Vec<u8>,
}

impl ByLength {
    /// Sorts the examples.
    ///
    /// # Errors
    /// Fails if they cannot be read, or the temporary file cannot be written.
    pub(super) fn new(examples: &Examples) -> Result<Self> {
        let directory = env::temp_dir();
        let failed = |source| Error::io(&directory, "write a temporary file in")(source);
        let mut file = tempfile::tempfile().map_err(failed)?;
        let (mut ends, mut decks, mut end) = (Vec::new(), Vec::new(), 0);
        for (&length, &count) in &examples.summary().lengths {
            decks.push(Deck {
                next: end,
                waiting: Vec::new(),
            });
            end += count as usize;
            ends.push((length, end));
        }
        for (example, length) in examples.lengths().enumerate() {
            let length = length?;
            let deck = &mut decks[ends.partition_point(|&(other, _)| other < length)];
            deck.waiting.extend((example as u32).to_le_bytes());
            if deck.waiting.len() >= 4 * WRITTEN_AT_ONCE {
                deck.write(&mut file).map_err(failed)?;
            }
        }
        for deck in &mut decks {
            deck.write(&mut file).map_err(failed)?;
        }
        Ok(Self {
            file: Mutex::new(file),
            ends,
        })
    }

    fn deck(&self, rank: usize) -> usize {
        self.ends.partition_point(|&(_, end)| end <= rank)
    }

    /// The length of the example with a rank.
    pub(super) fn length(&self, rank: usize) -> usize {
        self.ends[self.deck(rank)].0
    }

    /// The number of examples of each length, shortest first.
    pub(super) fn counts(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.ends.len()).map(|deck| self.ranks(deck).len())
    }

    fn ranks(&self, deck: usize) -> Range<usize> {
        deck.checked_sub(1).map_or(0, |before| self.ends[before].1)..self.ends[deck].1
    }

    /// The index of the length of the example with a rank, counted from the shortest, and the range
    /// of ranks with that length.
    pub(super) fn equals(&self, rank: usize) -> (usize, Range<usize>) {
        let deck = self.deck(rank);
        (deck, self.ranks(deck))
    }

    /// The example with a rank.
    ///
    /// # Errors
    /// Fails if the temporary file cannot be read.
    pub(super) fn example(&self, rank: usize) -> Result<usize> {
        let mut bytes = [0; 4];
        // A lock poisoned by a panic guards only the file position, which is set again here.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(4 * rank as u64))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(Error::io(&env::temp_dir(), "read a temporary file in"))?;
        Ok(u32::from_le_bytes(bytes) as usize)
    }
}

impl Deck {
    fn write(&mut self, file: &mut File) -> std::io::Result<()> {
        file.seek(SeekFrom::Start(4 * self.next as u64))?;
        file.write_all(&self.waiting)?;
        self.next += self.waiting.len() / 4;
        self.waiting.clear();
        Ok(())
    }
}
