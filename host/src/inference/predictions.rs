//! The predictions of every adapter for the same examples, with the columns that are repeated
//! before them. Made by `predict`, written by `output` and `table`.

use super::kept::Kept;
use progtune_datasets::Task;
use serde_json::Value;

/// The name that a kept column gets if a prediction has a key of its name.
pub(super) const RENAMED: &str = "input_";

/// The predictions of every adapter for the same examples.
pub(super) struct Predictions {
    /// The columns to repeat.
    pub kept: Kept,
    /// The texts of the examples, for people; `None` if they are not known.
    pub texts: Option<Vec<String>>,
    /// The predictions of each adapter, with its name and its task.
    pub adapters: Vec<Said>,
    /// The separator between several labels in a cell.
    pub label_separator: String,
}

/// The predictions of an adapter.
pub(super) struct Said {
    /// The adapter's name.
    pub name: String,
    /// The task of its head.
    pub task: Task,
    /// One object per example.
    pub rows: Vec<Value>,
}

impl Predictions {
    /// Number of examples.
    pub(super) fn count(&self) -> usize {
        self.adapters.first().map_or(0, |said| said.rows.len())
    }

    /// The kept columns of an example under names that no prediction has.
    pub(super) fn kept_of(&self, example: usize) -> Vec<(String, Value)> {
        let Some(values) = self.kept.rows.get(example) else {
            return Vec::new();
        };
        let is_taken = |name: &String| match self.adapters.as_slice() {
            [only] => only
                .rows
                .get(example)
                .is_some_and(|row| row.get(name).is_some()),
            several => several.iter().any(|said| said.name == *name),
        };
        let names = self.kept.names.iter().map(|name| {
            if is_taken(name) {
                format!("{RENAMED}{name}")
            } else {
                name.clone()
            }
        });
        names.zip(values.iter().cloned()).collect()
    }
}
