//! Tests of the sample: its promises, a person's reading of each form, and how well counting words
//! performs.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::fingerprint::{SEED, extend};
use crate::generated::grammar::reading::{assert_shares, assert_whole_in_the_embedded_model, fits};
use crate::generated::grammar::tokens;

/// One sentence of every form, and whether a person takes it as praise.
const READ_BY_A_PERSON: &[(&str, bool)] = &[
    ("overall, the plot of this film was very good.", true),
    ("this play was a bore.", false),
    ("in short, i loved the music of this musical.", true),
    ("the finale left me sad.", false),
    ("honestly, the script was far from boring.", true),
    ("nothing about the acting was funny.", false),
    ("i do not think that the villain was interesting.", false),
    ("it is not true that the opening was dull.", true),
    ("i cannot say that the humor was not fresh.", true),
    ("this comedy was not a treat.", false),
    ("the hero never left me excited.", false),
    ("not only the tone but also the message was clumsy.", false),
    ("i will not forget how tender the style was.", true),
    ("there is no doubt that the narrative was shallow.", false),
    ("nobody can deny that the setting was lovely.", true),
    (
        "although the story was predictable, the cast was great.",
        true,
    ),
    (
        "the camera was wonderful, though the script was weak.",
        true,
    ),
    ("while the humor was fresh, i hated this show.", false),
    ("despite the fine scenery, this movie was a failure.", false),
    (
        "the language was awkward, but this novel as a whole was charming.",
        true,
    ),
    (
        "the style may have been creative, yet this tale left me exhausted.",
        false,
    ),
    (
        "no matter how painful the message was, i recommended this poem.",
        true,
    ),
    (
        "for all its shallow theme, the tone of this biography was lovely.",
        true,
    ),
    ("i have never read such an offensive novel.", false),
    ("no other film was as good as this one.", true),
    ("this play was as messy as the last one was clever.", false),
    (
        "unlike the boring comedy before it, this film was engaging.",
        true,
    ),
    (
        "the first movie was beautiful, and this one is nothing like it.",
        false,
    ),
    ("the first book was horrible, and so is this one.", false),
    (
        "the last tale was magical, and this one is no different.",
        true,
    ),
    ("i had expected a wonderful show and got a poor one.", false),
    (
        "we expected the ending to be silly, but we were wrong.",
        true,
    ),
    (
        "we expected the acting to be awful, and we were right.",
        false,
    ),
    ("it was said to be a boring play, but it was not.", true),
    ("it was said to be a fascinating film, and it was.", true),
    (
        "the plot should have been interesting, but it was empty.",
        false,
    ),
    ("critics called the music ugly, but they are wrong.", true),
    (
        "most people called the camera weak, and they are right.",
        false,
    ),
    (
        "my friends found the hero smart, but i cannot agree.",
        false,
    ),
    (
        "the papers praised this book, but i thought that it was hollow.",
        false,
    ),
    ("my parents enjoyed this musical, and so did i.", true),
    ("critics hated the finale of this show, unlike me.", true),
    (
        "whatever most people said about the fake tone, the language was superb.",
        true,
    ),
];

fn is_positive(example: &Example) -> bool {
    example.label == Some(Label::Class(1))
}

fn rows() -> (Vec<Example>, Vec<Example>) {
    generate(DEFAULT_SEED)
}

fn words_of(rows: &[Example]) -> BTreeSet<&str> {
    rows.iter().flat_map(|row| tokens(&row.text)).collect()
}

