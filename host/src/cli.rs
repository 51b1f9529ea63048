//! The command line: what can be typed, as types. `main` calls [`parse`]; `config` turns the parsed arguments, which
//! know no defaults and are not checked yet, into resolved configurations. A value is a text here even when it is a
//! number, so that a wrong one gets the same message from a flag, a variable or a file.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use progtune_plain_text::shown_line;
use serde::Serialize;

use progtune_process::terminal::colour::ColourChoice;

mod answering;
mod authoring;
mod completions;
mod help;
mod hub;
mod inference;
mod inspect;
mod own;
mod plugin_args;
mod plugins;
#[cfg(test)]
mod tests;
mod training;

pub use answering::AnsweringArgs;
pub use authoring::{CheckArgs, NewArgs, NewKind};
pub use completions::{Choices, CompletionsArgs, InstalledIds, ManArgs};
pub use hub::HubArgs;
pub use inference::{EvaluateArgs, MergeArgs, ModelArgs, PredictArgs};
pub use inspect::{DataCommand, InspectArgs};
pub use own::OwnDataArgs;
pub use plugin_args::PluginArgs;
pub use plugins::{InstallArgs, ListArgs, LockArgs, PluginsCommand, RemoveArgs, ShowArgs, WhyArgs};
pub use training::{
    BatchArgs, DataArgs, MachineArgs, MemoryArgs, OptimisationArgs, OutputArgs, OwnTrainingArgs,
    PlanArgs, ScheduleArgs, TrainArgs,
};

/// A command line that clap has accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// Flags of every command.
    pub global: GlobalArgs,
    /// The command; without one, progtune trains.
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Every command")]
pub struct GlobalArgs {
    /// Read settings from this TOML file; its keys are the flags' names with _ for - [default: none]
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Show more of the log; -vv shows still more [default: warnings]
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    #[serde(skip)]
    pub verbose: u8,
    /// Show only errors and the requested output: no progress, no warnings, no report at the end of a run [default: off]
    #[arg(long, global = true)]
    #[serde(skip)]
    pub quiet: bool,
    /// Show progress as a bar in a terminal and lines elsewhere (auto), as lines (plain), as JSON with one event per line
    /// (json), or not at all (none)
    #[arg(long, global = true, value_name = "HOW")]
    pub progress: Option<String>,
    /// Use colours: auto (in a terminal, unless NO_COLOR is set), always or never
    #[arg(long, global = true, value_name = "WHEN")]
    pub color: Option<String>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Command {
    /// Fine-tune a model; this is what progtune does without a command
    Train(Box<TrainArgs>),
    /// Show the parameters that training would update in each epoch, and the cost
    Plan(Box<PlanArgs>),
    /// Evaluate a model on labelled data
    Evaluate(EvaluateArgs),
    /// Write a model's predictions for unlabelled examples
    Predict(PredictArgs),
    /// Merge an adapter into its base model and write a plain checkpoint
    Merge(MergeArgs),
    /// Inspect data files before training on them
    #[command(subcommand)]
    Data(DataCommand),
    /// List, describe, pin, install and remove plugins
    #[command(subcommand)]
    Plugins(PluginsCommand),
    /// Print the completion script for a shell
    Completions(CompletionsArgs),
    /// Write the manual pages
    Man(ManArgs),
}

// Training's flags stand at the top too, because it is the default command. (The line below is the help's first.)
/// Fine-tune Transformer encoders, spending the backward pass where it pays
#[derive(Debug, Parser)]
#[command(name = "progtune", version, about)]
#[command(disable_help_subcommand = true, subcommand_value_name = "COMMAND")]
struct Cli {
    #[command(flatten)]
    train: TrainArgs,
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Parses a command line, whose first item is the program's name.
///
/// # Errors
/// Arguments that cannot be parsed, and also `--help` and `--version`: `clap::Error::exit` prints either and ends the process
/// with 2 or 0; `exit_code` tells which.
pub fn parse<I, T>(arguments: I) -> Result<Invocation, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let mut command = clap_command().color(match progtune_process::terminal::show().colour {
        ColourChoice::Auto => clap::ColorChoice::Auto,
        ColourChoice::Always => clap::ColorChoice::Always,
        ColourChoice::Never => clap::ColorChoice::Never,
    });
    let matches = command.try_get_matches_from_mut(arguments)?;
    if let Some(name) = matches.subcommand_name()
        && let Some(flag) = help::first_training_flag(&matches)
    {
        let message = format!(
            "{flag} stands before `{name}`: put it after, as in `progtune {name} {flag} …`"
        );
        return Err(command.error(ErrorKind::ArgumentConflict, message));
    }
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let command = cli
        .command
        .unwrap_or_else(|| Command::Train(Box::new(cli.train)));
    Ok(Invocation {
        global: cli.global,
        command,
    })
}

/// This process' arguments as messages may show them.
pub fn shown_arguments() -> Vec<String> {
    let arguments = std::env::args_os();
    arguments
        .map(|argument| shown_line(&argument.to_string_lossy()))
        .collect()
}

/// The whole command line as clap sees it, with every default in its help: for manual pages too.
pub fn clap_command() -> clap::Command {
    help::dressed(Cli::command())
}

/// The same as a shell is to complete it, with the names that values can be: `choices` tells those of a key. Not for parsing.
pub fn completed_command(installed: &InstalledIds, choices: Choices) -> clap::Command {
    completions::with_values(clap_command(), installed, choices)
}
