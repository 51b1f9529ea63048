//! The position of something in a data file. Every error about a row has one.

use std::fmt;
use std::path::{Path, PathBuf};

/// A position in a data file, printed as `FILE`, `FILE, line 3` or `FILE, row 3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was opened.
    pub path: PathBuf,
    /// The position in the file.
    pub position: Position,
}

/// The part of a file that an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// The file as a whole, for example its parquet schema.
    File,
    /// A line of a text file, counted from 1 and including the header.
    Line(usize),
    /// A row of a parquet file, counted from 1 across all row groups.
    Row(usize),
}

impl Place {
    pub(crate) fn file(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            position: Position::File,
        }
    }

    pub(crate) fn line(path: &Path, line: usize) -> Self {
        Self {
            path: path.to_path_buf(),
            position: Position::Line(line),
        }
    }

    pub(crate) fn row(path: &Path, row: usize) -> Self {
        Self {
            path: path.to_path_buf(),
            position: Position::Row(row),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match self.position {
            Position::File => Ok(()),
            Position::Line(line) => write!(f, ", line {line}"),
            Position::Row(row) => write!(f, ", row {row}"),
        }
    }
}
