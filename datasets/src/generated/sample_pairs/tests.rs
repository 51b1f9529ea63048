//! Tests of the pairs: their promises, a person's reading of each square, and how much single
//! sentences, overlap and word counts reveal.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::fingerprint::{SEED, extend};
use crate::generated::grammar::reading::{assert_shares, assert_whole_in_the_embedded_model, fits};
use crate::generated::grammar::tokens;

/// For every square, one pair of each label, as a person judges it.
const READ_BY_A_PERSON: &[(&str, &str, bool)] = &[
    ("anna saw a dog.", "anna saw an animal.", true),
    ("emma found a duck.", "emma found a weapon.", false),
    (
        "john saw a horse, and kate a violin.",
        "john saw an animal.",
        true,
    ),
    (
        "lucy found a rose, and simon a pistol.",
        "lucy found a weapon.",
        false,
    ),
    ("paul was rich.", "paul was wealthy.", true),
    ("maria was strong.", "maria was lovely.", false),
    ("tom was sick, and mary was smart.", "tom was ill.", true),
    (
        "james was famous, and helen was angry.",
        "james was mad.",
        false,
    ),
    ("peter wanted no building.", "peter wanted no castle.", true),
    ("david noticed no flower.", "david noticed no oak.", false),
    (
        "on friday, jack was sad.",
        "on friday, jack was not glad.",
        true,
    ),
    (
        "on sunday, alice was brave.",
        "on sunday, alice was scared.",
        false,
    ),
    (
        "on sunday, the door was shut.",
        "on sunday, the door was closed.",
        true,
    ),
    (
        "on monday, the garden was big.",
        "on monday, the garden was not large.",
        false,
    ),
    (
        "john failed to pay the bill.",
        "john did not pay the bill.",
        true,
    ),
    (
        "helen was able to fix the clock.",
        "helen did not fix the clock.",
        false,
    ),
    (
        "mary knew that paul won the race.",
        "paul won the race.",
        true,
    ),
    (
        "james was wrong to think that maria signed the paper.",
        "maria signed the paper.",
        false,
    ),
    (
        "everyone but jack bought the shirt.",
        "jack did not buy the shirt.",
        true,
    ),
    (
        "only alice crossed the bridge.",
        "alice did not cross the bridge.",
        false,
    ),
    (
        "anna wrote the song, but john did not.",
        "anna wrote the song.",
        true,
    ),
    (
        "lucy brought the key, but david did not.",
        "david brought the key.",
        false,
    ),
    (
        "neither tom nor kate caught the train.",
        "kate did not catch the train.",
        true,
    ),
    (
        "both emma and simon climbed the hill.",
        "simon did not climb the hill.",
        false,
    ),
    ("sarah called jack.", "jack was called by sarah.", true),
    ("martin saved alice.", "martin was saved by alice.", false),
    (
        "the king who helped the nurse was happy.",
        "the king was glad.",
        true,
    ),
    (
        "the lawyer who warned the baker was strong.",
        "the baker was powerful.",
        false,
    ),
    (
        "kate was older than tom.",
        "tom was younger than kate.",
        true,
    ),
    (
        "daniel gave the letter to emma.",
        "daniel got the letter from emma.",
        false,
    ),
    (
        "sarah bought two horses.",
        "sarah bought only a few horses.",
        true,
    ),
    (
        "martin owned thousands of tickets.",
        "martin owned only a few tickets.",
        false,
    ),
];

fn is_entailed(example: &Example) -> bool {
    example.label == Some(Label::Class(0))
}

fn second(row: &Example) -> &str {
    row.pair.as_deref().unwrap()
}

fn rows() -> (Vec<Example>, Vec<Example>) {
    generate(DEFAULT_SEED)
}

fn words(row: &Example) -> impl Iterator<Item = &str> {
    tokens(&row.text).chain(tokens(second(row)))
}

fn forms() -> impl Iterator<Item = &'static str> {
    let squares = SQUARES.iter().flat_map(|(_, squares)| squares.iter());
    squares.flat_map(|square| square.first.into_iter().chain(square.second))
}

