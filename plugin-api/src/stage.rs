//! Stages: the set of blocks that one epoch trains, and the paper's arithmetic for it.
//!
//! The paper splits L blocks into T parts (Eq. 2) and trains the parts from t to T in epoch t (Eq.
//! 3). If T does not divide L, the paper's own tables determine the remainder: p of T parts are the
//! top ⌈L·p/T⌉ blocks ([`parts`]). Each stage also trains the head, and the embeddings according to
//! the option [`EMBEDDINGS_OPTION`].
//!
//! A schedule that is no more than a set of blocks for each epoch is a [`BlocksByEpoch`]:
//!
//! ```
//! use progtune_plugin_api::{contract, prelude::*, stage};
//!
//! export_plugin! {
//!     schedules: [
//!         {
//!             id: "alternating",
//!             summary: "the upper half of the blocks in odd epochs, all of them in even ones",
//!             options: [EMBEDDINGS_OPTION],
//!             create: |options, _, run| BlocksByEpoch::new(options, run, |run, epoch| {
//!                 let halves = if epoch % 2 == 1 { 1 } else { 2 };
//!                 stage::top(run, (run.blocks * halves).div_ceil(2))
//!             }),
//!         },
//!     ],
//! }
//! # fn main() {
//! contract::assert_top_blocks(&PLUGIN, "alternating", 12, &[6, 12, 6]);
//! # }
//! ```

use crate::{
    manifest::{DefaultSpec, OptionSpec},
    options::{OptionKind, Options},
    records::{DecisionRecord, PluginError, RunRecord, SchedulePlan},
    sdk::Schedule,
};
use std::{collections::BTreeSet, ops::Range};

/// The option `embeddings` of every first-party schedule; read it with
/// [`Embeddings::from_options`].
pub const EMBEDDINGS_OPTION: OptionSpec = OptionSpec {
    name: "embeddings",
    kind: OptionKind::STR,
    default: DefaultSpec::Str("auto"),
    min: "",
    max: "",
    choices: &["auto", "every-epoch", "first-part"],
    help: "when embedding parameters are trained: in every epoch, or with the first part only (the epochs that train \
           block 0); auto: every epoch in full fine-tuning, first part under a PEFT method",
};

/// The epochs in which the embedding candidates are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embeddings {
    /// Every epoch.
    EveryEpoch,
    /// Exactly the epochs whose stage contains block 0.
    FirstPart,
}

impl Embeddings {
    /// Reads the option `embeddings`; `auto` depends on the run.
    ///
    /// # Errors
    /// If the entry does not declare the option.
    pub fn from_options(options: &Options<'_>, run: &RunRecord) -> Result<Self, PluginError> {
        match options.str("embeddings")? {
            "every-epoch" => Ok(Self::EveryEpoch),
            "first-part" => Ok(Self::FirstPart),
            _ if run.method.is_empty() => Ok(Self::EveryEpoch),
            _ => Ok(Self::FirstPart),
        }
    }
}

/// The number of top blocks in `parts` of the run's T parts: ⌈L·parts/T⌉, at most L.
pub fn parts(run: &RunRecord, parts: u32) -> u32 {
    let blocks = u64::from(run.blocks) * u64::from(parts);
    blocks
        .div_ceil(u64::from(run.epochs.max(1)))
        .min(u64::from(run.blocks)) as u32
}

/// The top `k` of the run's L blocks; all of them if `k` is larger.
pub fn top(run: &RunRecord, k: u32) -> Range<u32> {
    run.blocks.saturating_sub(k)..run.blocks
}

/// The epoch of a decision, checked to be from 1 to T.
///
/// # Errors
/// If the host asks for an epoch outside the run.
pub fn epoch(run: &RunRecord, decision: &DecisionRecord) -> Result<u32, PluginError> {
    match decision.epoch {
        epoch if (1..=run.epochs).contains(&epoch) => Ok(epoch),
        epoch => Err(PluginError::unsupported(format!(
            "expected an epoch from 1 to {}, found {epoch}",
            run.epochs
        ))),
    }
}

/// The blocks that one epoch trains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    blocks: BTreeSet<u32>,
    embeddings: Embeddings,
}

impl Stage {
    /// The top `k` of the run's L blocks (all of them if `k` is larger).
    pub fn top_blocks(run: &RunRecord, k: u32, embeddings: Embeddings) -> Self {
        Self::blocks(top(run, k), embeddings)
    }

    /// Any set of blocks.
    pub fn blocks(blocks: impl IntoIterator<Item = u32>, embeddings: Embeddings) -> Self {
        Self {
            blocks: blocks.into_iter().collect(),
            embeddings,
        }
    }

