//! The embedded task `sample`: short made-up reviews, negative (0) or positive (1). `load_split`
//! and the host's offline default run take their rows from `generate`. The tool that prunes the
//! embedded model's vocabulary calls [`vocabulary`].
//!
//! The task needs what pretraining provides. The training rows are about films and plays, the
//! validation rows about books. **No word that expresses a judgement is in both**: no adjective,
//! noun, verb or feeling, nor the judged aspect. The splits share the grammar, and its words do not
//! reveal the label. Many sentences say the opposite of their judging word, or judge two things of
//! which one counts. A classifier that knows good words from bad ones, but no grammar, is therefore
//! right about less than 65 % of the validation rows (tested).
//!
//! The grammar is the table `FORMS` with the words in `TABLES`. In a form, `+` precedes a word that
//! agrees with the row's label, and `-` precedes a word that says the opposite. Each form therefore
//! makes rows of both labels with the same surrounding words:
//!
//! ```text
//! kind        share  a form                                                label
//! plain        15 %  this WORK was a +NOUN.                                the word's
//! negation     25 %  nothing about the ASPECT was -ADJ.                    the word's opposite
//!                    nobody can deny that the ASPECT was +ADJ.             the word's: not negated
//! concession   20 %  CONCESSION the ASPECT1 was -ADJ, i +VERB this WORK.   the main clause's
//! comparison   10 %  unlike the -ADJ WORK1 before it, this WORK2 was +ADJ. the reviewed work's
//! expectation  15 %  we expected the ASPECT to be -ADJ, but we were wrong. the outcome's
//! opinion      15 %  PEOPLE called the ASPECT -ADJ, but they are wrong.    the author's
//! ```
//!
//! Both splits are exactly balanced between the labels, and so is each kind. No two rows are alike
//! except for openings and adverbs. All words are whole words of the embedded model's vocabulary.
//! The rows depend only on the seed: no floating point, no system randomness, no hash order.

use std::collections::HashSet;

use crate::example::{Example, Label};
use crate::generated::grammar::{self, Part, Table, fill, kind_of};
use crate::splitmix::SplitMix64;

/// The number of rows in the train split.
pub const N_TRAIN: usize = 2000;
/// The number of rows in the validation split.
pub const N_VALIDATION: usize = 1000;
/// The random seed with which [`load_split`](crate::load_split) makes the task.
pub(crate) const DEFAULT_SEED: u64 = 42;

const TABLES: &[Table] = &[
    Table::split(
        "ASPECT",
        "story; plot; ending; acting; music; cast; script; dialogue; camera; pace; humor; hero; villain; scenery; \
         direction; opening; finale; action",
        "style; language; narrative; message; theme; tone; setting; introduction; conclusion",
    ),
    Table::split(
        "WORK",
        "movie; film; show; play; musical; comedy",
        "book; novel; tale; poem; biography",
    ),
    Table::split("SEEN", "seen; watched", "read; finished"),
    Table::split(
        "+ADJ",
        "good; great; wonderful; excellent; beautiful; funny; clever; fresh; fascinating; enjoyable; interesting; fine; \
         brilliant; strong; original; warm; engaging; perfect; smart; pleasant; rich; powerful",
        "superb; charming; lovely; amazing; impressive; outstanding; remarkable; intelligent; creative; magical; \
         touching; innovative; extraordinary; tender",
    ),
    Table::split(
        "-ADJ",
        "bad; dull; terrible; poor; boring; ugly; weak; predictable; silly; messy; bland; slow; flat; hurried; empty; \
         awful; annoying; confused; ordinary; tired; rough; false",
        "horrible; stupid; awkward; painful; fake; hollow; clumsy; shallow; pointless; artificial; forced; \
         uncomfortable; offensive; unsuccessful",
    ),
    Table::split(
        "+NOUN",
        "joy; treat; success; hit; wonder; gift; classic; winner; achievement",
        "pleasure; miracle; treasure; marvel; sensation",
    ),
    Table::split(
        "-NOUN",
        "disaster; mess; failure; joke; bore; waste; crime; problem; struggle",
        "mistake; horror; shame; punishment; torture",
    ),
    Table::split(
        "+VERB",
        "loved; enjoyed; liked",
        "praised; recommended; celebrated",
    ),
    Table::split(
        "-VERB",
        "hated; rejected; dismissed",
        "criticized; attacked; ignored",
    ),
    Table::split(
        "+FEELING",
        "happy; excited; satisfied; moved; glad",
        "pleased; inspired; grateful; impressed",
    ),
    Table::split(
        "-FEELING",
        "disappointed; angry; sad; upset; bitter",
        "exhausted; worried; desperate; sick",
    ),
    Table::shared(
        "OPENING",
        "; honestly,; overall,; in my opinion,; in short,",
    ),
    Table::shared("BE", "was; felt; seemed"),
    Table::shared("DEGREE", "; ; ; truly; very; really; quite"),
    Table::shared(
        "NOT",
        "was not; was never; was hardly; was far from; was anything but; did not feel; never seemed",
    ),
    Table::shared("CONCESSION", "although; though; while; even though"),
    Table::shared(
        "PEOPLE",
        "critics; my friends; most people; the papers; my parents",
    ),
];

