//! The embedded task `sample`: short made-up reviews, negative (0) or positive (1). `load_split` and the host's offline
//! default run take their rows from [`generate`]; the tool that prunes the embedded model's vocabulary calls
//! [`vocabulary`].
//!
//! Words alone do not give the label away: half of the rows need the order of words.
//!
//! ```text
//! kind       share  form                                              label
//! plain      40 %   OPENING CLAUSE .                                   that of the adjective
//! reversed   20 %   OPENING CLAUSE' .                                  the opposite of the adjective's
//! contrast   30 %   although | though | while CLAUSE° , CLAUSE* .      that of the main clause *; the clause ° says the
//!                   CLAUSE* , although | though | while CLAUSE° .      opposite. After "but" and "yet" stands the main
//!                   CLAUSE° , but | yet CLAUSE* .                      clause
//!                   despite the ADJECTIVE° ASPECT , CLAUSE* .
//! agreement  10 %   CLAUSE and CLAUSE .                                that of both
//!
//! OPENING    nothing, "honestly ,", "overall ,", "in my opinion ,", "i think", "we thought", "critics said",
//!            "my sister said"
//! CLAUSE     the ASPECT [of this | the WORK] was | felt | seemed [truly | very | really | quite] ADJECTIVE
//! CLAUSE'    the ASPECT [of this | the WORK] was not | was never | was barely | was hardly | did not feel | never felt |
//!            felt barely | did not seem | never seemed | seemed hardly ADJECTIVE
//! ```
//!
//! In contrast and agreement rows a clause is reversed (CLAUSE') one time in four, the two clauses are about different
//! aspects, and neither names a WORK. An intensifier never changes a label; "barely" and "hardly" reverse it as "not"
//! does. Each of the 32 adjectives stands in rows of both labels. In print, commas and full stops follow their word
//! without a space. All words are whole words of `bert-base-uncased`'s vocabulary (tested).
//!
//! Both splits are exactly balanced between the labels, in each kind too; no sentence occurs twice in them together. The
//! rows depend on the seed alone: no floating point, no system randomness, no hash order.

use std::collections::{BTreeSet, HashSet};

use crate::example::{Example, Label};
use crate::splitmix::SplitMix64;

/// Rows in the train split.
pub const N_TRAIN: usize = 2000;
/// Rows in the validation split.
pub const N_VALIDATION: usize = 500;
/// The seed of the task as [`load_split`](crate::load_split) gives it.
pub const DEFAULT_SEED: u64 = 42;

const ASPECTS: &[&str] = &[
    "story",
    "plot",
    "start",
    "ending",
    "acting",
    "music",
    "cast",
    "script",
    "dialogue",
    "camera",
    "pace",
    "humor",
    "hero",
    "villain",
    "scenery",
    "direction",
    "opening",
    "finale",
    "writing",
    "action",
];
const WORKS: &[&str] = &["movie", "film", "show", "play"];
const POSITIVE: &[&str] = &[
    "good",
    "great",
    "wonderful",
    "excellent",
    "brilliant",
    "charming",
    "beautiful",
    "moving",
    "funny",
    "clever",
    "fresh",
    "superb",
    "engaging",
    "fascinating",
    "lovely",
    "enjoyable",
];
const NEGATIVE: &[&str] = &[
    "bad",
    "dull",
    "terrible",
    "awful",
    "poor",
    "weak",
    "boring",
    "ugly",
    "clumsy",
    "bland",
    "predictable",
    "silly",
    "messy",
    "shallow",
    "annoying",
    "pointless",
];
const OPENINGS: &[&str] = &[
    "",
    "honestly, ",
    "overall, ",
    "in my opinion, ",
    "i think ",
    "we thought ",
    "critics said ",
    "my sister said ",
];
const VERBS: &[&str] = &["was", "felt", "seemed"];
// The empty ones are as frequent as the words.
const INTENSIFIERS: &[&str] = &["", "", "", "", "truly ", "very ", "really ", "quite "];
const REVERSED_VERBS: &[&str] = &[
    "was not",
    "was never",
    "was barely",
    "was hardly",
    "did not feel",
    "never felt",
    "felt barely",
    "did not seem",
    "never seemed",
    "seemed hardly",
];
const CONCESSIONS: &[&str] = &["although", "though", "while"];
const TURNS: &[&str] = &["but", "yet"];
/// The words that the functions below write themselves.
const FIXED: &[&str] = &["the", "of", "this", "despite", "and", ",", "."];

/// What a row is like; see the module's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Reversed,
    Contrast,
    Agreement,
}

/// The kinds in the proportions of the table. Rows take them in turn, two (one of each label) at a time.
const KINDS: [Kind; 10] = [
    Kind::Plain,
    Kind::Contrast,
    Kind::Reversed,
    Kind::Plain,
    Kind::Contrast,
    Kind::Plain,
    Kind::Agreement,
    Kind::Reversed,
    Kind::Contrast,
    Kind::Plain,
];

