//! Chosen columns of a file, row by row and uninterpreted: `predict` repeats them before its
//! predictions. Called by the host, beside the reader that makes the examples.

use serde_json::Value;

use crate::error::{DataError, OwnDataError, Place, Position};
use crate::format::{DataFile, Format};
use crate::own::choose_columns::named;
use crate::own::survey::Survey;
use crate::readers::columnar::{self, ValueRows};
use crate::readers::header::TableHead;
use crate::readers::jsonl::JsonlObjects;
use crate::readers::table::ragged;

/// The rows of a file, each with the values of the chosen columns in their order. Cells of text
/// files are texts; a key that an object lacks is null.
pub struct ColumnRows {
    source: Source,
    names: Vec<String>,
}

enum Source {
    Table {
        head: TableHead,
        /// The positions of the columns among the cells.
        at: Vec<usize>,
        file: DataFile,
    },
    Objects(JsonlObjects),
    Values(Box<dyn ValueRows>),
}

/// The names of all columns of a file; those of JSON objects are found in the first thousand rows.
///
/// # Errors
/// The file cannot be read, or has no rows.
pub fn column_names(file: &DataFile) -> Result<Vec<String>, DataError> {
    let survey = Survey::of(file)?;
    Ok(survey.names().map(str::to_owned).collect())
}

impl ColumnRows {
    /// Opens a file for its columns `names`. `flag` names them in messages.
    ///
    /// # Errors
    /// The file cannot be read, or lacks one of the columns.
    pub fn open(file: &DataFile, names: &[String], flag: &'static str) -> Result<Self, DataError> {
        let survey = Survey::of(file)?;
        for name in names {
            named(file, &survey, flag, name)?;
        }
        let source = match file.format {
            Format::Jsonl => Source::Objects(JsonlObjects::open(file)?),
            Format::Parquet | Format::Arrow => {
                Source::Values(columnar::chosen_rows(&file.path, file.format, names)?)
            }
            Format::Conll => {
                return Err(OwnDataError::OnlyTags {
                    path: file.path.clone(),
                }
                .into());
            }
            Format::Csv | Format::Tsv | Format::LabelText | Format::Lines | Format::TextFile => {
                let head = TableHead::open(file)?;
                let place = |name: &String| head.names.iter().position(|other| other == name);
                Source::Table {
                    at: names.iter().filter_map(place).collect(),
                    head,
                    file: file.clone(),
                }
            }
        };
        Ok(Self {
            source,
            names: names.to_vec(),
        })
    }

    /// The next row with its position; `None` at the end. After an error about a row the next call
    /// continues after it.
    ///
    /// # Errors
    /// The file cannot be read, or the row is invalid.
    pub fn next_row(&mut self) -> Result<Option<(Position, Vec<Value>)>, DataError> {
        match &mut self.source {
            Source::Objects(objects) => Ok(objects.next_object()?.map(|(place, object)| {
                let value = |name: &String| object.get(name).cloned().unwrap_or_default();
                (place.position, self.names.iter().map(value).collect())
            })),
            Source::Values(rows) => Ok(rows.next_values()?.map(|(place, values)| {
                let values = values.into_iter().map(|value| value.into_json());
                (place.position, values.collect())
            })),
            Source::Table { head, at, file } => {
                let n_columns = head.names.len();
                let separator = head.records.separator();
                let Some(record) = head.next_record()? else {
                    return Ok(None);
                };
                if record.n_cells() != n_columns {
                    let place = Place::line(&file.path, record.line);
                    return Err(ragged(place, n_columns, record, separator, "the header"));
                }
                let cell = |at: &usize| Value::from(record.cell(*at).unwrap_or_default());
                let values = at.iter().map(cell).collect();
                Ok(Some((Position::Line(record.line), values)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Header, TextEncoding};
    use serde_json::json;

    fn file(name: &str, text: &str) -> (tempfile::TempDir, DataFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let file = DataFile {
            format: Format::of_name(&path).unwrap(),
            path,
            encoding: TextEncoding::default(),
            header: Header::default(),
            part: None,
        };
        (folder, file)
    }

    fn rows(file: &DataFile, names: &[&str]) -> Vec<Vec<Value>> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut rows = ColumnRows::open(file, &names, "--keep-columns").unwrap();
        let mut all = Vec::new();
        while let Some((_, row)) = rows.next_row().unwrap() {
            all.push(row);
        }
        all
    }

    #[test]
    fn columns_are_in_the_order_in_which_they_are_named() {
        let (_folder, csv) = file("a.csv", "id,text,url\n1,\"a, b\",x\n2,c,\n");
        assert_eq!(column_names(&csv).unwrap(), ["id", "text", "url"]);
        assert_eq!(
            rows(&csv, &["url", "id"]),
            [vec![json!("x"), json!("1")], vec![json!(""), json!("2")]]
        );
        let (_folder, jsonl) = file(
            "a.jsonl",
            "{\"id\": 7, \"text\": \"a\"}\n\n{\"text\": \"b\", \"more\": [1]}\n",
        );
        assert_eq!(
            rows(&jsonl, &["id", "more"]),
            [vec![json!(7), Value::Null], vec![Value::Null, json!([1])]]
        );
    }

    #[test]
    fn a_column_that_is_not_there_is_named() {
        let (_folder, csv) = file("a.csv", "id,text\n1,a\n");
        let names = ["idd".to_owned()];
        let error = ColumnRows::open(&csv, &names, "--keep-columns")
            .err()
            .unwrap();
        let text = error.to_string();
        assert!(
            text.contains("--keep-columns") && text.contains("`id`"),
            "{text}"
        );
        let (_folder, csv) = file("a.csv", "id,text\n1,a,b\n");
        let names = ["id".to_owned()];
        let mut rows = ColumnRows::open(&csv, &names, "--keep-columns").unwrap();
        assert!(rows.next_row().is_err());
    }
}
