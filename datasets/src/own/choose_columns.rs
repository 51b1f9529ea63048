//! The choice of the text and label columns: those that the user names, otherwise those whose names
//! leave no doubt. Called by `own`.

use crate::columns::{Column, Columns};
use crate::error::{OwnDataError, for_example, suggestion};
use crate::format::{DataFile, Format, Header};
use crate::own::proposal;
use crate::own::survey::{ColumnKind, Survey};
use crate::readers::plain_text::FOLDER;
use crate::readers::usual_columns::{LABELS, OTHER_LABELS, PAIRS, PARTS, TEXTS};
use crate::request::Reading;

/// The columns of a file, and those of them (`text`, `pair`, `label`) that were guessed.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) columns: Columns,
    pub(crate) guessed: Vec<&'static str>,
}

/// Chooses the columns. Without `wants_label`, the file may lack the label column.
///
/// # Errors
/// A named column does not exist; for one that was not named there is no single candidate.
pub(crate) fn choose(
    file: &DataFile,
    survey: &Survey,
    reading: &Reading,
    wants_label: bool,
) -> Result<Chosen, OwnDataError> {
    let find = |flag, name: &Option<String>| match name {
        Some(name) => texts_named(file, survey, flag, name).map(Some),
        None => Ok(None),
    };
    let mut first = find("--text-column", &reading.text_column)?;
    let mut second = find("--pair-column", &reading.pair_column)?;
    let mut label = match &reading.label_column {
        Some(name) if wants_label => Some(named(file, survey, "--label-column", name)?),
        Some(name) => Some(by_position(file, survey, name).unwrap_or(name).to_owned()),
        None => None,
    };
    let mut guessed = Vec::new();
    if first.is_none() {
        let is_taken = |name: &str| {
            second.as_ref().is_some_and(|pair| pair.includes(name))
                || label.as_deref() == Some(name)
        };
        let (text, pair) = guess_texts(file, survey, &is_taken, second.is_none())?;
        guessed.push("text");
        first = Some(Column::named(text));
        if let Some(pair) = pair {
            guessed.push("pair");
            second = Some(Column::named(pair));
        }
    }
    let first = first.unwrap_or_default();
    if label.is_none() {
        let is_taken = |name: &str| {
            first.includes(name) || second.as_ref().is_some_and(|pair| pair.includes(name))
        };
        match guess_label(file, survey, &is_taken) {
            Ok(name) => {
                label = Some(name);
                guessed.push("label");
            }
            Err(error) if wants_label => return Err(error),
            Err(_) => {}
        }
    }
    let label = label.unwrap_or_else(|| LABELS[0].to_owned());
    if let Some(second) = &second {
        for part in second.single_columns() {
            check_different("text", &first, "pair", &part.name)?;
        }
        check_different("pair", second, "label", &label)?;
    }
    check_different("text", &first, "label", &label)?;
    Ok(Chosen {
        columns: Columns {
            first,
            second,
            label: Column::named(label),
        },
        guessed,
    })
}

/// Checks that no column serves two purposes.
pub(crate) fn check_different(
    first: &'static str,
    first_column: &Column,
    second: &'static str,
    second_name: &str,
) -> Result<(), OwnDataError> {
    if first_column.includes(second_name) {
        Err(OwnDataError::SameColumn {
            first,
            second,
            name: second_name.to_owned(),
        })
    } else {
        Ok(())
    }
}

/// The separators of the names of columns whose texts are joined.
const JOINS: [char; 2] = [',', '+'];

/// The column that is named, or those whose names stand in `name` with commas between them. A
/// column whose name contains a comma comes first.
fn texts_named(
    file: &DataFile,
    survey: &Survey,
    flag: &'static str,
    name: &str,
) -> Result<Column, OwnDataError> {
    let is_there = survey.names().any(|found| found == name);
    if is_there || !name.contains(JOINS) {
        return named(file, survey, flag, name).map(Column::named);
    }
    let parts = name.split(JOINS).map(str::trim);
    let parts = parts.map(|part| named(file, survey, flag, part));
    Ok(Column::joined(parts.collect::<Result<_, _>>()?))
}

/// The column with a name, or at a position counted from 1 in a table.
pub(crate) fn named(
    file: &DataFile,
    survey: &Survey,
    flag: &'static str,
    name: &str,
) -> Result<String, OwnDataError> {
    if survey.names().any(|found| found == name) {
        return Ok(name.to_owned());
    }
    if let Some(found) = by_position(file, survey, name) {
        return Ok(found.to_owned());
    }
    Err(OwnDataError::NoColumn {
        path: file.path.clone(),
        flag,
        name: name.to_owned(),
        found: survey.names().map(str::to_owned).collect(),
        suggestion: suggestion(name, survey.names()),
        has_header: is_table(file) && file.header == Header::FirstRow,
    })
}

/// Whether the columns of a file have positions.
pub(crate) fn is_table(file: &DataFile) -> bool {
    matches!(file.format, Format::Csv | Format::Tsv)
}

