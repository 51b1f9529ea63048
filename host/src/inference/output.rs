//! The predictions as JSON lines, as a table for programs (CSV, TSV) or as one for people. Called
//! by `predict`.

use super::{predictions::Predictions, table};
use crate::config::{OutputFormat, PredictConfig};
use progtune_datasets::{ProblemType, Task};
use progtune_engine::{Error, Result};
use progtune_process::{
    files::write_named,
    terminal::{print, print_data, print_json, width},
};
use serde_json::{Map, Value};
use std::io::IsTerminal;

/// The form of the predictions: the chosen one, otherwise a table on a terminal.
pub(super) fn format_of(config: &PredictConfig) -> OutputFormat {
    let is_for_people = || config.output.is_none() && std::io::stdout().is_terminal();
    match config.output_format {
        Some(format) => format,
        None if is_for_people() => OutputFormat::Table,
        None => OutputFormat::Jsonl,
    }
}

/// Writes the predictions to the output file, or to standard output.
///
/// # Errors
/// Fails if a table cannot hold them, or the file system refuses.
pub(super) fn write(config: &PredictConfig, predictions: &Predictions) -> Result<()> {
    let format = format_of(config);
    let text = match format {
        OutputFormat::Jsonl => lines(predictions),
        OutputFormat::Csv => table::separated(predictions, ',')?,
        OutputFormat::Tsv => table::separated(predictions, '\t')?,
        OutputFormat::Table => table::aligned(predictions, width()),
    };
    match (&config.output, format) {
        (Some(path), _) => write_named(path, text.as_bytes())?,
        (None, OutputFormat::Jsonl) => print_json(&text)?,
        (None, OutputFormat::Csv | OutputFormat::Tsv) => print_data(&text)?,
        (None, OutputFormat::Table) => print(text)?,
    }
    Ok(())
}

/// Refuses `--top-k` for a task whose answer is not one of a list of labels.
///
/// # Errors
/// When the task is of such a kind.
pub(super) fn check_top_k(config: &PredictConfig, task: &Task) -> Result<()> {
    let has_labels = matches!(
        task.problem_type,
        ProblemType::SingleLabelClassification | ProblemType::MultiLabelClassification
    );
    if config.top_k.is_none() || has_labels {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "--top-k: expected a task that chooses among labels, found {}; remove the flag",
        task.problem_type.as_str()
    )))
}

/// One JSON object per example: the kept columns, then the prediction, or one object per adapter
/// under its name.
fn lines(predictions: &Predictions) -> String {
    let mut text = String::new();
    for example in 0..predictions.count() {
        let mut line: Map<String, Value> = predictions.kept_of(example).into_iter().collect();
        match predictions.adapters.as_slice() {
            [only] => match &only.rows[example] {
                Value::Object(said) => line.extend(said.clone()),
                other => drop(line.insert("prediction".into(), other.clone())),
            },
            several => {
                let each = several
                    .iter()
                    .map(|said| (said.name.clone(), said.rows[example].clone()));
                line.extend(each);
            }
        }
        text.push_str(&Value::Object(line).to_string());
        text.push('\n');
    }
    text
}
