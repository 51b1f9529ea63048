//! The output directory of a run, with its records. Called by the recipe.
//!
//! `Claim` ensures that only one run writes there. Records are opened in the claimed directory,
//! never through a link, and everything else is written under a temporary name and renamed. A run
//! that replaces a finished one works in the subdirectory `NEW_RUN` and takes its place when it
//! is complete.

mod claim;
mod names;
mod replacement;

pub(crate) use claim::{Claim, EarlierRun, Opening};
pub use names::{CONFIG, METRICS, PLAN, RESULTS, RUN};
pub(crate) use names::{NEW_RUN, WEIGHTS, is_passing, of_result};
pub(crate) use replacement::complete as complete_replacement;

use crate::{
    checkpoint::{Checkpoint, Prefix, Shelf, State},
    json_text::to_text,
};
use names::LOG;
use progtune_engine::{Error, Result};
use progtune_plain_text::masked;
use progtune_process::{
    files::{
        Folder,
        bounded::{LARGEST_TEXT, read_text},
        journal::{Fault, Journal},
        lock::{DirectoryLock, LOCK_FILE},
        write_atomically,
    },
    interrupt::{self, Course},
    logging,
};
use serde_json::Value;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The open directory of a run.
pub struct RunDirectory {
    /// The directory to which this run writes.
    folder: Folder,
    /// The directory whose result is replaced at the end, or `None` if the run writes there
    /// directly.
    replaces: Option<Folder>,
    metrics: Journal,
    /// The texts of `config.toml`, `run.json` and `plan.json`, in case they must be written again.
    texts: Vec<(&'static str, String)>,
    /// The circumstances of the first process, if this one continues the run.
    earlier_circumstances: Option<Value>,
    /// Whether training is over. From then on the result is saved wherever possible.
    is_saving: bool,
    /// The lock of a directory that was created again.
    _lock: Option<DirectoryLock>,
}

impl RunDirectory {
    /// Opens the records in an empty directory and writes `config.toml`.
    fn open(folder: Folder, replaces: Option<Folder>, record: &str) -> Result<Self> {
        // First, because it marks the directory as a run's: one that ends here can be replaced.
        let config = write_config(&folder, record)?;
        let metrics = create(&folder, METRICS)?;
        let log = create(&folder, LOG)?;
        logging::write_to(log).map_err(Error::io(&folder.path().join(LOG), "write"))?;
        Ok(Self::with(folder, replaces, metrics, config))
    }

    /// Opens the records of a run that continues, as they were in this state.
    fn reopen(
        folder: Folder,
        replaces: Option<Folder>,
        record: &str,
        state: &State,
    ) -> Result<Self> {
        let metrics = match state.metrics.mark() {
            Some(mark) => Journal::reopen(&folder, METRICS, &mark).map_err(changed)?,
            None => create(&folder, METRICS)?,
        };
        // The log only informs people, so a changed one is no reason to stop.
        let log = state.log.mark();
        let log = log.and_then(|mark| Journal::reopen(&folder, LOG, &mark).ok());
        let log = match log {
            Some(log) => log,
            None => create(&folder, LOG)?,
        };
        logging::continue_in(log);
        let circumstances = read_text(&folder.path().join(RUN), LARGEST_TEXT);
        let circumstances = circumstances
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok());
        let config = write_config(&folder, record)?;
        let mut directory = Self::with(folder, replaces, metrics, config);
        directory.earlier_circumstances = circumstances.filter(Value::is_object);
        Ok(directory)
    }

    fn with(folder: Folder, replaces: Option<Folder>, metrics: Journal, config: String) -> Self {
        Self {
            folder,
            replaces,
            metrics,
            texts: vec![(CONFIG, config)],
            earlier_circumstances: None,
            is_saving: false,
            _lock: None,
        }
    }

    /// Begins with the metrics, and the best model, of the run that made a checkpoint.
    fn take_over(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let from = checkpoint.run();
        let folder = Folder::open(from).map_err(Error::io(from, "open"))?;
        let path = from.join(METRICS);
        let length = checkpoint.state.metrics.bytes;
        let copied = Journal::open(&folder, METRICS).and_then(|mut metrics| {
            let mut lines = metrics.contents()?;
            lines.truncate(length as usize);
            self.metrics.append(&lines)
        });
        copied.map_err(Error::io(&path, "copy"))?;
        if Some(self.metrics.mark()) != checkpoint.state.metrics.mark() {
            return Err(Error::Model(format!(
                "{}: the file was changed: its first {length} bytes are not those that the checkpoint {} recorded; restore it",
                path.display(),
                checkpoint.path.display()
            )));
        }
        if let Some((_, name)) = &checkpoint.state.best {
            let path = from.join(name);
            fs::copy(&path, self.path().join(name)).map_err(Error::io(&path, "copy"))?;
        }
        Ok(())
    }

    /// The records as they are now, forced to the disk.
    ///
    /// # Errors
    /// Fails if the file system refuses.
    pub fn marks(&mut self) -> Result<(Prefix, Prefix)> {
        self.stay()?;
        let synced = self.metrics.sync().and_then(|()| logging::sync());
        synced.map_err(Error::io(self.path(), "write"))?;
        let log = logging::mark().map(Prefix::from).unwrap_or_default();
        Ok((self.metrics.mark().into(), log))
    }

    /// The directory to which the run writes now.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The directory of the final result.
    pub fn output(&self) -> &Path {
        let output = self.replaces.as_ref().unwrap_or(&self.folder);
        output.path()
    }