/// All readings of a pair: the kind, the square and the label.
fn readings(first: &str, second: &str) -> BTreeSet<(usize, usize, bool)> {
    let mut found = BTreeSet::new();
    for (kind, (_, squares)) in SQUARES.iter().enumerate() {
        for (at, square) in squares.iter().enumerate() {
            for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                if fits(
                    TABLES,
                    &[square.first[i], square.second[j]],
                    &[first, second],
                ) {
                    found.insert((kind, at, i == j));
                }
            }
        }
    }
    found
}

#[test]
fn sizes_and_balance_in_each_kind() {
    let (train, validation) = rows();
    assert_eq!((train.len(), validation.len()), (N_TRAIN, N_VALIDATION));
    for split in [&train, &validation] {
        let mut counts = BTreeMap::new();
        for row in split {
            let readings = readings(&row.text, second(row));
            let labels: BTreeSet<_> = readings
                .iter()
                .map(|(kind, _, label)| (*kind, *label))
                .collect();
            assert_eq!(labels.len(), 1, "{row:?}: {readings:?}");
            let (kind, label) = *labels.first().unwrap();
            assert_eq!(label, is_entailed(row), "{row:?}");
            *counts.entry((kind, label)).or_insert(0) += 1;
        }
        assert_shares(SQUARES, &counts, split.len());
    }
}

#[test]
fn a_person_reads_every_square_so() {
    let squares = SQUARES.iter().enumerate();
    let mut unread: BTreeSet<(usize, usize, bool)> = squares
        .flat_map(|(kind, (_, squares))| (0..squares.len()).map(move |at| (kind, at)))
        .flat_map(|(kind, at)| [(kind, at, false), (kind, at, true)])
        .collect();
    for &(first, second, is_entailed) in READ_BY_A_PERSON {
        let readings = readings(first, second);
        assert!(!readings.is_empty(), "`{first}` `{second}` is of no square");
        for reading in readings {
            assert_eq!(reading.2, is_entailed, "{first} {second}");
            unread.remove(&reading);
        }
    }
    assert!(unread.is_empty(), "nobody has read {unread:?}");
}

/// No validation row contains anything that could be remembered from the training rows. The splits
/// share only the words of the forms and of tables that say nothing about the label.
#[test]
fn the_splits_share_the_grammar_alone() {
    let shared = TABLES.iter().filter(|table| !table.is_held_out());
    let grammar: BTreeSet<&str> = forms()
        .flat_map(tokens)
        .chain(shared.flat_map(|table| table.words(Part::Train)))
        .chain(["an"])
        // The function words of phrases in the tables.
        .chain(["of", "than", "from"])
        .collect();
    for seed in [0, DEFAULT_SEED] {
        let (train, validation) = generate(seed);
        let of = |rows: &[Example]| -> BTreeSet<String> {
            rows.iter().flat_map(words).map(str::to_owned).collect()
        };
        let (seen, held_out) = (of(&train), of(&validation));
        let both: Vec<&String> = seen.intersection(&held_out).collect();
        let leaked: Vec<_> = both
            .iter()
            .filter(|word| !grammar.contains(word.as_str()))
            .collect();
        assert!(leaked.is_empty(), "{leaked:?}");
        for row in &validation {
            let n_new = words(row).filter(|word| !seen.contains(*word)).count();
            assert!(n_new >= 4, "{row:?}");
        }
    }
}

#[test]
fn no_pair_twice() {
    for seed in [0, DEFAULT_SEED, u64::MAX] {
        let (train, validation) = generate(seed);
        let all: BTreeSet<(&str, &str)> = train
            .iter()
            .chain(&validation)
            .map(|row| (row.text.as_str(), second(row)))
            .collect();
        assert_eq!(all.len(), N_TRAIN + N_VALIDATION);
    }
}

/// Nothing that sees only one of the sentences can beat a coin toss: each sentence occurs equally
/// often under both labels.
#[test]
fn one_sentence_alone_tells_nothing() {
    let (train, validation) = rows();
    for split in [&train, &validation] {
        let mut balance: BTreeMap<(bool, &str), i32> = BTreeMap::new();
        for row in split {
            let weight = if is_entailed(row) { 1 } else { -1 };
            *balance.entry((true, &row.text)).or_default() += weight;
            *balance.entry((false, second(row))).or_default() += weight;
        }
        let uneven: Vec<_> = balance.iter().filter(|(_, sum)| **sum != 0).collect();
        assert!(uneven.is_empty(), "{uneven:?}");
    }
}

