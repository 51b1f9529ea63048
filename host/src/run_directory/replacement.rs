//! The last act of a run that replaces an earlier result: its files move up from [`NEW_RUN`].
//! Called by the run directory, and by whatever opens a run, in case the act was cut short.

use super::names::{CONFIG, NEW_RUN, RESULTS, is_of_a_run, remove_cache, remove_results};
use progtune_engine::{Error, Result};
use progtune_process::{
    files::{
        Folder,
        bounded::{LARGEST_TEXT, read_text},
        durable,
        lock::DirectoryLock,
        temporary::Access,
        write_with,
    },
    terminal::note,
};
use std::{fs, io, path::Path};

/// The list of the files that move. It is written before the first one does, so that the act can be
/// completed after a crash: a file of the earlier result has no name in it, or a namesake that has
/// yet to move.
pub(super) const LIST: &str = "moving.txt";

/// Moves a finished run from `staged` to `output`, where the files of the earlier run are removed.
///
/// # Errors
/// Fails if the file system refuses. What was done until then need not be done again.
pub(super) fn replace(staged: &Folder, output: &Folder) -> io::Result<()> {
    let list = staged.path().join(LIST);
    let names = match read_text(&list, LARGEST_TEXT) {
        Ok(text) => text.lines().map(str::to_owned).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let names = names_to_move(staged, output)?;
            let text: String = names.iter().map(|name| format!("{name}\n")).collect();
            write_with(&list, text.as_bytes(), Access::Shared)?;
            names
        }
        Err(error) => return Err(error),
    };
    let has_moved = |name: &str| {
        let is_listed = names.iter().any(|listed| listed == name);
        is_listed && fs::symlink_metadata(staged.path().join(name)).is_err()
    };
    remove_results(output, &|name| !has_moved(name))?;
    remove_cache(output);
    let (from, to) = (staged.path(), output.path());
    // The configuration is the mark of a run's directory and is replaced in one step. The results
    // are the mark of a finished run and come last.
    for name in names.iter().filter(|name| *name != RESULTS) {
        // A name in the list could only lead elsewhere if somebody changed it.
        if is_file_name(name) && !has_moved(name) {
            fs::rename(from.join(name), to.join(name))?;
        }
    }
    durable::sync_directory(to)?;
    if !has_moved(RESULTS) {
        durable::rename(&from.join(RESULTS), &to.join(RESULTS))?;
    }
    staged.remove(LIST)?;
    if let Err(error) = output.remove_folder(NEW_RUN) {
        tracing::debug!("{}: cannot be removed: {error}", from.display());
    }
    Ok(())
}

/// Everything in `staged`. A file that is not a run's stays there if it would replace another one.
fn names_to_move(staged: &Folder, output: &Folder) -> io::Result<Vec<String>> {
    let mut names = staged.names()?;
    names.retain(|name| {
        is_of_a_run(name) || fs::symlink_metadata(output.path().join(name)).is_err()
    });
    names.sort_unstable();
    Ok(names)
}

fn is_file_name(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|last| last == name)
}

/// Completes the act in the directory of a run, if it was cut short there.
///
/// # Errors
/// Fails if another process writes there, or the file system refuses.
pub(crate) fn complete(run: &Path) -> Result<()> {
    let staged = run.join(NEW_RUN);
    let is_begun = || staged.join(LIST).is_file() || staged.join(RESULTS).is_file();
    if !is_begun() || !run.join(CONFIG).is_file() {
        return Ok(());
    }
    let _lock = DirectoryLock::take(run, "--output")?;
    // The other writer may have completed it.
    if !is_begun() {
        return Ok(());
    }
    let opened = Folder::open(run).and_then(|output| {
        let staged = output.existing_subfolder(NEW_RUN)?;
        Ok((output, staged))
    });
    let moved = opened.and_then(|(output, staged)| replace(&staged, &output));
    moved.map_err(Error::io(run, "replace the earlier run in"))?;
    note(&format!(
        "{}: a finished run, which was cut short while it replaced an earlier one, is in place now",
        run.display()
    ));
    Ok(())
}
