//! The prefix cache: the output of the frozen prefix for each example, kept from one epoch to the
//! next.
//!
//! Blocks below the lowest trained parameter do not change, so neither does their output. Each
//! epoch saves this output at a `boundary`. The next epoch starts there, and saves again if the
//! boundary has moved up. The recipe creates the cache; it and the evaluator
//! use it. In f32 the results are the same bits with and without the cache.

mod boundary;
mod budget;
mod cache_forecast;
mod checkpoint;
pub mod disk;
mod gpu;
mod key;
mod ram;
mod settings;
mod start;
mod store;
mod usage;

pub(crate) use budget::Place;
pub(crate) use cache_forecast::{CacheForecast, Sizes};
pub use checkpoint::Kept;
pub use settings::{CacheDtype, Mode, Settings};
pub(crate) use usage::Usage;

use boundary::{Plan, save_boundary};
use budget::Limits;
use disk::{Disk, SLOT_HEADER};
use gpu::Gpu;
use key::Keys;
use progtune_engine::{
    Result,
    model::{Model, ParameterId},
    plan::Stage,
};
use progtune_pipeline::token_store::Examples;
use progtune_process::files::Folder;
use ram::Ram;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use store::{Shelf, Store};

/// The cache's folder in the run directory.
pub(crate) const DIRECTORY: &str = "prefix-cache";
/// The file in that folder.
pub(crate) const FILE: &str = "rows.bin";

/// The cache of one run, over the training set and every evaluation split.
pub struct PrefixCache {
    plan: Plan,
    /// The entries; `None` if the cache is off or would save no work.
    store: Option<Store>,
    /// The hashes of everything that rows on disk depend on.
    keys: Option<Keys>,
    /// The directory of the run.
    run: PathBuf,
    /// The cache's folder in it.
    directory: PathBuf,
    /// The entry of each split's first example, followed by the number of all entries.
    first_entries: Vec<usize>,
    /// The boundary saved in this epoch; 0 means that nothing is saved.
    save_at: usize,
    /// Whether rows from the cache are the bits that would be computed.
    is_exact: bool,
    /// The parameters that the current stage trains.
    trained: Vec<ParameterId>,
    /// Number of examples looked up in this epoch.
    lookups: usize,
    /// Number of these that the cache had.
    hits: usize,
    /// Number of examples saved in this epoch.
    saved: usize,
    /// The forecast of the cache, if it is known before the run.
    cache_forecast: Option<CacheForecast>,
}

/// The parts of a run that the cache needs.
pub struct CachedRun<'a> {
    /// The settings of the cache.
    pub settings: Settings,
    /// The model.
    pub model: &'a Model,
    /// The stage of every epoch, if the schedule depends only on the epoch.
    pub stages: Option<&'a [Stage]>,
    /// Number of epochs that run.
    pub epochs: u32,
    /// The training set, then every evaluation split.
    pub splits: &'a [&'a Examples],
    /// The run's directory.
    pub directory: &'a Path,
}

impl PrefixCache {
    /// Decides the place and the contents of the cache for the whole run. The cache starts empty,
    /// unless an earlier run in the same directory was cut short.
    pub fn new(run: &CachedRun<'_>) -> Self {
        let frozen: Option<Vec<usize>> = run.stages.map(|stages| {
            let frozen = |stage: &Stage| {
                let is_trained = |id| stage.trainable.binary_search(&id).is_ok();
                run.model.frozen_blocks(is_trained)
            };
            stages.iter().map(frozen).collect()
        });
        let mut first_entries = vec![0];
        for split in run.splits {
            first_entries.push(first_entries[first_entries.len() - 1] + split.len());
        }
        let mut cache = Self {
            plan: Plan::new(run.epochs, frozen.clone()),
            store: None,
            keys: None,
            run: run.directory.to_owned(),
            directory: run.directory.join(DIRECTORY),
            first_entries,
            save_at: 0,
            is_exact: run.model.is_fused() && run.settings.is_exact(),
            trained: Vec::new(),
            lookups: 0,
            hits: 0,
            saved: 0,
            cache_forecast: None,
        };
        let saves = cache.plan.saves();
        let useless = saves
            .as_ref()
            .is_some_and(|saves| saves.iter().all(|&b| b == 0));
        if !useless && !run.model.frozen_part_drops_out() {
            cache.open(run, frozen.as_deref(), saves.as_deref());
        }
        cache.remove_unless_on_disk();
        cache
    }

