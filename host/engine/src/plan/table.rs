//! A plan as a table for a person, and as `plan.json`. `progtune plan` and the recipe call it.

use super::{
    EpochForecast, ModelPlan, RunPlan,
    run_plan::Epoch,
    square::{Square, column},
};
use progtune_plain_text::shown_line;
use progtune_process::{grouped, short_path, terminal::wrapped};
use serde_json::{Value, json};

/// The content of `plan.json`, which `progtune plan --json` prints, too.
pub fn to_json(model_plan: &ModelPlan, run_plan: &RunPlan, names: &PlanNames<'_>) -> Value {
    let epochs = run_plan.epochs();
    let total: u64 = epochs.iter().map(|epoch| epoch.updated).sum();
    json!({
        "model": names.model,
        "task": names.task,
        "schedule": names.schedule,
        "peft": names.peft,
        "num_hidden_layers": model_plan.blocks,
        "model_parameters": model_plan.model_size(),
        "candidate_parameters": model_plan.candidate_size(),
        // For a schedule that follows signals, every figure below is an upper bound.
        "signals": run_plan.signals,
        "interval_steps": run_plan.interval_steps,
        "total_updated_parameters": total,
        "full_schedule_updated_parameters": model_plan.candidate_size() * epochs.len() as u64,
        "epochs": epochs.iter().map(|epoch| epoch.stage.to_json(epoch.updated)).collect::<Vec<_>>(),
    })
}

/// The names in a plan.
#[derive(Debug, Clone, Copy)]
pub struct PlanNames<'a> {
    /// The model's directory, or `embedded`.
    pub model: &'a str,
    /// The task.
    pub task: &'a str,
    /// The schedule.
    pub schedule: &'a str,
    /// The method; `null` in JSON for full fine-tuning.
    pub peft: Option<&'a str>,
}

/// A plan with everything that its table and its drawing show.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The model with its method.
    pub model_plan: &'a ModelPlan,
    /// The epochs.
    pub run_plan: &'a RunPlan,
    /// The names.
    pub names: &'a PlanNames<'a>,
    /// One forecast per epoch, or none at all.
    pub forecasts: &'a [EpochForecast],
    /// The blocks at which epochs start from the prefix cache: one per epoch, or none at all.
    pub starts: &'a [usize],
}

/// The width of the table in columns, and the least of it that is left to the model's name.
const WIDTH: usize = 80;
const SHORTEST: usize = 20;

/// The largest number of blocks that are drawn, without and with forecasts. Of larger models only
/// the ranges are shown.
const MOST_SQUARES: (usize, usize) = (32, 24);

/// A row of the table: an epoch, or several equal ones.
struct Row {
    /// The numbers of its first and last epoch, from 0.
    epochs: (usize, usize),
    cell: String,
    updated: u64,
}

