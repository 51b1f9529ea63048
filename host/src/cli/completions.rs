//! The arguments of `progtune completions` and `progtune man`, and the command line as a shell completes it: with the
//! names that a value may be. Made by `cli::parse`, read by `completions_command`.

use super::PluginArgs;
use clap::{Arg, ArgAction, Args, Command, ValueHint, builder::PossibleValuesParser};
use clap_complete::Shell;
use std::path::PathBuf;

/// The arguments of `progtune completions`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
    /// The directories of the plugins whose ids are completed.
    #[command(flatten)]
    pub sources: PluginArgs,
}

/// The arguments of `progtune man`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ManArgs {
    /// Directory for the pages, one per command; created if it does not exist
    // Not the key `output`, which is training's run directory.
    #[arg(long = "output", value_name = "DIR", required = true)]
    pub pages: PathBuf,
}

/// The ids that are completed after `--schedule` and `--peft`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InstalledIds {
    /// The schedules.
    pub schedules: Vec<String>,
    /// The methods, without `none`.
    pub methods: Vec<String>,
}

/// The names that a key's value can be.
pub type Choices = fn(&str) -> Vec<&'static str>;

/// The command line for completion, where only names can be completed: each value is one of its names, a file, a directory or
/// nothing to complete. It is not for parsing: a key also takes what is no name.
pub(crate) fn with_values(command: Command, ids: &InstalledIds, choices: Choices) -> Command {
    command
        .mut_args(|arg| with_value(arg, ids, choices))
        .mut_subcommands(|command| with_values(command, ids, choices))
}

fn with_value(arg: Arg, ids: &InstalledIds, choices: Choices) -> Arg {
    // Flags have a name for a value, too.
    let names = arg
        .get_value_names()
        .filter(|_| arg.get_action().takes_values());
    let Some(place) = names.and_then(|names| names.first()) else {
        return arg;
    };
    let place = place.to_string();
    if place == "BOOL" {
        return as_flag(&arg);
    }
    let names = names_of(arg.get_id().as_str(), ids, choices);
    if !names.is_empty() {
        return arg.value_parser(PossibleValuesParser::new(names));
    }
    arg.value_hint(match place {
        place if place.contains("FILE") => ValueHint::FilePath,
        place if place.contains("DIR") => ValueHint::DirPath,
        _ => ValueHint::Other,
    })
}

/// A switch takes a value after `=` only, so what follows it is not its value; scripts know that only of flags.
fn as_flag(arg: &Arg) -> Arg {
    let mut flag = Arg::new(arg.get_id().clone()).action(ArgAction::SetTrue);
    flag = flag.help(arg.get_help().cloned().unwrap_or_default());
    match arg.get_long() {
        Some(long) => flag.long(long.to_owned()),
        None => flag,
    }
}

fn names_of(id: &str, ids: &InstalledIds, choices: Choices) -> Vec<String> {
    let none = || [String::from("none")];
    match id {
        "schedule" => ids.schedules.clone(),
        "peft" if ids.methods.is_empty() => vec![],
        "peft" => none().into_iter().chain(ids.methods.clone()).collect(),
        "id" | "ids" => [&ids.schedules[..], &ids.methods[..]].concat(),
        key => choices(key).into_iter().map(String::from).collect(),
    }
}
