//! Holds out a share of the training rows for validation. Called by `own::files`.
//!
//! The choice depends only on the number of rows per class, and is made before any row is read
//! again. One bit per row says whether the k-th row of a class is taken.

use std::collections::HashMap;

use crate::error::OwnDataError;
use crate::example::Label;
use crate::splitmix::SplitMix64;

/// Classes with more rows than this are sampled in one pass, so that no list of their rows is held
/// in memory.
const LISTED: usize = 1 << 22;

/// The rows that are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HoldOut {
    /// One bit per row for each class, in words of 64 rows.
    taken: Vec<Vec<u64>>,
    n_taken: usize,
}

/// Assigns rows to classes, from each of which a share is taken. Rows read in the same order get
/// the same classes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strata {
    /// Each set of labels seen is a class, in order of appearance.
    sets: HashMap<Vec<u32>, usize>,
}

impl Strata {
    /// The class of the next row. Numbers and unlabelled rows form one class.
    pub(crate) fn class_of(&mut self, label: Option<&Label>) -> usize {
        match label {
            Some(Label::Class(id)) => *id as usize,
            Some(Label::Classes(set)) => match self.sets.get(set) {
                Some(&class) => class,
                None => {
                    let class = self.sets.len();
                    self.sets.insert(set.clone(), class);
                    class
                }
            },
            Some(Label::Score(_)) | None => 0,
        }
    }
}

impl HoldOut {
    /// A `share` (above 0 and below 1) of `by_class` rows, stratified by class. The same seed takes
    /// the same rows. Of each class at least one row stays.
    ///
    /// # Errors
    /// One side would be empty.
    pub(crate) fn new(by_class: &[usize], share: f64, seed: u64) -> Result<Self, OwnDataError> {
        let mut random = SplitMix64::new(seed);
        let mut hold_out = Self {
            taken: Vec::new(),
            n_taken: 0,
        };
        let mut wanted = 0.0;
        for &n_rows in by_class {
            // A rounding error in one class is compensated in the next.
            wanted += n_rows as f64 * share;
            let n = (wanted.round() as usize).saturating_sub(hold_out.n_taken);
            let n = n.min(n_rows.saturating_sub(1));
            hold_out.taken.push(draw(n, n_rows, &mut random));
            hold_out.n_taken += n;
        }
        let n_rows = by_class.iter().sum();
        if hold_out.n_taken == 0 || hold_out.n_taken == n_rows {
            Err(OwnDataError::CannotSplit {
                share,
                n_rows,
                n_taken: hold_out.n_taken,
            })
        } else {
            Ok(hold_out)
        }
    }

    /// The number of rows that are taken.
    pub(crate) fn n_taken(&self) -> usize {
        self.n_taken
    }

    /// Whether row `at` of a class, counted from 0, is taken.
    pub(crate) fn takes(&self, class: usize, at: usize) -> bool {
        let word = self.taken.get(class).and_then(|taken| taken.get(at / 64));
        word.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

/// `n` of `n_rows` rows, one bit per row.
fn draw(n: usize, n_rows: usize, random: &mut SplitMix64) -> Vec<u64> {
    let mut taken = vec![0; n_rows.div_ceil(64)];
    let mut take = |row: usize| taken[row / 64] |= 1 << (row % 64);
    if n_rows <= LISTED {
        let mut rows: Vec<u32> = (0..n_rows as u32).collect();
        random.shuffle(&mut rows);
        rows.iter().take(n).for_each(|&row| take(row as usize));
        return taken;
    }
    // Selection sampling (Knuth, The Art of Computer Programming, volume 2, 3.4.2, algorithm S).
    let mut left = n;
    for row in 0..n_rows {
        if random.below(n_rows - row) < left {
            take(row);
            left -= 1;
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(hold_out: &HoldOut, by_class: &[usize]) -> Vec<usize> {
        let of =
            |(class, &n): (usize, &usize)| (0..n).filter(|&at| hold_out.takes(class, at)).count();
        by_class.iter().enumerate().map(of).collect()
    }

    #[test]
    fn each_class_gives_its_share_and_the_seed_decides_which() {
        let all = [100, 30, 1];
        let first = HoldOut::new(&all, 0.1, 7).unwrap();
        assert_eq!(first.n_taken(), 13);
        assert_eq!(taken(&first, &all), [10, 3, 0]);
        assert_eq!(HoldOut::new(&all, 0.1, 7).unwrap(), first);
        assert_ne!(HoldOut::new(&all, 0.1, 8).unwrap(), first);
        assert!(!first.takes(0, 100) && !first.takes(3, 0), "no such rows");
    }

    #[test]
    fn small_classes_share_what_rounding_leaves() {
        assert_eq!(HoldOut::new(&[4; 10], 0.1, 1).unwrap().n_taken(), 4);
    }

    #[test]
    fn classes_too_large_for_a_list_give_their_share_as_well() {
        let n = LISTED + 1000;
        let hold_out = HoldOut::new(&[n], 0.25, 3).unwrap();
        let wanted = (n as f64 * 0.25).round() as usize;
        assert_eq!(taken(&hold_out, &[n]), [wanted]);
        // The halves differ by chance only: eight standard deviations are 8 * sqrt(n / 2 * 0.25 *
        // 0.75).
        let half = (0..n / 2).filter(|&at| hold_out.takes(0, at)).count();
        assert!(half.abs_diff(wanted / 2) < 5100, "{half} of {wanted}");
    }

    #[test]
    fn neither_side_may_be_empty() {
        let message = HoldOut::new(&[3, 1], 0.01, 1).unwrap_err().to_string();
        assert!(
            message.contains("found 4 training rows of which 0"),
            "{message}"
        );
    }
}
