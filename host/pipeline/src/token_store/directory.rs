//! The directory of a store: the positions of its blocks, and totals over all examples. It is
//! stored at the end of the file, and kept in memory.
//!
//! ```text
//! magic (16) · key (32) · blocks · directory ·
//! SHA-256 of magic, key and directory (32) · start of the directory (8)
//! ```
//!
//! The directory is a list of 8-byte little-endian numbers:
//!
//! - the numbers of examples, of tokens, and of distinct tokens,
//! - the number of distinct lengths, and each length with its count,
//! - the number of blocks, and each block's size and CRC-32,
//! - the fingerprint.
//!
//! The CRC of a block is checked when the block is read, so opening a file does not read all of it.

use crate::token_store::key::Key;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const MAGIC: &[u8; 16] = b"progtune tokens2";

/// The size of magic and key.
pub const HEADER: usize = 48;
/// The size of the checksum and the start of the directory.
pub const TRAILER: usize = 40;

/// Number of examples per block, except for the last one. To read one example, a whole block is
/// read: a few kilobytes for short texts.
pub(crate) const BLOCK: usize = 128;

/// Totals over all examples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of examples.
    pub examples: usize,
    /// Number of tokens.
    pub tokens: u64,
    /// Number of distinct tokens.
    pub distinct_tokens: u64,
    /// The number of examples of each length.
    pub lengths: BTreeMap<usize, u64>,
    /// A SHA-256 over the examples, in order.
    pub fingerprint: [u8; 32],
}

/// The position of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The position of its first byte in the file.
    pub start: u64,
    /// Its size in bytes.
    pub size: u32,
    /// Its CRC-32.
    pub checksum: u32,
}

impl Place {
    /// Whether `bytes` match the checksum of the block.
    pub(crate) fn fits(&self, bytes: &[u8]) -> bool {
        crc32fast::hash(bytes) == self.checksum
    }
}

/// The directory at the end of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    /// Totals over all examples.
    pub summary: Summary,
    /// The positions of the blocks.
    pub blocks: Vec<Place>,
}

/// The header of a file.
pub fn header(key: &Key) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..16].copy_from_slice(MAGIC);
    header[16..].copy_from_slice(&key.0);
    header
}

impl Directory {
    /// The number of examples in a block.
    pub(crate) fn n_examples(&self, block: usize) -> usize {
        let before = block * BLOCK;
        self.summary.examples.saturating_sub(before).min(BLOCK)
    }

    /// The end of the last block in the file.
    pub(crate) fn end_of_blocks(&self) -> u64 {
        let last = self.blocks.last();
        last.map_or(HEADER as u64, |block| block.start + u64::from(block.size))
    }

    /// Appends the directory and trailer to a file whose preceding part has `before` bytes.
    pub(crate) fn encode(&self, key: &Key, before: u64, out: &mut Vec<u8>) {
        let first = out.len();
        let mut number = |number: u64| out.extend(number.to_le_bytes());
        let summary = &self.summary;
        number(summary.examples as u64);
        number(summary.tokens);
        number(summary.distinct_tokens);
        number(summary.lengths.len() as u64);
        for (&length, &count) in &summary.lengths {
            number(length as u64);
            number(count);
        }
        number(self.blocks.len() as u64);
        for block in &self.blocks {
            number(block.size.into());
            number(block.checksum.into());
        }
        out.extend(summary.fingerprint);
        let checksum = checksum(&header(key), &out[first..]);
        out.extend(checksum);
        out.extend(before.to_le_bytes());
    }

    /// The position of the directory in a file of `size` bytes, according to the file's trailer.
    pub(crate) fn start(trailer: &[u8; TRAILER], size: u64) -> Option<u64> {
        let (_, start) = trailer.split_last_chunk::<8>()?;
        let start = u64::from_le_bytes(*start);
        let end = size.checked_sub(TRAILER as u64)?;
        (start >= HEADER as u64 && start <= end).then_some(start)
    }

    /// Parses the directory of a file with this header. `bytes` extend from the directory's start
    /// to the end of the file.
    ///
    /// # Errors
    /// The problem, in words.
    pub(crate) fn decode(found: &[u8], bytes: &[u8], key: &Key) -> Result<Self, &'static str> {
        let too_short = "it is too short";
        let (bytes, trailer) = bytes.split_last_chunk::<TRAILER>().ok_or(too_short)?;
        if checksum(found, bytes) != trailer[..32] {
            return Err("its checksum is wrong");
        }
        if found != header(key) {
            return Err("it contains other examples than its name says");
        }
        // A file with the right checksum is intact; a file from another program still gets an
        // error.
        Self::parse(bytes).ok_or("its directory contradicts itself")
    }

    fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut number = || {
            let (number, after) = bytes.split_first_chunk::<8>()?;
            bytes = after;
            Some(u64::from_le_bytes(*number))
        };
        let mut summary = Summary {
            examples: usize::try_from(number()?).ok()?,
            tokens: number()?,
            distinct_tokens: number()?,
            ..Summary::default()
        };
        for _ in 0..number()? {
            let length = usize::try_from(number()?).ok()?;
            summary.lengths.insert(length, number()?);
        }
        let mut blocks = Vec::new();
        let mut start = HEADER as u64;
        for _ in 0..number()? {
            let block = Place {
                start,
                size: u32::try_from(number()?).ok()?,
                checksum: u32::try_from(number()?).ok()?,
            };
            start = start.checked_add(block.size.into())?;
            blocks.push(block);
        }
        summary.fingerprint = bytes.try_into().ok()?;
        let lengths = summary.lengths.iter();
        let counted = lengths
            .clone()
            .try_fold((0u64, 0u64), |sums, (&length, &count)| {
                let tokens = count.checked_mul(length as u64)?;
                Some((sums.0.checked_add(count)?, sums.1.checked_add(tokens)?))
            });
        // A token takes at least a byte, so the sizes of the blocks bound every total.
        let fits = blocks.len() == summary.examples.div_ceil(BLOCK)
            && counted == Some((summary.examples as u64, summary.tokens))
            && summary.tokens <= start - HEADER as u64
            && summary.distinct_tokens <= summary.tokens;
        fits.then_some(Self { summary, blocks })
    }
}

fn checksum(header: &[u8], directory: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(header);
    hash.update(directory);
    hash.finalize().into()
}