/// The task's rows for a seed: [`N_TRAIN`] to train on and [`N_VALIDATION`] to evaluate on, each shuffled.
///
/// The same seed gives the same rows on every machine. Seeds are not independent data sets: two of them share sentences.
pub fn generate(seed: u64) -> (Vec<Example>, Vec<Example>) {
    let mut rng = SplitMix64::new(seed);
    let mut seen = HashSet::new();
    let mut split = |n_rows: usize| {
        let mut rows: Vec<Example> = (0..n_rows)
            .map(|at| new_row(&mut rng, &mut seen, at))
            .collect();
        rng.shuffle(&mut rows);
        rows
    };
    let train = split(N_TRAIN);
    (train, split(N_VALIDATION))
}

/// Every token the grammar can produce, words and punctuation, sorted and each once.
pub fn vocabulary() -> Vec<&'static str> {
    let tables = [
        ASPECTS,
        WORKS,
        POSITIVE,
        NEGATIVE,
        OPENINGS,
        VERBS,
        INTENSIFIERS,
        REVERSED_VERBS,
        CONCESSIONS,
        TURNS,
        FIXED,
    ];
    let words = tables
        .into_iter()
        .flatten()
        .flat_map(|phrase| phrase.split_whitespace());
    // An opening's comma is among the fixed words; trimming one leaves the comma itself empty.
    let words = words.map(|word| {
        if word == "," {
            word
        } else {
            word.trim_end_matches(',')
        }
    });
    words.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Row number `at` of a split: a sentence that is not in `seen` yet.
fn new_row(rng: &mut SplitMix64, seen: &mut HashSet<String>, at: usize) -> Example {
    let is_positive = at % 2 == 1;
    let kind = KINDS[at / 2 % KINDS.len()];
    // Ends: each kind and label has tens of thousands of sentences, and the generator runs through all its states.
    loop {
        let text = sentence(rng, kind, is_positive);
        if seen.insert(text.clone()) {
            return Example {
                text,
                pair: None,
                label: Some(Label::Class(is_positive.into())),
            };
        }
    }
}

fn sentence(rng: &mut SplitMix64, kind: Kind, is_positive: bool) -> String {
    match kind {
        Kind::Plain | Kind::Reversed => {
            let opening = pick(rng, OPENINGS);
            let subject = subject(rng);
            let said = predicate(rng, is_positive, kind == Kind::Reversed);
            format!("{opening}{subject} {said}.")
        }
        Kind::Contrast => {
            let [of_main, of_other] = two_aspects(rng);
            let main = clause(rng, of_main, is_positive);
            contrast(rng, &main, of_other, !is_positive)
        }
        Kind::Agreement => {
            let [first, second] = two_aspects(rng);
            let (first, second) = (
                clause(rng, first, is_positive),
                clause(rng, second, is_positive),
            );
            format!("{first} and {second}.")
        }
    }
}

/// The whole sentence around a main clause and what is said, to the opposite effect, about `aspect`.
fn contrast(rng: &mut SplitMix64, main: &str, aspect: &str, is_positive: bool) -> String {
    match rng.below(4) {
        0 => {
            let other = clause(rng, aspect, is_positive);
            format!("{} {other}, {main}.", pick(rng, CONCESSIONS))
        }
        1 => {
            let other = clause(rng, aspect, is_positive);
            format!("{main}, {} {other}.", pick(rng, CONCESSIONS))
        }
        2 => {
            let other = clause(rng, aspect, is_positive);
            format!("{other}, {} {main}.", pick(rng, TURNS))
        }
        _ => format!(
            "despite the {} {aspect}, {main}.",
            adjective(rng, is_positive)
        ),
    }
}

fn clause(rng: &mut SplitMix64, aspect: &str, is_positive: bool) -> String {
    let is_reversed = rng.below(4) == 0;
    format!("the {aspect} {}", predicate(rng, is_positive, is_reversed))
}

fn subject(rng: &mut SplitMix64) -> String {
    let aspect = pick(rng, ASPECTS);
    match rng.below(3) {
        0 => format!("the {aspect}"),
        1 => format!("the {aspect} of this {}", pick(rng, WORKS)),
        _ => format!("the {aspect} of the {}", pick(rng, WORKS)),
    }
}

/// Verb and adjective that together say something positive or negative.
fn predicate(rng: &mut SplitMix64, is_positive: bool, is_reversed: bool) -> String {
    if is_reversed {
        return format!(
            "{} {}",
            pick(rng, REVERSED_VERBS),
            adjective(rng, !is_positive)
        );
    }
    let (verb, intensifier) = (pick(rng, VERBS), pick(rng, INTENSIFIERS));
    format!("{verb} {intensifier}{}", adjective(rng, is_positive))
}

fn adjective(rng: &mut SplitMix64, is_positive: bool) -> &'static str {
    pick(rng, if is_positive { POSITIVE } else { NEGATIVE })
}

fn two_aspects(rng: &mut SplitMix64) -> [&'static str; 2] {
    let first = rng.below(ASPECTS.len());
    let second = (first + 1 + rng.below(ASPECTS.len() - 1)) % ASPECTS.len();
    [ASPECTS[first], ASPECTS[second]]
}

fn pick(rng: &mut SplitMix64, words: &'static [&'static str]) -> &'static str {
    words[rng.below(words.len())]
}

#[cfg(test)]
mod tests;
