//! Messages about command lines that cannot be used, in the words of this program: unknown flags,
//! commands and values suggest what was meant by the one rule of `names`. Called by `cli::parse`.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use progtune_plugin_api::names::did_you_mean;

use super::commands::COMMANDS;
use super::typed::Typed;
use crate::flags::hugging_face::{self, Meaning};

/// The end of the answers to words of Hugging Face's tools.
const WHOLE_LIST: &str =
    "`progtune help transformers` lists Hugging Face's flags beside progtune's.";

/// The error about words of Hugging Face's tools that have no equal here, with the answer to each.
pub(super) fn with_answers(typed: &Typed, command: &clap::Command) -> clap::Error {
    let message = match typed.answers.as_slice() {
        [(word, answer)] => format!("{word}: {answer}\n\n{WHOLE_LIST}\n"),
        answers => {
            let lines = answers
                .iter()
                .map(|(word, answer)| format!("  {word}: {answer}\n"));
            let lines: String = lines.collect();
            let count = answers.len();
            format!("{count} flags of Hugging Face's tools need a change:\n{lines}\n{WHOLE_LIST}\n")
        }
    };
    clap::Error::raw(ErrorKind::UnknownArgument, message).with_cmd(command)
}

/// The same error in our words, if it is about an unknown word; otherwise the error itself.
pub(super) fn in_our_words(
    error: clap::Error,
    command: &mut clap::Command,
    path: &str,
) -> clap::Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let message = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            text(ContextKind::InvalidSubcommand).map(|word| unknown_command(word, path))
        }
        ErrorKind::UnknownArgument => text(ContextKind::InvalidArg).map(|word| {
            let is_group = COMMANDS.iter().any(|known| is_below(known.path, path));
            if word.starts_with('-') {
                unknown_flag(word, command, path)
            } else if is_group {
                unknown_command(word, path)
            } else {
                format!(
                    "`{}` takes no word '{word}' here; a value follows its flag, as in --epochs 3",
                    called(path)
                )
            }
        }),
        ErrorKind::InvalidValue => match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(valid)) if !valid.is_empty() => {
                text(ContextKind::InvalidValue)
                    .filter(|value| !value.is_empty())
                    .zip(text(ContextKind::InvalidArg))
                    .map(|(value, place)| {
                        let near = did_you_mean(value, valid.iter().map(String::as_str));
                        let valid = valid.join(", ");
                        format!("{place}: expected one of {valid}; found '{value}'{near}")
                    })
            }
            _ => None,
        },
        _ => None,
    };
    match message {
        Some(message) => at(command, path).error(error.kind(), message),
        None => error,
    }
}

fn unknown_command(word: &str, path: &str) -> String {
    let names = COMMANDS.iter().map(|known| known.path);
    let names = names.filter(|known| is_below(known, path));
    let names = names.map(|known| known.rsplit(' ').next().unwrap_or(known));
    let mut near = did_you_mean(word, names);
    if near.is_empty() {
        let help = if path.is_empty() {
            "`progtune help` lists commands and topics".to_owned()
        } else {
            format!("`progtune help {path}` lists its commands")
        };
        near = format!("; {help}");
    }
    format!("`{}` has no command '{word}'{near}", called(path))
}

fn unknown_flag(word: &str, command: &mut clap::Command, path: &str) -> String {
    let name = word.trim_start_matches('-');
    let command = at(command, path);
    let flags: Vec<String> = command
        .get_arguments()
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .collect();
    // A misspelling of an alias is answered with the alias.
    let aliases = hugging_face::flags().filter_map(|word| match word.meaning {
        Meaning::Same(names) => {
            let is_here = command
                .get_arguments()
                .any(|arg| names.contains(&arg.get_id().as_str()));
            is_here.then(|| word.name.replace('_', "-"))
        }
        _ => None,
    });
    let known: Vec<String> = flags.into_iter().chain(aliases).collect();
    let near = did_you_mean(name, known.iter().map(String::as_str));
    let mut near = near.replace(" '", " '--");
    if near.is_empty() {
        let owner = COMMANDS.iter().skip(1).find(|other| {
            let mut flags = other.all().map(|flag| flag.about());
            flags.any(|about| about.flag() == word && !about.is_positional())
        });
        near = match owner {
            Some(owner) => format!("; it is a flag of `progtune {}`", owner.path),
            None => format!("; `progtune help {}` shows every flag", or_train(path)),
        };
    }
    format!("`{}` has no flag {word}{near}", called(path))
}

/// The command line up to the command.
fn called(path: &str) -> String {
    format!("progtune {path}").trim_end().to_owned()
}

fn or_train(path: &str) -> &str {
    if path.is_empty() { "train" } else { path }
}

/// Whether a command is one level below the other.
fn is_below(path: &str, group: &str) -> bool {
    match path.rsplit_once(' ') {
        Some((parent, _)) => parent == group,
        None => group.is_empty() && !path.is_empty(),
    }
}

/// The command at a path, with the names that its usage needs.
fn at<'a>(command: &'a mut clap::Command, path: &str) -> &'a mut clap::Command {
    command.build();
    let mut found = command;
    for name in path.split(' ').filter(|name| !name.is_empty()) {
        // The path consists of known commands, so each is there.
        found = found
            .find_subcommand_mut(name)
            .expect("a command has the commands of its path");
    }
    found
}
