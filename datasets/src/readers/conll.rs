//! Column files for token classification, as in the CoNLL tasks: one word with its tags per line,
//! and an empty line after each sentence. `tags` reads from it, and `survey` inspects its columns.
//!
//! Columns are separated by a tab if the first word's line contains one (a word may then contain
//! spaces), otherwise by spaces. They are named `1`, `2`, … by position. A line that contains only
//! whitespace and U+FEFF counts as empty: WNUT17's train file has a tab on each such line, and its
//! dev file ends in U+FEFF. `-DOCSTART-` begins a document and is not a word; comments are left out
//! (`word_lines`). The characters of a word are kept, including U+FEFF.

use crate::columns::Column;
use crate::error::{DataError, Place, Position, WORDS};
use crate::format::DataFile;
use crate::readers::cell::Cell;
use crate::readers::lines::MAX_LINE_BYTES;
use crate::readers::word_lines::{WordLine, WordLines};

/// The memory that a word and its tag take in addition to their letters.
const WORD_BYTES: usize = 64;

/// A sentence of a file, with its tags not yet interpreted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RawSentence {
    /// Its first line, or its row.
    pub(crate) position: Position,
    /// Whether each word has its own line.
    pub(crate) has_lines: bool,
    pub(crate) words: Vec<String>,
    /// One tag per word; `None` if the file has none.
    pub(crate) tags: Option<Vec<Cell>>,
}

impl RawSentence {
    /// The place of one of its words.
    pub(crate) fn place(&self, file: &DataFile, word: usize) -> Place {
        let position = match self.position {
            Position::Line(line) if self.has_lines => Position::Line(line + word),
            other => other,
        };
        Place {
            path: file.path.clone(),
            position,
        }
    }
}

/// An open file of sentences.
pub(crate) trait Sentences {
    /// The next sentence; `None` at the end of the file. After an error about a row
    /// ([`DataError::is_about_a_row`]) the next call continues after its sentence.
    fn next_sentence(&mut self) -> Result<Option<RawSentence>, DataError>;

    /// The names that the file gives to the ids of its tags.
    fn tag_names(&self) -> Option<&[String]> {
        None
    }

    /// The number of lines so far that were comments or not words of their own.
    fn n_left_out(&self) -> usize {
        0
    }
}

/// The positions of words and tags, counted from 0. `tags` is `None` if they are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    words: usize,
    tags: Option<usize>,
}

/// An open column file.
pub(crate) struct ColumnFile {
    lines: WordLines,
    layout: Layout,
    /// The memory taken by the words of the sentence being read.
    bytes: usize,
}

impl ColumnFile {
    /// Opens a file to read two of its columns, by number from 1. Without `needs_tags`, a file with
    /// only words gives sentences without tags.
    ///
    /// # Errors
    /// The file cannot be read, or its first word lacks a column.
    pub(crate) fn open(
        file: &DataFile,
        words: &Column,
        tags: &Column,
        needs_tags: bool,
    ) -> Result<Self, DataError> {
        let columns = column_names(file)?;
        let find = |column: &Column| {
            let found = columns.iter().position(|name| *name == column.name);
            found.ok_or_else(|| {
                crate::error::missing_column(
                    Place::file(&file.path),
                    column,
                    columns.iter().map(String::as_str),
                )
            })
        };
        // A file without a word has no columns and gives no sentence.
        let layout = match (columns.is_empty(), needs_tags) {
            (true, _) => Layout {
                words: 0,
                tags: None,
            },
            (false, true) => Layout {
                words: find(words)?,
                tags: Some(find(tags)?),
            },
            (false, false) => Layout {
                words: find(words)?,
                tags: find(tags).ok(),
            },
        };
        Ok(Self {
            lines: WordLines::open(file)?,
            layout,
            bytes: 0,
        })
    }

    /// Takes in a word's line.
    fn take(
        &mut self,
        number: usize,
        line: &str,
        sentence: &mut RawSentence,
    ) -> Result<(), DataError> {
        let place = || Place::line(self.lines.path(), number);
        let cells = self.lines.split(line);
        if cells.len() != self.lines.n_columns() {
            return Err(DataError::RaggedRow {
                place: place(),
                expected: self.lines.n_columns(),
                found: cells.len(),
                separator: self.lines.separator(),
                layout: WORDS,
            });
        }
        // A word takes more memory than its letters.
        self.bytes += line.len() + WORD_BYTES;
        if self.bytes > MAX_LINE_BYTES {
            return Err(DataError::TooLong {
                place: place(),
                what: "sentence",
                found: "more (counting 64 extra bytes per word)".to_owned(),
                limit: MAX_LINE_BYTES,
            });
        }
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        sentence.words.push(cell(self.layout.words).to_owned());
        if let (Some(at), Some(tags)) = (self.layout.tags, &mut sentence.tags) {
            tags.push(Cell::Text(cell(at).trim().to_owned()));
        }
        Ok(())
    }
}

impl Sentences for ColumnFile {
    fn next_sentence(&mut self) -> Result<Option<RawSentence>, DataError> {
        self.bytes = 0;
        let mut sentence: Option<RawSentence> = None;
        let mut fault: Option<DataError> = None;
        loop {
            let path = self.lines.path().to_path_buf();
            let (number, line) = match self.lines.next_line() {
                Ok(Some(WordLine::Word(number, line))) => (number, line),
                Ok(Some(WordLine::End)) => match (sentence.is_some(), fault.is_some()) {
                    (false, false) => continue,
                    _ => break,
                },
                Ok(None) => break,
                // The sentence ends where it would have ended without the fault.
                Err(error) if error.is_about_a_row() => {
                    fault = fault.or(Some(error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut current = sentence.take().unwrap_or_else(|| RawSentence {
                position: Place::line(&path, number).position,
                has_lines: true,
                words: Vec::new(),
                tags: self.layout.tags.map(|_| Vec::new()),
            });
            if fault.is_none() {
                fault = self.take(number, &line, &mut current).err();
            }
            sentence = Some(current);
        }
        match fault {
            Some(fault) => Err(fault),
            None => Ok(sentence),
        }
    }

    fn n_left_out(&self) -> usize {
        self.lines.n_left_out()
    }
}

/// The names of the columns: `1`, `2`, … for each cell on the first word's line; none for a file
/// without a word.
pub(crate) fn column_names(file: &DataFile) -> Result<Vec<String>, DataError> {
    let cells = first_words(file, 1)?.into_iter().next();
    let n = cells.map_or(0, |cells| cells.len());
    Ok((1..=n).map(|number| number.to_string()).collect())
}

/// The cells of the first `limit` words that have as many as the first one.
pub(crate) fn first_words(file: &DataFile, limit: usize) -> Result<Vec<Vec<Cell>>, DataError> {
    let mut lines = WordLines::open(file)?;
    let mut words: Vec<Vec<Cell>> = Vec::new();
    while words.len() < limit {
        let line = match lines.next_line() {
            Ok(Some(WordLine::Word(_, line))) => line,
            Ok(Some(WordLine::End)) => continue,
            Ok(None) => break,
            Err(error) if error.is_about_a_row() => continue,
            Err(error) => return Err(error),
        };
        let cells = lines.split(&line);
        if cells.len() == lines.n_columns() {
            let text = |cell: &&str| Cell::Text((*cell).to_owned());
            words.push(cells.iter().map(text).collect());
        }
    }
    Ok(words)
}