impl View<'_> {
    /// The plan as a table for a person, within 80 columns. With `most_rows`, equal epochs share a
    /// row, and the middle rows beyond that number are left out.
    pub fn to_table(&self, most_rows: Option<usize>) -> String {
        let rows = self.rows(most_rows.is_some());
        let widths = Widths::of(&rows);
        let mut text = self.title() + "\n" + &self.header(widths);
        let left_out = most_rows.map_or(0..0, |most| left_out(rows.len(), most));
        for (at, row) in rows.iter().enumerate() {
            if at == left_out.start && !left_out.is_empty() {
                let epochs = rows[left_out.end - 1].epochs.1 + 1 - row.epochs.0;
                text += &format!(
                    "{:>first$}  {epochs} more epochs, listed in plan.json\n",
                    "…",
                    first = widths.number
                );
            }
            if !left_out.contains(&at) {
                let forecast = self.forecasts.get(row.epochs.0);
                let more = forecast.map_or_else(String::new, |p| {
                    cells(p.secs.epoch.or(Some(p.secs.step)), p.peak_bytes)
                });
                text += &widths.line(&row.numbers(), &row.cell, row.updated, &more);
            }
        }
        let (total, full) = self.totals();
        text += &widths.line("total", "", total, &self.total_cells());
        text.push('\n');
        if self.is_drawn() {
            text += &legend(self.starts);
        }
        text += &format!(
            "{}{:.1} % of training every block in every epoch\n",
            most(self.run_plan),
            100.0 * total as f64 / full.max(1) as f64
        );
        if let Some(note) = self.run_plan.note(self.names.schedule) {
            text += &format!("{}\n", wrapped(&note, WIDTH));
        }
        text
    }

    /// The lines above the table.
    fn title(&self) -> String {
        let names = self.names;
        let method = names.peft.map_or("full fine-tuning".to_owned(), |peft| {
            format!("method {}", shown_line(peft))
        });
        let rest = format!(
            " on {}: schedule {}, {method}",
            shown_line(names.task),
            shown_line(names.schedule),
        );
        let room = WIDTH.saturating_sub(rest.chars().count()).max(SHORTEST);
        format!(
            "{}{rest}\n{} blocks, {} parameters\n",
            short_path(&shown_line(names.model), room),
            self.model_plan.blocks,
            millions(self.model_plan.model_size()),
        )
    }

    fn header(&self, widths: Widths) -> String {
        let Widths { number, cell } = widths;
        let mut text = format!("{:>number$}  {HEADER:<cell$}  {:>14}", "epoch", "updated");
        if !self.forecasts.is_empty() {
            let secs = if self.knows_epochs() {
                "seconds"
            } else {
                "s/step"
            };
            text += &format!("  {secs:>8}  {:>8}", "peak MiB");
        }
        text + "\n"
    }

    /// Whether the time of whole epochs is known. Without the data, the number of steps is not.
    fn knows_epochs(&self) -> bool {
        let mut forecasts = self.forecasts.iter();
        forecasts.all(|forecast| forecast.secs.epoch.is_some())
    }

    /// Time and memory of the whole run.
    fn total_cells(&self) -> String {
        if self.forecasts.is_empty() || !self.knows_epochs() {
            return String::new();
        }
        let forecasts = || self.forecasts.iter();
        cells(
            forecasts().map(|p| p.secs.epoch).sum(),
            forecasts().map(|p| p.peak_bytes).max().flatten(),
        )
    }

    /// The number of parameters that are updated, and the number that full fine-tuning with the
    /// same method would update.
    pub(super) fn totals(&self) -> (u64, u64) {
        let epochs = self.run_plan.epochs();
        let total = epochs.iter().map(|epoch| epoch.updated).sum();
        (
            total,
            self.model_plan.candidate_size() * epochs.len() as u64,
        )
    }

    /// One row per epoch. With `merged`, one row for each run of epochs that train the same set
    /// from the same start.
    fn rows(&self, merged: bool) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for (at, epoch) in self.run_plan.epochs().iter().enumerate() {
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
        self.model_plan.blocks
            <= if self.forecasts.is_empty() {
                MOST_SQUARES.0
            } else {
                MOST_SQUARES.1
            }
    }

    /// The cell of an epoch: `· ··■■■■ 2-5`, with the embeddings, the blocks from the input, and
    /// the trained ones by number. It is `at most 0-5` if the schedule follows signals, and `1,4 …`
    /// if more decisions follow in the epoch.
    fn trained_cell(&self, epoch: &Epoch<'_>, start: usize) -> String {
        let (embeddings, squares) = column(epoch.stage, self.model_plan.blocks, start);
        let drawn: String = if self.is_drawn() {
            squares.iter().map(|s| s.glyph()).chain([' ']).collect()
        } else {
            String::new()
        };
        let run_plan = self.run_plan;
        let more = run_plan.signals.is_empty() && run_plan.interval_steps > 0;
        format!(
            "{} {drawn}{}{}{}",
            embeddings.glyph(),
            most(run_plan),
            epoch.stage.block_ranges(),
            if more { " …" } else { "" }
        )
    }
}

/// The widths of the first two columns.
#[derive(Clone, Copy)]
struct Widths {
    number: usize,
    cell: usize,
}

impl Widths {
    fn of(rows: &[Row]) -> Self {
        let numbers = rows.iter().map(|row| row.numbers().len());
        let cells = rows.iter().map(|row| row.cell.chars().count());
        Self {
            number: numbers.fold("epoch".len(), usize::max),
            cell: cells.fold(HEADER.len(), usize::max),
        }
    }

    fn line(self, number: &str, cell: &str, updated: u64, more: &str) -> String {
        let Self {
            number: first,
            cell: width,
        } = self;
        let updated = grouped(updated);
        format!("{number:>first$}  {cell:<width$}  {updated:>14}{more}\n")
    }
}

impl Row {
    /// The numbers of its epochs: `3`, or `3-7`.
    fn numbers(&self) -> String {
        match self.epochs {
            (first, last) if first == last => format!("{}", first + 1),
            (first, last) => format!("{}-{}", first + 1, last + 1),
        }
    }
}

/// The middle rows that are left out, so that `most` rows remain, including the line that mentions
/// them.
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

/// The header of the column of trained parts.
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

fn most(run_plan: &RunPlan) -> &'static str {
    if run_plan.signals.is_empty() {
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
