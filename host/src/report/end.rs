//! The end of a run that was shorter than planned: the stages that it did not reach, for programs
//! and for people. Called by the report.

use progtune_engine::plan::{RunPlan, Stage};
use progtune_process::short_list;
use serde_json::{Value, json};

/// The first stage of an epoch that did not begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StageNotReached {
    /// The epoch, counted from 1.
    epoch: u32,
    /// The blocks that it would have trained, as in the records of epochs; `None` if the schedule
    /// would have decided them during the run.
    blocks: Option<String>,
}

impl StageNotReached {
    /// The first stage of an epoch in the plan.
    pub(crate) fn new(stage: &Stage, run_plan: &RunPlan) -> Self {
        // Further stages of the epoch follow, as in the records of epochs.
        let more = if run_plan.interval_steps > 0 {
            " …"
        } else {
            ""
        };
        let is_known = run_plan.signals.is_empty();
        Self {
            epoch: stage.epoch,
            blocks: is_known.then(|| stage.block_ranges() + more),
        }
    }
}

/// The stages in `all_results.json`.
pub(super) fn to_json(stages: &[StageNotReached]) -> Value {
    let stage = |stage: &StageNotReached| json!({"epoch": stage.epoch, "blocks": stage.blocks});
    stages.iter().map(stage).collect()
}

/// The stages in words: `epoch 2 (blocks 2-5), epochs 3-4 (blocks 4-5)`.
pub(super) fn in_words(stages: &[StageNotReached]) -> String {
    let same = |a: &StageNotReached, b: &StageNotReached| a.blocks == b.blocks;
    let words = stages.chunk_by(same).map(|group| {
        let (first, last) = (group[0].epoch, group[group.len() - 1].epoch);
        let epochs = if first == last {
            format!("epoch {first}")
        } else {
            format!("epochs {first}-{last}")
        };
        match &group[0].blocks {
            Some(blocks) => format!("{epochs} (blocks {blocks})"),
            None => epochs,
        }
    });
    short_list(&words.collect::<Vec<_>>(), ", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_with_the_same_blocks_are_named_together() {
        let stage = |epoch, blocks: Option<&str>| StageNotReached {
            epoch,
            blocks: blocks.map(str::to_owned),
        };
        let known = [
            stage(2, Some("2-5")),
            stage(3, Some("4-5")),
            stage(4, Some("4-5")),
        ];
        assert_eq!(
            in_words(&known),
            "epoch 2 (blocks 2-5), epochs 3-4 (blocks 4-5)"
        );
        let unknown = [stage(2, None), stage(3, None)];
        assert_eq!(in_words(&unknown), "epochs 2-3");
        assert_eq!(
            to_json(&[stage(2, Some("none")), stage(3, None)]),
            json!([{"epoch": 2, "blocks": "none"}, {"epoch": 3, "blocks": null}])
        );
    }
}
