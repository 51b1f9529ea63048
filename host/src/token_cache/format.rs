//! The bytes of a file of tokenised examples. Called by [`super::TokenCache`].
//!
//! ```text
//! magic (16) · key (32) · lengths · ids · token types · kinds of targets · their sizes · targets · SHA-256 of all before (32)
//! ```
//!
//! Each of the six is a list of whole numbers: their count (8), the bytes of each (1: 0, 1, 2 or 4, by the largest;
//! 0 says that all are zero), and the numbers. Everything is little-endian.

use super::key::Key;
use crate::batch::{EncodedExample, Target};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 16] = b"progtune tokens\n";

/// The kinds of targets.
const NONE: u32 = 0;
const CLASS: u32 = 1;
const SCORE: u32 = 2;
const CLASSES: u32 = 3;
const TAGS: u32 = 4;
const SPAN: u32 = 5;

/// The file of `examples`.
pub fn encode(examples: &[EncodedExample], key: &Key) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(key.0);
    let targets: Vec<(u32, Vec<u32>)> = examples
        .iter()
        .map(|example| numbers_of(example.target.as_ref()))
        .collect();
    let ids = examples.iter().flat_map(|e| &e.input_ids).copied();
    let types = examples.iter().flat_map(|e| &e.token_type_ids).copied();
    write_list(&mut out, examples.iter().map(|e| e.input_ids.len() as u32));
    write_list(&mut out, ids);
    write_list(&mut out, types);
    write_list(&mut out, targets.iter().map(|(kind, _)| *kind));
    write_list(&mut out, targets.iter().map(|(_, n)| n.len() as u32));
    write_list(&mut out, targets.iter().flat_map(|(_, n)| n).copied());
    let checksum = Sha256::digest(&out);
    out.extend(checksum);
    out
}

/// The kind of a target, and itself as numbers.
fn numbers_of(target: Option<&Target>) -> (u32, Vec<u32>) {
    match target {
        None => (NONE, Vec::new()),
        Some(Target::Class(class)) => (CLASS, vec![*class]),
        Some(Target::Score(score)) => (SCORE, vec![score.to_bits()]),
        Some(Target::Classes(classes)) => (CLASSES, classes.clone()),
        // 0 is no tag.
        Some(Target::Tags(tags)) => {
            let number = |tag: &Option<u32>| tag.map_or(0, |tag| tag.saturating_add(1));
            (TAGS, tags.iter().map(number).collect())
        }
        Some(Target::Span(span)) => (SPAN, span.to_vec()),
    }
}

/// The reverse of [`numbers_of`]; `None` for what it does not write about an example of `length` tokens.
fn target_of(kind: u32, numbers: Vec<u32>, length: usize) -> Option<Option<Target>> {
    let target = match (kind, numbers.as_slice()) {
        (NONE, []) => return Some(None),
        (CLASS, &[class]) => Target::Class(class),
        (SCORE, &[bits]) => Target::Score(f32::from_bits(bits)),
        (CLASSES, _) => Target::Classes(numbers),
        (TAGS, tags) if tags.len() == length => {
            Target::Tags(tags.iter().map(|tag| tag.checked_sub(1)).collect())
        }
        (SPAN, &[first, last]) if (first.max(last) as usize) < length => {
            Target::Span([first, last])
        }
        _ => return None,
    };
    Some(Some(target))
}

fn write_list(out: &mut Vec<u8>, numbers: impl Iterator<Item = u32> + Clone) {
    let (count, largest) = numbers
        .clone()
        .fold((0u64, 0), |(count, largest), n| (count + 1, largest.max(n)));
    let width = match largest {
        0 => 0,
        1..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    };
    out.extend(count.to_le_bytes());
    out.push(width as u8);
    for number in numbers {
        out.extend(&number.to_le_bytes()[..width]);
    }
}

/// The examples of a file.
///
/// # Errors
/// What is wrong with it, in words.
pub fn decode(file: &[u8], key: &Key) -> Result<Vec<EncodedExample>, &'static str> {
    let (bytes, checksum) = file.split_last_chunk::<32>().ok_or("it is too short")?;
    if Sha256::digest(bytes).as_slice() != checksum {
        return Err("its checksum is wrong");
    }
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is of another kind")?;
    let mut rest = rest
        .strip_prefix(&key.0)
        .ok_or("it holds other examples than its name says")?;
    // With the right checksum the rest is as it was written; other programs' files get an error all the same.
    read_examples(&mut rest)
        .filter(|_| rest.is_empty())
        .ok_or("its lists do not fit each other")
}

