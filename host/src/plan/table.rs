//! A plan as a table for a person, and as `plan.json`. Called by `progtune plan` and by the recipe.

use super::{
    Blueprint, Foresight, Prediction,
    foresight::Epoch,
    square::{Square, column},
};
use crate::thousands::grouped;
use progtune_plain_text::shown_line;
use serde_json::{Value, json};

/// `plan.json`, also what `progtune plan --json` prints.
pub fn to_json(blueprint: &Blueprint, foresight: &Foresight, names: &PlanNames<'_>) -> Value {
    let epochs = foresight.epochs();
    let total: u64 = epochs.iter().map(|epoch| epoch.updated).sum();
    json!({
        "model": names.model,
        "task": names.task,
        "schedule": names.schedule,
        "peft": names.peft,
        "num_hidden_layers": blueprint.blocks,
        "model_parameters": blueprint.model_size(),
        "candidate_parameters": blueprint.candidate_size(),
        // With signals every figure below is an upper bound.
        "signals": foresight.signals,
        "interval_steps": foresight.interval_steps,
        "total_updated_parameters": total,
        "full_schedule_updated_parameters": blueprint.candidate_size() * epochs.len() as u64,
        "epochs": epochs.iter().map(|epoch| epoch.stage.to_json(epoch.updated)).collect::<Vec<_>>(),
    })
}

/// How the plan calls things.
#[derive(Debug, Clone, Copy)]
pub struct PlanNames<'a> {
    /// Directory or `embedded`.
    pub model: &'a str,
    /// The task.
    pub task: &'a str,
    /// The schedule.
    pub schedule: &'a str,
    /// The method, `null` in JSON for full fine-tuning.
    pub peft: Option<&'a str>,
}

/// A plan as it is looked at: as a table, or as a drawing.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The model with its method.
    pub blueprint: &'a Blueprint,
    /// The epochs.
    pub foresight: &'a Foresight,
    /// What things are called.
    pub names: &'a PlanNames<'a>,
    /// One an epoch, or none at all.
    pub predictions: &'a [Prediction],
    /// The blocks where epochs start from the prefix cache: one an epoch, or none at all.
    pub starts: &'a [usize],
}

/// Blocks at most that are drawn, without and with predictions; of more, their ranges alone are said.
const MOST_SQUARES: (usize, usize) = (32, 24);

/// A row of the table: an epoch, or several that are alike.
struct Row {
    /// Numbers of its first and last epoch, from 0.
    epochs: (usize, usize),
    cell: String,
    updated: u64,
}

