//! Rows as the readers deliver them in any format: texts, and a label that is not interpreted yet.
//! Made by the readers (`table`, `jsonl`, `columnar`), interpreted by `rows`.

use std::sync::Arc;

use crate::error::{DataError, Position};
use crate::readers::cell::Cell;

/// A row of a file.
#[derive(Debug)]
pub(crate) struct RawRow {
    pub(crate) position: Position,
    pub(crate) text: String,
    pub(crate) pair: Option<String>,
    pub(crate) label: Cell,
    /// The label column's name in this file.
    pub(crate) label_column: Arc<str>,
}

/// An open file.
pub(crate) trait Rows {
    /// The next row; `None` at the end of the file. After an error about a row
    /// ([`DataError::is_about_a_row`]) the next call continues after it.
    fn next_row(&mut self) -> Result<Option<RawRow>, DataError>;

    /// The names of the label column's ids, if the file has them.
    fn class_names(&self) -> Option<&[String]> {
        None
    }
}

/// Whether each row of a file must have a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabelRule {
    /// Training and validation files.
    Required,
    /// Test files and `predict` input.
    Optional,
}
