//! The choice of the text and label columns: those that the user names, otherwise those whose names
//! leave no doubt. Called by `own`.

use crate::columns::{Column, Columns};
use crate::error::OwnDataError;
use crate::format::{DataFile, Format, Header};
use crate::nearest::near;
use crate::own::survey::{ColumnKind, Survey};
use crate::readers::usual_columns::LABELS;
use crate::readers::usual_columns::PAIRS;
use crate::readers::usual_columns::TEXTS;
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
        Some(name) => named(file, survey, flag, name).map(Some),
        None => Ok(None),
    };
    let mut first = find("--text-column", &reading.text_column)?;
    let mut second = find("--pair-column", &reading.pair_column)?;
    let mut label = if wants_label {
        find("--label-column", &reading.label_column)?
    } else {
        reading.label_column.clone()
    };
    let mut guessed = Vec::new();
    if first.is_none() {
        let taken = [second.as_deref(), label.as_deref()];
        let (text, pair) = guess_texts(file, survey, &taken, second.is_none())?;
        guessed.push("text");
        first = Some(text);
        if let Some(pair) = pair {
            guessed.push("pair");
            second = Some(pair);
        }
    }
    let first = first.unwrap_or_default();
    if label.is_none() {
        let taken = [Some(first.as_str()), second.as_deref()];
        match guess_label(file, survey, &taken) {
            Ok(name) => {
                label = Some(name);
                guessed.push("label");
            }
            Err(error) if wants_label => return Err(error),
            Err(_) => {}
        }
    }
    let label = label.unwrap_or_else(|| LABELS[0].to_owned());
    for (a, name_a, b, name_b) in [
        ("text", Some(&first), "pair", second.as_ref()),
        ("text", Some(&first), "label", Some(&label)),
        ("pair", second.as_ref(), "label", Some(&label)),
    ] {
        if let (Some(name_a), Some(name_b)) = (name_a, name_b) {
            check_different(a, name_a, b, name_b)?;
        }
    }
    Ok(Chosen {
        columns: Columns {
            first: Column::named(first),
            second: second.map(Column::named),
            label: Column::named(label),
        },
        guessed,
    })
}

/// Checks that no column serves two purposes.
pub(crate) fn check_different(
    first: &'static str,
    first_name: &str,
    second: &'static str,
    second_name: &str,
) -> Result<(), OwnDataError> {
    if first_name == second_name {
        Err(OwnDataError::SameColumn {
            first,
            second,
            name: first_name.to_owned(),
        })
    } else {
        Ok(())
    }
}

pub(crate) fn named(
    file: &DataFile,
    survey: &Survey,
    flag: &'static str,
    name: &str,
) -> Result<String, OwnDataError> {
    if survey.names().any(|found| found == name) {
        return Ok(name.to_owned());
    }
    Err(OwnDataError::NoColumn {
        path: file.path.clone(),
        flag,
        name: name.to_owned(),
        found: survey.names().map(str::to_owned).collect(),
        nearest: near(name, survey.names()).map(str::to_owned),
        has_header: matches!(file.format, Format::Csv | Format::Tsv)
            && file.header == Header::FirstRow,
    })
}

fn guess_texts(
    file: &DataFile,
    survey: &Survey,
    taken: &[Option<&str>],
    may_be_pair: bool,
) -> Result<(String, Option<String>), OwnDataError> {
    let is_free =
        |name: &str| survey.names().any(|found| found == name) && !taken.contains(&Some(name));
    let pairs: Vec<&(&str, &str)> = PAIRS
        .iter()
        .filter(|(a, b)| may_be_pair && is_free(a) && is_free(b))
        .collect();
    let in_a_pair = |name: &str| pairs.iter().any(|(a, b)| *a == name || *b == name);
    let texts: Vec<&str> = TEXTS
        .iter()
        .copied()
        .filter(|name| is_free(name) && !in_a_pair(name))
        .collect();
    match (pairs.as_slice(), texts.as_slice()) {
        ([(a, b)], []) => return Ok(((*a).to_owned(), Some((*b).to_owned()))),
        ([], [text]) => return Ok(((*text).to_owned(), None)),
        _ => {}
    }
    let cannot = |why: String| OwnDataError::CannotGuess {
        path: file.path.clone(),
        what: "text",
        why,
        flag: "--text-column (and --pair-column for a second text)",
        found: survey.names().map(str::to_owned).collect(),
    };
    if !pairs.is_empty() || !texts.is_empty() {
        return Err(cannot("several have a usual name for texts".to_owned()));
    }
    let mut columns = survey.columns.iter().filter(|(name, kind)| {
        *kind == ColumnKind::Text && is_free(name) && !LABELS.contains(&name.as_str())
    });
    match (columns.next(), columns.next()) {
        (Some((only, _)), None) => Ok((only.clone(), None)),
        (None, _) => Err(cannot("none holds texts".to_owned())),
        _ => Err(cannot(
            "several hold texts, and none has a usual name".to_owned(),
        )),
    }
}

fn guess_label(
    file: &DataFile,
    survey: &Survey,
    taken: &[Option<&str>],
) -> Result<String, OwnDataError> {
    let is_free = |name: &str| !taken.contains(&Some(name));
    let usual: Vec<&str> = LABELS
        .iter()
        .copied()
        .filter(|name| is_free(name) && survey.names().any(|found| found == *name))
        .collect();
    let others: Vec<&str> = survey.names().filter(|name| is_free(name)).collect();
    let why = match (usual.as_slice(), others.as_slice()) {
        ([name, ..], _) if *name == LABELS[0] => return Ok((*name).to_owned()),
        ([name], _) | ([], [name]) => return Ok((*name).to_owned()),
        ([], []) => "no column is left",
        ([], _) => "none has a usual name for labels",
        _ => "several have a usual name for labels",
    };
    Err(OwnDataError::CannotGuess {
        path: file.path.clone(),
        what: "label",
        why: why.to_owned(),
        flag: "--label-column",
        found: survey.names().map(str::to_owned).collect(),
    })
}
