//! Who computes what: a batch cut into groups of whole sequences, one task each. Called by the fused path.
//!
//! A task takes its rows through a whole block, so that they stay in the cache of one core and a block has one fork and
//! one join. The cut depends on the lengths alone, never on the threads: sums over groups keep their order.

use std::ops::Range;

/// Rows a task should have at least, so that the weights it reads are worth the trip, and at most, so that its rows
/// stay in the second cache.
const ROWS: Range<usize> = 40..128;
/// Tasks a batch is cut into when its size allows.
const TASKS: usize = 16;

/// Consecutive sequences and their rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The sequences.
    pub sequences: Range<usize>,
    /// Their rows.
    pub rows: Range<usize>,
}

/// The groups of a batch with these sequence offsets.
pub fn groups(offsets: &[u32]) -> Vec<Group> {
    let sequences = offsets.len() - 1;
    let rows = offsets[sequences] as usize;
    let wanted = (rows / TASKS).clamp(ROWS.start, ROWS.end);
    // Even shares: the last group is no crumb.
    let n = (rows / wanted).clamp(1, sequences.max(1));
    let mut groups = Vec::with_capacity(n);
    let mut first = 0;
    for i in 1..=n {
        let end = match i == n {
            true => sequences,
            false => offsets.partition_point(|&offset| (offset as usize) < i * rows / n),
        };
        if end > first {
            groups.push(Group {
                sequences: first..end,
                rows: offsets[first] as usize..offsets[end] as usize,
            });
            first = end;
        }
    }
    groups
}

/// The same for rows that are sequences of their own: the first tokens.
pub fn row_groups(rows: usize) -> Vec<Range<usize>> {
    const FIRST_TOKENS: usize = 12;
    let n = rows.div_ceil(FIRST_TOKENS).clamp(1, TASKS);
    (0..n)
        .map(|i| i * rows / n..(i + 1) * rows / n)
        .filter(|range| !range.is_empty())
        .collect()
}

/// Cuts `data` (`[rows, columns]`) into the rows of `ranges`, which follow one another from 0.
pub fn split(
    mut data: &mut [f32],
    ranges: impl Iterator<Item = Range<usize>>,
    columns: usize,
) -> Vec<&mut [f32]> {
    ranges
        .map(|range| {
            let (piece, rest) = std::mem::take(&mut data).split_at_mut(range.len() * columns);
            data = rest;
            piece
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(lengths: &[u32]) -> Vec<u32> {
        let mut offsets = vec![0];
        for length in lengths {
            offsets.push(offsets.last().unwrap() + length);
        }
        offsets
    }

    #[test]
    fn every_sequence_is_in_one_group() {
        for lengths in [
            vec![],
            vec![0],
            vec![5],
            vec![0, 0, 7, 0],
            vec![13; 32],
            vec![128; 16],
            (1..200).map(|i| i * 37 % 90).collect(),
            vec![512, 1, 1, 1, 300],
        ] {
            let offsets = offsets(&lengths);
            let groups = groups(&offsets);
            let sequences: Vec<usize> = groups.iter().flat_map(|g| g.sequences.clone()).collect();
            assert_eq!(sequences, (0..lengths.len()).collect::<Vec<_>>());
            let rows: Vec<usize> = groups.iter().flat_map(|g| g.rows.clone()).collect();
            assert_eq!(
                rows,
                (0..*offsets.last().unwrap() as usize).collect::<Vec<_>>()
            );
        }
        assert_eq!(groups(&offsets(&[128; 16])).len(), 16);
        assert_eq!(groups(&offsets(&[13; 32])).len(), 10);
    }

    #[test]
    fn rows_are_shared_out() {
        for rows in [0, 1, 11, 32, 100, 1000] {
            let all: Vec<usize> = row_groups(rows).into_iter().flatten().collect();
            assert_eq!(all, (0..rows).collect::<Vec<_>>());
        }
    }
}
