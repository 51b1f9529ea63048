//! Forecasts for each epoch what the cache will hold and which blocks it will spare. Called by
//! `plan --predict` before there are weights, and by the cache for the picture at the start of a
//! run.
//!
//! It follows the rules of the cache itself. [`super::boundary`] decides what is saved in each
//! epoch, and [`super::budget`] decides the place and the examples that fit.

use super::{
    boundary::{Plan, starts},
    budget::{Chosen, Limits, Place, choose},
    disk::SLOT_HEADER,
    settings::{Mode, Settings},
};
use progtune_engine::Result;
use progtune_pipeline::token_store::Examples;
use progtune_process::ByteSize;
use std::path::Path;

/// The forecast of the cache of a run that has not begun.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CacheForecast {
    /// The place of the entries.
    pub place: Place,
    /// Size of all kept entries in bytes.
    pub bytes: u64,
    /// The kept share of the training set's tokens.
    pub training_share: f64,
    /// The kept share of the evaluated splits' tokens.
    pub(crate) evaluation_share: f64,
    /// The boundary where kept examples start in each epoch, with 0 for the embeddings. The output
    /// of the blocks below it is known.
    pub starts: Vec<usize>,
    /// Whether entries are held at the end of each epoch.
    pub holds: Vec<bool>,
}

/// The sizes of a model and its data that determine the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes<'a> {
    /// Number of blocks (L).
    pub blocks: usize,
    /// Whether the head reads every token, so that the last block computes all of them.
    pub every_token: bool,
    /// Hugging Face's `hidden_size`.
    pub hidden_size: usize,
    /// The training set, then every evaluation split.
    pub splits: &'a [&'a Examples],
}

/// The place and the entries of a cache within these limits; `saves` is the boundary that each
/// epoch saves at, if that is known in advance. `None` means that nothing fits.
///
/// # Errors
/// Fails if examples cannot be read.
pub(super) fn chosen(
    settings: Settings,
    limits: Limits,
    sizes: Sizes<'_>,
    saves: Option<&[usize]>,
) -> Result<Option<Chosen>> {
    let most = most_rows(saves, sizes.blocks, sizes.every_token);
    let row = (sizes.hidden_size * settings.dtype.bytes()) as u64;
    let size = |tokens: usize| most(tokens) as u64 * row + SLOT_HEADER;
    choose(settings.mode, sizes.splits, &size, limits)
}

impl CacheForecast {
    /// The forecast for a run in `directory`; `frozen` is the length of the frozen prefix per
    /// epoch. `None` means that there is no cache, because it is off or would save no work.
    ///
    /// # Errors
    /// Fails if examples cannot be read.
    pub(crate) fn new(
        settings: Settings,
        directory: &Path,
        sizes: Sizes<'_>,
        frozen: &[usize],
    ) -> Result<Option<Self>> {
        let plan = Plan::new(frozen.len() as u32, Some(frozen.to_vec()));
        let Some(saves) = plan.saves() else {
            return Ok(None);
        };
        if settings.mode == Mode::Off || saves.iter().all(|&boundary| boundary == 0) {
            return Ok(None);
        }
        let limits = Limits::new(settings.budget, existing(directory), 0);
        let Some(chosen) = chosen(settings, limits, sizes, Some(&saves))? else {
            return Ok(None);
        };
        Ok(Some(Self::of(&chosen, sizes.splits, frozen, &saves)))
    }

    /// The forecast for the chosen entries of these splits.
    pub(super) fn of(
        chosen: &Chosen,
        splits: &[&Examples],
        frozen: &[usize],
        saves: &[usize],
    ) -> Self {
        let share = |range: std::ops::Range<usize>| {
            let all = splits[range.clone()].iter();
            let all: u64 = all.map(|split| split.summary().tokens).sum();
            chosen.tokens[range].iter().sum::<u64>() as f64 / (all as f64).max(1.0)
        };
        let train = splits.len().min(1);
        let starts = starts(frozen, saves);
        let held = starts.iter().zip(saves);
        Self {
            place: chosen.place,
            bytes: chosen.sizes.iter().sum(),
            training_share: share(0..train),
            evaluation_share: share(train..splits.len()),
            holds: held.map(|(&start, &saved)| start.max(saved) > 0).collect(),
            starts,
        }
    }