/// For every number of shared words, both labels have equally many pairs. Tested for words of the
/// second sentence, and for distinct words. "An" counts as the word "a".
#[test]
fn overlap_tells_nothing() {
    let (train, validation) = rows();
    for split in [&train, &validation] {
        let mut balance: BTreeMap<(usize, usize), i32> = BTreeMap::new();
        for row in split {
            let article = |word| if word == "an" { "a" } else { word };
            let first: BTreeSet<&str> = tokens(&row.text).map(article).collect();
            let all: Vec<&str> = tokens(second(row)).map(article).collect();
            let common = all.iter().filter(|word| first.contains(*word)).count();
            let of_second: BTreeSet<&str> = all.into_iter().collect();
            let weight = if is_entailed(row) { 1 } else { -1 };
            *balance
                .entry((common, first.intersection(&of_second).count()))
                .or_default() += weight;
        }
        assert!(balance.values().all(|sum| *sum == 0), "{balance:?}");
    }
}

/// Naive Bayes (add one) over pairs of words, one from each sentence: this is what aligning words
/// without their order learns from the training rows.
#[test]
fn counting_pairs_of_words_is_not_enough() {
    let (train, validation) = rows();
    let mut counts: BTreeMap<(&str, &str), [f64; 2]> = BTreeMap::new();
    let mut totals = [0.0; 2];
    let features = |row: &'_ Example| -> Vec<(String, String)> {
        tokens(&row.text)
            .flat_map(|a| tokens(second(row)).map(move |b| (a.to_owned(), b.to_owned())))
            .collect()
    };
    let known: Vec<_> = train
        .iter()
        .map(|row| (features(row), is_entailed(row)))
        .collect();
    for (pairs, label) in &known {
        for (a, b) in pairs {
            counts.entry((a, b)).or_default()[usize::from(*label)] += 1.0;
            totals[usize::from(*label)] += 1.0;
        }
    }
    let n_pairs = counts.len() as f64;
    let score = |pairs: &[(String, String)], class: usize| -> f64 {
        let count = |(a, b): &(String, String)| {
            counts
                .get(&(a.as_str(), b.as_str()))
                .map_or(0.0, |of| of[class])
        };
        let terms = pairs.iter();
        terms
            .map(|pair| ((count(pair) + 1.0) / (totals[class] + n_pairs)).ln())
            .sum()
    };
    let is_right = |row: &&Example| {
        let pairs = features(row);
        (score(&pairs, 1) > score(&pairs, 0)) == is_entailed(row)
    };
    let accuracy = validation.iter().filter(is_right).count() as f64 / validation.len() as f64;
    eprintln!("naive Bayes over pairs of words: {accuracy:.3}");
    assert!((0.4..0.6).contains(&accuracy), "{accuracy}");
}

/// FNV-1a over all rows: the task is the same on every machine and in every version. A change to
/// the grammar changes it, and with it every figure measured on it.
#[test]
fn the_rows_are_pinned() {
    let (train, validation) = rows();
    let hash = train.iter().chain(&validation).fold(SEED, |hash, row| {
        let hash = extend(extend(hash, row.text.as_bytes()), b"\t");
        let hash = extend(hash, second(row).as_bytes());
        extend(hash, &[b'\t', is_entailed(row).into(), b'\n'])
    });
    assert_eq!(
        format!("{hash:016x}"),
        "80db7a9bb17b4dff",
        "{:#?}",
        &train[..12]
    );
    assert_ne!(generate(1).0, train);
}

#[test]
fn the_vocabulary_is_exactly_what_occurs_and_whole_in_the_embedded_model() {
    let splits: Vec<_> = (0..4).map(generate).collect();
    let occurring: BTreeSet<&str> = splits
        .iter()
        .flat_map(|(train, validation)| train.iter().chain(validation))
        .flat_map(words)
        .collect();
    assert_eq!(occurring.into_iter().collect::<Vec<_>>(), vocabulary());
    assert_whole_in_the_embedded_model(&vocabulary());
}
