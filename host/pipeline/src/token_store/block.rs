//! The encoding of a block of tokenised examples. Called by the store and its builder.
//!
//! ```text
//! lengths · ids · token types · kinds of targets · counts of their numbers · their numbers
//! ```
//!
//! Each of the six is a list of whole numbers: their count (4 bytes), the width of each number (1
//! byte), and the numbers. The largest number decides the width, which is 0, 1, 2 or 4 bytes; 0
//! means that all numbers are zero. Ids have at least 1, so that the bytes limit the memory that a
//! block takes. Everything is little-endian.

use super::directory::BLOCK;
use progtune_engine::{EncodedExample, Target};

/// The kinds of targets.
const NONE: u32 = 0;
const CLASS: u32 = 1;
const SCORE: u32 = 2;
const CLASSES: u32 = 3;
const TAGS: u32 = 4;
const SPAN: u32 = 5;

/// Encodes a target as a kind and numbers. A tag is stored as its class plus one; 0 marks a token
/// without a tag.
fn numbers(target: Option<&Target>) -> (u32, Vec<u32>) {
    match target {
        None => (NONE, Vec::new()),
        Some(Target::Class(class)) => (CLASS, vec![*class]),
        Some(Target::Score(score)) => (SCORE, vec![score.to_bits()]),
        Some(Target::Classes(classes)) => (CLASSES, classes.clone()),
        Some(Target::Tags(tags)) => {
            let number = |tag: &Option<u32>| tag.map_or(0, |class| class.saturating_add(1));
            (TAGS, tags.iter().map(number).collect())
        }
        Some(Target::Span(span)) => (SPAN, span.to_vec()),
    }
}

/// The reverse of [`numbers`]; `None` for anything that it would not write for an example of
/// `length` tokens.
fn target(kind: u32, numbers: Vec<u32>, length: usize) -> Option<Option<Target>> {
    Some(Some(match (kind, numbers.as_slice()) {
        (NONE, []) => return Some(None),
        (CLASS, &[class]) => Target::Class(class),
        (SCORE, &[bits]) => Target::Score(f32::from_bits(bits)),
        (SPAN, &[first, last]) if (first.max(last) as usize) < length => {
            Target::Span([first, last])
        }
        (CLASSES, _) => Target::Classes(numbers),
        (TAGS, tags) if tags.len() == length => {
            Target::Tags(numbers.into_iter().map(|n| n.checked_sub(1)).collect())
        }
        _ => return None,
    }))
}

/// Appends the block of `examples` to `out`.
pub(crate) fn encode(examples: &[EncodedExample], out: &mut Vec<u8>) {
    let (kinds, targets): (Vec<u32>, Vec<Vec<u32>>) =
        examples.iter().map(|e| numbers(e.target.as_ref())).unzip();
    let ids = examples.iter().flat_map(|e| &e.input_ids).copied();
    let types = examples.iter().flat_map(|e| &e.token_type_ids).copied();
    write_list(out, 0, examples.iter().map(|e| e.input_ids.len() as u32));
    write_list(out, 1, ids);
    write_list(out, 0, types);
    write_list(out, 0, kinds.into_iter());
    write_list(out, 0, targets.iter().map(|numbers| numbers.len() as u32));
    write_list(out, 0, targets.iter().flatten().copied());
}

fn write_list(out: &mut Vec<u8>, least_width: usize, numbers: impl Iterator<Item = u32> + Clone) {
    let (count, largest) = numbers
        .clone()
        .fold((0u32, 0), |(count, largest), n| (count + 1, largest.max(n)));
    let width = match largest {
        0 => least_width.min(count as usize),
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

/// A view of an encoded block.
pub struct Block<'a> {
    lengths: List<'a>,
    ids: List<'a>,
    types: List<'a>,
    kinds: List<'a>,
    counts: List<'a>,
    numbers: List<'a>,
}

impl<'a> Block<'a> {
    /// Parses a block; `None` if the bytes are not one.
    pub fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let rest = &mut bytes;
        let block = Self {
            lengths: List::read(rest)?,
            ids: List::read(rest)?,
            types: List::read(rest)?,
            kinds: List::read(rest)?,
            counts: List::read(rest)?,
            numbers: List::read(rest)?,
        };
        let n = block.n_examples();
        // Lists of width 0 take no bytes; the others bound them.
        let is_bounded = n <= BLOCK
            && (block.ids.width > 0 || block.ids.count == 0)
            && (block.numbers.width > 0 || block.numbers.count <= block.ids.count + 2 * n);
        let is_whole = is_bounded
            && rest.is_empty()
            && block.kinds.count == n
            && block.counts.count == n
            && block.types.count == block.ids.count
            && block.lengths.sum(n) == block.ids.count
            && block.counts.sum(n) == block.numbers.count;
        is_whole.then_some(block)
    }

    /// Number of examples in the block.
    pub fn n_examples(&self) -> usize {
        self.lengths.count
    }

    /// Number of tokens of an example.
    pub fn length(&self, at: usize) -> usize {
        self.lengths.at(at) as usize
    }

    /// Decodes an example; `None` if its target is invalid.
    pub fn example(&self, at: usize) -> Option<EncodedExample> {
        let start = self.lengths.sum(at);
        let end = start + self.length(at);
        let first = self.counts.sum(at);
        let last = first + self.counts.at(at) as usize;
        Some(EncodedExample {
            input_ids: self.ids.range(start, end),
            token_type_ids: self.types.range(start, end),
            target: target(
                self.kinds.at(at),
                self.numbers.range(first, last),
                end - start,
            )?,
        })
    }
}