fn read_examples(rest: &mut &[u8]) -> Option<Vec<EncodedExample>> {
    let lengths = List::read(rest)?;
    let (ids, types) = (List::read(rest)?, List::read(rest)?);
    let (kinds, sizes, targets) = (List::read(rest)?, List::read(rest)?, List::read(rest)?);
    if kinds.count != lengths.count || sizes.count != lengths.count || types.count != ids.count {
        return None;
    }
    let (mut start, mut target_start) = (0usize, 0usize);
    let mut examples = Vec::with_capacity(lengths.count);
    let lengths = lengths.numbers(0, lengths.count)?;
    let kinds = kinds.numbers(0, kinds.count)?;
    let sizes = sizes.numbers(0, sizes.count)?;
    for ((length, kind), size) in lengths.into_iter().zip(kinds).zip(sizes) {
        let end = start.checked_add(length as usize)?;
        let target_end = target_start.checked_add(size as usize)?;
        examples.push(EncodedExample {
            input_ids: ids.numbers(start, end)?,
            token_type_ids: types.numbers(start, end)?,
            target: target_of(
                kind,
                targets.numbers(target_start, target_end)?,
                length as usize,
            )?,
        });
        (start, target_start) = (end, target_end);
    }
    (start == ids.count && target_start == targets.count).then_some(examples)
}

/// A list of numbers in a file.
struct List<'a> {
    bytes: &'a [u8],
    width: usize,
    count: usize,
}

impl<'a> List<'a> {
    /// The list that `rest` begins with, which `rest` then no longer does.
    fn read(rest: &mut &'a [u8]) -> Option<Self> {
        let (count, after) = rest.split_first_chunk::<8>()?;
        let (&width, after) = after.split_first()?;
        let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
        // A list of zeros has no bytes that would bound its count; no list is longer than this.
        if !matches!(width, 0 | 1 | 2 | 4) || count > u32::MAX as usize {
            return None;
        }
        let width = usize::from(width);
        let (bytes, after) = after.split_at_checked(count.checked_mul(width)?)?;
        *rest = after;
        Some(Self {
            bytes,
            width,
            count,
        })
    }

    /// The numbers from `start` to before `end`.
    fn numbers(&self, start: usize, end: usize) -> Option<Vec<u32>> {
        if self.width == 0 {
            return (start <= end && end <= self.count).then(|| vec![0; end - start]);
        }
        let bytes = self.bytes.get(start * self.width..end * self.width)?;
        let number = |bytes: &[u8]| {
            let mut number = [0; 4];
            number[..bytes.len()].copy_from_slice(bytes);
            u32::from_le_bytes(number)
        };
        Some(bytes.chunks_exact(self.width).map(number).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(ids: &[u32], types: &[u32], target: Option<Target>) -> EncodedExample {
        EncodedExample {
            input_ids: ids.to_vec(),
            token_type_ids: types.to_vec(),
            target,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let key = Key::of_text("k");
        let class = || Some(Target::Class(2));
        let score = || Some(Target::Score(-2.5));
        for examples in [
            vec![],
            vec![example(&[0], &[0], None)],
            vec![
                example(&[101, 255, 102], &[0, 0, 1], class()),
                example(&[], &[], class()),
                example(&[1, 2], &[0, 1], class()),
            ],
            vec![
                example(&[30521, 1], &[0, 0], score()),
                example(&[7], &[0], None),
            ],
            vec![example(&[u32::MAX, 0], &[0, 70_000], score())],
            vec![
                example(&[5, 6], &[0, 0], Some(Target::Tags(vec![None, Some(3)]))),
                example(&[5, 6], &[0, 0], Some(Target::Span([1, 0]))),
                example(&[5], &[0], Some(Target::Classes(vec![]))),
                example(&[5], &[0], Some(Target::Classes(vec![0, 300]))),
            ],
        ] {
            let bytes = encode(&examples, &key);
            assert_eq!(decode(&bytes, &key), Ok(examples.clone()));
            assert!(decode(&bytes, &Key::of_text("other")).is_err());
        }
    }

    #[test]
    fn small_numbers_take_few_bytes() {
        let key = Key::of_text("k");
        let examples = vec![example(&[30_000; 100], &[0; 100], Some(Target::Class(1))); 10];
        let size = encode(&examples, &key).len();
        assert!(size < 2 * 1000 + 200, "{size}");
    }

    #[test]
    fn every_damage_is_found() {
        let key = Key::of_text("k");
        let bytes = encode(
            &[example(
                &[101, 999, 102],
                &[0, 0, 1],
                Some(Target::Class(1)),
            )],
            &key,
        );
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end], &key).is_err(), "cut to {end}");
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x10;
            assert!(decode(&bytes, &key).is_err(), "a bit of byte {at}");
        }
    }

    /// Lists that contradict each other under a right checksum: an error, not a panic.
    #[test]
    fn nonsense_with_a_right_checksum_is_refused() {
        let key = Key::of_text("k");
        let good = encode(
            &[example(
                &[101, 999, 102],
                &[0, 0, 1],
                Some(Target::Class(1)),
            )],
            &key,
        );
        let body = &good[..good.len() - 32];
        for at in 48..body.len() {
            for value in [0, 1, 2, 3, 4, 0x7f, 0xff] {
                let mut bytes = body.to_vec();
                bytes[at] = value;
                let checksum = Sha256::digest(&bytes);
                bytes.extend(checksum);
                let _ = decode(&bytes, &key);
            }
        }
        let mut long = body.to_vec();
        long.push(0);
        let checksum = Sha256::digest(&long);
        long.extend(checksum);
        assert!(decode(&long, &key).is_err());
    }
}
