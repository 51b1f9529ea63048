//! The columns of the input that `predict` repeats before its predictions, such as an id. Called by
//! `predict`.

use super::{input_file::InputFile, load::Loaded};
use crate::config::KeepColumns;
use progtune_datasets::{ColumnRows, DataFile, Format, OnBadRow, Position, column_names};
use progtune_engine::{Error, Result};
use serde_json::Value;

/// The flag, for messages.
const FLAG: &str = "--keep-columns";

/// The column that is kept without being asked for.
const ID: &str = "id";

/// Columns with one value for each example.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The names.
    pub names: Vec<String>,
    /// The values of each example, in the order of the names.
    pub rows: Vec<Vec<Value>>,
}

/// The files behind the examples.
pub(super) struct Files {
    files: Vec<DataFile>,
    /// The position of each example; `None` if every row is one.
    places: Option<Vec<(usize, Position)>>,
}

impl Files {
    /// The files behind these examples; `None` if they come from no file with columns.
    ///
    /// # Errors
    /// Fails if the rows that are left out cannot be found.
    pub(super) fn of(loaded: &Loaded, input: Option<&InputFile>) -> Result<Option<Self>> {
        if let Some(own) = &loaded.files {
            let skips = own.files.facts.skipped.n_rows > 0;
            let files = own.files.test_files().to_vec();
            let places = skips.then(|| own.files.test_places()).transpose()?;
            // Evaluated splits are not predicted.
            return Ok((!files.is_empty()).then_some(Self { files, places }));
        }
        let Some(input) = input else {
            return Ok(None);
        };
        let format = match input.format {
            Some(Format::Conll) => return Ok(None),
            Some(format) => format,
            None if loaded.sentences.is_empty() => Format::Jsonl,
            None => Format::Lines,
        };
        if input.reading.on_bad_row == OnBadRow::Skip {
            return Ok(None);
        }
        Ok(Some(Self {
            files: vec![input.in_format(format)],
            places: None,
        }))
    }

    /// The values of these columns for the first `count` examples.
    fn read(&self, names: &[String], count: usize) -> Result<Vec<Vec<Value>>> {
        let mut kept = Vec::with_capacity(count);
        let mut places = self.places.as_ref().map(|places| places.iter().peekable());
        for (number, file) in self.files.iter().enumerate() {
            let mut rows = ColumnRows::open(file, names, FLAG)?;
            while kept.len() < count {
                let row = match rows.next_row() {
                    // Without a place, this row was left out before.
                    Err(error) if places.is_some() && error.is_about_a_row() => continue,
                    row => row?,
                };
                let Some((position, values)) = row else {
                    break;
                };
                let is_wanted = match &mut places {
                    None => true,
                    Some(places) => places.next_if_eq(&&(number, position)).is_some(),
                };
                if is_wanted {
                    kept.push(values);
                }
            }
        }
        Ok(kept)
    }
}

impl Kept {
    /// Reads the chosen columns for `count` examples. A column `id` is kept without being asked
    /// for, unless it is the text or the label, or the predictions have ids.
    ///
    /// # Errors
    /// Fails if a named column does not exist, or rows cannot be assigned to the examples.
    pub(super) fn read(
        choice: &KeepColumns,
        files: Option<&Files>,
        loaded: &Loaded,
        has_ids: bool,
    ) -> Result<Self> {
        let Some(files) = files else {
            return match choice {
                KeepColumns::Id => Ok(Self::default()),
                KeepColumns::All | KeepColumns::Named(_) => Err(Error::Usage(format!(
                    "{FLAG}: the input has no columns whose rows belong to the predictions; give JSONL, CSV, TSV, parquet or \
                     Arrow with --input, without --on-bad-row skip for tags and questions, or remove the flag"
                ))),
            };
        };
        let first = files.files.first();
        let all = || first.map_or(Ok(Vec::new()), column_names);
        let columns = &loaded.task.columns;
        let names = match choice {
            KeepColumns::Named(names) => names.clone(),
            KeepColumns::All => all()?,
            KeepColumns::Id => {
                let second = columns.second.as_ref();
                let read = [Some(&columns.first), second, Some(&columns.label)];
                let is_read = read.into_iter().flatten().any(|it| it.name == ID);
                // The reader of the examples has reported what is wrong with the file.
                let all = || all().unwrap_or_default();
                let has_id = !has_ids && !is_read && all().iter().any(|name| name == ID);
                if has_id {
                    vec![ID.to_owned()]
                } else {
                    Vec::new()
                }
            }
        };
        if names.is_empty() {
            return Ok(Self::default());
        }
        let count = loaded.rows();
        let rows = files.read(&names, count)?;
        if rows.len() != count {
            return Err(Error::Usage(format!(
                "{FLAG}: the input has {} rows with columns, but {count} examples were predicted; remove the flag",
                rows.len()
            )));
        }
        Ok(Self { names, rows })
    }

    /// The texts of the examples, for people; `None` if they are not in a column.
    pub(super) fn texts(files: Option<&Files>, loaded: &Loaded) -> Option<Vec<String>> {
        let files = files?;
        let columns = &loaded.task.columns;
        let all = column_names(files.files.first()?).ok()?;
        let chosen = std::iter::once(&columns.first).chain(columns.second.as_ref());
        let mut names: Vec<String> = chosen
            .filter_map(|column| {
                column
                    .names()
                    .find(|name| all.iter().any(|other| other == name))
            })
            .map(str::to_owned)
            .collect();
        if names.is_empty() {
            let usual = ["text", "question", "sentence"];
            let found = all.iter().find(|name| usual.contains(&name.as_str()));
            names.extend(found.cloned());
        }
        let rows = files.read(&names, loaded.rows()).ok()?;
        if names.is_empty() || rows.len() != loaded.rows() {
            return None;
        }
        let text = |row: Vec<Value>| {
            let texts = row.iter().map(|value| match value.as_str() {
                Some(text) => text.to_owned(),
                None => value.to_string(),
            });
            texts.collect::<Vec<_>>().join(" | ")
        };
        Some(rows.into_iter().map(text).collect())
    }
}