/// A list of numbers in a block.
struct List<'a> {
    bytes: &'a [u8],
    width: usize,
    count: usize,
}

impl<'a> List<'a> {
    /// Takes a list from the beginning of `rest`.
    fn read(rest: &mut &'a [u8]) -> Option<Self> {
        let (count, after) = rest.split_first_chunk::<4>()?;
        let (&width, after) = after.split_first()?;
        let count = u32::from_le_bytes(*count) as usize;
        if !matches!(width, 0 | 1 | 2 | 4) {
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

    fn at(&self, at: usize) -> u32 {
        let mut number = [0; 4];
        let start = at * self.width;
        number[..self.width].copy_from_slice(&self.bytes[start..start + self.width]);
        u32::from_le_bytes(number)
    }

    /// The sum of the first `n` numbers.
    fn sum(&self, n: usize) -> usize {
        (0..n).map(|at| self.at(at) as usize).sum()
    }

    /// The numbers from `start` up to, but excluding, `end`.
    fn range(&self, start: usize, end: usize) -> Vec<u32> {
        (start..end).map(|at| self.at(at)).collect()
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

    fn every_target() -> Vec<EncodedExample> {
        vec![
            example(&[101, 255, 102], &[0, 0, 1], Some(Target::Class(2))),
            example(&[], &[], Some(Target::Classes(vec![]))),
            example(&[1, 2], &[0, 1], Some(Target::Classes(vec![0, 70_000]))),
            example(&[30_521, 1], &[0, 0], Some(Target::Score(-2.5))),
            example(&[7], &[0], None),
            example(&[u32::MAX, 0], &[0, 70_000], Some(Target::Span([0, 1]))),
            example(
                &[1, 2, 3],
                &[0; 3],
                Some(Target::Tags(vec![None, Some(0), Some(8)])),
            ),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for examples in [vec![], every_target(), every_target()[..3].to_vec()] {
            let mut bytes = Vec::new();
            encode(&examples, &mut bytes);
            let block = Block::read(&bytes).unwrap();
            assert_eq!(block.n_examples(), examples.len());
            for (at, example) in examples.iter().enumerate() {
                assert_eq!(block.length(at), example.input_ids.len());
                assert_eq!(block.example(at).as_ref(), Some(example));
            }
        }
    }

    #[test]
    fn small_numbers_take_few_bytes() {
        let examples = vec![example(&[30_000; 100], &[0; 100], Some(Target::Class(1))); 10];
        let mut bytes = Vec::new();
        encode(&examples, &mut bytes);
        assert!(bytes.len() < 2 * 1000 + 100, "{}", bytes.len());
    }

    /// Lists of zeros take no bytes, so that a block of some bytes could ask for any memory.
    #[test]
    fn zeros_are_bounded_by_bytes() {
        let block = |counts: [u32; 6], widths: [u8; 6], bytes: [&[u8]; 6]| {
            let mut block = Vec::new();
            for ((count, width), bytes) in counts.into_iter().zip(widths).zip(bytes) {
                block.extend(count.to_le_bytes());
                block.push(width);
                block.extend(bytes);
            }
            block
        };
        let most = u32::MAX.to_le_bytes();
        // One example of 2^32 tokens, each of them 0.
        let tokens = block(
            [1, u32::MAX, u32::MAX, 1, 1, 0],
            [4, 0, 0, 0, 0, 0],
            [&most, &[], &[], &[], &[], &[]],
        );
        // 2^32 examples without tokens.
        let examples = block([u32::MAX, 0, 0, u32::MAX, u32::MAX, 0], [0; 6], [&[]; 6]);
        // An example whose target has 2^32 classes.
        let classes = block(
            [1, 1, 1, 1, 1, u32::MAX],
            [1, 1, 0, 1, 4, 0],
            [&[1], &[7], &[], &[3], &most, &[]],
        );
        for block in [tokens, examples, classes] {
            assert!(Block::read(&block).is_none(), "{block:?}");
        }
    }

    /// Even under a correct checksum, nonsense causes no panic and no allocation beyond the bytes
    /// that exist.
    #[test]
    fn nonsense_is_refused() {
        let mut good = Vec::new();
        encode(&every_target(), &mut good);
        for end in 0..good.len() {
            assert!(Block::read(&good[..end]).is_none(), "cut to {end}");
        }
        for at in 0..good.len() {
            for value in [0, 1, 2, 3, 4, 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                if let Some(block) = Block::read(&bytes) {
                    for at in 0..block.n_examples() {
                        let _ = block.example(at);
                    }
                }
            }
        }
        good.push(0);
        assert!(Block::read(&good).is_none());
    }
}
