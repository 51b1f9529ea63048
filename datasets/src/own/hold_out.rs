//! Holds out a share of the training rows for validation. Called by `own::files` and `tags`.

use crate::drawn_rows::DrawnRows;
use crate::error::OwnDataError;
use crate::splitmix::SplitMix64;

/// A `share` (above 0 and below 1) of `by_class` rows, stratified by class. The same seed takes the
/// same rows. Of each class at least one row stays.
///
/// # Errors
/// One side would be empty.
pub(crate) fn hold_out(
    by_class: &[usize],
    share: f64,
    seed: u64,
) -> Result<DrawnRows, OwnDataError> {
    let mut random = SplitMix64::new(seed);
    let mut drawn = DrawnRows::default();
    let (mut wanted, mut n_taken) = (0.0, 0);
    for &n_rows in by_class {
        // A rounding error in one class is compensated in the next.
        wanted += n_rows as f64 * share;
        let n = (wanted.round() as usize).saturating_sub(n_taken);
        let n = n.min(n_rows.saturating_sub(1));
        drawn.add_class(n, n_rows, &mut random);
        n_taken += n;
    }
    let n_rows = by_class.iter().sum();
    if n_taken == 0 || n_taken == n_rows {
        Err(OwnDataError::CannotSplit {
            share,
            n_rows,
            n_taken,
        })
    } else {
        Ok(drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drawn_rows::LISTED;

    fn taken(drawn: &DrawnRows, by_class: &[usize]) -> Vec<usize> {
        let of = |(class, &n): (usize, &usize)| (0..n).filter(|&at| drawn.takes(class, at)).count();
        by_class.iter().enumerate().map(of).collect()
    }

    #[test]
    fn each_class_gives_its_share_and_the_seed_decides_which() {
        let all = [100, 30, 1];
        let first = hold_out(&all, 0.1, 7).unwrap();
        assert_eq!(taken(&first, &all), [10, 3, 0]);
        assert_eq!(first.by_class(), [10, 3, 0]);
        assert_eq!(hold_out(&all, 0.1, 7).unwrap(), first);
        assert_ne!(hold_out(&all, 0.1, 8).unwrap(), first);
        assert!(!first.takes(0, 100) && !first.takes(3, 0), "no such rows");
    }

    #[test]
    fn small_classes_share_what_rounding_leaves() {
        assert_eq!(
            hold_out(&[4; 10], 0.1, 1)
                .unwrap()
                .by_class()
                .iter()
                .sum::<usize>(),
            4
        );
    }

    #[test]
    fn classes_too_large_for_a_list_give_their_share_as_well() {
        let n = LISTED + 1000;
        let drawn = hold_out(&[n], 0.25, 3).unwrap();
        let wanted = (n as f64 * 0.25).round() as usize;
        assert_eq!(taken(&drawn, &[n]), [wanted]);
        // The halves differ by chance only: eight standard deviations are 8 * sqrt(n / 2 * 0.25 *
        // 0.75).
        let half = (0..n / 2).filter(|&at| drawn.takes(0, at)).count();
        assert!(half.abs_diff(wanted / 2) < 5100, "{half} of {wanted}");
    }

    #[test]
    fn neither_side_may_be_empty() {
        let message = hold_out(&[3, 1], 0.01, 1).unwrap_err().to_string();
        assert!(
            message.contains("found 4 training rows of which 0"),
            "{message}"
        );
    }
}