/// All readings of a sentence: the kind, the form and the label.
fn readings(text: &str) -> Vec<(usize, &'static str, bool)> {
    let mut found = Vec::new();
    for (kind, (_, forms)) in FORMS.iter().enumerate() {
        for &form in *forms {
            for is_positive in [false, true] {
                if fits(TABLES, &[&signed(form, is_positive)], &[text]) {
                    found.push((kind, form, is_positive));
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
            assert!(row.pair.is_none());
            let readings = readings(&row.text);
            let &[(kind, _, label)] = readings.as_slice() else {
                panic!("`{}` is read as {readings:?}", row.text);
            };
            assert_eq!(label, is_positive(row), "{}", row.text);
            *counts.entry((kind, label)).or_insert(0) += 1;
        }
        assert_shares(FORMS, &counts, split.len());
    }
}

#[test]
fn a_person_reads_every_form_so() {
    let mut forms: BTreeSet<&str> = FORMS
        .iter()
        .flat_map(|(_, forms)| forms.iter().copied())
        .collect();
    for &(text, is_positive) in READ_BY_A_PERSON {
        let readings = readings(text);
        let &[(_, form, label)] = readings.as_slice() else {
            panic!("`{text}` is read as {readings:?}");
        };
        assert_eq!(label, is_positive, "{text}");
        forms.remove(form);
    }
    assert!(forms.is_empty(), "nobody has read {forms:?}");
}

/// No validation row contains anything that could be remembered from the training rows. The splits
/// share only the words of the forms and of tables that say nothing about the label.
#[test]
fn the_splits_share_the_grammar_alone() {
    let shared = TABLES.iter().filter(|table| !table.is_held_out());
    let forms = FORMS.iter().flat_map(|(_, forms)| forms.iter());
    let grammar: BTreeSet<&str> = forms
        .flat_map(|form| tokens(form))
        .chain(shared.flat_map(|table| table.words(Part::Train)))
        .chain(["an"])
        .collect();
    for table in TABLES.iter().filter(|table| table.is_held_out()) {
        for word in table
            .words(Part::Train)
            .chain(table.words(Part::Validation))
        {
            assert!(!grammar.contains(word), "`{word}` of {}", table.name);
        }
    }
    for seed in [0, DEFAULT_SEED] {
        let (train, validation) = generate(seed);
        let (seen, held_out) = (words_of(&train), words_of(&validation));
        let both: BTreeSet<&str> = seen.intersection(&held_out).copied().collect();
        assert!(both.is_subset(&grammar), "{:?}", &both - &grammar);
        for row in &validation {
            let n_new = tokens(&row.text)
                .filter(|word| !seen.contains(word))
                .count();
            assert!(n_new >= 2, "{}", row.text);
        }
    }
}

/// Within a split, no two rows have the same form and the same words except for openings, verbs and
/// adverbs.
#[test]
fn no_row_is_another_one_in_disguise() {
    let grammar: BTreeSet<&str> = TABLES
        .iter()
        .filter(|table| !table.is_held_out())
        .flat_map(|table| table.words(Part::Train))
        .collect();
    let (train, validation) = rows();
    let bare: BTreeSet<(&str, Vec<&str>)> = train
        .iter()
        .chain(&validation)
        .map(|row| {
            let words = tokens(&row.text).filter(|word| !grammar.contains(word));
            (readings(&row.text)[0].1, words.collect())
        })
        .collect();
    assert_eq!(bare.len(), N_TRAIN + N_VALIDATION);
}

/// FNV-1a over all rows: the sample is the same on every machine and in every version. A change to
/// the grammar changes it, and with it every figure measured on the sample.
#[test]
fn the_rows_are_pinned() {
    let (train, validation) = rows();
    let hash = train.iter().chain(&validation).fold(SEED, |hash, row| {
        let hash = extend(hash, row.text.as_bytes());
        extend(hash, &[b'\t', is_positive(row).into(), b'\n'])
    });
    assert_eq!(
        format!("{hash:016x}"),
        "3c0c2698fa69d74d",
        "{:#?}",
        &train[..12]
    );
    assert_ne!(generate(1).0, train);
}

#[test]
fn the_vocabulary_is_exactly_what_occurs() {
    let splits: Vec<_> = (0..4).map(generate).collect();
    let occurring: BTreeSet<&str> = splits
        .iter()
        .flat_map(|(train, validation)| train.iter().chain(validation))
        .flat_map(|row| tokens(&row.text))
        .collect();
    assert_eq!(occurring.into_iter().collect::<Vec<_>>(), vocabulary());
}

#[test]
fn all_words_are_whole_words_of_the_embedded_model() {
    assert_whole_in_the_embedded_model(&vocabulary());
}

#[test]
fn every_adjective_stands_in_rows_of_both_labels() {
    let (train, validation) = rows();
    for table in TABLES.iter().filter(|table| table.name.ends_with("ADJ")) {
        for (part, split) in [(Part::Train, &train), (Part::Validation, &validation)] {
            for word in table.words(part) {
                for wanted in [false, true] {
                    let has = |row: &&Example| tokens(&row.text).any(|other| other == word);
                    let of_label = split.iter().filter(|row| is_positive(row) == wanted);
                    let n_rows = of_label.filter(has).count();
                    assert!(n_rows >= 5, "{word} {wanted}: {n_rows}");
                }
            }
        }
    }
}

/// The accuracy of multinomial naive Bayes (add one) over the words of each sentence.
fn naive_bayes(train: &[Example], validation: &[Example]) -> f64 {
    let mut counts: BTreeMap<&str, [f64; 2]> = BTreeMap::new();
    let mut totals = [0.0; 2];
    for row in train {
        for word in tokens(&row.text) {
            counts.entry(word).or_default()[usize::from(is_positive(row))] += 1.0;
            totals[usize::from(is_positive(row))] += 1.0;
        }
    }
    let n_words = counts.len() as f64;
    let score = |text: &str, class: usize| -> f64 {
        let count = |word: &str| counts.get(word).map_or(0.0, |of| of[class]);
        tokens(text)
            .map(|word| ((count(word) + 1.0) / (totals[class] + n_words)).ln())
            .sum()
    };
    share(validation, |row| {
        (score(&row.text, 1) > score(&row.text, 0)) == is_positive(row)
    })
}

fn share(rows: &[Example], is_right: impl Fn(&Example) -> bool) -> f64 {
    rows.iter().filter(|row| is_right(row)).count() as f64 / rows.len() as f64
}

/// Counting words learns nothing from the training rows. Even knowing which words are good and
/// which are bad, without grammar, is right about little more than half of the rows.
#[test]
fn counting_words_is_not_enough() {
    let (train, validation) = rows();
    let learned = naive_bayes(&train, &validation);
    let fitted = naive_bayes(&validation, &validation);
    let of_sign = |sign: char| -> BTreeSet<&str> {
        let tables = TABLES.iter().filter(|table| table.name.starts_with(sign));
        tables
            .flat_map(|table| table.words(Part::Validation))
            .collect()
    };
    let (good, bad) = (of_sign('+'), of_sign('-'));
    let told = share(&validation, |row| {
        let n =
            |list: &BTreeSet<&str>| tokens(&row.text).filter(|word| list.contains(word)).count();
        match n(&good).cmp(&n(&bad)) {
            std::cmp::Ordering::Greater => is_positive(row),
            std::cmp::Ordering::Less => !is_positive(row),
            // Undecided, and right half of the time: the sentence's length decides like a coin
            // toss.
            std::cmp::Ordering::Equal => (row.text.len() % 2 == 0) == is_positive(row),
        }
    });
    eprintln!("words learned {learned:.3}, fitted to validation {fitted:.3}, told {told:.3}");
    assert!((0.4..0.6).contains(&learned), "learned {learned}");
    assert!(fitted < 0.75, "fitted {fitted}");
    assert!((0.4..0.65).contains(&told), "told {told}");
}