    /// Trains the candidates in the stage's blocks, the head, the parameters that several blocks
    /// share, and the embeddings according to the option.
    ///
    /// # Errors
    /// If there are none: the run has no candidate in these parts.
    pub fn plan(&self, run: &RunRecord) -> Result<SchedulePlan, PluginError> {
        let with_embeddings = self.embeddings == Embeddings::EveryEpoch || self.blocks.contains(&0);
        let embeddings = if with_embeddings {
            run.embeddings()
        } else {
            Vec::new()
        };
        let in_blocks: Vec<u32> =
            run.select(|p| u32::try_from(p.block).is_ok_and(|block| self.blocks.contains(&block)));
        let (head, shared) = (run.head(), run.shared());
        let mut note = vec![format!(
            "{} of {} blocks",
            block_ranges(self.blocks.iter().copied()),
            run.blocks
        )];
        for (ids, name) in [
            (&embeddings, "embeddings"),
            (&shared, "shared parameters"),
            (&head, "head"),
        ] {
            if !ids.is_empty() {
                note.push(name.into());
            }
        }
        let mut ids = [in_blocks, embeddings, shared, head].concat();
        ids.sort_unstable();
        if ids.is_empty() {
            let message = format!(
                "no candidate parameter is in the stage ({})",
                note.join(", ")
            );
            return Err(PluginError::unsupported(message));
        }
        Ok(SchedulePlan::train(ids).with_note(note.join(", ")))
    }
}

/// A schedule that decides at the start of each epoch, from nothing but the run and the epoch. It
/// declares [`EMBEDDINGS_OPTION`].
pub struct BlocksByEpoch<F> {
    run: RunRecord,
    embeddings: Embeddings,
    blocks: F,
}

impl<F, B> BlocksByEpoch<F>
where
    F: Fn(&RunRecord, u32) -> B + Send + Sync + 'static,
    B: IntoIterator<Item = u32>,
{
    /// The schedule for a run. `blocks` returns the blocks that an epoch (from 1 to T) trains.
    ///
    /// # Errors
    /// If the entry does not declare the option `embeddings`.
    pub fn new(options: &Options<'_>, run: &RunRecord, blocks: F) -> Result<Self, PluginError> {
        Ok(Self {
            run: run.clone(),
            embeddings: Embeddings::from_options(options, run)?,
            blocks,
        })
    }
}

impl<F, B> Schedule for BlocksByEpoch<F>
where
    F: Fn(&RunRecord, u32) -> B + Send + Sync + 'static,
    B: IntoIterator<Item = u32>,
{
    fn plan(&self, decision: &DecisionRecord) -> Result<SchedulePlan, PluginError> {
        let epoch = epoch(&self.run, decision)?;
        let blocks = (self.blocks)(&self.run, epoch);
        Stage::blocks(blocks, self.embeddings).plan(&self.run)
    }
}

/// Blocks as ranges: `4-11`, `0,2,4`, `none`.
pub fn block_ranges(blocks: impl IntoIterator<Item = u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for block in blocks {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == block => *last = block,
            _ => ranges.push((block, block)),
        }
    }
    let text = |&(first, last): &(u32, u32)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    if ranges.is_empty() {
        "none".into()
    } else {
        ranges.iter().map(text).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::run_record;

    #[test]
    fn parts_round_up_and_cover_everything() {
        let k = |blocks, epochs| -> Vec<u32> {
            let run = run_record(blocks, epochs, "", true);
            (1..=epochs).map(|t| parts(&run, epochs - t + 1)).collect()
        };
        assert_eq!(k(12, 3), [12, 8, 4]);
        assert_eq!(k(5, 3), [5, 4, 2]);
        assert_eq!(k(2, 5), [2, 2, 2, 1, 1]);
        assert_eq!(k(1, 1), [1]);
    }

    #[test]
    fn embeddings_follow_block_zero_or_come_always() {
        let run = run_record(4, 2, "", true);
        let trains_embeddings = |k, embeddings| {
            let plan = Stage::top_blocks(&run, k, embeddings).plan(&run).unwrap();
            run.embeddings()
                .iter()
                .all(|id| plan.trainable.contains(id))
        };
        assert!(trains_embeddings(4, Embeddings::FirstPart));
        assert!(!trains_embeddings(3, Embeddings::FirstPart));
        assert!(trains_embeddings(0, Embeddings::EveryEpoch));
        let plan = Stage::blocks([0, 2, 3], Embeddings::FirstPart)
            .plan(&run)
            .unwrap();
        assert_eq!(plan.note.as_str(), "0,2-3 of 4 blocks, embeddings, head");
    }
}
