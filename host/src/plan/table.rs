//! A plan as a table for a person, and as `plan.json`. Called by `progtune plan` and by the recipe.

use super::{Blueprint, Foresight, foresight::Epoch};
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

/// The plan as a table for a person, within 80 columns; `predictions` are one an epoch, or none at all.
pub fn to_table(
    blueprint: &Blueprint,
    foresight: &Foresight,
    names: &PlanNames<'_>,
    predictions: &[Prediction],
) -> String {
    // Without the data nobody knows how many steps there are.
    let whole = predictions.iter().all(|p| p.secs.epoch.is_some());
    let cells = |secs: Option<f64>, bytes: Option<u64>| {
        let secs = secs.map_or("?".to_owned(), |secs| format!("{secs:.2}"));
        let mib = bytes.map_or("?".to_owned(), |n| format!("{:.0}", n as f64 / 1048576.0));
        format!("  {secs:>8}  {mib:>8}")
    };
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
    text.push_str("epoch  blocks         embeddings  updated parameters");
    if !predictions.is_empty() {
        let secs = if whole { "seconds" } else { "s/step" };
        text.push_str(&format!("  {secs:>8}  {:>8}", "peak MiB"));
    }
    text.push('\n');
    let epochs = foresight.epochs();
    for (number, epoch) in epochs.iter().enumerate() {
        text.push_str(&format!(
            "{:>5}  {:<13}  {:<10}  {:>18}{}\n",
            epoch.stage.epoch,
            blocks_cell(foresight, epoch),
            if epoch.stage.embeddings {
                "trained"
            } else {
                "frozen"
            },
            grouped(epoch.updated),
            predictions.get(number).map_or_else(String::new, |p| {
                cells(p.secs.epoch.or(Some(p.secs.step)), p.peak_bytes)
            }),
        ));
    }
    let total: u64 = epochs.iter().map(|epoch| epoch.updated).sum();
    let full = blueprint.candidate_size() * epochs.len() as u64;
    text.push_str(&format!(
        "total  {:<13}  {:<10}  {:>18}{}\n\n{}{:.1} % of training every block in every epoch\n",
        "",
        "",
        grouped(total),
        match predictions.is_empty() || !whole {
            true => String::new(),
            false => cells(
                predictions.iter().map(|p| p.secs.epoch).sum(),
                predictions.iter().map(|p| p.peak_bytes).max().flatten()
            ),
        },
        most(foresight),
        100.0 * total as f64 / full.max(1) as f64
    ));
    if let Some(note) = foresight.note(names.schedule) {
        text.push_str(&format!("{note}\n"));
    }
    text
}

/// `2-5`; `at most 0-5` when signals decide; `1,4 …` when more decisions follow in the epoch.
fn blocks_cell(foresight: &Foresight, epoch: &Epoch<'_>) -> String {
    let more = foresight.signals.is_empty() && foresight.interval_steps > 0;
    let blocks = epoch.stage.block_ranges();
    format!(
        "{}{blocks}{}",
        most(foresight),
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
