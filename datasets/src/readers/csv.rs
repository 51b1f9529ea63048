//! Comma-separated files according to RFC 4180, and files with another separator, which `separator`
//! recognises. `table` reads from it.
//!
//! A cell that begins with a double quote ends at the next quote that is not doubled. In between,
//! commas, line breaks and doubled quotes (one quote each) are text. Elsewhere a quote is an
//! ordinary character. Blank lines between rows are ignored. The tests compare against the `csv`
//! crate, but it is not used here. If a quote is not closed, that crate reads on silently to the
//! end, whereas a message must say where the quote was opened.

use crate::error::{DataError, Place};
use crate::format::DataFile;
use crate::readers::lines::{Lines, MAX_LINE_BYTES};
use crate::readers::record::{Record, Records};
use crate::readers::separator::{SAMPLE_ROWS, Separator, excel_line};

/// The rows of a CSV file.
pub(crate) struct CsvRecords {
    lines: Lines,
    separator: Separator,
    /// Whether the next line may be Excel's `sep=;`.
    is_first: bool,
}

/// The parser's state within a cell.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Start,
    Plain,
    /// Inside quotes that were opened on this line.
    Quoted(usize),
    /// After a quote inside quotes: the closing one, or half of a doubled one.
    MaybeClosed(usize),
}

impl CsvRecords {
    pub(crate) fn open(file: &DataFile) -> Result<Self, DataError> {
        let mut opened = Self::with_separator(file, Separator::COMMA)?;
        opened.separator = match excel_line(&mut Lines::open(file)?) {
            Some(separator) => separator,
            None => Separator::recognise(|separator| sample(file, separator))?,
        };
        Ok(opened)
    }

    fn with_separator(file: &DataFile, separator: Separator) -> Result<Self, DataError> {
        Ok(Self {
            lines: Lines::open(file)?,
            separator,
            is_first: true,
        })
    }
}

/// The number of cells in each of the first rows with this separator, as far as they can be read.
fn sample(file: &DataFile, separator: Separator) -> Result<Vec<usize>, DataError> {
    let mut records = CsvRecords::with_separator(file, separator)?;
    let mut record = Record::default();
    let mut counts = Vec::new();
    while counts.len() < SAMPLE_ROWS {
        match records.next_record(&mut record) {
            Ok(true) => counts.push(record.n_cells()),
            // The reader of the rows reports what is wrong.
            Ok(false) | Err(_) => break,
        }
    }
    Ok(counts)
}

/// Whether the first rows have equally many cells, at least two, with one of the separators.
pub(crate) fn is_even(file: &DataFile) -> bool {
    let of = |separator| sample(file, separator).unwrap_or_default();
    Separator::divides_evenly(of)
}

/// Takes in a line. Returns the parser's state at its end, or the line of a closing quote that is
/// followed by text.
fn take_line(
    record: &mut Record,
    mut state: State,
    separator: char,
    number: usize,
    line: &str,
) -> Result<State, usize> {
    for character in line.chars() {
        state = match (state, character) {
            (State::Start | State::Plain | State::MaybeClosed(_), it) if it == separator => {
                record.end_cell();
                State::Start
            }
            (State::Start, '"') => State::Quoted(number),
            (State::Start | State::Plain, _) => {
                record.push(character);
                State::Plain
            }
            (State::Quoted(opened), '"') => State::MaybeClosed(opened),
            (State::MaybeClosed(opened), '"') => {
                record.push('"');
                State::Quoted(opened)
            }
            (State::Quoted(_), _) => {
                record.push(character);
                state
            }
            (State::MaybeClosed(opened), _) => return Err(opened),
        };
    }
    Ok(state)
}

impl Records for CsvRecords {
    fn next_record(&mut self, record: &mut Record) -> Result<bool, DataError> {
        let path = self.lines.path().to_path_buf();
        let separator = self.separator.character();
        let mut state = State::Start;
        let mut is_inside = false;
        while let Some((number, line, end)) = self.lines.next_line_and_end()? {
            if !is_inside {
                let is_first = std::mem::take(&mut self.is_first);
                if line.is_empty() || is_first && Separator::of_excel_line(line).is_some() {
                    continue;
                }
                record.start(number);
                is_inside = true;
            }
            state = take_line(record, state, separator, number, line).map_err(|opened| {
                DataError::TextAfterQuote {
                    place: Place::line(&path, number),
                    opened,
                }
            })?;
            let State::Quoted(opened) = state else {
                record.end_cell();
                return Ok(true);
            };
            record.push_str(end);
            if record.n_bytes() > MAX_LINE_BYTES {
                return Err(DataError::UnclosedQuote {
                    place: Place::line(&path, opened),
                    until: format!("within {} MiB", MAX_LINE_BYTES >> 20),
                });
            }
        }
        match state {
            State::Quoted(opened) => Err(DataError::UnclosedQuote {
                place: Place::line(&path, opened),
                until: "before the end of the file".to_owned(),
            }),
            _ => Ok(false),
        }
    }

    fn separator(&self) -> &'static str {
        self.separator.name()
    }
}
