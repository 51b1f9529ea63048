//! Questions in parquet and Arrow, as the hub serves `squad` and `squad_v2`: `id`, `question`,
//! `context`, and `answers` with lists of `text` and `answer_start`. Each row becomes an object and
//! is read like a line of JSON.

use std::sync::Arc;

use super::check::Taker;
use super::fields;
use crate::error::{DataError, QuestionPlace};
use crate::format::DataFile;
use crate::readers::columnar::{ColumnarObjects, column_names};
use crate::tasks::squad::COLUMNS;

/// Reads the questions of a file.
pub(super) fn read(file: &DataFile, taker: &mut Taker) -> Result<(), DataError> {
    let [question, context, answers] = COLUMNS;
    let wanted = ["id", question, context, answers, "is_impossible"];
    let mut objects = ColumnarObjects::open(&file.path, file.format, &wanted)?;
    let mut context = Arc::from("");
    while !taker.is_full() {
        let Some((place, object)) = objects.next_object()? else {
            break;
        };
        let place = QuestionPlace::new(place);
        taker.take(&place, fields::flat_question(&object, &place, &mut context))?;
    }
    Ok(())
}

/// Whether the file has the columns of questions.
pub(super) fn has_questions(file: &DataFile) -> Result<bool, DataError> {
    let names = column_names(&file.path, file.format)?;
    Ok(COLUMNS
        .iter()
        .all(|column| names.iter().any(|name| name == column)))
}
