//! What a store knows of its examples without reading them: where the blocks are, and sums over all. It is the end of the
//! file, and the part of it that is in memory.
//!
//! ```text
//! magic (16) · key (32) · blocks · directory · SHA-256 of magic, key and directory (32) · start of the directory (8)
//! ```
//!
//! The directory is a list of numbers of 8 bytes, little-endian: examples, tokens, different tokens; how many different
//! lengths, and each with its count; how many blocks, and each with its size and CRC-32; the fingerprint. A block is
//! checked by its CRC when it is read, so that opening a file does not read it all.

use crate::token_store::key::Key;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const MAGIC: &[u8; 16] = b"progtune tokens2";

/// Magic and key.
pub const HEADER: usize = 48;
/// Checksum and start of the directory.
pub const TRAILER: usize = 40;

/// Examples in a block, but for the last one. A block is what is read for one example: a few kilobytes of short texts.
pub const BLOCK: usize = 128;

/// Sums over all examples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Examples.
    pub examples: usize,
    /// Their tokens.
    pub tokens: u64,
    /// Different tokens among these.
    pub distinct_tokens: u64,
    /// How many examples have each length.
    pub lengths: BTreeMap<usize, u64>,
    /// A SHA-256 over the examples, in order.
    pub fingerprint: [u8; 32],
}

/// Where a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its first byte in the file.
    pub start: u64,
    /// Its bytes.
    pub size: u32,
    /// Their CRC-32.
    pub checksum: u32,
}

impl Place {
    /// Whether `bytes` are the block's.
    pub fn fits(&self, bytes: &[u8]) -> bool {
        crc32fast::hash(bytes) == self.checksum
    }
}

/// The end of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// Sums over all examples.
    pub summary: Summary,
    /// The blocks.
    pub blocks: Vec<Place>,
}

/// The beginning of a file.
pub fn header(key: &Key) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..16].copy_from_slice(MAGIC);
    header[16..].copy_from_slice(&key.0);
    header
}

impl Directory {
    /// Appends the end of a file of which `before` bytes come first.
    pub fn encode(&self, key: &Key, before: u64, out: &mut Vec<u8>) {
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

    /// Where the directory of a file of `size` bytes begins, by the file's trailer.
    pub fn start(trailer: &[u8; TRAILER], size: u64) -> Option<u64> {
        let (_, start) = trailer.split_last_chunk::<8>()?;
        let start = u64::from_le_bytes(*start);
        let end = size.checked_sub(TRAILER as u64)?;
        (start >= HEADER as u64 && start <= end).then_some(start)
    }

    /// The directory of a file with this header; `bytes` are all from its start on, the trailer included.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn decode(found: &[u8], bytes: &[u8], key: &Key) -> Result<Self, &'static str> {
        let too_short = "it is too short";
        let (bytes, trailer) = bytes.split_last_chunk::<TRAILER>().ok_or(too_short)?;
        if checksum(found, bytes) != trailer[..32] {
            return Err("its checksum is wrong");
        }
        if found != header(key) {
            return Err("it holds other examples than its name says");
        }
        // With the right checksum the rest is as it was written; other programs' files get an error all the same.
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
        let counted: u64 = summary.lengths.values().sum();
        let fits =
            blocks.len() == summary.examples.div_ceil(BLOCK) && counted == summary.examples as u64;
        fits.then_some(Self { summary, blocks })
    }
}

fn checksum(header: &[u8], directory: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(header);
    hash.update(directory);
    hash.finalize().into()
}
