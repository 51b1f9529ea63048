//! Reads sentences by forms, for the tests of the generated tasks: finds the form to which a
//! person's sentence belongs.

use std::collections::BTreeMap;

use super::*;

/// Whether these texts are these forms, filled with the words of one split.
pub(crate) fn fits(tables: &'static [Table], forms: &[&str], texts: &[&str]) -> bool {
    [Part::Train, Part::Validation].into_iter().any(|part| {
        // The sentences are joined, with a border that occurs in no phrase.
        let form: Vec<&str> = forms.iter().flat_map(|form| bordered(form)).collect();
        let text: Vec<&str> = texts.iter().flat_map(|text| bordered(text)).collect();
        let reading = Reading {
            tables,
            part,
            slots: Vec::new(),
        };
        reading.fits(&form, &text)
    })
}

fn bordered(text: &str) -> impl Iterator<Item = &str> {
    tokens(text).chain(["|"])
}

/// A partial reading.
#[derive(Clone)]
struct Reading<'a> {
    tables: &'static [Table],
    part: Part,
    /// The slots read so far: slot, row, word.
    slots: Vec<(&'a str, &'static str, &'static str)>,
}

impl<'a> Reading<'a> {
    fn fits(&self, form: &[&'a str], text: &[&str]) -> bool {
        let Some((&token, form)) = form.split_first() else {
            return text.is_empty();
        };
        if !is_slot(token) {
            let is_same = |word: &&str| *word == token || (token, *word) == ("a", "an");
            return text.first().is_some_and(is_same) && self.fits(form, &text[1..]);
        }
        let (row_name, column) = token.split_once('.').unwrap_or((token, ""));
        let name = row_name.trim_end_matches(|c: char| c.is_ascii_digit());
        let table = self.tables.iter().find(|table| table.name == name).unwrap();
        table.rows(self.part).any(|row| {
            table.cell(row, column).any(|word| {
                let phrase: Vec<&str> = tokens(word).collect();
                let mut further = self.clone();
                further.slots.push((token, row, word));
                text.starts_with(&phrase)
                    && self.allows(table, token, row, word)
                    && further.fits(form, &text[phrase.len()..])
            })
        })
    }

    /// Whether the reading is consistent: the same slot is the same word, the same number is the
    /// same row, and different numbers are different rows.
    fn allows(&self, table: &Table, slot: &str, row: &str, word: &str) -> bool {
        let number = |slot: &str| slot.split('.').next().unwrap_or_default().to_owned();
        let of_table =
            |slot: &str| number(slot).trim_end_matches(|c: char| c.is_ascii_digit()) == table.name;
        self.slots.iter().filter(|(known, ..)| of_table(known)).all(
            |(known, known_row, known_word)| {
                (number(known) == number(slot)) == (*known_row == row)
                    && (*known != slot || *known_word == word)
            },
        )
    }
}

/// Asserts that a split has as many rows of each kind and label as the kind's share requires.
///
/// # Panics
/// If it has not.
pub(crate) fn assert_shares<T>(
    kinds: &[(usize, T)],
    counts: &BTreeMap<(usize, bool), usize>,
    n_rows: usize,
) {
    let n_turns: usize = kinds.iter().map(|(share, _)| share).sum();
    for (kind, (share, _)) in kinds.iter().enumerate() {
        for label in [false, true] {
            let expected = n_rows * share / n_turns / 2;
            assert_eq!(counts[&(kind, label)], expected, "{kind} {label}");
        }
    }
}

/// Asserts that the embedded model's vocabulary contains each word, so that none is split into
/// pieces.
///
/// # Panics
/// If it does not.
pub(crate) fn assert_whole_in_the_embedded_model(words: &[&str]) {
    let known = embedded_vocabulary();
    let absent: Vec<_> = words
        .iter()
        .filter(|word| !known.contains(**word))
        .collect();
    assert!(absent.is_empty(), "{absent:?}");
}

/// The words in the embedded model's vocabulary. The lines of its file are read, whatever the
/// model's name.
fn embedded_vocabulary() -> BTreeSet<String> {
    let assets = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/engine/assets");
    let model = std::fs::read_dir(assets).unwrap().next().unwrap().unwrap();
    let vocabulary = std::fs::read_to_string(model.path().join("vocab.txt")).unwrap();
    vocabulary.lines().map(str::to_owned).collect()
}
