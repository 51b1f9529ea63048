//! The embedded task `sample_pairs`: does the second sentence follow from the first? The labels are
//! entailment (0) and not_entailment (1), as in GLUE's RTE. `load_split` takes its rows from
//! `generate`.
//!
//! The task needs two things that pretraining provides. The first is knowledge of words: a dog is
//! an animal, and someone glad is happy. If A sold B a car, B bought it. The second is structure:
//! who did what to whom, and what is denied. **No word of the first kind is in both splits**: the
//! validation rows have other names, things, kinds, qualities, deeds and numbers. The splits share
//! only the grammar.
//!
//! The grammar is the table `SQUARES` with the words in `TABLES`. A square consists of two first
//! sentences and two second ones, filled with the same words. Each second sentence follows from the
//! first sentence in its place and not from the other:
//!
//! ```text
//!                                       anna was helped by tom.     tom was helped by anna.
//! tom helped anna.                      entailment                  not_entailment
//! anna helped tom.                      not_entailment              entailment
//! ```
//!
//! All four pairs of a square are rows of the same split. So every sentence, first or second,
//! occurs once under each label, and none reveals anything by itself. Overlap reveals nothing
//! either: for every number of shared words, both labels have equally many pairs. Naive Bayes over
//! pairs of words, one from each sentence, classifies less than 60 % of the validation rows
//! correctly. All this is tested.
//!
//! ```text
//! kind         share  decided by
//! kinds         30 %  a thing is of a kind: a dog is an animal, no weapon
//! likeness      25 %  synonyms: someone rich is wealthy
//! denial        10 %  "not" before synonyms and antonyms, "no" before a kind and a thing
//! outcomes      20 %  "failed to", "wrong to think that", "only", "everyone but",
//!                     "neither ... nor", "but ... did not"
//! roles         10 %  active and passive, converse relations, the head of a relative clause
//! quantities     5 %  numbers that are few or many
//! ```
//!
//! Both splits are exactly balanced, and so is each kind. No pair occurs twice. All words are whole
//! words of the embedded model's vocabulary. The rows depend only on the seed: no floating point,
//! no system randomness, no hash order.

use std::collections::HashSet;

use crate::example::{Example, Label};
use crate::generated::grammar::{self, Part, Table, fill, kind_of};
use crate::splitmix::SplitMix64;

/// The number of rows in the train split.
pub const N_TRAIN: usize = 4000;
/// The number of rows in the validation split.
pub const N_VALIDATION: usize = 1200;
/// The random seed with which [`load_split`](crate::load_split) makes the task.
pub(crate) const DEFAULT_SEED: u64 = 42;

