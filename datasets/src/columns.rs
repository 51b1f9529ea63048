//! The columns that a task reads. Named by tasks, by the readers of files and by errors.

/// A column under each of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name in the Hugging Face data set (parquet, JSONL), or in a file of the user's own.
    pub name: String,
    /// The name in the official GLUE TSV files where it is another one, such as `#1 String`.
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

    /// Both names, Hugging Face's first: where a file has both, that one is read.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.tsv_name.as_deref())
    }
}

/// The columns that make an [`Example`](crate::Example) of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The (first) text.
    pub first: Column,
    /// The second text of a sentence-pair task.
    pub second: Option<Column>,
    /// The label or score.
    pub label: Column,
}

/// Where the columns of a TSV file without a header are, counted from 0. Only CoLA's train and dev files are like that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headerless {
    /// The number of cells a row has.
    pub n_columns: usize,
    /// The cell of the first text.
    pub first: usize,
    /// The cell of the label.
    pub label: usize,
}
