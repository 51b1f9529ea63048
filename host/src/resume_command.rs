//! `progtune resume`, `fork` and `replay`: take up a recorded run again. Called by `main`; the
//! training itself is the recipe's.

mod replay;

pub use replay::{replay_config, run_replay};

use crate::{
    checkpoint::Shelf,
    cli::arguments::{AT, RUN},
    config::{Beginning, RunConfig, Sources, config_flag, output_flag},
    flags::Arguments,
    run_directory::{CONFIG, complete_replacement, place_of_unfinished},
};
use progtune_engine::{Error, Result};
use std::path::{Path, PathBuf, absolute};

/// The configuration of `progtune resume DIR`.
///
/// # Errors
/// Fails if the directory is not a run's, or a value is invalid.
pub fn resume_config(arguments: &Arguments, sources: &Sources) -> Result<RunConfig> {
    let typed: PathBuf = arguments.required(&RUN);
    let run = run_of(arguments)?;
    if let Some(output) = arguments.texts(output_flag()).pop() {
        return Err(Error::Usage(format!(
            "--output {output}: `resume` writes to the directory of the run; leave it out, or begin a new run there with \
             `progtune fork {}`",
            typed.display()
        )));
    }
    let recorded = recorded(&run)?;
    // The path that a person typed is the one to show, as long as it still leads there.
    let is_near = absolute_path(&typed) == run;
    let run = if is_near { typed } else { run };
    let beginning = Beginning::Resumed;
    let config = RunConfig::resolve_again(arguments, sources, &recorded, &run, beginning)?;
    Ok(config)
}

/// The configuration of `progtune fork DIR --at EPOCH`.
///
/// # Errors
/// Fails if the directory is not a run's, or a value is invalid.
pub fn fork_config(arguments: &Arguments, sources: &Sources) -> Result<RunConfig> {
    let from = run_of(arguments)?;
    let at = arguments.one(&AT);
    let output = match arguments.texts(output_flag()).pop() {
        Some(typed) => absolute_path(Path::new(&typed)),
        None => beside(
            &from,
            &at.map_or("fork".into(), |epoch| format!("fork-{epoch}")),
        ),
    };
    let recorded = recorded(&from)?;
    let beginning = Beginning::Forked { from, at };
    let config = RunConfig::resolve_again(arguments, sources, &recorded, &output, beginning)?;
    Ok(config)
}

/// The run that the user named, as an absolute path.
fn run_of(arguments: &Arguments) -> Result<PathBuf> {
    let typed: PathBuf = arguments.required(&RUN);
    if let Some(file) = arguments.one(config_flag()) {
        return Err(Error::Usage(format!(
            "--config {}: the settings are those of the run in {}; give changes as flags",
            file.display(),
            typed.display()
        )));
    }
    let run = absolute_path(&typed);
    if !run.join(CONFIG).is_file() {
        let found = if run.is_dir() {
            "this directory has none"
        } else {
            "there is no such directory"
        };
        return Err(Error::Usage(format!(
            "{}: expected the directory of a run with its {CONFIG}, but {found}; name the directory that --output gave the run",
            typed.display()
        )));
    }
    Ok(run)
}

/// The `config.toml` of a run that is to be taken up again. Relative paths in it refer to the
/// directory in which the run was started, which becomes the working directory.
fn recorded(run: &Path) -> Result<PathBuf> {
    complete_replacement(run)?;
    let place = place_of_unfinished(run);
    let shelf = Shelf::of(&place);
    let state = shelf.steps().last().map(|&step| shelf.state(step));
    if let Some(Ok(state)) = state {
        let directory = Path::new(&state.working_directory);
        // On another machine it may not exist. Paths are then relative to the present one.
        if directory.is_dir()
            && let Err(error) = std::env::set_current_dir(directory)
        {
            tracing::warn!(
                "{}: cannot become the working directory: {error}",
                directory.display()
            );
        }
    }
    Ok(place.join(CONFIG))
}

fn absolute_path(path: &Path) -> PathBuf {
    absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// A directory beside a run: its name with this ending.
fn beside(run: &Path, ending: &str) -> PathBuf {
    let mut name = run.file_name().unwrap_or_default().to_owned();
    name.push(format!("-{ending}"));
    run.with_file_name(name)
}