const TABLES: &[Table] = &[
    Table::split(
        "NAME",
        "anna; john; mary; peter; paul; sarah; tom; laura; jack; kate; susan; oliver; nina; henry; jane; george",
        "emma; david; maria; simon; lucy; james; helen; martin; alice; daniel; robert; julia; karen; frank",
    ),
    Table::split("SAW", "saw; wanted; painted", "noticed; found; described"),
    Table {
        name: "THING",
        columns: &["kind", "member"],
        train: "animal / dog|cat|horse|lion|tiger|bear|wolf|mouse; instrument / piano|guitar|violin|flute|trumpet; \
                vehicle / car|bus|truck|van|motorcycle; building / church|castle|hotel|school|temple|palace; \
                drink / beer|coffee|tea|wine; room / kitchen|bedroom|bathroom|hall|office; \
                artist / painter|singer|dancer|actor; relative / brother|sister|uncle|aunt|cousin; \
                document / contract|certificate|license; road / highway|avenue|lane; tool / hammer|brush; \
                officer / colonel|sergeant|lieutenant|captain; child / boy|girl|kid",
        validation: "weapon / sword|gun|rifle|pistol|cannon; bird / eagle|duck|robin|chicken; \
                     fruit / apple|orange|cherry; flower / rose|lily|violet; tree / oak|pine|palm; \
                     book / novel|dictionary|diary|bible; machine / computer|robot|engine",
    },
    Table {
        name: "TRAIT",
        columns: &["word", "same", "opposite"],
        train: "happy / glad / sad; rich / wealthy / poor; smart / clever / stupid; sick / ill / healthy; \
                quiet / silent / loud; worried / nervous / calm; injured / wounded / well; elderly / old / young; \
                confused / uncertain / certain; pleased / satisfied / upset",
        validation: "afraid / scared / brave; strong / powerful / weak; famous / renowned / unknown; \
                     angry / mad / friendly; beautiful / lovely / ugly; tired / exhausted / fresh",
    },
    Table {
        name: "OBJECT",
        columns: &["thing", "word", "same", "opposite"],
        train: "problem / hard / difficult / easy; garden / big / large / small; idea / strange / odd / normal; \
                report / true / correct / false; boat / fast / quick / slow; law / old / ancient / new; \
                meal / terrible / awful / wonderful; ring / precious / valuable / ordinary; \
                error / common / frequent / rare; town / distant / remote / near",
        validation: "street / safe / secure / dangerous; door / shut / closed / open; river / wide / broad / narrow; \
                     speech / brief / short / long; house / huge / enormous / tiny; voice / soft / gentle / harsh; \
                     plan / simple / basic / complex",
    },
    Table::split(
        "PERSON",
        "teacher; doctor; farmer; nurse; soldier; king",
        "lawyer; pilot; baker; priest; judge; guard",
    ),
    Table::split(
        "HELPED",
        "helped; followed; watched; visited; called; kissed; pushed; kicked; carried; touched; joined; believed",
        "praised; attacked; invited; warned; saved; hired; arrested",
    ),
    Table {
        name: "RELATION",
        columns: &["is", "converse"],
        train: "was older than / was younger than; came before / came after; sold the car to / bought the car from; \
                led / followed; was bigger than / was smaller than; was the parent of / was the child of; \
                sat above / sat below; won against / lost to; taught / learned from",
        validation: "gave the letter to / got the letter from; stood behind / stood in front of; \
                     was better than / was worse than; arrived earlier than / arrived later than; \
                     was the host of / was a guest of; was north of / was south of",
    },
    Table {
        name: "MANAGED",
        columns: &["did", "not"],
        train: "managed / failed; remembered / forgot",
        validation: "was able / was unable; was forced / refused; happened / declined",
    },
    Table {
        name: "TASK",
        columns: &["do", "did"],
        train: "fill the box / filled the box; pay the bill / paid the bill; win the race / won the race; \
                sell the farm / sold the farm; write the song / wrote the song; catch the train / caught the train; \
                buy the shirt / bought the shirt; drive the truck / drove the truck; lock the gate / locked the gate; \
                break the glass / broke the glass",
        validation: "answer the question / answered the question; cross the bridge / crossed the bridge; \
                     sign the paper / signed the paper; climb the hill / climbed the hill; \
                     fix the clock / fixed the clock; return the money / returned the money; \
                     bring the key / brought the key",
    },
    Table {
        name: "NUMBER",
        columns: &["low", "high"],
        train: "two|four|six / sixty|forty|hundreds of",
        validation: "three|five|seven / thirty|fifty|thousands of",
    },
    Table::split(
        "BOOKS",
        "books; cars; horses; boats",
        "tickets; coins; flowers; chairs",
    ),
    Table::shared(
        "DAY",
        "monday; wednesday; thursday; friday; saturday; sunday",
    ),
    Table::split("BOUGHT", "bought; sold; saw", "found; owned; needed"),
];

