//! Sentences made of forms and tables of words, for the two generated tasks `sample` and
//! `sample_pairs`.
//!
//! A form is a sentence with slots in capitals: `the ASPECT was not -ADJ.` A slot is the name of a
//! [`Table`]. A number follows it if a form needs several rows of one table (`NAME1 ... NAME2`:
//! always two different rows). A full stop and a column name follow if the rows have several
//! columns (`THING1.kind`). The same slot is the same word in all forms that are filled together,
//! and two columns with the same number belong to one row. `a` becomes `an` before a vowel.

use std::collections::{BTreeSet, HashSet};

use crate::example::Example;
use crate::splitmix::SplitMix64;

/// The split for which a sentence is made: tables may have different words for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Train,
    Validation,
}

/// Words that fit one slot. `;` ends a row, `/` separates the columns of a row, and `|` separates
/// alternatives within a column.
pub(crate) struct Table {
    pub name: &'static str,
    /// The columns' names in order; empty if there is only one.
    pub columns: &'static [&'static str],
    /// The rows for training sentences.
    pub train: &'static str,
    /// The rows for validation sentences. They differ from those for training, unless the words say
    /// nothing about the label.
    pub validation: &'static str,
}

impl Table {
    /// A table with the same words for both splits.
    pub(crate) const fn shared(name: &'static str, words: &'static str) -> Self {
        Self::split(name, words, words)
    }

    /// A table of one column whose validation words do not occur in training.
    pub(crate) const fn split(
        name: &'static str,
        train: &'static str,
        validation: &'static str,
    ) -> Self {
        Self {
            name,
            columns: &[],
            train,
            validation,
        }
    }

    /// Whether each split has its own words.
    pub(crate) fn is_held_out(&self) -> bool {
        self.train != self.validation
    }

    fn rows(&self, part: Part) -> impl Iterator<Item = &'static str> {
        let rows = match part {
            Part::Train => self.train,
            Part::Validation => self.validation,
        };
        rows.split(';').map(str::trim)
    }

    /// The alternatives in a row's column.
    fn cell(&self, row: &'static str, column: &str) -> impl Iterator<Item = &'static str> {
        let at = self.columns.iter().position(|name| *name == column);
        let cell = row.split('/').nth(at.unwrap_or(0)).unwrap_or_default();
        cell.split('|').map(str::trim)
    }

    /// Every word of the table, without punctuation.
    pub(crate) fn words(&self, part: Part) -> impl Iterator<Item = &'static str> {
        let cells = self.rows(part).flat_map(|row| row.split(['/', '|']));
        cells.flat_map(tokens)
    }
}

/// Forms that were filled together.
pub(crate) struct Filled {
    /// The sentences, in the order of the forms.
    pub sentences: Vec<String>,
    /// The words drawn from tables with held-out words, in drawing order. Two fillings of the same
    /// forms with equal content differ in nothing that matters.
    pub content: Vec<&'static str>,
}

/// Fills forms with words of the tables.
///
/// # Panics
/// If a slot has no table, or a table has fewer rows than a form needs. These are mistakes in the
/// grammar, which its tests find.
pub(crate) fn fill(
    tables: &'static [Table],
    part: Part,
    forms: &[&str],
    rng: &mut SplitMix64,
) -> Filled {
    let mut draw = Draw {
        tables,
        part,
        rng,
        rows: Vec::new(),
        words: Vec::new(),
        content: Vec::new(),
    };
    let sentences = forms.iter().map(|form| draw.sentence(form)).collect();
    Filled {
        sentences,
        content: draw.content,
    }
}

/// The state of a filling: everything drawn so far.
struct Draw<'a> {
    tables: &'static [Table],
    part: Part,
    rng: &'a mut SplitMix64,
    /// Table, number and row.
    rows: Vec<(&'static str, String, &'static str)>,
    /// Slot and word.
    words: Vec<(String, &'static str)>,
    content: Vec<&'static str>,
}

