//! The command line. `main` calls [`parse`]; `config` turns the arguments, which have no defaults
//! and are not yet checked, into resolved configurations. Every value is text here, even a number.
//! A wrong value therefore gets the same message from a flag, a variable or a file.

use std::ffi::OsString;

use clap::error::ErrorKind;
use progtune_plain_text::shown_line;

use crate::flags::Arguments;
use progtune_process::terminal::ColourChoice;

pub mod arguments;
mod build;
mod commands;
mod refused;
#[cfg(test)]
mod tests;
mod typed;

pub(crate) use crate::flags::InstalledIds;
pub use commands::{Command, PluginsCommand};

use commands::COMMANDS;

/// A command line that clap has accepted.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The command; `Train` if none is named.
    pub command: Command,
    /// The command's arguments.
    pub arguments: Arguments,
}

/// Parses a command line, whose first item is the program's name. Flags and commands may have the
/// names of Hugging Face's tools, if they mean the same.
///
/// # Errors
/// Fails if the arguments cannot be parsed, and also for `--help` and `--version`.
/// `clap::Error::exit` prints either and ends the process with 2 or 0; `exit_code` distinguishes
/// them.
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
    let mut arguments = arguments.into_iter().map(Into::into);
    let program = arguments.next();
    let typed = typed::read(arguments);
    if !typed.answers.is_empty() {
        return Err(refused::with_answers(&typed, &command));
    }
    let words = program.into_iter().chain(typed.words.iter().cloned());
    let mut matches = match command.try_get_matches_from_mut(words) {
        Ok(matches) => matches,
        Err(error) => return Err(refused::in_our_words(error, &mut command, &typed.path)),
    };
    if let Some(name) = matches.subcommand_name()
        && let Some(flag) = build::first_training_flag(&matches)
    {
        let message = format!("{flag} must come after `{name}`, as in `progtune {name} {flag} …`");
        return Err(command.error(ErrorKind::ArgumentConflict, message));
    }
    let mut path = String::new();
    while let Some((name, below)) = matches.remove_subcommand() {
        path = format!("{path} {name}").trim_start().to_owned();
        matches = below;
    }
    let described = COMMANDS.iter().find(|known| known.path == path);
    let described = described.unwrap_or(&COMMANDS[0]);
    Ok(Invocation {
        command: described.command.unwrap_or(Command::Train),
        arguments: Arguments::new(described.all().collect(), matches),
    })
}

/// The arguments of this process, made safe for messages.
pub fn shown_arguments() -> Vec<String> {
    let arguments = std::env::args_os();
    arguments
        .map(|argument| shown_line(&argument.to_string_lossy()))
        .collect()
}

/// The whole command line as clap sees it, with every default in its help; also for manual pages.
pub fn clap_command() -> clap::Command {
    build::command_line(&|_, arg| arg)
}

/// The same command line for shell completion, with the names that values can have. Not for
/// parsing.
pub(crate) fn completed_command(installed: &InstalledIds) -> clap::Command {
    build::command_line(&|flag, arg| flag.about().completed(flag, arg, installed))
}
