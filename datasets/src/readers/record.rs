//! A row of a file that has cells in columns: what `tsv`, `csv` and `plain_text` make and `table` takes columns from.

use crate::error::DataError;

/// The cells of one row, in one buffer that is used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// The line that the row starts on, from 1.
    pub(crate) line: usize,
    text: String,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
}

impl Record {
    /// Empties it for a row that starts on `line`.
    pub(crate) fn start(&mut self, line: usize) {
        self.line = line;
        self.text.clear();
        self.ends.clear();
    }

    /// Adds to the cell that is not ended yet.
    pub(crate) fn push(&mut self, character: char) {
        self.text.push(character);
    }

    /// Adds to the cell that is not ended yet.
    pub(crate) fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(crate) fn end_cell(&mut self) {
        self.ends.push(self.text.len());
    }

    /// A whole cell.
    pub(crate) fn add_cell(&mut self, text: &str) {
        self.push_str(text);
        self.end_cell();
    }

    pub(crate) fn n_cells(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of all cells together.
    pub(crate) fn n_bytes(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn cell(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        let start = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(start..end)
    }

    pub(crate) fn cells(&self) -> impl Iterator<Item = &str> {
        (0..self.n_cells()).filter_map(|at| self.cell(at))
    }
}

/// A file of records.
pub(crate) trait Records {
    /// Reads the next row into `record`; false at the end of the file. After an error about a row the next call goes on
    /// behind it.
    fn next_record(&mut self, record: &mut Record) -> Result<bool, DataError>;

    /// The columns of a file that has no header line to name them.
    fn fixed_columns(&self) -> Option<&'static [&'static str]> {
        None
    }

    /// What lies between two cells, for messages.
    fn separator(&self) -> &'static str;
}
