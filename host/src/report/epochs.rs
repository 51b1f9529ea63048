//! The table of the epochs at the end of a run: trained blocks, updated parameters, time, and every
//! metric. Called by the report.

use crate::{
    progress::{is_detail, metrics},
    summary::{EpochRecord, Summary},
};
use progtune_process::{
    grouped, short_name,
    terminal::{Paint, Screen},
};
use serde_json::{Map, Value};

/// Number of epochs up to which every row is shown. Of more epochs, the first, the last and the
/// best are shown.
const MOST_EPOCHS: usize = 12;
/// The width of the column of blocks.
const BLOCKS: usize = 18;
/// The mark of the best epoch.
const BEST: &str = "  best";
/// The column of the mean training loss.
const TRAIN_LOSS: &str = "train loss";

/// A column: its title, and a cell for each shown epoch.
struct Column {
    title: String,
    cells: Vec<String>,
    is_left: bool,
}

impl Column {
    fn new(
        title: &str,
        shown: &[Option<&EpochRecord>],
        cell: impl Fn(&EpochRecord) -> String,
    ) -> Self {
        let cells = shown.iter().map(|epoch| epoch.map_or(String::new(), &cell));
        Self {
            title: title.to_owned(),
            cells: cells.collect(),
            is_left: title == "blocks",
        }
    }

    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| cell.chars().count());
        cells.fold(self.title.chars().count(), usize::max)
    }

    /// The title for `None`, or a cell, in the width of the column.
    fn padded(&self, row: Option<usize>) -> String {
        let text = row.map_or(&self.title, |row| &self.cells[row]);
        let width = self.width();
        if self.is_left {
            format!("{text:<width$}")
        } else {
            format!("{text:>width$}")
        }
    }
}

/// Formats the epochs in lines of at most `width` characters. Metrics that find no room are
/// continued in further tables. The training loss and details of metrics are left out instead; they
/// are in `all_results.json`.
pub(super) fn table(summary: &Summary, best: Option<u32>, width: usize, paint: Paint) -> Screen {
    let shown = shown(&summary.history, best);
    let number = |epoch: &EpochRecord| epoch.epoch.to_string();
    let first = [
        Column::new("epoch", &shown, number),
        Column::new("blocks", &shown, |epoch| short_name(&epoch.blocks, BLOCKS)),
        Column::new("updated", &shown, |epoch| grouped(whole_epoch(epoch))),
        Column::new("seconds", &shown, |epoch| format!("{:.1}", epoch.secs)),
    ];
    let last = summary.history.last().map(|epoch| &epoch.evaluation);
    let names = last.into_iter().flat_map(metric_names);
    let (required, mut optional): (Vec<String>, Vec<String>) =
        names.partition(|name| !is_detail(name));
    optional.insert(0, TRAIN_LOSS.to_owned());
    let room = width - best.map_or(0, |_| BEST.len());
    let mut tables: Vec<Vec<Column>> = vec![first.into()];
    for (name, is_required) in required
        .iter()
        .map(|name| (name, true))
        .chain(optional.iter().map(|name| (name, false)))
    {
        let column = Column::new(name, &shown, |epoch| cell(epoch, name));
        let last = tables.len() - 1;
        if line_width(&tables[last]) + 2 + column.width() <= room {
            tables[last].push(column);
        } else if is_required {
            tables.push(vec![Column::new("epoch", &shown, number), column]);
        }
    }
    let mut text = Screen::default();
    for table in tables {
        text += lines(&table, &shown, &summary.history, best, paint);
        text += "\n";
    }
    text
}

/// The epochs with a row; `None` stands for the row of those that are left out.
fn shown(history: &[EpochRecord], best: Option<u32>) -> Vec<Option<&EpochRecord>> {
    let half = MOST_EPOCHS / 2;
    let mut shown: Vec<Option<&EpochRecord>> = Vec::new();
    for (at, epoch) in history.iter().enumerate() {
        let is_at_an_end = history.len() <= MOST_EPOCHS || at < half || at + half >= history.len();
        if is_at_an_end || best == Some(epoch.epoch) {
            shown.push(Some(epoch));
        } else if shown.last().is_some_and(Option::is_some) {
            shown.push(None);
        }
    }
    shown
}

/// The updated parameters of the epoch. Of an epoch that was cut short, the whole is shown.
fn whole_epoch(epoch: &EpochRecord) -> u64 {
    (epoch.updated_parameters / epoch.share.max(f64::MIN_POSITIVE)).round() as u64
}

fn metric_names(evaluation: &Map<String, Value>) -> impl Iterator<Item = String> {
    metrics(evaluation, "eval_").map(|(name, _)| name.to_owned())
}

fn cell(epoch: &EpochRecord, name: &str) -> String {
    let value = match name {
        TRAIN_LOSS => Some(epoch.train_loss).filter(|loss| loss.is_finite()),
        // With `--eval-strategy no` only the last epoch has an evaluation.
        _ if epoch.evaluation.is_empty() => return "-".to_owned(),
        name => epoch
            .evaluation
            .get(&format!("eval_{name}"))
            .and_then(Value::as_f64),
    };
    value.map_or("undefined".to_owned(), |value| format!("{value:.4}"))
}

