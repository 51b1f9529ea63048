//! The columns that a task reads. Tasks, the readers of files and errors use these types.

/// A column with each of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name in the Hugging Face data set (parquet, JSONL), or in the user's own file.
    pub name: String,
    /// The name in the official GLUE TSV files if it differs, such as `#1 String`.
    pub tsv_name: Option<String>,
}

impl Column {
    /// A column with one name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            tsv_name: None,
        }
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