/// Two first sentences and two second ones. Each second sentence follows only from the first
/// sentence in its place.
struct Square {
    first: [&'static str; 2],
    second: [&'static str; 2],
}

const fn square(first: [&'static str; 2], second: [&'static str; 2]) -> Square {
    Square { first, second }
}

/// The share of a kind in twentieths, and its squares.
const SQUARES: &[(usize, &[Square])] = &[
    // kinds
    (
        6,
        &[
            square(
                ["NAME SAW a THING1.member.", "NAME SAW a THING2.member."],
                ["NAME SAW a THING1.kind.", "NAME SAW a THING2.kind."],
            ),
            square(
                [
                    "NAME1 SAW a THING1.member, and NAME2 a THING2.member.",
                    "NAME1 SAW a THING2.member, and NAME2 a THING1.member.",
                ],
                ["NAME1 SAW a THING1.kind.", "NAME1 SAW a THING2.kind."],
            ),
        ],
    ),
    // likeness
    (
        5,
        &[
            square(
                ["NAME was TRAIT1.word.", "NAME was TRAIT2.word."],
                ["NAME was TRAIT1.same.", "NAME was TRAIT2.same."],
            ),
            square(
                [
                    "NAME1 was TRAIT1.word, and NAME2 was TRAIT2.word.",
                    "NAME1 was TRAIT2.word, and NAME2 was TRAIT1.word.",
                ],
                ["NAME1 was TRAIT1.same.", "NAME1 was TRAIT2.same."],
            ),
        ],
    ),
    // denial
    (
        2,
        &[
            square(
                ["NAME SAW no THING1.kind.", "NAME SAW no THING2.kind."],
                ["NAME SAW no THING1.member.", "NAME SAW no THING2.member."],
            ),
            square(
                [
                    "on DAY, NAME was TRAIT.word.",
                    "on DAY, NAME was TRAIT.opposite.",
                ],
                [
                    "on DAY, NAME was TRAIT.same.",
                    "on DAY, NAME was not TRAIT.same.",
                ],
            ),
            square(
                [
                    "on DAY, the OBJECT.thing was OBJECT.word.",
                    "on DAY, the OBJECT.thing was OBJECT.opposite.",
                ],
                [
                    "on DAY, the OBJECT.thing was OBJECT.same.",
                    "on DAY, the OBJECT.thing was not OBJECT.same.",
                ],
            ),
        ],
    ),
    // outcomes
    (
        4,
        &[
            square(
                [
                    "NAME MANAGED.did to TASK.do.",
                    "NAME MANAGED.not to TASK.do.",
                ],
                ["NAME TASK.did.", "NAME did not TASK.do."],
            ),
            square(
                [
                    "NAME1 knew that NAME2 TASK.did.",
                    "NAME1 was wrong to think that NAME2 TASK.did.",
                ],
                ["NAME2 TASK.did.", "NAME2 did not TASK.do."],
            ),
            square(
                ["only NAME TASK.did.", "everyone but NAME TASK.did."],
                ["NAME TASK.did.", "NAME did not TASK.do."],
            ),
            square(
                [
                    "NAME1 TASK.did, but NAME2 did not.",
                    "NAME2 TASK.did, but NAME1 did not.",
                ],
                ["NAME1 TASK.did.", "NAME2 TASK.did."],
            ),
            square(
                [
                    "both NAME1 and NAME2 TASK.did.",
                    "neither NAME1 nor NAME2 TASK.did.",
                ],
                ["NAME2 TASK.did.", "NAME2 did not TASK.do."],
            ),
        ],
    ),
    // roles
    (
        2,
        &[
            square(
                ["NAME1 HELPED NAME2.", "NAME2 HELPED NAME1."],
                ["NAME2 was HELPED by NAME1.", "NAME1 was HELPED by NAME2."],
            ),
            square(
                [
                    "the PERSON1 who HELPED the PERSON2 was TRAIT.word.",
                    "the PERSON2 who HELPED the PERSON1 was TRAIT.word.",
                ],
                ["the PERSON1 was TRAIT.same.", "the PERSON2 was TRAIT.same."],
            ),
            square(
                ["NAME1 RELATION.is NAME2.", "NAME2 RELATION.is NAME1."],
                [
                    "NAME2 RELATION.converse NAME1.",
                    "NAME1 RELATION.converse NAME2.",
                ],
            ),
        ],
    ),
    // quantities
    (
        1,
        &[square(
            [
                "NAME BOUGHT NUMBER.low BOOKS.",
                "NAME BOUGHT NUMBER.high BOOKS.",
            ],
            [
                "NAME BOUGHT only a few BOOKS.",
                "NAME BOUGHT very many BOOKS.",
            ],
        )],
    ),
];

/// The task's rows for a seed: [`N_TRAIN`] for training and [`N_VALIDATION`] for evaluation, each
/// shuffled.
///
/// The same seed gives the same rows on every machine. Seeds are not independent data sets: two of
/// them share sentences.
pub(crate) fn generate(seed: u64) -> (Vec<Example>, Vec<Example>) {
    grammar::splits(seed, [N_TRAIN / 4, N_VALIDATION / 4], new_square)
}

/// Every token that the grammar can produce, words and punctuation, sorted and without duplicates.
pub fn vocabulary() -> Vec<&'static str> {
    let squares = SQUARES.iter().flat_map(|(_, squares)| squares.iter());
    let forms = squares.flat_map(|square| square.first.into_iter().chain(square.second));
    grammar::vocabulary(TABLES, forms)
}

/// The four rows of a square of which none is in `seen` yet.
fn new_square(
    rng: &mut SplitMix64,
    seen: &mut HashSet<(String, String)>,
    part: Part,
    turn: usize,
) -> Vec<Example> {
    let squares = kind_of(SQUARES, turn);
    // This terminates, because each kind has many more squares than a split takes.
    loop {
        let Square { first, second } = &squares[rng.below(squares.len())];
        let forms = [first[0], first[1], second[0], second[1]];
        let sentences = fill(TABLES, part, &forms, rng).sentences;
        let pairs = [(0, 0), (0, 1), (1, 0), (1, 1)];
        let texts = pairs.map(|(i, j)| (sentences[i].clone(), sentences[2 + j].clone()));
        if texts.iter().any(|pair| seen.contains(pair)) {
            continue;
        }
        seen.extend(texts.iter().cloned());
        let row = |((text, pair), (i, j)): ((String, String), (usize, usize))| Example {
            text,
            pair: Some(pair),
            label: Some(Label::Class((i != j).into())),
        };
        return texts.into_iter().zip(pairs).map(row).collect();
    }
}

#[cfg(test)]
mod tests;
