//! Decides whether the first row of a table has names, if the user chooses columns by number or not
//! at all. Called by `own::files` before columns are chosen.

use crate::error::{DataError, TableError};
use crate::format::{DataFile, Header};
use crate::own::choose_columns::is_table;
use crate::own::proposal;
use crate::own::survey::Survey;
use crate::readers::header::looks_like_data;
use crate::request::Reading;

/// The header of files of which this one is the first. If columns are chosen by number, and the
/// first row looks like data, there is none.
///
/// # Errors
/// No column is chosen, and the first row looks like data; or the file cannot be read.
pub(crate) fn settle(first: &DataFile, reading: &Reading) -> Result<Header, DataError> {
    let chosen = [
        &reading.text_column,
        &reading.pair_column,
        &reading.label_column,
    ];
    let mut chosen = chosen.into_iter().flatten().peekable();
    let is_unchosen = reading.text_column.is_none() && reading.label_column.is_none();
    let are_numbers = chosen.peek().is_some() && chosen.all(|name| is_number(name));
    let kept = Ok(first.header.clone());
    if !is_table(first) || first.header != Header::FirstRow || !(is_unchosen || are_numbers) {
        return kept;
    }
    let Some((found, why)) = looks_like_data(first)? else {
        return kept;
    };
    let without = DataFile {
        header: Header::Absent(Vec::new()),
        ..first.clone()
    };
    if are_numbers {
        return Ok(without.header);
    }
    Err(TableError::HeaderIsData {
        path: first.path.clone(),
        found,
        why,
        example: proposal::all_flags(&Survey::of(&without)?),
    }
    .into())
}

/// Whether a name is the position of a column, or several with separators between them.
fn is_number(name: &str) -> bool {
    let mut parts = name.split([',', '+']).map(str::trim);
    parts.all(|part| part.parse::<usize>().is_ok_and(|at| at > 0))
}
