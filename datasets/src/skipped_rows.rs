//! Rows that were left out because they are invalid. Counted by the readers of the user's own
//! files.

use crate::error::DataError;

/// Rows that were left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkippedRows {
    /// Their number.
    pub n_rows: usize,
    /// The errors in the first `SkippedRows::N_LISTED` of them, with file and line.
    pub reasons: Vec<String>,
}

impl SkippedRows {
    /// The number of rows listed: enough to read, too few to fill the memory.
    pub(crate) const N_LISTED: usize = 10_000;

    /// Adds the rows of another file.
    pub(crate) fn extend(&mut self, other: Self) {
        self.n_rows += other.n_rows;
        let room = Self::N_LISTED.saturating_sub(self.reasons.len());
        self.reasons.extend(other.reasons.into_iter().take(room));
    }

    pub(crate) fn add(&mut self, error: &DataError) {
        self.n_rows += 1;
        if self.reasons.len() < Self::N_LISTED {
            self.reasons.push(error.to_string());
        }
    }
}