    /// The forecast of the contents and of where epochs start; `None` if there is no cache, or if
    /// this is decided during the run.
    pub(crate) fn cache_forecast(&self) -> Option<&CacheForecast> {
        self.cache_forecast.as_ref()
    }

    /// Opens the store, unless the cache is off or its file cannot be opened.
    fn open(&mut self, run: &CachedRun<'_>, frozen: Option<&[usize]>, saves: Option<&[usize]>) {
        if run.settings.mode == Mode::Off {
            return;
        }
        let file = self.directory.join(FILE);
        let reusable = fs::symlink_metadata(&file).map_or(0, |data| data.len());
        let budget = run.settings.budget;
        let limits = Limits::new(budget, run.directory, reusable);
        let on_gpu = match run.model.free_gpu_memory() {
            // A GPU keeps numbers in the type in which it computes them.
            Some(free) if run.settings.dtype == CacheDtype::F32 => limits.with_gpu(free, budget),
            _ => limits,
        };
        if !self.open_within(on_gpu, run, frozen, saves) {
            self.open_within(limits, run, frozen, saves);
        }
    }

    /// Opens the store within these limits. Returns false if the GPU has less room than it said.
    fn open_within(
        &mut self,
        limits: Limits,
        run: &CachedRun<'_>,
        frozen: Option<&[usize]>,
        saves: Option<&[usize]>,
    ) -> bool {
        let dtype = run.settings.dtype;
        let sizes = Sizes {
            blocks: run.model.config.blocks(),
            every_token: run.model.reads_every_token(),
            hidden_size: run.model.config.encoder.hidden_size,
            splits: run.splits,
        };
        let chosen = match cache_forecast::chosen(run.settings, limits, sizes, saves) {
            Ok(Some(chosen)) => chosen,
            Ok(None) => return true,
            Err(error) => {
                self.turn_off(&io::Error::other(error.to_string()));
                return true;
            }
        };
        tracing::info!(
            place = ?chosen.place,
            examples = chosen.entries.len(),
            all_examples = self.first_entries.last(),
            all_bytes = chosen.all_bytes,
            ram_budget = limits.ram,
            disk_budget = limits.disk,
            gpu_budget = limits.gpu,
            "prefix cache"
        );
        let shelf = match chosen.place {
            Place::Ram => Shelf::Ram(Ram::new(chosen.entries.len(), dtype)),
            Place::Disk => {
                let keys = Keys::new(run.model, run.splits, &dtype.to_string());
                let disk = self
                    .file()
                    .and_then(|file| Disk::open(file, keys.of_run(), &chosen, dtype));
                self.keys = Some(keys);
                match disk {
                    Ok(disk) => Shelf::Disk(disk),
                    Err(error) => {
                        self.turn_off(&error);
                        return true;
                    }
                }
            }
            Place::Gpu => match on_gpu(run.model, &chosen.sizes, dtype) {
                Some(gpu) => Shelf::Gpu(gpu),
                None => return false,
            },
        };
        if let (Some(frozen), Some(saves)) = (frozen, saves) {
            self.cache_forecast = Some(CacheForecast::of(&chosen, run.splits, frozen, saves));
        }
        self.store = Some(Store::new(chosen.entries, dtype, shelf));
        true
    }

