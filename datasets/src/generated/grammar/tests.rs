//! Tests of filling forms, and of the reader with which the tasks' tests check it.

use super::reading::fits;
use super::*;

static TABLES: [Table; 4] = [
    Table {
        name: "THING",
        columns: &["kind", "member"],
        train: "animal / dog|cat; orchestra / violin",
        validation: "fruit / apple; tool / saw",
    },
    Table::split("NAME", "tom; ann; sue", "max; eve"),
    Table::shared("WELL", "; very well,"),
    Table::split("+ADJ", "good", "fine"),
];

fn filled(part: Part, forms: &[&str]) -> Vec<Filled> {
    let mut rng = SplitMix64::new(3);
    (0..60)
        .map(|_| fill(&TABLES, part, forms, &mut rng))
        .collect()
}

#[test]
fn a_slot_is_one_word_and_numbers_are_different_rows() {
    let forms = ["NAME1 saw NAME2.", "NAME2 saw NAME1, and NAME1 saw NAME3."];
    let mut names = BTreeSet::new();
    for Filled { sentences, .. } in filled(Part::Train, &forms) {
        let words: Vec<Vec<&str>> = sentences
            .iter()
            .map(|text| tokens(text).collect())
            .collect();
        let [first, second, third] = [words[0][0], words[0][2], words[1][7]];
        assert_eq!(
            sentences[1],
            format!("{second} saw {first}, and {first} saw {third}.")
        );
        let three: BTreeSet<_> = [first, second, third].map(str::to_owned).into();
        assert_eq!(three.len(), 3);
        names.insert(first.to_owned());
    }
    assert_eq!(names.len(), 3, "each name is drawn: {names:?}");
}

#[test]
fn columns_of_a_number_are_of_one_row() {
    let forms = ["it was a THING1.member.", "a THING1.kind, no THING2.kind"];
    let texts: BTreeSet<String> = filled(Part::Train, &forms)
        .into_iter()
        .map(|filled| filled.sentences.join(" "))
        .collect();
    let expected = [
        "it was a cat. an animal, no orchestra",
        "it was a dog. an animal, no orchestra",
        "it was a violin. an orchestra, no animal",
    ];
    assert_eq!(texts.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn the_splits_have_their_words_and_empty_phrases_leave_no_space() {
    let texts: BTreeSet<String> = filled(Part::Validation, &["WELL NAME is +ADJ."])
        .into_iter()
        .map(|filled| filled.sentences.concat())
        .collect();
    let expected = [
        "eve is fine.",
        "max is fine.",
        "very well, eve is fine.",
        "very well, max is fine.",
    ];
    assert_eq!(texts.into_iter().collect::<Vec<_>>(), expected);
    for filled in filled(Part::Validation, &["WELL NAME is +ADJ."]) {
        assert_eq!(filled.content.len(), 2, "the opening does not matter");
    }
}

#[test]
fn the_vocabulary_is_of_forms_and_tables() {
    let words = vocabulary(&TABLES, ["WELL a +ADJ one: NAME1."].into_iter());
    assert!(words.is_sorted());
    for word in [
        "a", "an", ":", ",", ".", "one", "very", "eve", "violin", "fine",
    ] {
        assert!(words.contains(&word), "{word} in {words:?}");
    }
    assert!(words.iter().all(|word| !is_slot(word) && !word.is_empty()));
}

#[test]
fn what_was_filled_is_read() {
    let forms = [
        "WELL NAME1 saw a THING1.member.",
        "NAME2 saw a THING1.kind.",
    ];
    for filled in filled(Part::Train, &forms) {
        let texts: Vec<&str> = filled.sentences.iter().map(String::as_str).collect();
        assert!(fits(&TABLES, &forms, &texts), "{texts:?}");
    }
    for wrong in [
        ["tom saw a dog.", "tom saw an animal."],
        ["tom saw a dog.", "ann saw an orchestra."],
        ["tom saw a dog", "ann saw an animal."],
        ["tom saw a dog.", "ann saw an animal"],
        ["tom saw a dog.", "max saw an animal."],
    ] {
        assert!(!fits(&TABLES, &forms, &wrong), "{wrong:?}");
    }
    assert!(fits(
        &TABLES,
        &forms,
        &["very well, tom saw a dog.", "ann saw an animal."]
    ));
}