    /// Appends a line to `metrics.jsonl`.
    ///
    /// # Errors
    /// Fails if the line cannot be written, or if the directory no longer exists, because records
    /// there would be lost. Once training is over, the directory is created again instead.
    pub fn record(&mut self, line: &Value) -> Result<()> {
        self.stay()?;
        // The line is written in one piece, so that a killed run leaves no partial line.
        match self.metrics.append(format!("{line}\n").as_bytes()) {
            // The trained model is worth more than the line.
            Err(error) if self.is_saving => {
                tracing::warn!(
                    "{}: cannot write: {error}; a line is missing",
                    self.path().join(METRICS).display()
                );
                Ok(())
            }
            outcome => outcome.map_err(Error::io(&self.path().join(METRICS), "write")),
        }
    }

    /// Writes the plan.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub(crate) fn write_plan(&mut self, plan: &Value) -> Result<()> {
        self.write_text(PLAN, record_text(plan))
    }

    /// Writes the circumstances of the run.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub(crate) fn write_circumstances(&mut self, run: Value) -> Result<()> {
        let circumstances = match self.earlier_circumstances.take() {
            // A run that continues keeps those of its beginning.
            Some(mut first) => {
                let mut continued = first["continued"].as_array().cloned().unwrap_or_default();
                continued.push(run);
                first["continued"] = Value::Array(continued);
                first
            }
            None => run,
        };
        self.write_text(RUN, record_text(&circumstances))
    }

    fn write_text(&mut self, name: &'static str, text: String) -> Result<()> {
        write_atomically(&self.path().join(name), text.as_bytes())?;
        self.texts.push((name, text));
        Ok(())
    }

    /// Marks the end of the last step. From then on the result is saved, whatever happens to the
    /// directory.
    pub(crate) fn begin_saving(&mut self) {
        self.is_saving = true;
        interrupt::set_course(Course::Saving);
    }

    /// Ensures that files written now will be found.
    ///
    /// # Errors
    /// Fails if the directory is gone and cannot be created again, or training is not over.
    pub fn stay(&mut self) -> Result<()> {
        if self.folder.is_in_place() {
            return Ok(());
        }
        let directory = self.output().to_owned();
        if !self.is_saving {
            return Err(Error::OutputLost { directory });
        }
        let place = free_place(&directory);
        let lock = DirectoryLock::take(&place, "--output")?;
        let folder = Folder::open(&place).map_err(Error::io(&place, "open"))?;
        tracing::warn!(
            "{}: the output directory is gone (removed, unmounted or replaced by another one); the result is saved in {}",
            directory.display(),
            place.display()
        );
        // The records can still be read as long as the files are open.
        let log = create(&folder, LOG)?;
        let metrics = self.metrics.copy_to(&folder, METRICS);
        let moved = metrics.and_then(|metrics| logging::move_to(log).map(|()| metrics));
        let metrics = moved.map_err(Error::io(&place, "write"))?;
        for (name, text) in &self.texts {
            write_atomically(&place.join(name), text.as_bytes())?;
        }
        self.metrics = metrics;
        self.folder = folder;
        self.replaces = None;
        self._lock = Some(lock);
        Ok(())
    }

    /// Writes `all_results.json`, which marks the run as finished, and replaces an earlier result.
    ///
    /// # Errors
    /// Fails if the file system refuses.
    pub fn finish(&mut self, results: &Value) -> Result<()> {
        let text = record_text(results);
        write_atomically(&self.path().join(RESULTS), text.as_bytes())?;
        let Some(output) = self.replaces.take() else {
            return Ok(());
        };
        let _moving = interrupt::uninterrupted();
        let moved = replacement::replace(&self.folder, &output);
        moved.map_err(Error::io(output.path(), "replace the earlier run in"))?;
        self.folder = output;
        Ok(())
    }

    /// The directory in which the result will be, once the run is finished.
    pub fn destination(&self) -> &Path {
        self.replaces.as_ref().unwrap_or(&self.folder).path()
    }
}

/// The directory in which a run that was cut short has its checkpoints: its own, or that in which
/// it was to replace an earlier result.
pub(crate) fn place_of_unfinished(run: &Path) -> PathBuf {
    let staged = run.join(NEW_RUN);
    if Shelf::of(&staged).steps().is_empty() {
        run.to_owned()
    } else {
        staged
    }
}

/// The text of a record, in which passwords in URLs are masked.
fn record_text(value: &Value) -> String {
    masked(&to_text(value)).into_owned() + "\n"
}

/// Writes `config.toml` and returns its text. Records are passed on, so passwords in URLs are
/// masked.
fn write_config(folder: &Folder, record: &str) -> Result<String> {
    let text = masked(record).into_owned();
    write_atomically(&folder.path().join(CONFIG), text.as_bytes())?;
    Ok(text)
}

fn create(folder: &Folder, name: &str) -> Result<Journal> {
    let created = Journal::create(folder, name);
    created.map_err(Error::io(&folder.path().join(name), "create"))
}

/// The error of records that cannot be taken back to a checkpoint.
fn changed(fault: Fault) -> Error {
    Error::Model(format!(
        "{fault}; the run can only continue with the records that it wrote: restore the file"
    ))
}

/// Returns the path of a directory that is gone. If another non-empty directory has taken its
/// place, the path is one beside it.
fn free_place(lost: &Path) -> PathBuf {
    let is_free = |path: &Path| {
        let entries = fs::read_dir(path).map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.file_name())
                .any(|name| !is_passing(&name.to_string_lossy()) || *name == *LOCK_FILE)
        });
        match entries {
            Ok(is_used) => !is_used,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    };
    let beside = (1..).map(|number| {
        let mut name = lost.file_name().unwrap_or_default().to_owned();
        name.push(format!("-saved-{number}"));
        lost.with_file_name(name)
    });
    let mut places = std::iter::once(lost.to_owned()).chain(beside.take(1000));
    let found = places.find(|path| is_free(path));
    found.unwrap_or_else(|| lost.to_owned())
}