/// The share of a kind in twentieths, and its forms.
const FORMS: &[(usize, &[&str])] = &[
    // plain
    (
        3,
        &[
            "OPENING the ASPECT of this WORK BE DEGREE +ADJ.",
            "OPENING this WORK was a +NOUN.",
            "OPENING i +VERB the ASPECT of this WORK.",
            "the ASPECT left me DEGREE +FEELING.",
        ],
    ),
    // negation
    (
        5,
        &[
            "OPENING the ASPECT NOT -ADJ.",
            "nothing about the ASPECT was -ADJ.",
            "i do not think that the ASPECT was -ADJ.",
            "it is not true that the ASPECT was -ADJ.",
            "i cannot say that the ASPECT was not +ADJ.",
            "this WORK was not a -NOUN.",
            "the ASPECT never left me -FEELING.",
            "not only the ASPECT1 but also the ASPECT2 was +ADJ.",
            "i will not forget how +ADJ the ASPECT was.",
            "there is no doubt that the ASPECT was +ADJ.",
            "nobody can deny that the ASPECT was +ADJ.",
        ],
    ),
    // concession
    (
        4,
        &[
            "CONCESSION the ASPECT1 was -ADJ, the ASPECT2 BE +ADJ.",
            "the ASPECT2 BE +ADJ, CONCESSION the ASPECT1 was -ADJ.",
            "CONCESSION the ASPECT was -ADJ, i +VERB this WORK.",
            "despite the -ADJ ASPECT, this WORK was a +NOUN.",
            "the ASPECT was -ADJ, but this WORK as a whole was +ADJ.",
            "the ASPECT may have been -ADJ, yet this WORK left me +FEELING.",
            "no matter how -ADJ the ASPECT was, i +VERB this WORK.",
            "for all its -ADJ ASPECT1, the ASPECT2 of this WORK was +ADJ.",
        ],
    ),
    // comparison
    (
        2,
        &[
            "i have never SEEN such a +ADJ WORK.",
            "no other WORK was as +ADJ as this one.",
            "this WORK was as +ADJ as the last one was -ADJ.",
            "unlike the -ADJ WORK1 before it, this WORK2 was +ADJ.",
            "the first WORK was -ADJ, and this one is nothing like it.",
            "the first WORK was +ADJ, and so is this one.",
            "the last WORK was +ADJ, and this one is no different.",
        ],
    ),
    // expectation
    (
        3,
        &[
            "i had expected a -ADJ WORK and got a +ADJ one.",
            "we expected the ASPECT to be -ADJ, but we were wrong.",
            "we expected the ASPECT to be +ADJ, and we were right.",
            "it was said to be a -ADJ WORK, but it was not.",
            "it was said to be a +ADJ WORK, and it was.",
            "the ASPECT should have been -ADJ, but it was +ADJ.",
        ],
    ),
    // opinion
    (
        3,
        &[
            "PEOPLE called the ASPECT -ADJ, but they are wrong.",
            "PEOPLE called the ASPECT +ADJ, and they are right.",
            "PEOPLE found the ASPECT -ADJ, but i cannot agree.",
            "PEOPLE -VERB this WORK, but i thought that it was +ADJ.",
            "PEOPLE +VERB this WORK, and so did i.",
            "PEOPLE -VERB the ASPECT of this WORK, unlike me.",
            "whatever PEOPLE said about the -ADJ ASPECT1, the ASPECT2 was +ADJ.",
        ],
    ),
];

/// The task's rows for a seed: [`N_TRAIN`] for training and [`N_VALIDATION`] for evaluation, each
/// shuffled.
///
/// The same seed gives the same rows on every machine. Seeds are not independent data sets: two of
/// them share sentences.
pub(crate) fn generate(seed: u64) -> (Vec<Example>, Vec<Example>) {
    grammar::splits(seed, [N_TRAIN / 2, N_VALIDATION / 2], new_rows)
}

/// Every token that the grammar can produce, words and punctuation, sorted and without duplicates.
pub fn vocabulary() -> Vec<&'static str> {
    let forms = FORMS.iter().flat_map(|(_, forms)| forms.iter().copied());
    grammar::vocabulary(TABLES, forms)
}

/// A bad and a good sentence that differ from those in `seen` in more than adverbs.
fn new_rows(
    rng: &mut SplitMix64,
    seen: &mut HashSet<(&'static str, Vec<&'static str>)>,
    part: Part,
    turn: usize,
) -> Vec<Example> {
    let forms = kind_of(FORMS, turn);
    let mut new_row = |is_positive| {
        // This terminates, because each kind has many more sentences of each label than a split
        // takes.
        loop {
            let form = forms[rng.below(forms.len())];
            let filled = fill(TABLES, part, &[&signed(form, is_positive)], rng);
            if seen.insert((form, filled.content)) {
                return Example {
                    text: filled.sentences.concat(),
                    pair: None,
                    label: Some(Label::Class(is_positive.into())),
                };
            }
        }
    };
    vec![new_row(false), new_row(true)]
}

/// The form with `+` for good and `-` for bad: unchanged for a positive row, otherwise with the
/// signs swapped.
fn signed(form: &str, is_positive: bool) -> String {
    let turn = |c| match c {
        '+' => '-',
        '-' => '+',
        other => other,
    };
    if is_positive {
        form.to_owned()
    } else {
        form.chars().map(turn).collect()
    }
}

#[cfg(test)]
mod tests;
