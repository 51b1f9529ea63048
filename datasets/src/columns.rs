//! The columns that a task reads. Tasks, the readers of files and errors use these types.

use std::borrow::Cow;

/// A column with each of its names, or several columns whose texts are joined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Column {
    /// The name in the Hugging Face data set (parquet, JSONL), or in the user's own file.
    pub name: String,
    /// The name in the official GLUE TSV files if it differs, such as `#1 String`.
    pub(crate) tsv_name: Option<String>,
    /// The columns whose texts are joined with a space; empty for a single column.
    pub parts: Vec<String>,
}

/// The separator of the names in the name of joined columns, as in Hugging Face's
/// `run_classification`.
const JOINED: &str = ",";

impl Column {
    /// A column with one name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            tsv_name: None,
            parts: Vec::new(),
        }
    }

    /// Columns whose texts are joined.
    pub(crate) fn joined(parts: Vec<String>) -> Self {
        Self {
            name: parts.join(JOINED),
            tsv_name: None,
            parts,
        }
    }

    /// The columns to read: the parts, or the column itself.
    pub(crate) fn single_columns(&self) -> Vec<Cow<'_, Self>> {
        if self.parts.is_empty() {
            return vec![Cow::Borrowed(self)];
        }
        let parts = self.parts.iter();
        parts
            .map(|name| Cow::Owned(Self::named(name.as_str())))
            .collect()
    }

    /// Whether the text of this column contains that of the column `name`.
    pub(crate) fn includes(&self, name: &str) -> bool {
        self.name == name || self.parts.iter().any(|part| part == name)
    }

    /// Both names, Hugging Face's first. If a file has both, the first one is read.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.tsv_name.as_deref())
    }
}

/// The columns from which a row's [`Example`](crate::Example) is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The (first) text.
    pub first: Column,
    /// The second text of a sentence-pair task.
    pub second: Option<Column>,
    /// The label or score.
    pub label: Column,
}

/// The positions of the columns in a TSV file without a header, counted from 0. Only CoLA's train
/// and dev files lack one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headerless {
    /// The number of cells a row has.
    pub n_columns: usize,
    /// The cell of the first text.
    pub first: usize,
    /// The cell of the label.
    pub label: usize,
}

/// The texts of joined columns as one text: those that are not blank, with spaces between them.
pub(crate) fn join<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut joined = String::new();
    for text in texts.filter(|text| !text.trim().is_empty()) {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(text);
    }
    joined
}
