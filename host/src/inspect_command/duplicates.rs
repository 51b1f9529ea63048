//! Texts that occur more than once: within a split, under different labels, or in two splits.
//! Called by `data inspect`.
//!
//! Texts are identified by a 64-bit hash. If there are too many, only those whose hash ends in a
//! zero bit are kept, then in two zero bits, and so on. A text that is kept is kept with all its
//! duplicates. The counts, doubled for every bit, therefore estimate those of all texts.

use progtune_datasets::{Example, Label, SplitName};
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// The maximum number of texts remembered per split.
const MOST: usize = 1 << 19;

/// The texts of a split.
pub(super) struct Texts {
    split: SplitName,
    /// The number of low bits that are zero in the hash of every kept text.
    bits: u32,
    /// The maximum number of texts remembered.
    most: usize,
    seen: HashMap<u64, Seen>,
    /// Number of rows that also occur in each earlier split.
    shared: Vec<u64>,
}

/// The counts for a text.
struct Seen {
    /// The hash of the label of the first row.
    label: u64,
    /// Number of rows after the first.
    again: u32,
    /// Number of rows after the first whose label differs from it.
    contradicting: u32,
}

fn hash(write: impl FnOnce(&mut DefaultHasher)) -> u64 {
    let mut hasher = DefaultHasher::new();
    write(&mut hasher);
    hasher.finish()
}

fn label_hash(label: Option<&Label>) -> u64 {
    hash(|hasher| match label {
        None => {}
        Some(Label::Class(id)) => id.hash(hasher),
        Some(Label::Classes(ids)) => ids.hash(hasher),
        Some(Label::Score(score)) => score.to_bits().hash(hasher),
    })
}

impl Texts {
    /// An empty set for a split that comes after `n_before` others.
    pub(super) fn new(split: SplitName, n_before: usize) -> Self {
        Self {
            split,
            bits: 0,
            most: MOST,
            seen: HashMap::new(),
            shared: vec![0; n_before],
        }
    }

    fn keeps(&self, text: u64) -> bool {
        text.trailing_zeros() >= self.bits
    }

    /// Adds a row; `before` are the earlier splits.
    pub(super) fn add(&mut self, example: &Example, before: &[Self]) {
        let text = hash(|hasher| (&example.text, &example.pair).hash(hasher));
        for (shared, other) in self.shared.iter_mut().zip(before) {
            *shared += u64::from(other.keeps(text) && other.seen.contains_key(&text));
        }
        if !self.keeps(text) {
            return;
        }
        let label = label_hash(example.label.as_ref());
        match self.seen.get_mut(&text) {
            Some(seen) => {
                seen.again += 1;
                seen.contradicting += u32::from(seen.label != label);
            }
            None => {
                let (again, contradicting) = (0, 0);
                let seen = Seen {
                    label,
                    again,
                    contradicting,
                };
                self.seen.insert(text, seen);
            }
        }
        while self.seen.len() > self.most {
            self.bits += 1;
            let bits = self.bits;
            self.seen.retain(|text, _| text.trailing_zeros() >= bits);
        }
    }

    /// One line about duplicates within the split, and one about each earlier split.
    pub(super) fn report(&self, before: &[Self]) -> String {
        let sum = |of: fn(&Seen) -> u32| self.seen.values().map(|seen| u64::from(of(seen))).sum();
        let name = self.split.as_str();
        let mut text = format!(
            "  within {name}: {} rows, {} of them with another label{}\n",
            count(sum(|seen| seen.again), self.bits),
            count(sum(|seen| seen.contradicting), self.bits),
            basis(self.bits)
        );
        for (other, &shared) in before.iter().zip(&self.shared) {
            text.push_str(&format!(
                "  {name} rows that are also in {}: {}{}\n",
                other.split,
                count(shared, other.bits),
                basis(other.bits)
            ));
        }
        text
    }
}

fn count(found: u64, bits: u32) -> String {
    match bits {
        0 => found.to_string(),
        _ => format!("about {}", found << bits),
    }
}

fn basis(bits: u32) -> String {
    match bits {
        0 => String::new(),
        _ => format!(" (from one text in {})", 1u64 << bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(text: usize, class: u32) -> Example {
        Example {
            text: text.to_string(),
            pair: None,
            label: Some(Label::Class(class)),
        }
    }

    #[test]
    fn few_texts_are_counted() {
        let mut train = Texts::new(SplitName::Train, 0);
        for (text, class) in [(1, 0), (2, 0), (1, 1), (1, 0), (3, 0)] {
            train.add(&example(text, class), &[]);
        }
        let mut test = Texts::new(SplitName::Test, 1);
        let before = [train];
        for text in [1, 1, 4, 3] {
            test.add(&example(text, 0), &before);
        }
        assert_eq!(
            before[0].report(&[]),
            "  within train: 2 rows, 1 of them with another label\n"
        );
        assert_eq!(
            test.report(&before),
            "  within test: 1 rows, 0 of them with another label\n  test rows that are also in train: 3\n"
        );
    }

    /// 20,000 texts, every third of them twice, with at most 1000 remembered. The estimate is off
    /// by less than a fifth, which is three standard deviations.
    #[test]
    fn many_texts_are_estimated() {
        let mut train = Texts::new(SplitName::Train, 0);
        train.most = 1000;
        for text in 0..20_000 {
            train.add(&example(text, 0), &[]);
        }
        for text in (0..20_000).step_by(3) {
            train.add(&example(text, 1), &[]);
        }
        assert!(train.seen.len() <= 1000 && train.bits >= 5);
        let again: u64 = train.seen.values().map(|seen| u64::from(seen.again)).sum();
        let estimate = again << train.bits;
        assert!(estimate.abs_diff(6667) < 1400, "{estimate}");
        let report = train.report(&[]);
        assert!(
            report.contains("about") && report.contains("from one text in 32"),
            "{report}"
        );
    }
}
