//! Takes a share of the training rows for validation; called by `own` and `tagged`.

use crate::error::OwnDataError;
use crate::splitmix::SplitMix64;

/// `rows` without and with a `share` (above 0 and below 1) of them, both in their order. The same seed takes the same
/// rows. Of each class (`classes`, one a row) about that share is taken, and at least one row stays.
///
/// # Errors
/// One side would be empty.
pub(crate) fn hold_out<T>(
    rows: Vec<T>,
    classes: &[usize],
    share: f64,
    seed: u64,
) -> Result<(Vec<T>, Vec<T>), OwnDataError> {
    let mut rows_of: Vec<Vec<usize>> = Vec::new();
    for (at, &class) in classes.iter().enumerate() {
        if rows_of.len() <= class {
            rows_of.resize(class + 1, Vec::new());
        }
        rows_of[class].push(at);
    }
    let mut random = SplitMix64::new(seed);
    let mut is_taken = vec![false; rows.len()];
    let (mut wanted, mut n_taken) = (0.0, 0_usize);
    for rows in &mut rows_of {
        // What rounding leaves over in one class is made up for in the next.
        wanted += rows.len() as f64 * share;
        let n = (wanted.round() as usize).saturating_sub(n_taken);
        let n = n.min(rows.len().saturating_sub(1));
        random.shuffle(rows);
        for &row in rows.iter().take(n) {
            is_taken[row] = true;
        }
        n_taken += n;
    }
    if n_taken == 0 || n_taken == rows.len() {
        return Err(OwnDataError::CannotSplit {
            share,
            n_rows: rows.len(),
            n_taken,
        });
    }
    let (mut kept, mut taken) = (Vec::new(), Vec::new());
    for (row, is_taken) in rows.into_iter().zip(is_taken) {
        if is_taken { &mut taken } else { &mut kept }.push(row);
    }
    Ok((kept, taken))
}

/// One class for each row that has any number of labels: the label that the fewest rows have, counted from 1, so that
/// rare ones are on both sides of a split; 0 for a row without any.
pub(crate) fn rarest(rows: impl Iterator<Item = Vec<usize>>) -> Vec<usize> {
    let rows: Vec<Vec<usize>> = rows
        .map(|mut labels| {
            labels.sort_unstable();
            labels.dedup();
            labels
        })
        .collect();
    let n_labels = rows.iter().flatten().max().map_or(0, |most| most + 1);
    let mut counts = vec![0_usize; n_labels];
    for &label in rows.iter().flatten() {
        counts[label] += 1;
    }
    rows.iter()
        .map(|labels| {
            let rarest = labels.iter().min_by_key(|&&label| counts[label]);
            rarest.map_or(0, |label| label + 1)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The class of each of so many rows.
    fn rows(counts: &[usize]) -> Vec<usize> {
        let of_class = |(class, &n): (usize, &usize)| std::iter::repeat_n(class, n);
        counts.iter().enumerate().flat_map(of_class).collect()
    }

    /// Rows that know their number and class, split.
    fn split(classes: &[usize], share: f64, seed: u64) -> [Vec<(usize, usize)>; 2] {
        let rows = classes.iter().copied().enumerate().collect();
        let (kept, taken) = hold_out(rows, classes, share, seed).unwrap();
        [kept, taken]
    }

    #[test]
    fn each_class_gives_its_share_and_the_seed_decides_which() {
        let all = rows(&[100, 30, 1]);
        let [train, validation] = split(&all, 0.1, 7);
        assert_eq!((train.len(), validation.len()), (118, 13));
        let of_class = |class| validation.iter().filter(|row| row.1 == class).count();
        assert_eq!([0, 1, 2].map(of_class), [10, 3, 0]);
        assert_eq!(split(&all, 0.1, 7)[1], validation);
        assert_ne!(split(&all, 0.1, 8)[1], validation);
    }

    #[test]
    fn small_classes_share_what_rounding_leaves() {
        assert_eq!(split(&rows(&[4; 10]), 0.1, 1)[1].len(), 4);
    }

    #[test]
    fn neither_side_may_be_empty() {
        let classes = rows(&[3, 1]);
        let message = hold_out(classes.clone(), &classes, 0.01, 1)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("found 4 training rows of which 0"),
            "{message}"
        );
    }

    #[test]
    fn rows_count_as_their_rarest_label() {
        let rows = [vec![0, 1], vec![0], vec![], vec![1, 0, 0], vec![0, 2]];
        assert_eq!(rarest(rows.into_iter()), [2, 1, 0, 2, 3]);
    }
}
