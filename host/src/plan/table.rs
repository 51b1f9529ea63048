//! A plan as a table for a person, and as `plan.json`. Called by `progtune plan` and by the recipe.

use super::{
    Blueprint, Foresight,
    foresight::Epoch,
    picture::{Square, column},
};
use crate::forecast::EpochSecs;
use serde_json::{Value, json};

/// What one epoch is predicted to take on this machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Its time.
    pub secs: EpochSecs,
    /// The largest amount of memory, in training or evaluation; `None` where it cannot be predicted.
    pub peak_bytes: Option<u64>,
}

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

/// Blocks at most that are drawn; of more, their ranges alone are said.
const MOST_SQUARES: usize = 32;

/// The plan as a table for a person, within 80 columns; `predictions` are one an epoch, or none at all, and so are
/// `starts`, the blocks where epochs start from the prefix cache.
pub fn to_table(
    blueprint: &Blueprint,
    foresight: &Foresight,
    names: &PlanNames<'_>,
    predictions: &[Prediction],
    starts: &[usize],
) -> String {
    // Without the data nobody knows how many steps there are.
    let whole = predictions.iter().all(|p| p.secs.epoch.is_some());
    let cells = |secs: Option<f64>, bytes: Option<u64>| {
        let secs = secs.map_or("?".to_owned(), |secs| format!("{secs:.2}"));
        let mib = bytes.map_or("?".to_owned(), |n| format!("{:.0}", n as f64 / 1048576.0));
        format!("  {secs:>8}  {mib:>8}")
    };
    let epochs = foresight.epochs();
    let rows: Vec<String> = epochs
        .iter()
        .enumerate()
        .map(|(at, epoch)| {
            let start = starts.get(at).copied().unwrap_or(0);
            trained_cell(blueprint.blocks, foresight, epoch, start)
        })
        .collect();
    let widths = rows.iter().map(|row| row.chars().count());
    let width = widths.chain([HEADER.len()]).max().unwrap_or(0);
    let mut text = format!(
        "{} on {}: schedule {}, {}; {} blocks, {} parameters\n\n",
        names.model,
        names.task,
        names.schedule,
        names
            .peft
            .map_or("full fine-tuning".to_owned(), |peft| format!(
                "method {peft}"
            )),
        blueprint.blocks,
        millions(blueprint.model_size()),
    );
    text.push_str(&format!("epoch  {HEADER:<width$}  {:>14}", "updated"));
    if !predictions.is_empty() {
        let secs = if whole { "seconds" } else { "s/step" };
        text.push_str(&format!("  {secs:>8}  {:>8}", "peak MiB"));
    }
    text.push('\n');
    for (number, (epoch, row)) in epochs.iter().zip(&rows).enumerate() {
        text.push_str(&format!(
            "{:>5}  {row:<width$}  {:>14}{}\n",
            epoch.stage.epoch,
            grouped(epoch.updated),
            predictions.get(number).map_or_else(String::new, |p| {
                cells(p.secs.epoch.or(Some(p.secs.step)), p.peak_bytes)
            }),
        ));
    }
    let total: u64 = epochs.iter().map(|epoch| epoch.updated).sum();
    let full = blueprint.candidate_size() * epochs.len() as u64;
    text.push_str(&format!(
        "total  {:<width$}  {:>14}{}\n\n",
        "",
        grouped(total),
        match predictions.is_empty() || !whole {
            true => String::new(),
            false => cells(
                predictions.iter().map(|p| p.secs.epoch).sum(),
                predictions.iter().map(|p| p.peak_bytes).max().flatten()
            ),
        },
    ));
    if blueprint.blocks <= MOST_SQUARES {
        text.push_str(&legend(starts));
    }
    text.push_str(&format!(
        "{}{:.1} % of training every block in every epoch\n",
        most(foresight),
        100.0 * total as f64 / full.max(1) as f64
    ));
    if let Some(note) = foresight.note(names.schedule) {
        text.push_str(&format!("{note}\n"));
    }
    text
}

/// The header of what an epoch trains.
const HEADER: &str = "embeddings, blocks";

fn legend(starts: &[usize]) -> String {
    let cached = match starts.iter().any(|&start| start > 0) {
        true => format!(
            "  {} frozen, read from the prefix cache",
            Square::Cached.glyph()
        ),
        false => String::new(),
    };
    format!(
        "{} trained  {} frozen{cached}\n",
        Square::Trained.glyph(),
        Square::Frozen.glyph()
    )
}

/// `· ··■■■■ 2-5`: the embeddings, the blocks from the input, and the trained ones by number; `at most 0-5` when signals
/// decide, `1,4 …` when more decisions follow in the epoch.
fn trained_cell(blocks: usize, foresight: &Foresight, epoch: &Epoch<'_>, start: usize) -> String {
    let (embeddings, squares) = column(epoch.stage, blocks, start);
    let drawn: String = match blocks <= MOST_SQUARES {
        true => {
            squares
                .iter()
                .map(|square| square.glyph())
                .collect::<String>()
                + " "
        }
        false => String::new(),
    };
    let more = foresight.signals.is_empty() && foresight.interval_steps > 0;
    format!(
        "{} {drawn}{}{}{}",
        embeddings.glyph(),
        most(foresight),
        epoch.stage.block_ranges(),
        if more { " …" } else { "" }
    )
}

fn most(foresight: &Foresight) -> &'static str {
    match foresight.signals.is_empty() {
        true => "",
        false => "at most ",
    }
}

/// `1 234 567` as `1,234,567`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn millions(n: u64) -> String {
    format!("{:.1} M", n as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1234567), "1,234,567");
    }
}