impl View<'_> {
    /// The plan as a table for a person, within 80 columns. With `most_rows` epochs that are alike share a row, and of more
    /// rows than that the middle ones are left out.
    pub fn to_table(&self, most_rows: Option<usize>) -> String {
        let (names, predictions) = (self.names, self.predictions);
        // Without the data nobody knows how many steps there are.
        let whole = predictions.iter().all(|p| p.secs.epoch.is_some());
        let rows = self.rows(most_rows.is_some());
        let widths = rows.iter().map(|row| row.cell.chars().count());
        let width = widths.chain([HEADER.len()]).max().unwrap_or(0);
        let numbers: Vec<String> = rows.iter().map(Row::numbers).collect();
        let first = numbers.iter().map(String::len).chain([5]).max();
        let first = first.unwrap_or(5);
        let mut text = format!(
            "{} on {}: schedule {}, {}\n{} blocks, {} parameters\n\n",
            shown_line(names.model),
            shown_line(names.task),
            shown_line(names.schedule),
            names
                .peft
                .map_or("full fine-tuning".to_owned(), |peft| format!(
                    "method {}",
                    shown_line(peft)
                )),
            self.blueprint.blocks,
            millions(self.blueprint.model_size()),
        );
        text += &format!("{:>first$}  {HEADER:<width$}  {:>14}", "epoch", "updated");
        if !predictions.is_empty() {
            let secs = if whole { "seconds" } else { "s/step" };
            text += &format!("  {secs:>8}  {:>8}", "peak MiB");
        }
        text.push('\n');
        let left_out = most_rows.map_or(0..0, |most| left_out(rows.len(), most));
        for (at, (row, number)) in rows.iter().zip(&numbers).enumerate() {
            if at == left_out.start && !left_out.is_empty() {
                let epochs = rows[left_out.end - 1].epochs.1 + 1 - row.epochs.0;
                text += &format!(
                    "{:>first$}  {epochs} more epochs, as plan.json has them\n",
                    "…"
                );
            }
            if left_out.contains(&at) {
                continue;
            }
            text += &format!(
                "{number:>first$}  {:<width$}  {:>14}{}\n",
                row.cell,
                grouped(row.updated),
                predictions.get(row.epochs.0).map_or_else(String::new, |p| {
                    cells(p.secs.epoch.or(Some(p.secs.step)), p.peak_bytes)
                }),
            );
        }
        let (total, full) = self.totals();
        text += &format!(
            "{:>first$}  {:<width$}  {:>14}{}\n\n",
            "total",
            "",
            grouped(total),
            if predictions.is_empty() || !whole {
                String::new()
            } else {
                cells(
                    predictions.iter().map(|p| p.secs.epoch).sum(),
                    predictions.iter().map(|p| p.peak_bytes).max().flatten(),
                )
            },
        );
        if self.is_drawn() {
            text += &legend(self.starts);
        }
        text += &format!(
            "{}{:.1} % of training every block in every epoch\n",
            most(self.foresight),
            100.0 * total as f64 / full.max(1) as f64
        );
        if let Some(note) = self.foresight.note(names.schedule) {
            text += &format!("{note}\n");
        }
        text
    }

    /// Parameters that are updated, and those that full fine-tuning with the same method would update.
    pub(super) fn totals(&self) -> (u64, u64) {
        let epochs = self.foresight.epochs();
        let total = epochs.iter().map(|epoch| epoch.updated).sum();
        (total, self.blueprint.candidate_size() * epochs.len() as u64)
    }

    /// A row an epoch; `merged`: a row for each run of epochs that train the same from the same start.
    fn rows(&self, merged: bool) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for (at, epoch) in self.foresight.epochs().iter().enumerate() {
            let start = self.starts.get(at).copied().unwrap_or(0);
            let cell = self.trained_cell(epoch, start);
            match rows.last_mut() {
                Some(row) if merged && row.cell == cell => {
                    row.epochs.1 = at;
                    row.updated += epoch.updated;
                }
                _ => rows.push(Row {
                    epochs: (at, at),
                    cell,
                    updated: epoch.updated,
                }),
            }
        }
        rows
    }

    /// Whether blocks are drawn as squares.
    fn is_drawn(&self) -> bool {
        self.blueprint.blocks
            <= if self.predictions.is_empty() {
                MOST_SQUARES.0
            } else {
                MOST_SQUARES.1
            }
    }

    /// `· ··■■■■ 2-5`: the embeddings, the blocks from the input, and the trained ones by number; `at most 0-5` when signals
    /// decide, `1,4 …` when more decisions follow in the epoch.
    fn trained_cell(&self, epoch: &Epoch<'_>, start: usize) -> String {
        let (embeddings, squares) = column(epoch.stage, self.blueprint.blocks, start);
        let drawn: String = if self.is_drawn() {
            squares.iter().map(|s| s.glyph()).chain([' ']).collect()
        } else {
            String::new()
        };
        let foresight = self.foresight;
        let more = foresight.signals.is_empty() && foresight.interval_steps > 0;
        format!(
            "{} {drawn}{}{}{}",
            embeddings.glyph(),
            most(foresight),
            epoch.stage.block_ranges(),
            if more { " …" } else { "" }
        )
    }
}

impl Row {
    /// `3`, or `3-7`.
    fn numbers(&self) -> String {
        match self.epochs {
            (first, last) if first == last => format!("{}", first + 1),
            (first, last) => format!("{}-{}", first + 1, last + 1),
        }
    }
}

/// The rows in the middle that are left out so that `most` remain with the line that says so.
fn left_out(n_rows: usize, most: usize) -> std::ops::Range<usize> {
    if n_rows > most {
        most / 2..n_rows - (most - 1 - most / 2)
    } else {
        0..0
    }
}

/// Time and memory.
fn cells(secs: Option<f64>, bytes: Option<u64>) -> String {
    let secs = secs.map_or("?".to_owned(), |secs| format!("{secs:.2}"));
    let mib = bytes.map_or("?".to_owned(), |n| format!("{:.0}", n as f64 / 1048576.0));
    format!("  {secs:>8}  {mib:>8}")
}

/// The header of what an epoch trains.
const HEADER: &str = "embeddings, blocks";

fn legend(starts: &[usize]) -> String {
    let cached = if starts.iter().any(|&start| start > 0) {
        format!(
            "  {} frozen, read from the prefix cache",
            Square::Cached.glyph()
        )
    } else {
        String::new()
    };
    format!(
        "{} trained  {} frozen{cached}\n",
        Square::Trained.glyph(),
        Square::Frozen.glyph()
    )
}

fn most(foresight: &Foresight) -> &'static str {
    if foresight.signals.is_empty() {
        ""
    } else {
        "at most "
    }
}

fn millions(n: u64) -> String {
    match n {
        0..100_000 => grouped(n),
        _ => format!("{:.1} M", n as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_rows_the_middle_is_left_out() {
        assert_eq!(left_out(12, 12), 0..0);
        let left = left_out(100, 12);
        assert_eq!(
            (left.start, 100 - left.end),
            (6, 5),
            "eleven rows and a line"
        );
        assert_eq!(left_out(13, 12), 6..8);
    }
}
