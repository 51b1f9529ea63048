//! The rows that a run uses if it does not use all of them (`--max-train-samples` and its
//! siblings): drawn at random, in the same shares of the classes as in the data, or the first ones.
//! The host asks for them; `own::files`, `tasks::split`, `tags` and `squad` deliver them.
//!
//! Rows keep the order of the files. The classes are those of `--validation-split`
//! (`drawn_rows::Strata`).

use std::borrow::Cow;

use crate::drawn_rows::{DrawnRows, Seen};
use crate::splitmix::SplitMix64;

/// The rule by which rows are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SampleRule {
    /// At random, with each class in its share. Numbers have no classes, so their rows are chosen
    /// like `Random`.
    #[default]
    Stratified,
    /// At random.
    Random,
    /// The first rows.
    First,
}

impl SampleRule {
    /// The rules and their names in configurations.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("stratified", Self::Stratified),
        ("random", Self::Random),
        ("first", Self::First),
    ];
}

/// A number of rows to use, and the rule that chooses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The number of rows, or all if there are fewer.
    pub n_rows: usize,
    /// The rule.
    pub rule: SampleRule,
    /// The random seed. The same seed chooses the same rows.
    pub seed: u64,
}

impl Sample {
    /// The first `n_rows` rows.
    pub fn first(n_rows: usize) -> Self {
        Self {
            n_rows,
            rule: SampleRule::First,
            seed: 0,
        }
    }

    /// The number of rows to read if the first ones are wanted; `None` means all.
    pub(crate) fn limit(sample: Option<Self>) -> Option<usize> {
        sample
            .filter(|sample| sample.rule == SampleRule::First)
            .map(|sample| sample.n_rows)
    }
}

/// The classes of the rows of a split, with the number of rows in each.
#[derive(Debug, Clone)]
pub(crate) struct Classes {
    pub(crate) by_class: Vec<usize>,
    /// Whether a sample that is large enough has a row of each class. Sets of labels are too many
    /// for that: the rare ones would crowd out the frequent ones.
    pub(crate) covers_all: bool,
}

/// Chooses rows one by one, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Picker {
    /// `None` takes every row until none are left to take.
    drawn: Option<DrawnRows>,
    is_by_class: bool,
    seen: Seen,
    /// The number of rows still to take.
    left: usize,
}

impl Picker {
    /// A picker of a sample, or of all rows, among rows of these classes.
    pub(crate) fn new(sample: Option<Sample>, classes: &Classes) -> Self {
        let n_rows: usize = classes.by_class.iter().sum();
        let mut picker = Self {
            drawn: None,
            is_by_class: true,
            seen: Seen::default(),
            left: sample.map_or(usize::MAX, |sample| sample.n_rows),
        };
        let Some(sample) = sample.filter(|sample| sample.n_rows < n_rows) else {
            return picker;
        };
        // `--validation-split` draws with the seed itself. These rows are drawn independently.
        let mut random = SplitMix64::new(sample.seed ^ SEED_OF_SAMPLES);
        match sample.rule {
            SampleRule::First => {}
            SampleRule::Random => {
                picker.is_by_class = false;
                let mut drawn = DrawnRows::default();
                drawn.add_class(sample.n_rows, n_rows, &mut random);
                picker.drawn = Some(drawn);
            }
            SampleRule::Stratified => {
                let mut drawn = DrawnRows::default();
                let shares = shares(classes, sample.n_rows, &mut random);
                for (n, &n_rows) in shares.into_iter().zip(&classes.by_class) {
                    drawn.add_class(n, n_rows, &mut random);
                }
                picker.drawn = Some(drawn);
            }
        }
        picker
    }

    /// Whether the next row, of this class, is taken.
    pub(crate) fn takes(&mut self, class: usize) -> bool {
        if self.is_over() {
            return false;
        }
        let takes = self.drawn.as_ref().is_none_or(|drawn| {
            let class = if self.is_by_class { class } else { 0 };
            drawn.takes(class, self.seen.next(class))
        });
        self.left -= usize::from(takes);
        takes
    }

    /// Whether no further row is taken.
    pub(crate) fn is_over(&self) -> bool {
        self.left == 0
    }
}

/// Separates the random numbers of samples from those of held-out rows.
const SEED_OF_SAMPLES: u64 = 0x5361_6d70_6c65_7321;

/// The number of rows to take from each class, `n` in all, which is fewer than there are. Each
/// class gets its share, rounded up or down at random so that the total is exact (systematic
/// sampling). If every class is to be covered and there are enough rows, each gets one row first.
fn shares(classes: &Classes, n: usize, random: &mut SplitMix64) -> Vec<usize> {
    let n_classes = classes
        .by_class
        .iter()
        .filter(|&&n_rows| n_rows > 0)
        .count();
    let least = usize::from(classes.covers_all && n >= n_classes);
    let n_shared = (n - least * n_classes) as u128;
    let n_rows: usize = classes.by_class.iter().sum();
    let pool = n_rows - least * n_classes;
    let offset = random.below(pool) as u128;
    let (mut rows_so_far, mut given) = (0_u128, 0);
    let share = |&n_rows: &usize| {
        if n_rows == 0 {
            return 0;
        }
        rows_so_far += (n_rows - least) as u128;
        let upto = ((rows_so_far * n_shared + offset) / pool as u128) as usize;
        let n = least + upto - given;
        given = upto;
        n
    };
    classes.by_class.iter().map(share).collect()
}

