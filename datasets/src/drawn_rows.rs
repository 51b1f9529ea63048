//! Rows drawn at random from each class: one bit per row says whether the k-th row of a class is
//! taken. `own::hold_out` draws rows for validation, and `sampling` the rows that a run uses.
//!
//! The draw depends only on the number of rows per class, so it is made before any row is read
//! again, and rows of files larger than memory can be drawn.

use std::collections::HashMap;

use crate::example::Label;
use crate::splitmix::SplitMix64;

/// Classes with more rows than this are drawn from in one pass, so that no list of their rows is
/// held in memory.
pub(crate) const LISTED: usize = 1 << 22;

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

/// The rows that are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DrawnRows {
    /// One bit per row for each class, in words of 64 rows.
    taken: Vec<Vec<u64>>,
    /// The number of rows taken from each class.
    by_class: Vec<usize>,
}

impl DrawnRows {
    /// Takes `n` of the `n_rows` rows of the next class.
    pub(crate) fn add_class(&mut self, n: usize, n_rows: usize, random: &mut SplitMix64) {
        self.taken.push(draw(n, n_rows, random));
        self.by_class.push(n);
    }

    /// The number of rows taken from each class.
    pub(crate) fn by_class(&self) -> &[usize] {
        &self.by_class
    }

    /// Whether row `at` of a class, counted from 0, is taken.
    pub(crate) fn takes(&self, class: usize, at: usize) -> bool {
        let word = self.taken.get(class).and_then(|taken| taken.get(at / 64));
        word.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

/// Counts the rows of each class as they pass.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Vec<usize>);

impl Seen {
    /// The number of rows of this class before the next one, which is counted.
    pub(crate) fn next(&mut self, class: usize) -> usize {
        if self.0.len() <= class {
            self.0.resize(class + 1, 0);
        }
        self.0[class] += 1;
        self.0[class] - 1
    }

    /// The counts.
    pub(crate) fn by_class(self) -> Vec<usize> {
        self.0
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
