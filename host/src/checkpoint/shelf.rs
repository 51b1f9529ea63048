//! The checkpoints of one run: written, found, checked, and removed when there are too many.

use super::{
    State, envelope,
    state::{Place, Prefix},
};
use crate::digest::{self, Hashing};
use progtune_engine::{
    Error, Result,
    model::{
        SafetensorsFile,
        tensor_writer::{self, Entry, WriteError},
    },
};
use progtune_process::files::{AtomicFile, Folder, temporary, write_atomically};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The directory of checkpoints in a run's directory.
pub const DIRECTORY: &str = "checkpoints";

/// The extension of a file of tensors.
const TENSORS: &str = "safetensors";

/// The largest state that is read: far more than any run needs.
const MOST_BYTES: u64 = 1 << 30;

/// The checkpoints of one run.
#[derive(Debug, Clone)]
pub struct Shelf {
    directory: PathBuf,
}

/// A checkpoint that was found whole.
pub struct Checkpoint {
    /// The file with the state.
    pub path: PathBuf,
    /// The state.
    pub state: State,
    pub(super) tensors: SafetensorsFile,
}

impl Checkpoint {
    /// The directory of the run that made it.
    pub fn run(&self) -> &Path {
        let run = self.path.ancestors().nth(2);
        run.unwrap_or(Path::new("."))
    }
}

impl Shelf {
    /// The checkpoints of the run in this directory, which need not have any.
    pub fn of(run: &Path) -> Self {
        Self {
            directory: run.join(DIRECTORY),
        }
    }

    /// The directory of the checkpoints.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    fn file(&self, step: u64, extension: &str) -> PathBuf {
        self.directory.join(format!("step-{step}.{extension}"))
    }

    /// The steps after which a checkpoint was saved, ascending.
    pub fn steps(&self) -> Vec<u64> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut steps: Vec<u64> = names.filter_map(|name| step_of(&name, "json")).collect();
        steps.sort_unstable();
        steps
    }

    /// Saves a checkpoint with these tensors. A checkpoint of the same step is replaced.
    ///
    /// # Errors
    /// Fails if the file system refuses; older checkpoints are then still whole.
    pub fn save(&self, mut state: State, tensors: Vec<Entry<'_>>) -> Result<()> {
        let run = self.directory.parent().unwrap_or(Path::new("."));
        Folder::open(run)
            .and_then(|run| run.subfolder(DIRECTORY))
            .map_err(Error::io(&self.directory, "write"))?;
        let step = state.place.step;
        let text = self.file(step, "json");
        // The tensors of a checkpoint of the same step stay until its state is replaced.
        let first = self.file(step, TENSORS);
        let is_taken = self
            .state(step)
            .is_ok_and(|old| old.files.contains_key(&name_of(&first)));
        let data = if is_taken {
            self.file(step, "1.safetensors")
        } else {
            first
        };
        let file = AtomicFile::create(&data)?;
        let mut out = Hashing::new(file);
        tensor_writer::write(&mut out, &[], tensors).map_err(WriteError::at(&data))?;
        let (file, bytes, sha256) = out.finish();
        file.finish()?;
        state.files.insert(name_of(&data), Prefix { bytes, sha256 });
        let body = serde_json::to_string(&state).ok().filter(|body| {
            let again = serde_json::from_str::<State>(body);
            let again = again.and_then(|again| serde_json::to_string(&again));
            again.is_ok_and(|again| again == *body)
        });
        let Some(body) = body else {
            return Err(Error::Training(format!(
                "internal error: the state after step {step} cannot be written; please report this"
            )));
        };
        write_atomically(&text, envelope::seal(&body).as_bytes())?;
        self.remove_strays();
        Ok(())
    }

    /// Removes all but the last `n` checkpoints.
    pub fn keep(&self, n: usize) {
        let steps = self.steps();
        for &step in &steps[..steps.len().saturating_sub(n)] {
            // The state goes first, so that no checkpoint is ever incomplete.
            let path = self.file(step, "json");
            if let Err(error) = remove(&path) {
                return tracing::warn!("{}: cannot be removed: {error}", path.display());
            }
        }
        self.remove_strays();
    }

    /// Removes tensors that belong to no state, and temporary files. A run that was killed may have
    /// left them.
    fn remove_strays(&self) {
        temporary::sweep_once(&self.directory);
        let entries = fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(step) = step_of(&name, TENSORS) else {
                continue;
            };
            let is_used = match self.state(step) {
                Ok(state) => state.files.contains_key(&name),
                // A state that is damaged may be restored by a person.
                Err(_) => self.file(step, "json").exists(),
            };
            if !is_used && let Err(error) = fs::remove_file(entry.path()) {
                tracing::warn!("{}: cannot be removed: {error}", entry.path().display());
            }
        }
    }

    /// Opens a checkpoint and checks every byte of it.
    ///
    /// # Errors
    /// Fails if a part of it is absent or damaged.
    pub fn open(&self, step: u64) -> Result<Checkpoint> {
        let path = self.file(step, "json");
        let state = self.state(step)?;
        let mut tensors = None;
        for (name, expected) in &state.files {
            let path = self.directory.join(name);
            check(&path, expected)?;
            tensors = Some(SafetensorsFile::open(&path)?);
        }
        let tensors = tensors.ok_or_else(|| {
            let path = path.display();
            Error::Model(format!(
                "{path}: it names no file of tensors; use an earlier checkpoint"
            ))
        })?;
        Ok(Checkpoint {
            path,
            state,
            tensors,
        })
    }

    /// The state of a checkpoint, without a look at its other files.
    ///
    /// # Errors
    /// Fails if its file is absent or damaged.
    pub fn state(&self, step: u64) -> Result<State> {
        let path = self.file(step, "json");
        let wrong = |what: String| Error::Model(format!("{}: {what}", path.display()));
        let about = fs::symlink_metadata(&path).map_err(Error::io(&path, "open"))?;
        if !about.is_file() || about.len() > MOST_BYTES {
            return Err(wrong(
                "expected the state of a run; use an earlier checkpoint".into(),
            ));
        }
        let bytes = fs::read(&path).map_err(Error::io(&path, "read"))?;
        let text = envelope::open(&bytes).map_err(wrong)?;
        let state: State = serde_json::from_str(text)
            .map_err(|error| wrong(format!("not the state of a run: {error}")))?;
        // Names come from a file, and must not lead elsewhere.
        let is_ours = |name: &String| step_of(name, TENSORS) == Some(step);
        if state.place.step != step || !state.files.keys().all(is_ours) {
            return Err(wrong(
                "expected the state after the step in its name; restore the file's name".into(),
            ));
        }
        if !state.is_consistent() {
            return Err(wrong(
                "expected the state of a run, found numbers that contradict each other; use an earlier checkpoint".into(),
            ));
        }
        Ok(state)
    }

    /// The newest checkpoint that is whole; `None` if there is none at all. Damaged ones are named
    /// in a warning.
    ///
    /// # Errors
    /// Fails if there are checkpoints, but none of them is whole.
    pub fn newest(&self) -> Result<Option<Checkpoint>> {
        let mut damage = None;
        for step in self.steps().into_iter().rev() {
            match self.open(step) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(error) => {
                    tracing::warn!("{error}; trying the checkpoint before it");
                    damage = Some(error);
                }
            }
        }
        damage.map_or(Ok(None), |error| {
            let note = "no checkpoint before it is whole: restore the file, or begin anew with --overwrite-output";
            Err(Error::Noted {
                source: Box::new(error),
                note: note.into(),
            })
        })
    }

    /// The checkpoint at the end of an epoch.
    ///
    /// # Errors
    /// Fails if there is none, or it is damaged.
    pub(crate) fn at_end_of(&self, epoch: u32) -> Result<Checkpoint> {
        let mut kept = Vec::new();
        for step in self.steps() {
            let Place {
                epoch: next,
                step_in_epoch,
                ..
            } = self.state(step)?.place;
            if step_in_epoch == 0 && next == epoch + 1 {
                return self.open(step);
            }
            if step_in_epoch == 0 {
                kept.push((next - 1).to_string());
            }
        }
        let kept = match kept.as_slice() {
            [] => "no checkpoint at the end of an epoch is kept".to_owned(),
            kept => format!("the epochs that are kept are {}", kept.join(", ")),
        };
        Err(Error::Usage(format!(
            "{}: no checkpoint at the end of epoch {epoch}: {kept}; choose one of them, or train again with a larger \
             --save-total-limit",
            self.directory.display()
        )))
    }
}