/// The width of a table's lines, without the mark of the best epoch.
fn line_width(table: &[Column]) -> usize {
    let columns: usize = table.iter().map(|column| column.width() + 2).sum();
    columns - 2
}

fn lines(
    table: &[Column],
    shown: &[Option<&EpochRecord>],
    history: &[EpochRecord],
    best: Option<u32>,
    paint: Paint,
) -> Screen {
    let line = |row: Option<usize>| {
        let cells: Vec<String> = table.iter().map(|column| column.padded(row)).collect();
        cells.join("  ")
    };
    let mut text = Screen::from(line(None) + "\n");
    for (row, epoch) in shown.iter().enumerate() {
        match epoch {
            Some(epoch) if best == Some(epoch.epoch) => {
                text += paint.bold(&(line(Some(row)) + BEST));
            }
            Some(_) => text += &line(Some(row)),
            None => {
                let from = number_at(shown, row.checked_sub(1)).unwrap_or(0);
                let to = number_at(shown, Some(row + 1)).unwrap_or(history.len() as u32 + 1);
                let left_out = to.saturating_sub(from + 1);
                text += &format!("{:>5}  {left_out} more in all_results.json", "…");
            }
        }
        text += "\n";
    }
    text
}

/// The number of the epoch in a row.
fn number_at(shown: &[Option<&EpochRecord>], row: Option<usize>) -> Option<u32> {
    let epoch = shown.get(row?)?.as_ref()?;
    Some(epoch.epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_process::terminal::ColourChoice;
    use serde_json::json;

    fn summary(n_epochs: u32, names: &[&str]) -> Summary {
        let epoch = |number: u32| EpochRecord {
            epoch: number,
            blocks: "0-5".into(),
            updated_parameters: 22_713_986.0,
            share: 1.0,
            train_loss: 0.5,
            secs: 1.5,
            evaluation: names
                .iter()
                .map(|name| (format!("eval_{name}"), json!(0.25)))
                .collect(),
        };
        Summary {
            history: (1..=n_epochs).map(epoch).collect(),
            ..Summary::default()
        }
    }

    fn text(summary: &Summary, best: Option<u32>, width: usize) -> String {
        let text = table(summary, best, width, ColourChoice::Never.stdout());
        text.as_str().to_owned()
    }

    #[test]
    fn every_metric_has_a_column() {
        let shown = text(&summary(2, &["accuracy", "loss"]), Some(1), 80);
        let expected = "\
epoch  blocks     updated  seconds  accuracy    loss  train loss
    1  0-5     22,713,986      1.5    0.2500  0.2500      0.5000  best
    2  0-5     22,713,986      1.5    0.2500  0.2500      0.5000

";
        assert_eq!(shown, expected);
        // The derived metric and the training loss give way.
        let glue = summary(1, &["accuracy", "f1", "combined_score", "loss"]);
        let titles = |width: usize| {
            let shown = text(&glue, None, width);
            shown.lines().next().unwrap().to_owned()
        };
        assert!(titles(80).ends_with("accuracy      f1    loss  train loss"));
        assert!(titles(100).ends_with("train loss  combined_score"));
        assert!(titles(70).ends_with("f1    loss"));
    }

    #[test]
    fn chosen_metrics_without_room_have_another_table() {
        let names = [
            "accuracy",
            "f1",
            "f1_macro",
            "f1_micro",
            "f1_weighted",
            "matthews",
            "auroc",
            "loss",
        ];
        for width in [60, 80, 100, 200] {
            let shown = text(&summary(2, &names), None, width);
            for name in names {
                let titles = shown.lines().filter(|line| line.starts_with("epoch"));
                let found = titles.filter(|line| line.split_whitespace().any(|word| word == name));
                assert_eq!(found.count(), 1, "{name}: {shown}");
            }
            assert!(
                shown.lines().all(|line| line.chars().count() <= width),
                "{shown}"
            );
        }
        let squad = summary(
            2,
            &["exact", "f1", "HasAns_exact", "best_f1_thresh", "loss"],
        );
        let shown = text(&squad, None, 80);
        assert_eq!(shown.lines().count(), 4, "{shown}");
    }

    #[test]
    fn the_middle_of_many_epochs_is_left_out() {
        let shown = text(&summary(40, &["loss"]), Some(20), 80);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 1 + 6 + 1 + 1 + 1 + 6 + 1, "{shown}");
        assert_eq!(lines[7], "    …  13 more in all_results.json");
        assert!(lines[8].starts_with("   20") && lines[8].ends_with("best"));
        assert_eq!(lines[9], "    …  14 more in all_results.json");
    }

    /// A run that is cut short shows what its epoch would have updated.
    #[test]
    fn a_part_of_an_epoch_counts_as_a_whole() {
        let mut cut = summary(1, &["loss"]);
        cut.history[0].updated_parameters = 22_713_986.0 * 2.0 / 345.0;
        cut.history[0].share = 2.0 / 345.0;
        assert!(text(&cut, None, 80).contains("  22,713,986  "));
    }
}
