//! The findings of the first pass over the user's own files: labels, counts, and what looks odd.
//! Made by `own::files`; the host keeps them with the tokens and shows them.

use crate::drawn_rows::Strata;
use crate::example::Example;
use crate::own::label_form::LabelForm;
use crate::own::learn_labels::Labels;
use crate::skipped_rows::SkippedRows;

/// The findings of the first pass over all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFacts {
    /// The labels.
    pub labels: Labels,
    /// The way in which they are written.
    pub form: LabelForm,
    /// The counts for the training, validation and test files.
    pub counts: [RowCounts; 3],
    /// The rows left out.
    pub skipped: SkippedRows,
    /// The character that seems to separate several labels in one text, if classes were learned.
    pub separator: Option<char>,
}

/// The number of valid rows in files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// The number of all valid rows.
    pub n_rows: usize,
    /// The number of those with a label.
    pub n_labelled: usize,
    /// The number of rows per class, or per set of labels if rows have several. Numbers and
    /// unlabelled rows count for the first entry.
    pub by_class: Vec<usize>,
    /// The number of groups of consecutive rows of one class.
    pub n_groups: usize,
    /// The number of rows whose texts contain no letter and no digit.
    pub n_wordless: usize,
}

/// Fewer rows than this are not called sorted, because chance may group them.
const FEW_ROWS: usize = 20;

/// Rows are grouped if they form this many times fewer groups than at random.
const FEWER_GROUPS: f64 = 10.0;

impl RowCounts {
    /// Whether rows of one class stand together, as in a file sorted by label. Numbers never do.
    pub fn are_grouped(&self) -> bool {
        let n = self.n_rows as f64;
        let share = |&n_rows: &usize| (n_rows as f64 / n).powi(2);
        // The expected number of groups in a random order.
        let by_chance = 1.0 + (n - 1.0) * (1.0 - self.by_class.iter().map(share).sum::<f64>());
        let n_classes = self.by_class.iter().filter(|&&n_rows| n_rows > 0).count();
        self.n_rows >= FEW_ROWS
            && n_classes > 1
            && (self.n_groups == n_classes && by_chance > 2.0 * n_classes as f64
                || self.n_groups as f64 * FEWER_GROUPS <= by_chance)
    }
}

/// Counts rows as they are read.
#[derive(Debug, Default)]
pub(crate) struct RowCounter {
    counts: RowCounts,
    strata: Strata,
    last: Option<usize>,
}

impl RowCounter {
    /// Counts a row with the labels' final ids.
    pub(crate) fn add(&mut self, example: &Example) {
        let class = self.strata.class_of(example.label.as_ref());
        let counts = &mut self.counts;
        if counts.by_class.len() <= class {
            counts.by_class.resize(class + 1, 0);
        }
        counts.by_class[class] += 1;
        counts.n_labelled += usize::from(example.label.is_some());
        self.add_text(&example.text, example.pair.as_deref());
        if self.last != Some(class) {
            self.start_group();
            self.last = Some(class);
        }
    }

    /// Counts the text of a row.
    pub(crate) fn add_text(&mut self, text: &str, pair: Option<&str>) {
        let mut all = text.chars().chain(pair.unwrap_or_default().chars());
        self.counts.n_wordless += usize::from(!all.any(char::is_alphanumeric));
        self.counts.n_rows += 1;
    }

    /// Notes that the class of a row differs from that of the row before it.
    pub(crate) fn start_group(&mut self) {
        self.counts.n_groups += 1;
    }

    /// The number of rows so far.
    pub(crate) fn n_rows(&self) -> usize {
        self.counts.n_rows
    }

    /// The counts.
    pub(crate) fn finish(self) -> RowCounts {
        self.counts
    }

    /// The counts of rows that all have a class, whose numbers were learned afterwards.
    pub(crate) fn finish_with(self, by_class: Vec<usize>) -> RowCounts {
        RowCounts {
            n_labelled: self.counts.n_rows,
            by_class,
            ..self.counts
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::Label;

    fn counts(classes: impl Iterator<Item = u32>) -> RowCounts {
        let mut counter = RowCounter::default();
        for class in classes {
            counter.add(&Example {
                text: if class == 0 { "…" } else { "word" }.to_owned(),
                pair: None,
                label: Some(Label::Class(class)),
            });
        }
        counter.finish()
    }

    #[test]
    fn rows_in_blocks_of_a_class_are_grouped() {
        let sorted = counts((0..100).map(|row| row / 50));
        assert_eq!((sorted.n_groups, sorted.n_wordless), (2, 50));
        assert!(sorted.are_grouped());
        assert!(counts((0..300).map(|row| row / 100 % 2)).are_grouped());
        // Alternating rows, few rows, and one rare row among many are not.
        assert!(!counts((0..100).map(|row| row % 2)).are_grouped());
        assert!(!counts((0..10).map(|row| row / 5)).are_grouped());
        assert!(!counts((0..100).map(|row| u32::from(row == 99))).are_grouped());
        assert!(!counts(std::iter::repeat_n(1, 100)).are_grouped());
    }
}