    /// Bytes of memory taken by the entries at the end of an epoch; 0 if they are on disk.
    pub(crate) fn memory_after(&self, epoch: usize) -> u64 {
        if self.place == Place::Ram && self.holds.get(epoch) == Some(&true) {
            self.bytes
        } else {
            0
        }
    }

    /// Describes the size and the place: `207 MB in RAM for 83 % of the training set's tokens`.
    pub(crate) fn describe(&self) -> String {
        let place = match self.place {
            Place::Ram => "in RAM",
            Place::Disk => "on disk",
            Place::Gpu => "on the GPU",
        };
        let size = ByteSize(self.bytes).rounded();
        if self.training_share >= 1.0 {
            format!("{size} {place}")
        } else {
            format!(
                "{size} {place} for {:.0} % of the training set's tokens",
                100.0 * self.training_share
            )
        }
    }
}

/// The maximum number of rows of an example, as a function of its tokens. It is one row if the head
/// reads only the first token, and `saves` is known and contains only the output of the last block.
fn most_rows(
    saves: Option<&[usize]>,
    blocks: usize,
    every_token: bool,
) -> impl Fn(usize) -> usize + use<> {
    let first_tokens_only = !every_token
        && saves.is_some_and(|saves| {
            saves
                .iter()
                .all(|&boundary| boundary == 0 || boundary == blocks)
        });
    move |tokens| if first_tokens_only { 1 } else { tokens }
}

/// The directory, or its nearest existing ancestor, which is on the same disk.
fn existing(directory: &Path) -> &Path {
    let there = directory.ancestors().find(|path| path.is_dir());
    there.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefix_cache::CacheDtype;
    use progtune_engine::EncodedExample;

    fn examples(lengths: &[usize]) -> Examples {
        let example = |&length: &usize| EncodedExample {
            input_ids: vec![1; length],
            token_type_ids: vec![0; length],
            target: None,
        };
        lengths.iter().map(example).collect()
    }

    const USUAL: Settings = Settings {
        mode: Mode::Auto,
        dtype: CacheDtype::F32,
        budget: None,
    };

    fn cache_forecast(settings: Settings, frozen: &[usize]) -> Option<CacheForecast> {
        let sizes = Sizes {
            blocks: 6,
            every_token: false,
            hidden_size: 4,
            splits: &[&examples(&[10, 20, 30]), &examples(&[40])],
        };
        CacheForecast::new(settings, Path::new("."), sizes, frozen).unwrap()
    }

    #[test]
    fn epochs_start_where_the_last_one_saved() {
        let starts = |frozen: &[usize]| cache_forecast(USUAL, frozen).map(|o| o.starts);
        assert_eq!(starts(&[0, 2, 4]), Some(vec![0, 0, 2]), "progressive");
        assert_eq!(starts(&[0, 1, 2, 3]), Some(vec![0, 0, 1, 2]));
        assert_eq!(starts(&[4, 2, 0]), Some(vec![0, 2, 0]), "grow-from-hb");
        assert_eq!(starts(&[3, 3, 3]), Some(vec![0, 3, 3]), "single-block");
        assert_eq!(starts(&[0, 0, 0]), None, "full");
        assert_eq!(starts(&[5]), None, "one epoch");
        let off = Settings {
            mode: Mode::Off,
            ..USUAL
        };
        assert_eq!(cache_forecast(off, &[0, 2, 4]), None);
    }

    #[test]
    fn what_does_not_fit_is_not_counted() {
        let entry = |tokens: u64| tokens * 16 + SLOT_HEADER;
        let settings = Settings {
            mode: Mode::Ram,
            budget: Some(ByteSize(entry(10) + entry(20) + 1)),
            ..USUAL
        };
        let found = cache_forecast(settings, &[0, 2, 4]).unwrap();
        assert_eq!(found.bytes, entry(10) + entry(20));
        assert_eq!((found.training_share, found.evaluation_share), (0.5, 0.0));
        assert_eq!(
            [0, 1, 2].map(|epoch| found.memory_after(epoch)),
            [0, found.bytes, found.bytes]
        );
        assert!(
            found
                .describe()
                .ends_with("in RAM for 50 % of the training set's tokens")
        );
    }

    #[test]
    fn the_last_blocks_output_is_one_row() {
        let found = cache_forecast(USUAL, &[6, 6]).unwrap();
        assert_eq!(found.bytes, 4 * (16 + SLOT_HEADER));
    }
}
