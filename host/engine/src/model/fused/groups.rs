//! The division of work: a batch cut into groups of whole sequences, one task each. The fused path
//! calls it.
//!
//! A task takes its rows through a whole block. They stay in the cache of one core, and a block has
//! one fork and one join. The cut depends only on the lengths, never on the threads, so that sums
//! over groups keep their order.

use std::ops::Range;

/// The even share of rows of a task. It has enough rows to make loading the weights worthwhile, and
/// few enough to stay in the second-level cache.
const ROWS: Range<usize> = 40..128;
/// The number of tasks into which a batch is cut if its size allows.
const TASKS: usize = 16;

/// Consecutive sequences and their rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// The sequences.
    pub sequences: Range<usize>,
    /// Their rows.
    pub rows: Range<usize>,
}

/// The number of groups into which `rows` rows in `sequences` sequences are cut.
fn n_groups(rows: usize, sequences: usize) -> usize {
    let wanted = (rows / TASKS).clamp(ROWS.start, ROWS.end);
    // Rounded down, so that the shares are even and the last group is not tiny.
    (rows / wanted).clamp(1, sequences.max(1))
}

/// An upper bound on the rows of one task, in a batch of `rows` rows in `sequences` sequences, of
/// which the longest has `longest`. A group ends where the first sequence after its even share
/// begins, so it has less than one sequence more.
pub fn most_task_rows(rows: usize, sequences: usize, longest: usize) -> usize {
    let share = rows.div_ceil(n_groups(rows, sequences));
    (share + longest.saturating_sub(1)).min(rows)
}

/// The groups of a batch with these sequence offsets.
pub(super) fn groups(offsets: &[u32]) -> Vec<Group> {
    let sequences = offsets.len() - 1;
    let rows = offsets[sequences] as usize;
    let n = n_groups(rows, sequences);
    let mut groups = Vec::with_capacity(n);
    let mut first = 0;
    for i in 1..=n {
        let end = if i == n {
            sequences
        } else {
            offsets.partition_point(|&offset| (offset as usize) < i * rows / n)
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

/// The groups of rows that are independent of each other: the first tokens.
pub(super) fn row_groups(rows: usize) -> Vec<Range<usize>> {
    const FIRST_TOKENS: usize = 12;
    let n = rows.div_ceil(FIRST_TOKENS).clamp(1, TASKS);
    (0..n)
        .map(|i| i * rows / n..(i + 1) * rows / n)
        .filter(|range| !range.is_empty())
        .collect()
}

/// Cuts `data` (`[rows, columns]`) into the rows of `ranges`, which follow each other from 0.
pub(super) fn split<T>(
    mut data: &mut [T],
    ranges: impl Iterator<Item = Range<usize>>,
    columns: usize,
) -> Vec<&mut [T]> {
    ranges
        .map(|range| {
            let (piece, rest) = std::mem::take(&mut data).split_at_mut(range.len() * columns);
            data = rest;
            piece
        })
        .collect()
}

/// Some rows of `data`, `[_, columns]`.
pub(super) fn rows_of<'a>(data: &'a [f32], rows: &Range<usize>, columns: usize) -> &'a [f32] {
    &data[rows.start * columns..rows.end * columns]
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
            vec![60, 100, 100, 10],
        ] {
            let offsets = offsets(&lengths);
            let groups = groups(&offsets);
            let sequences: Vec<usize> = groups.iter().flat_map(|g| g.sequences.clone()).collect();
            assert_eq!(sequences, (0..lengths.len()).collect::<Vec<_>>());
            let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
            let most = most_task_rows(*offsets.last().unwrap() as usize, lengths.len(), longest);
            assert!(groups.iter().all(|g| g.rows.len() <= most), "{lengths:?}");
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
