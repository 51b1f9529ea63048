//! Tab-separated files, including GLUE's official ones. `table` reads from it.
//!
//! There is no quoting: a double quote is an ordinary character (MRPC has thousands of unbalanced
//! ones). Blank lines at the end of a file are ignored; elsewhere they are rows without cells.

use crate::error::DataError;
use crate::format::DataFile;
use crate::readers::lines::Lines;
use crate::readers::record::{Record, Records};

/// The rows of a TSV file.
pub(crate) struct TsvRecords {
    lines: Lines,
    /// The row after a run of blank lines, which are delivered first.
    held: Option<(usize, String)>,
}

impl TsvRecords {
    pub(crate) fn open(file: &DataFile) -> Result<Self, DataError> {
        Ok(Self {
            lines: Lines::open(file)?,
            held: None,
        })
    }
}

fn split(record: &mut Record, number: usize, line: &str) {
    record.start(number);
    for cell in line.split('\t') {
        record.add_cell(cell);
    }
}

impl Records for TsvRecords {
    fn next_record(&mut self, record: &mut Record) -> Result<bool, DataError> {
        if let Some((number, line)) = self.held.take() {
            split(record, number, &line);
            return Ok(true);
        }
        let mut blank: Option<usize> = None;
        while let Some((number, line)) = self.lines.next_line()? {
            if line.is_empty() {
                blank = blank.or(Some(number));
                continue;
            }
            match blank {
                None => split(record, number, line),
                Some(blank) => {
                    record.start(blank);
                    self.held = Some((number, line.to_owned()));
                }
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn separator(&self) -> &'static str {
        "tab"
    }
}