/// The column of a table at this position, if no column has the number as its name.
fn by_position<'a>(file: &DataFile, survey: &'a Survey, name: &str) -> Option<&'a str> {
    let at = name.parse::<usize>().ok()?.checked_sub(1)?;
    let has_name = survey.names().any(|found| found == name);
    survey
        .names()
        .nth(at)
        .filter(|_| is_table(file) && !has_name)
}

/// The column with a usual name, in any case; an exact match comes first.
fn usual<'a>(survey: &'a Survey, wanted: &str) -> Option<&'a str> {
    let exact = survey.names().find(|name| *name == wanted);
    exact.or_else(|| survey.names().find(|name| name.to_lowercase() == wanted))
}

fn guess_texts(
    file: &DataFile,
    survey: &Survey,
    is_taken: &dyn Fn(&str) -> bool,
    may_be_pair: bool,
) -> Result<(String, Option<String>), OwnDataError> {
    let find = |wanted: &str| usual(survey, wanted).filter(|name| !is_taken(name));
    let pairs: Vec<(&str, &str)> = PAIRS
        .iter()
        .filter(|_| may_be_pair)
        .filter_map(|(a, b)| Some((find(a)?, find(b)?)))
        .collect();
    let in_a_pair = |name: &str| pairs.iter().any(|(a, b)| *a == name || *b == name);
    let texts: Vec<&str> = TEXTS
        .iter()
        .filter_map(|wanted| find(wanted))
        .filter(|name| !in_a_pair(name))
        .collect();
    match (pairs.as_slice(), texts.as_slice()) {
        ([(a, b)], []) => return Ok(((*a).to_owned(), Some((*b).to_owned()))),
        ([], [text]) => return Ok(((*text).to_owned(), None)),
        _ => {}
    }
    let cannot = |why: &str| OwnDataError::CannotGuess {
        path: file.path.clone(),
        what: "text",
        why: why.to_owned(),
        advice: format!(
            "--text-column (and --pair-column for a second text){}",
            for_example(&proposal::text_flags(survey))
        ),
        found: survey.names().map(str::to_owned).collect(),
    };
    if !pairs.is_empty() || !texts.is_empty() {
        return Err(cannot("several have a usual name for texts"));
    }
    let is_free = |name: &str| !is_taken(name) && !LABELS.contains(&name.to_lowercase().as_str());
    let columns = survey.columns.iter();
    let mut columns = columns.filter(|(name, kind)| *kind == ColumnKind::Text && is_free(name));
    match (columns.next(), columns.next()) {
        (Some((only, _)), None) => Ok((only.clone(), None)),
        (None, _) => Err(cannot("none holds texts")),
        _ => match proposal::only_sentences(survey, is_free) {
            Some(name) => Ok((name.to_owned(), None)),
            None => Err(cannot("several hold texts, and none has a usual name")),
        },
    }
}

fn guess_label(
    file: &DataFile,
    survey: &Survey,
    is_taken: &dyn Fn(&str) -> bool,
) -> Result<String, OwnDataError> {
    // Each class has a folder of its own.
    if file.format == Format::TextFile {
        return Ok(FOLDER.to_owned());
    }
    let find = |wanted: &&str| usual(survey, wanted).filter(|name| !is_taken(name));
    let mut usual: Vec<&str> = LABELS.iter().filter_map(find).collect();
    if usual.is_empty() {
        usual = OTHER_LABELS.iter().filter_map(find).collect();
    }
    let others: Vec<&str> = survey.names().filter(|name| !is_taken(name)).collect();
    let why = match (usual.as_slice(), others.as_slice()) {
        ([name, ..], _) if name.to_lowercase() == LABELS[0] => return Ok((*name).to_owned()),
        ([name], _) | ([], [name]) => return Ok((*name).to_owned()),
        ([], []) => "no column is left",
        ([], _) => "none has a usual name for labels",
        _ => "several have a usual name for labels",
    };
    let taken: Vec<&str> = survey.names().filter(|name| is_taken(name)).collect();
    Err(OwnDataError::CannotGuess {
        path: file.path.clone(),
        what: "label",
        why: why.to_owned(),
        advice: format!(
            "--label-column{}",
            for_example(&proposal::label_flags(survey, &usual, &taken))
        ),
        found: survey.names().map(str::to_owned).collect(),
    })
}

/// The columns of texts that the chosen columns leave out although they usually are a part of the
/// text: `title` beside `content`.
pub(crate) fn left_out(survey: &Survey, chosen: &Chosen) -> Vec<String> {
    let columns = &chosen.columns;
    if columns.second.is_some() || !chosen.guessed.contains(&"text") {
        return Vec::new();
    }
    let find = |wanted: &&str| usual(survey, wanted);
    let is_left = |name: &&str| !columns.first.includes(name) && columns.label.name != *name;
    let parts = PARTS.iter().chain(TEXTS).filter_map(find).filter(is_left);
    parts.map(str::to_owned).collect()
}