/// The rows of a sample of a list in memory; all of them without a sample.
pub(crate) fn sampled<'a, T: Clone>(
    rows: &'a [T],
    sample: Option<Sample>,
    class_of: impl Fn(&T) -> usize,
) -> Cow<'a, [T]> {
    let Some(sample) = sample.filter(|sample| sample.n_rows < rows.len()) else {
        return Cow::Borrowed(rows);
    };
    if sample.rule == SampleRule::First {
        return Cow::Borrowed(&rows[..sample.n_rows]);
    }
    let mut counts = Seen::default();
    for row in rows {
        counts.next(class_of(row));
    }
    let classes = Classes {
        by_class: counts.by_class(),
        covers_all: true,
    };
    let mut picker = Picker::new(Some(sample), &classes);
    let taken = rows.iter().filter(|row| picker.takes(class_of(row)));
    Cow::Owned(taken.cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The classes of rows taken from rows that are sorted by class.
    fn taken(by_class: &[usize], covers_all: bool, sample: Sample) -> Vec<usize> {
        let classes = Classes {
            by_class: by_class.to_vec(),
            covers_all,
        };
        let mut picker = Picker::new(Some(sample), &classes);
        let each = by_class.iter().enumerate();
        let n_taken = each.map(|(class, &n)| (0..n).filter(|_| picker.takes(class)).count());
        n_taken.collect()
    }

    fn stratified(n_rows: usize) -> Sample {
        Sample {
            n_rows,
            rule: SampleRule::Stratified,
            seed: 42,
        }
    }

    #[test]
    fn classes_keep_their_shares() {
        assert_eq!(taken(&[500, 500], true, stratified(100)), [50, 50]);
        let [a, b, c] = taken(&[9000, 900, 100], true, stratified(1000))[..] else {
            panic!("three classes")
        };
        assert_eq!(a + b + c, 1000);
        assert!((898..=902).contains(&a) && (89..=92).contains(&b) && (9..=12).contains(&c));
    }

    #[test]
    fn a_rare_class_is_in_the_sample_if_each_class_fits() {
        for seed in 0..50 {
            let sample = Sample {
                seed,
                ..stratified(4)
            };
            assert_eq!(taken(&[9999, 1], true, sample), [3, 1]);
            let few = taken(
                &[10; 77],
                true,
                Sample {
                    seed,
                    ..stratified(77)
                },
            );
            assert_eq!(few, [1; 77]);
            // With fewer rows than classes the classes are drawn, too.
            let fewer = taken(
                &[10; 77],
                true,
                Sample {
                    seed,
                    ..stratified(30)
                },
            );
            assert_eq!(fewer.iter().sum::<usize>(), 30);
            assert!(fewer.iter().all(|&n| n <= 1));
        }
    }

    /// Sets of labels that occur once are taken as often as others: a tenth of a thousand of them,
    /// beside a tenth of one frequent set.
    #[test]
    fn rare_sets_do_not_crowd_out_frequent_ones() {
        let mut by_class = vec![1; 1000];
        by_class.push(1000);
        let found = taken(&by_class, false, stratified(1001));
        assert_eq!(found.iter().sum::<usize>(), 1001);
        assert!(found[1000].abs_diff(500) <= 1, "{}", found[1000]);
    }

    /// Every total is exact, no class gives more than it has, and empty classes give nothing.
    #[test]
    fn totals_are_exact() {
        let mut random = SplitMix64::new(3);
        for seed in 0..300 {
            let by_class: Vec<usize> = (0..1 + random.below(20))
                .map(|_| random.below(30))
                .collect();
            let n_rows: usize = by_class.iter().sum();
            for covers_all in [true, false] {
                let n = random.below(n_rows + 5);
                for rule in [
                    SampleRule::Stratified,
                    SampleRule::Random,
                    SampleRule::First,
                ] {
                    let sample = Sample {
                        n_rows: n,
                        rule,
                        seed,
                    };
                    let found = taken(&by_class, covers_all, sample);
                    assert_eq!(found.iter().sum::<usize>(), n.min(n_rows), "{by_class:?}");
                    assert!(found.iter().zip(&by_class).all(|(n, most)| n <= most));
                }
            }
        }
    }

    #[test]
    fn the_seed_decides_and_the_order_stays() {
        let rows: Vec<usize> = (0..1000).collect();
        let draw = |rule, seed| {
            let sample = Sample {
                n_rows: 10,
                rule,
                seed,
            };
            sampled(&rows, Some(sample), |row| row % 2).into_owned()
        };
        let stratified = draw(SampleRule::Stratified, 1);
        assert!(stratified.is_sorted());
        assert_eq!(stratified.iter().filter(|&row| row % 2 == 0).count(), 5);
        assert_eq!(stratified, draw(SampleRule::Stratified, 1));
        assert_ne!(stratified, draw(SampleRule::Stratified, 2));
        assert_ne!(draw(SampleRule::Random, 1), draw(SampleRule::Random, 2));
        assert!(draw(SampleRule::Random, 1).is_sorted());
        assert_eq!(draw(SampleRule::First, 1), rows[..10]);
        assert_eq!(sampled(&rows, None, |_| 0).len(), 1000);
        let all = Sample {
            n_rows: 5000,
            rule: SampleRule::Stratified,
            seed: 1,
        };
        assert_eq!(*sampled(&rows, Some(all), |_| 0), rows);
    }
}
