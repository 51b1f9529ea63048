//! A row of cells. `tsv`, `csv` and `plain_text` make it, and `table` takes columns from it.

use crate::error::DataError;

/// The cells of one row, in one buffer that is reused for the next row.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// The line on which the row starts, counted from 1.
    pub(crate) line: usize,
    text: String,
    /// The end of each cell in `text`.
    ends: Vec<usize>,
}

impl Record {
    /// Clears the record for a row that starts on `line`.
    pub(crate) fn start(&mut self, line: usize) {
        self.line = line;
        self.text.clear();
        self.ends.clear();
    }

    /// Appends to the cell that is not ended yet.
    pub(crate) fn push(&mut self, character: char) {
        self.text.push(character);
    }

    /// Appends to the cell that is not ended yet.
    pub(crate) fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(crate) fn end_cell(&mut self) {
        self.ends.push(self.text.len());
    }

    /// Appends a whole cell.
    pub(crate) fn add_cell(&mut self, text: &str) {
        self.push_str(text);
        self.end_cell();
    }

    pub(crate) fn n_cells(&self) -> usize {
        self.ends.len()
    }

    /// The total number of bytes in the cells.
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
    /// Reads the next row into `record`; false at the end of the file. After an error about a row
    /// the next call continues after it.
    fn next_record(&mut self, record: &mut Record) -> Result<bool, DataError>;

    /// The columns of a file that has no header line to name them.
    fn fixed_columns(&self) -> Option<&'static [&'static str]> {
        None
    }

    /// The name of the separator, for messages.
    fn separator(&self) -> &'static str;
}
