//! The files that progtune keeps for itself. Their checksums are put right first, as whoever wants
//! to harm would do.

use super::{checked, file};
use progtune::prefix_cache::{CacheDtype, disk::Disk};
use progtune_pipeline::token_store::{
    Examples,
    block::Block,
    directory::{HEADER, TRAILER, header},
    key::Key,
};
use sha2::{Digest, Sha256};
use std::fs::File;

/// A file of tokenised examples, or a block of one.
pub(super) fn read_token_cache(bytes: &[u8]) {
    if let Some(block) = Block::read(bytes) {
        for at in 0..block.n_examples() {
            let _ = block.example(at);
        }
    }
    let Some(bytes) = with_checksums(bytes.to_vec()) else {
        return;
    };
    let path = file("x.tokens", &bytes);
    let Ok(store) = Examples::open(&path, &Key::default()) else {
        return;
    };
    for example in store.iter().flatten() {
        assert_eq!(example.input_ids.len(), example.token_type_ids.len());
    }
    for at in [0, store.len() / 2, store.len().wrapping_sub(1)] {
        if at < store.len() {
            checked(store.get(at));
            checked(store.length(at));
        }
    }
}

/// The file with the right header, checksums of blocks, and checksum of the directory.
fn with_checksums(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let end = bytes.len().checked_sub(TRAILER)?;
    let start = u64::from_le_bytes(bytes.last_chunk().copied()?);
    let start = usize::try_from(start).ok()?;
    if start < HEADER || start > end {
        return None;
    }
    let header = header(&Key::default());
    bytes[..HEADER].copy_from_slice(&header);
    put_block_checksums(&mut bytes, start, end);
    let mut hash = Sha256::new();
    hash.update(header);
    hash.update(&bytes[start..end]);
    bytes[end..end + 32].copy_from_slice(&hash.finalize());
    Some(bytes)
}

/// Puts the blocks' checksums into the directory, which extends from `start` to `end`.
fn put_block_checksums(bytes: &mut [u8], start: usize, end: usize) -> Option<()> {
    let number = |bytes: &[u8], index: usize| {
        let at = index.checked_mul(8)?.checked_add(start)?;
        let number = bytes[..end].get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(number.try_into().ok()?))
    };
    let lengths = usize::try_from(number(bytes, 3)?).ok()?;
    let first = lengths.checked_mul(2)?.checked_add(5)?;
    let mut block_start = HEADER;
    for block in 0..number(bytes, first - 1)? {
        let at = first.checked_add(2 * usize::try_from(block).ok()?)?;
        let size = usize::try_from(number(bytes, at)?).ok()?;
        let block_end = block_start.checked_add(size)?;
        let checksum = crc32fast::hash(bytes[..start].get(block_start..block_end)?);
        number(bytes, at + 1)?;
        let place = start + 8 * (at + 1);
        bytes[place..place + 8].copy_from_slice(&u64::from(checksum).to_le_bytes());
        block_start = block_end;
    }
    Some(())
}

/// The rows of a prefix cache, after the header: slots of 32 bytes and some numbers.
pub(super) fn read_prefix_cache(bytes: &[u8]) {
    const SLOT: usize = 32;
    const NUMBERS: usize = 3;
    let run = [7; 32];
    let (kept, sizes) = ([0, 2], [(SLOT + 4 * NUMBERS) as u64; 2]);
    let path = file("rows.bin", b"");
    let open = |path| {
        let mut options = File::options();
        let file = options.read(true).write(true).open(path).expect("the file");
        Disk::make(file, &run, &kept, &sizes, CacheDtype::F32).expect("a cache")
    };
    drop(open(&path));
    let mut whole = std::fs::read(&path).expect("the header");
    let first = whole.len();
    whole.extend(bytes);
    if let Some(slot) = whole.get(first..first + SLOT + 4 * NUMBERS) {
        let mut hash = crc32fast::Hasher::new();
        hash.update(&0u64.to_le_bytes());
        hash.update(&slot[..28]);
        hash.update(&[0; 4]);
        hash.update(&slot[SLOT..]);
        let checksum = hash.finalize().to_le_bytes();
        whole[first + 28..first + SLOT].copy_from_slice(&checksum);
    }
    std::fs::write(&path, &whole).expect("the cache");
    let mut disk = open(&path);
    for boundary in 0..4 {
        disk.set_key(boundary, [boundary as u8; 16]);
        for (entry, numbers) in disk.take_over(boundary) {
            assert!(numbers <= NUMBERS);
            let mut rows = Vec::new();
            let _ = disk.read(entry, boundary, numbers, &mut rows);
        }
    }
}