impl Draw<'_> {
    fn sentence(&mut self, form: &str) -> String {
        let mut text = String::new();
        for token in form.split_whitespace() {
            let core = core(token);
            let phrase = if is_slot(core) { self.word(core) } else { core };
            if phrase.is_empty() {
                continue;
            }
            if text.ends_with(" a") || text == "a" {
                text.push_str(if phrase.starts_with(VOWELS) { "n" } else { "" });
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(phrase);
            text.push_str(&token[core.len()..]);
        }
        text
    }

    fn word(&mut self, slot: &str) -> &'static str {
        if let Some((_, word)) = self.words.iter().find(|(known, _)| known == slot) {
            return word;
        }
        let (row_name, column) = slot.split_once('.').unwrap_or((slot, ""));
        let name = row_name.trim_end_matches(|c: char| c.is_ascii_digit());
        let table = self.tables.iter().find(|table| table.name == name);
        let table = table.unwrap_or_else(|| panic!("no table `{name}` for the slot `{slot}`"));
        let row = self.row(table, &row_name[name.len()..]);
        let cell: Vec<_> = table.cell(row, column).collect();
        let word = cell[self.rng.below(cell.len())];
        self.words.push((slot.to_owned(), word));
        if table.is_held_out() {
            self.content.push(word);
        }
        word
    }

    /// The row with a number: the one drawn before, or one that no other number has.
    fn row(&mut self, table: &Table, number: &str) -> &'static str {
        let taken: Vec<_> = self
            .rows
            .iter()
            .filter(|(name, ..)| *name == table.name)
            .collect();
        if let Some((.., row)) = taken.iter().find(|(_, known, _)| known == number) {
            return row;
        }
        let is_free = |row: &&str| taken.iter().all(|(.., other)| other != row);
        let free: Vec<_> = table.rows(self.part).filter(is_free).collect();
        let row = free[self.rng.below(free.len())];
        self.rows.push((table.name, number.to_owned(), row));
        row
    }
}

/// A task's training and validation rows for a seed, each shuffled. In each turn of a split, `rows`
/// makes some of them. It receives its notes about the split's earlier rows, so that it can make
/// different ones.
pub(crate) fn splits<Noted>(
    seed: u64,
    n_turns: [usize; 2],
    mut rows: impl FnMut(&mut SplitMix64, &mut HashSet<Noted>, Part, usize) -> Vec<Example>,
) -> (Vec<Example>, Vec<Example>) {
    let mut rng = SplitMix64::new(seed);
    let mut split = |part, n_turns| {
        let mut noted = HashSet::new();
        let mut made: Vec<Example> = (0..n_turns)
            .flat_map(|turn| rows(&mut rng, &mut noted, part, turn))
            .collect();
        rng.shuffle(&mut made);
        made
    };
    let train = split(Part::Train, n_turns[0]);
    (train, split(Part::Validation, n_turns[1]))
}

/// The kind for this turn: the kinds take turns in proportion to their shares.
pub(crate) fn kind_of<T>(kinds: &'static [(usize, T)], turn: usize) -> &'static T {
    let n_turns: usize = kinds.iter().map(|(share, _)| share).sum();
    let mut ends = kinds.iter().scan(0, |end, (share, kind)| {
        *end += share;
        Some((*end, kind))
    });
    let (_, kind) = ends
        .find(|(end, _)| turn % n_turns < *end)
        .expect("a turn is below the sum of the shares");
    kind
}

/// Every token that the forms and tables can produce, words and punctuation, sorted and without
/// duplicates.
pub(crate) fn vocabulary(
    tables: &'static [Table],
    forms: impl Iterator<Item = &'static str>,
) -> Vec<&'static str> {
    let fixed = forms.flat_map(tokens).filter(|token| !is_slot(token));
    let both = [Part::Train, Part::Validation];
    let drawn = both
        .into_iter()
        .flat_map(|part| tables.iter().flat_map(move |table| table.words(part)));
    let words: BTreeSet<_> = fixed.chain(drawn).chain(["an"]).collect();
    words.into_iter().collect()
}

/// The words and punctuation of a text, one by one.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().flat_map(|token| {
        let core = core(token);
        let marks = token[core.len()..].split_inclusive(PUNCTUATION);
        std::iter::once(core)
            .filter(|core| !core.is_empty())
            .chain(marks)
    })
}

const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];
const PUNCTUATION: [char; 3] = ['.', ',', ':'];

/// A token without its trailing punctuation.
fn core(token: &str) -> &str {
    token.trim_end_matches(PUNCTUATION)
}

fn is_slot(core: &str) -> bool {
    core.trim_start_matches(['+', '-'])
        .starts_with(|c: char| c.is_ascii_uppercase())
}

#[cfg(test)]
pub(crate) mod reading;
#[cfg(test)]
mod tests;
