//! Sentences stored as rows with a list of words and a list of tags, as on the Hugging Face hub:
//! JSONL, parquet and Arrow. `tags` reads from it.
//!
//! A tag is a name or a number. Columnar files from the hub give the meaning of the numbers in the
//! metadata written by Hugging Face's `datasets` (`ClassLabel`).

use serde_json::{Map, Value};

use crate::columns::Column;
use crate::error::{DataError, Place, TagError, missing_column};
use crate::format::{DataFile, Format};
use crate::readers::cell::Cell;
use crate::readers::columnar::ListColumns;
use crate::readers::conll::{RawSentence, Sentences};
use crate::readers::json_value;
use crate::readers::jsonl::JsonlObjects;

/// An open file of such rows.
pub(crate) struct WordLists {
    rows: Source,
    words: Column,
    tags: Column,
    needs_tags: bool,
    tag_names: Option<Vec<String>>,
}

enum Source {
    Jsonl(JsonlObjects),
    Columnar { cells: ListColumns, has_tags: bool },
}

impl WordLists {
    /// Opens a file to read two of its columns. Without `needs_tags`, a row that has only words is
    /// a sentence without tags.
    ///
    /// # Errors
    /// The file cannot be read, or its schema lacks a column.
    pub(crate) fn open(
        file: &DataFile,
        words: &Column,
        tags: &Column,
        needs_tags: bool,
    ) -> Result<Self, DataError> {
        let mut tag_names = None;
        let rows = match file.format {
            Format::Parquet | Format::Arrow => {
                let mut names = vec![words.name.as_str()];
                let known = ListColumns::names(&file.path, file.format)?;
                let has_tags = needs_tags || known.contains(&tags.name);
                if has_tags {
                    names.push(&tags.name);
                }
                let cells = ListColumns::open(&file.path, file.format, &names)?;
                tag_names = cells.class_names(&tags.name);
                Source::Columnar { cells, has_tags }
            }
            _ => Source::Jsonl(JsonlObjects::open(file)?),
        };
        Ok(Self {
            rows,
            words: words.clone(),
            tags: tags.clone(),
            needs_tags,
            tag_names,
        })
    }

    /// The next row's place, words and tags.
    fn next_cells(&mut self) -> Result<Option<(Place, Cell, Cell)>, DataError> {
        match &mut self.rows {
            Source::Columnar { cells, has_tags } => {
                let Some((place, cells)) = cells.next_cells()? else {
                    return Ok(None);
                };
                let mut cells = cells.into_iter();
                let words = cells.next().unwrap_or(Cell::Absent);
                let tags = cells.next().filter(|_| *has_tags);
                Ok(Some((place, words, tags.unwrap_or(Cell::Absent))))
            }
            Source::Jsonl(objects) => {
                let Some((place, object)) = objects.next_object()? else {
                    return Ok(None);
                };
                let words = cell_of(&object, &self.words, &place)?;
                let tags = match object.get(&self.tags.name) {
                    None if !self.needs_tags => Cell::Absent,
                    _ => cell_of(&object, &self.tags, &place)?,
                };
                Ok(Some((place, words, tags)))
            }
        }
    }
}

impl Sentences for WordLists {
    fn next_sentence(&mut self) -> Result<Option<RawSentence>, DataError> {
        let Some((place, words, tags)) = self.next_cells()? else {
            return Ok(None);
        };
        let words = texts(words, &self.words.name, &place)?;
        let tags = match tags {
            Cell::List(tags) => Some(tags),
            Cell::Absent if !self.needs_tags => None,
            other => {
                return Err(DataError::WrongType {
                    place,
                    column: self.tags.name.clone(),
                    expected: "a list of tags",
                    found: other.show(),
                });
            }
        };
        if let Some(tags) = tags.as_ref().filter(|tags| tags.len() != words.len()) {
            return Err(TagError::Counts {
                place,
                words: words.len(),
                words_column: self.words.name.clone(),
                tags: tags.len(),
                tags_column: self.tags.name.clone(),
            }
            .into());
        }
        Ok(Some(RawSentence {
            position: place.position,
            has_lines: false,
            words,
            tags,
        }))
    }

    fn tag_names(&self) -> Option<&[String]> {
        self.tag_names.as_deref()
    }
}

fn cell_of(object: &Map<String, Value>, column: &Column, place: &Place) -> Result<Cell, DataError> {
    match object.get(&column.name) {
        Some(value) => Ok(json_value::cell(value)),
        None => Err(missing_column(
            place.clone(),
            column,
            object.keys().map(String::as_str),
        )),
    }
}

/// A list of at least one word.
fn texts(cell: Cell, column: &str, place: &Place) -> Result<Vec<String>, DataError> {
    let wrong = |found: String| DataError::WrongType {
        place: place.clone(),
        column: column.to_owned(),
        expected: "a list of words, at least one",
        found,
    };
    match cell {
        Cell::List(items) if !items.is_empty() => items
            .into_iter()
            .map(|item| match item {
                Cell::Text(text) => Ok(text),
                other => Err(wrong(format!("a list with {}", other.show()))),
            })
            .collect(),
        other => Err(wrong(other.show())),
    }
}