    /// Begins a stage of `epoch`, after the trainable set of the model is final. Drops entries that
    /// will become wrong, and chooses the boundary to save at.
    ///
    /// # Errors
    /// Fails if a parameter cannot be read from its device.
    pub fn begin_stage(&mut self, model: &Model, epoch: u32) -> Result<()> {
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        let frozen = model.frozen_blocks(|id| model.parameters.is_trainable(id));
        self.save_at = save_boundary(frozen, self.plan.after(epoch));
        store.drop_above(frozen);
        if let (Some(keys), Some(disk)) = (&mut self.keys, store.disk()) {
            keys.forget(self.trained.drain(..));
            self.trained.extend(model.parameters.trainable());
            if self.save_at > 0 {
                disk.set_key(self.save_at, keys.at(model, self.save_at)?);
            }
            if disk.has_left() {
                for boundary in 1..=frozen {
                    disk.set_key(boundary, keys.at(model, boundary)?);
                }
                store.take_over(frozen);
            }
        }
        tracing::debug!(epoch, frozen, save_at = self.save_at, "prefix cache");
        Ok(())
    }

    /// The use of the cache since the last epoch ended; `None` if it holds no entries.
    pub fn end_epoch(&mut self) -> Option<Usage> {
        let [lookups, hits, saved] =
            [&mut self.lookups, &mut self.hits, &mut self.saved].map(std::mem::take);
        let store = self.store.as_ref()?;
        let (examples, bytes, boundary) = store.sum();
        (examples > 0).then(|| Usage {
            place: store.place(),
            boundary,
            examples,
            all_examples: self.first_entries.last().copied().unwrap_or(0),
            saved,
            bytes,
            hit_rate: hits as f64 / lookups.max(1) as f64,
            damaged: store.damaged(),
        })
    }

    /// Ends the cache when the run is finished, and removes its files.
    pub fn finish(&mut self) {
        self.store = None;
        self.remove_unless_on_disk();
    }

    /// Turns the cache off after an error. The run continues and computes the rows again.
    fn turn_off(&mut self, error: &std::io::Error) {
        tracing::warn!(
            "prefix cache: {}: {error}; the run continues without it (--prefix-cache ram or off avoids the disk)",
            self.directory.join(FILE).display()
        );
        self.finish();
    }

    /// Opens the file of an earlier run if nobody else can have made it and its rows are exact.
    /// Otherwise creates a new one.
    fn file(&self) -> io::Result<File> {
        let folder = Folder::open(&self.run)?.subfolder(DIRECTORY)?;
        if !self.is_exact {
            return folder.create(FILE);
        }
        folder.open_own(FILE).or_else(|_| folder.create(FILE))
    }

    /// Removes the cache's file, including one from an earlier run. Nothing else is removed, and no
    /// link is followed.
    fn remove_unless_on_disk(&self) {
        let on_disk = self.store.as_ref().map(Store::place) == Some(Place::Disk);
        // The metadata is read without following links, so a link that somebody made is kept.
        let is_there = fs::symlink_metadata(&self.directory).is_ok_and(|about| about.is_dir());
        if on_disk || !is_there {
            return;
        }
        let removed = Folder::open(&self.run).and_then(|run| {
            run.existing_subfolder(DIRECTORY)?.remove(FILE)?;
            run.remove_folder(DIRECTORY)
        });
        if let Err(error) = removed {
            tracing::warn!(
                "prefix cache: {}: cannot be removed: {error}; delete it by hand",
                self.directory.display()
            );
        }
    }
}

/// Places on the GPU for entries of these sizes in bytes; `None` if it has no room for them.
fn on_gpu(model: &Model, sizes: &[u64], dtype: CacheDtype) -> Option<Gpu> {
    let hidden_size = model.config.encoder.hidden_size;
    let row = (hidden_size * dtype.bytes()) as u64;
    let most_rows = sizes.iter().map(|size| (size - SLOT_HEADER) / row);
    let most_rows: Vec<u32> = most_rows.map(|n| n as u32).collect();
    let all = most_rows.iter().map(|&n| n as usize).sum();
    let rows = model.kept_rows(all).ok()??;
    Some(Gpu::new(rows, &most_rows, hidden_size))
}