/// Checks the length and the hash of a file.
fn check(path: &Path, expected: &Prefix) -> Result<()> {
    let about = fs::symlink_metadata(path).map_err(Error::io(path, "open"))?;
    let length = about.len();
    let wrong = |expected: String, found: String| {
        Error::Model(format!(
            "{}: damaged: expected {expected}, found {found}; use an earlier checkpoint",
            path.display()
        ))
    };
    if !about.is_file() || length != expected.bytes {
        return Err(wrong(
            format!("a file of {} bytes", expected.bytes),
            length.to_string(),
        ));
    }
    let (_, sha256) = digest::of_file(path).map_err(Error::io(path, "read"))?;
    if sha256 != expected.sha256 {
        return Err(wrong(format!("the SHA-256 {}", expected.sha256), sha256));
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The step in the name of a checkpoint's file: `step-7.json`, `step-7.1.safetensors`.
fn step_of(name: &str, extension: &str) -> Option<u64> {
    let name = name.strip_prefix("step-")?.strip_suffix(extension)?;
    let number = name.strip_suffix('.')?;
    let number = number.strip_suffix(".1").unwrap_or(number);
    let step: u64 = number.parse().ok()?;
    (step.to_string() == number).then_some(step)
}

/// Removes a file, which need not exist.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes all checkpoints of a run, but no other file and nothing behind a link.
///
/// # Errors
/// Fails if the file system refuses.
pub(crate) fn remove_all(run: &Folder) -> io::Result<()> {
    let Ok(folder) = run.existing_subfolder(DIRECTORY) else {
        // It is absent, or a link or a file in its place.
        return run.remove(DIRECTORY);
    };
    temporary::sweep(folder.path());
    let names = folder.names()?;
    // The states go first, so that no checkpoint is ever incomplete.
    for extension in ["json", TENSORS] {
        for name in &names {
            if step_of(name, extension).is_some() {
                folder.remove(name)?;
            }
        }
    }
    match run.remove_folder(DIRECTORY) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        outcome => outcome,
    }
}
