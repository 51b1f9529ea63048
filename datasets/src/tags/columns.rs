//! The choice of the columns with a sentence's words and tags: those that the user names, otherwise
//! those whose names leave no doubt. Called by `tags`.

use crate::columns::{Column, Columns};
use crate::error::OwnDataError;
use crate::format::{DataFile, Format};
use crate::own::choose_columns::{Chosen, check_different, named};
use crate::own::survey::{ColumnKind, Survey};
use crate::request::Reading;

/// The most common names of word lists on the Hugging Face hub.
const WORDS: &[&str] = &["tokens", "words"];

/// The most common names of tag lists. If the first exists, it is chosen regardless of the others.
const TAGS: &[&str] = &["ner_tags", "tags", "labels", "ner", "label", "ner_labels"];

/// Whether the columns are those of tagged sentences.
pub(crate) fn has_tagged_words(survey: &Survey) -> bool {
    let has = |names: &[&str]| lists(survey).any(|name| names.contains(&name));
    has(WORDS) && has(TAGS)
}

fn lists(survey: &Survey) -> impl Iterator<Item = &str> {
    let columns = survey.columns.iter();
    columns
        .filter(|(_, kind)| *kind == ColumnKind::List)
        .map(|(name, _)| name.as_str())
}

/// The number of columns of CoNLL-U. The first numbers the words of a sentence, and several hold
/// tags.
const CONLL_U_COLUMNS: usize = 10;

/// Whether a column file has the layout of CoNLL-U: ten columns, of which the first contains
/// numbers.
fn is_conll_u(file: &DataFile, survey: &Survey) -> bool {
    let first = survey.columns.first().map(|(_, kind)| *kind);
    file.format == Format::Conll
        && survey.columns.len() == CONLL_U_COLUMNS
        && first == Some(ColumnKind::Integer)
}

/// Chooses the columns. In a column file, words come first and tags last. In CoNLL-U the words are
/// the second column, and the user must choose the tags. Without `wants_tags`, the tags may be
/// missing.
///
/// # Errors
/// A named column does not exist; for one that was not named there is no single candidate.
pub(crate) fn choose(
    file: &DataFile,
    survey: &Survey,
    reading: &Reading,
    wants_tags: bool,
) -> Result<Chosen, OwnDataError> {
    let mut guessed = Vec::new();
    let words = match &reading.text_column {
        Some(name) => named(file, survey, "--text-column", name)?,
        None => {
            guessed.push("text");
            guess_words(file, survey)?
        }
    };
    let tags = match &reading.label_column {
        Some(name) if wants_tags => named(file, survey, "--label-column", name)?,
        Some(name) => name.clone(),
        None => match guess_tags(file, survey, &words) {
            Ok(name) => {
                guessed.push("label");
                name
            }
            Err(error) if wants_tags => return Err(error),
            Err(_) => TAGS[0].to_owned(),
        },
    };
    let words = Column::named(words);
    check_different("text", &words, "label", &tags)?;
    Ok(Chosen {
        columns: Columns {
            first: words,
            second: None,
            label: Column::named(tags),
        },
        guessed,
    })
}

fn guess_words(file: &DataFile, survey: &Survey) -> Result<String, OwnDataError> {
    let names: Vec<&str> = match file.format {
        Format::Conll if is_conll_u(file, survey) => survey.names().skip(1).take(1).collect(),
        Format::Conll => survey.names().take(1).collect(),
        _ => {
            let usual: Vec<&str> = lists(survey).filter(|name| WORDS.contains(name)).collect();
            if usual.is_empty() {
                lists(survey).filter(|name| !TAGS.contains(name)).collect()
            } else {
                usual
            }
        }
    };
    let why = match names.as_slice() {
        [name] => return Ok((*name).to_owned()),
        [] => "none holds lists of words",
        _ => "several hold lists",
    };
    Err(cannot(file, survey, "list of words", why, "--text-column"))
}

fn guess_tags(file: &DataFile, survey: &Survey, words: &str) -> Result<String, OwnDataError> {
    if is_conll_u(file, survey) {
        let why = "CoNLL-U has parts of speech in column 4 (UPOS) and 5 (XPOS) and relations in column 8 (DEPREL)";
        return Err(cannot(file, survey, "list of tags", why, "--label-column"));
    }
    let is_free = |name: &&str| *name != words;
    let names: Vec<&str> = match file.format {
        Format::Conll => survey.names().filter(is_free).last().into_iter().collect(),
        _ => {
            let usual: Vec<&str> = TAGS
                .iter()
                .copied()
                .filter(|name| is_free(name) && lists(survey).any(|found| found == *name))
                .collect();
            match usual.first() {
                None => lists(survey).filter(is_free).collect(),
                Some(first) if *first == TAGS[0] => vec![TAGS[0]],
                Some(_) => usual,
            }
        }
    };
    let why = match names.as_slice() {
        [name] => return Ok((*name).to_owned()),
        [] => "no column is left",
        _ => "several hold lists",
    };
    Err(cannot(file, survey, "list of tags", why, "--label-column"))
}

fn cannot(
    file: &DataFile,
    survey: &Survey,
    what: &'static str,
    why: &str,
    flag: &'static str,
) -> OwnDataError {
    OwnDataError::CannotGuess {
        path: file.path.clone(),
        what,
        why: why.to_owned(),
        advice: flag.to_owned(),
        found: survey.names().map(str::to_owned).collect(),
    }
}
