//! The epochs of a run as planned and as they ran, and its evaluations. Called by the report of
//! `show`.

use super::records::Records;
use crate::progress::metrics;
use progtune_plain_text::shown_line;
use progtune_plugin_api::stage::block_ranges;
use progtune_process::{grouped, short_name};
use serde_json::{Map, Value, json};

/// The width of the column of blocks.
const BLOCKS: usize = 18;
/// Number of evaluations up to which all are shown; of more, the first and the last half.
const MOST_EVALUATIONS: usize = 20;

/// An epoch of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Epoch {
    /// The number, counted from 1.
    epoch: usize,
    /// The trained blocks: those that were trained if they are recorded, otherwise the planned
    /// ones.
    blocks: String,
    /// Whether the plan trains the embeddings.
    embeddings: Option<bool>,
    /// The planned number of updated parameters.
    updated: Option<u64>,
    /// Number of steps that ran.
    steps: u64,
    /// Duration of these steps in seconds.
    secs: f64,
    /// Their mean loss; `None` if none ran.
    loss: Option<f64>,
}

/// The epochs of a run: all that were planned, and all that ran.
pub(super) fn epochs(records: &Records) -> Vec<Epoch> {
    let planned = records
        .plan
        .as_ref()
        .and_then(|plan| plan["epochs"].as_array());
    let planned: &[Value] = planned.map_or(&[], Vec::as_slice);
    let trained = records.results.as_ref();
    let trained = trained.and_then(|results| results["epochs"].as_array());
    let n_epochs = planned.len().max(records.metrics.epochs.len());
    let epoch = |at: usize| {
        let steps = records.metrics.epochs.get(at).copied().unwrap_or_default();
        let plan = planned.get(at);
        let of_result = trained.and_then(|epochs| epochs.get(at)?["blocks"].as_str());
        let of_plan = plan.and_then(|plan| {
            let blocks = plan["blocks"].as_array()?.iter();
            Some(block_ranges(
                blocks.filter_map(|block| u32::try_from(block.as_u64()?).ok()),
            ))
        });
        Epoch {
            epoch: at + 1,
            blocks: of_result.map(str::to_owned).or(of_plan).unwrap_or_default(),
            embeddings: plan.and_then(|plan| plan["embeddings"].as_bool()),
            updated: plan.and_then(|plan| plan["updated_parameters"].as_u64()),
            steps: steps.n,
            secs: steps.secs,
            loss: (steps.n > 0).then(|| steps.loss / steps.n as f64),
        }
    };
    (0..n_epochs).map(epoch).collect()
}

/// The epochs as JSON.
pub(super) fn to_json(epochs: &[Epoch]) -> Value {
    let entry = |epoch: &Epoch| {
        json!({
            "epoch": epoch.epoch,
            "blocks": epoch.blocks,
            "embeddings": epoch.embeddings,
            "planned_updated_parameters": epoch.updated,
            "steps": epoch.steps,
            "train_step_secs": epoch.secs,
            "train_loss": epoch.loss,
        })
    };
    Value::Array(epochs.iter().map(entry).collect())
}

/// The epochs and the evaluations as tables.
pub(super) fn text(epochs: &[Epoch], evaluations: &[Map<String, Value>]) -> String {
    let mut text = String::from("epochs\n");
    let titles = [
        "epoch",
        "blocks",
        "embeddings",
        "planned updates",
        "steps",
        "seconds",
        "train loss",
    ];
    let mut rows = vec![titles.map(str::to_owned)];
    for epoch in epochs {
        let embeddings = match epoch.embeddings {
            Some(true) => "trained",
            Some(false) => "frozen",
            None => "",
        };
        let has_run = epoch.steps > 0;
        let if_run = |text: String| if has_run { text } else { "-".into() };
        rows.push([
            epoch.epoch.to_string(),
            short_name(&shown_line(&epoch.blocks), BLOCKS),
            embeddings.into(),
            epoch.updated.map_or(String::new(), grouped),
            grouped(epoch.steps),
            if_run(format!("{:.1}", epoch.secs)),
            if_run(
                epoch
                    .loss
                    .map_or(String::new(), |loss| format!("{loss:.4}")),
            ),
        ]);
    }
    text += &table(&rows);
    if evaluations.is_empty() {
        return text + "evaluations  none\n";
    }
    text += "evaluations\n";
    let names: Vec<&str> = match evaluations.last() {
        Some(last) => metrics(last, "eval_").map(|(name, _)| name).collect(),
        None => Vec::new(),
    };
    let mut rows = vec![
        ["step", "epoch"]
            .into_iter()
            .chain(names.iter().copied())
            .map(shown_line)
            .collect(),
    ];
    let half = MOST_EVALUATIONS / 2;
    for (at, evaluation) in evaluations.iter().enumerate() {
        let is_shown =
            evaluations.len() <= MOST_EVALUATIONS || at < half || at + half >= evaluations.len();
        if !is_shown {
            if at == half {
                let n = evaluations.len() - 2 * half;
                rows.push(vec!["…".into(), format!("{n} more in metrics.jsonl")]);
            }
            continue;
        }
        let plain = |key: &str| evaluation.get(key).map_or(String::new(), Value::to_string);
        let mut row = vec![shown_line(&plain("step")), shown_line(&plain("epoch"))];
        for name in &names {
            let value = evaluation.get(&format!("eval_{name}"));
            let value = value.and_then(Value::as_f64);
            row.push(value.map_or("undefined".into(), |value| format!("{value:.4}")));
        }
        rows.push(row);
    }
    text + &table(&rows)
}

/// Formats rows, the first of which has the titles. Numbers are aligned to the right.
fn table<R: AsRef<[String]>>(rows: &[R]) -> String {
    let n_columns = rows.first().map_or(0, |row| row.as_ref().len());
    let width = |column: usize| {
        let full = rows.iter().filter(|row| row.as_ref().len() == n_columns);
        let cells = full.map(|row| row.as_ref()[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let row = row.as_ref();
        let cells = row.iter().zip(&widths).enumerate();
        let cells: Vec<String> = cells
            .map(|(at, (cell, &width))| {
                let is_text = ["blocks", "embeddings"].contains(&rows[0].as_ref()[at].as_str());
                if is_text || row.len() < n_columns {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            })
            .collect();
        text += &format!("  {}\n", cells.join("  ").trim_end());
    }
    text
}
