//! A run's claim to its output directory, taken before any work is done. Nobody else writes there,
//! and nothing in it changes until the run begins. Called by the recipe.

use super::{
    RunDirectory,
    names::{NEW_RUN, RESULTS, is_of_a_run, is_passing, is_run, remove_run},
    replacement::complete,
};
use crate::{
    checkpoint::{Checkpoint, Shelf},
    config::InputsConfig,
};
use progtune_engine::{Error, Result};
use progtune_process::{
    files::{Folder, lock::DirectoryLock},
    interrupt::{self, Course},
};
use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
};

/// The claimed output directory of a run that has not begun.
pub(crate) struct Claim {
    output: PathBuf,
    /// The fate of a run that is already there.
    earlier_run: EarlierRun,
    lock: DirectoryLock,
    /// The note about an earlier result, added to an error if the run fails.
    earlier: Cell<Option<String>>,
    /// The directory of the run, once it has begun to write there.
    place: Cell<Option<PathBuf>>,
}

/// The fate of a run that is already in the output directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EarlierRun {
    /// It stays: a finished run, or one with checkpoints, is an error.
    Stays,
    /// It is replaced.
    IsReplaced,
    /// It continues.
    Continues,
}

/// The first step of a run.
#[derive(Clone, Copy)]
pub(crate) enum Opening<'a> {
    /// A new run begins.
    New,
    /// A run continues at one of its checkpoints.
    Continued(&'a Checkpoint),
    /// A new run begins at the checkpoint of another one, whose records it takes over.
    Forked(&'a Checkpoint),
}

impl Claim {
    /// Claims the directory of a run from `inputs`. A missing directory is created, and removed
    /// again if the run leaves nothing in it.
    ///
    /// # Errors
    /// Fails if the directory holds a run that is to stay, files that are not a run's, or an input
    /// of this run. It also fails if a file is in the way or another run is writing there.
    pub(crate) fn take(
        output: PathBuf,
        earlier_run: EarlierRun,
        inputs: &InputsConfig,
    ) -> Result<Self> {
        complete(&output)?;
        // The check comes before anything is created, and again under the lock.
        check(&output, earlier_run, inputs)?;
        let lock = DirectoryLock::take(&output, "--output")?;
        check(&output, earlier_run, inputs)?;
        Ok(Self {
            output,
            earlier_run,
            lock,
            earlier: Cell::new(None),
            place: Cell::new(None),
        })
    }

    /// Begins the run, whose `config.toml` is `record`. All inputs have been read, and records are
    /// written from now on. An earlier result stays in place until the new one is complete. The
    /// files of an unfinished run are removed, unless it continues.
    ///
    /// # Errors
    /// Fails if the file system refuses, or the records of a run that continues were changed.
    pub(crate) fn begin(
        &self,
        inputs: &InputsConfig,
        record: &str,
        opening: Opening<'_>,
    ) -> Result<RunDirectory> {
        interrupt::check()?;
        if !self.lock.folder().is_in_place() {
            let directory = self.output.clone();
            return Err(Error::OutputLost { directory });
        }
        check(&self.output, self.earlier_run, inputs)?;
        interrupt::set_course(Course::Training);
        interrupt::set_last_words("no result was saved");
        let directory = self.open_records(record, opening)?;
        self.place.set(Some(directory.path().to_owned()));
        Ok(directory)
    }

    /// Opens the records of the run, where it is to write them.
    fn open_records(&self, record: &str, opening: Opening<'_>) -> Result<RunDirectory> {
        let failed = |action| Error::io(&self.output, action);
        // The path of the lock's folder is absolute, but messages show the user's own path.
        let folder = Folder::open(&self.output).map_err(failed("open"))?;
        if let Opening::Continued(checkpoint) = opening {
            return self.continue_in(folder, checkpoint, record);
        }
        if !self.output.join(RESULTS).exists() {
            remove_run(&folder).map_err(failed("remove an unfinished run in"))?;
            return open(folder, None, record, opening);
        }
        if self.output.join(NEW_RUN).is_symlink() {
            folder.remove(NEW_RUN).map_err(failed("remove a link in"))?;
        }
        let staged = folder
            .subfolder(NEW_RUN)
            .map_err(failed("create a directory"))?;
        remove_run(&staged).map_err(failed("remove an unfinished run in"))?;
        let words = format!(
            "the earlier result in {} is unchanged, and the records of this run are in {}",
            self.output.display(),
            staged.path().display()
        );
        interrupt::set_last_words(format!("no result was saved; {words}"));
        self.earlier.set(Some(words));
        open(staged, Some(folder), record, opening)
    }

    /// Opens the records of the run that made a checkpoint, as they were then.
    fn continue_in(
        &self,
        output: Folder,
        checkpoint: &Checkpoint,
        record: &str,
    ) -> Result<RunDirectory> {
        let failed = |action| Error::io(&self.output, action);
        let state = &checkpoint.state;
        if checkpoint.run() != self.output {
            let staged = output.existing_subfolder(NEW_RUN).map_err(failed("open"))?;
            return RunDirectory::reopen(staged, Some(output), record, state);
        }
        let directory = RunDirectory::reopen(output, None, record, state)?;
        // A finished run that is extended is unfinished from now on.
        let removed = directory.folder.remove(RESULTS);
        removed.map_err(failed("continue a run in"))?;
        Ok(directory)
    }

    /// Refuses to begin anew where a finished run is.
    ///
    /// # Errors
    /// Fails if that is so, or the directory is not a run's.
    pub(crate) fn refuse_finished(&self) -> Result<()> {
        refuse_used(&self.output)
    }

    /// Refuses to begin anew where an unfinished run has a checkpoint.
    ///
    /// # Errors
    /// Fails if that is so, and the run is not to be replaced.
    pub(crate) fn refuse_unfinished(&self, step: Option<u64>) -> Result<()> {
        match step {
            Some(step) if self.earlier_run == EarlierRun::Stays => Err(Error::Usage(format!(
                "{}: an unfinished run is here, with a checkpoint after step {step}: continue it with \
                 `progtune resume {0}` or --resume auto, choose another --output, or pass --overwrite-output to begin anew",
                self.output.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Adds to an error of the run the checkpoint after which it can continue, and the state of the
    /// result that it was to replace.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let earlier = self.earlier.take();
        let earlier = earlier.filter(|_| self.output.join(RESULTS).exists());
        let says_so = matches!(error, Error::Interrupted { .. });
        let place = self.place.take().filter(|_| !says_so);
        let step = place.and_then(|place| Shelf::of(&place).steps().pop());
        let checkpoint = step.map(|step| {
            let output = self.output.display();
            format!("`progtune resume {output}` continues after step {step}")
        });
        let notes: Vec<String> = checkpoint.into_iter().chain(earlier).collect();
        match notes.as_slice() {
            [] => error,
            notes => Error::Noted {
                source: Box::new(error),
                note: notes.join("; "),
            },
        }
    }
}

/// Opens the records of a new run. A fork begins with those of the other run.
fn open(
    folder: Folder,
    replaces: Option<Folder>,
    record: &str,
    opening: Opening<'_>,
) -> Result<RunDirectory> {
    let mut directory = RunDirectory::open(folder, replaces, record)?;
    if let Opening::Forked(checkpoint) = opening {
        directory.take_over(checkpoint)?;
    }
    Ok(directory)
}

fn check(output: &Path, earlier_run: EarlierRun, inputs: &InputsConfig) -> Result<()> {
    refuse_file(output)?;
    refuse_own_input(output, inputs)?;
    match earlier_run {
        EarlierRun::IsReplaced => refuse_foreign(output),
        EarlierRun::Continues if is_run(output) => Ok(()),
        EarlierRun::Stays | EarlierRun::Continues => refuse_used(output),
    }
}

fn refuse_file(path: &Path) -> Result<()> {
    match path.ancestors().find(|ancestor| ancestor.exists()) {
        Some(file) if !file.is_dir() => Err(Error::Usage(format!(
            "--output {}: expected a directory, but {} is a file; choose another --output",
            path.display(),
            file.display()
        ))),
        _ => Ok(()),
    }
}

/// Refuses to replace the run from which the new one starts.
fn refuse_own_input(path: &Path, inputs: &InputsConfig) -> Result<()> {
    let Ok(output) = path.canonicalize() else {
        return Ok(());
    };
    let inputs = [
        ("--model", &inputs.model),
        ("--init-adapter", &inputs.init_adapter),
    ];
    for (flag, input) in inputs {
        let input = input.as_ref().map(|input| input.path().canonicalize());
        if input.is_some_and(|input| input.is_ok_and(|input| input == output)) {
            return Err(Error::Usage(format!(
                "--output {}: this is also {flag}, which the run would destroy; choose another --output",
                path.display()
            )));
        }
    }
    Ok(())
}

fn refuse_used(path: &Path) -> Result<()> {
    let is_run = is_run(path);
    if is_run && path.join(RESULTS).exists() {
        return Err(Error::Usage(format!(
            "{}: a finished run is here; choose another --output, or pass --overwrite-output to replace it",
            path.display()
        )));
    }
    if !is_run && names_in(path).next().is_some() {
        return Err(Error::Usage(format!(
            "{}: this directory holds files that are not a run's; choose another --output (--overwrite-output writes \
             beside them, if none has a name that a run uses)",
            path.display()
        )));
    }
    Ok(())
}

/// Refuses to overwrite files that are not a run's but have the name of a run's file.
fn refuse_foreign(path: &Path) -> Result<()> {
    if is_run(path) {
        return Ok(());
    }
    let taken = names_in(path).find(|name| is_of_a_run(name) || name == NEW_RUN);
    taken.map_or(Ok(()), |name| {
        Err(Error::Usage(format!(
            "--output {}: this directory is not a run's, and its file {name} would be lost: --overwrite-output replaces \
             only what a run has written; choose another --output",
            path.display()
        )))
    })
}

fn names_in(path: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !is_passing(name))
}
