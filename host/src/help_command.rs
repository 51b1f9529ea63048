//! `progtune help`: the list of commands and topics, a topic, a command, or a flag under its own or
//! Hugging Face's name. Called by `main`.

use crate::{
    cli,
    config::key_flags,
    flags::{
        Declared,
        hugging_face::{self, Meaning},
    },
    help_topics::{self, TOPICS, Topic},
};
use clap::Command;
use progtune_engine::{Error, Result};
use progtune_plugin_api::names::did_you_mean;
use progtune_process::terminal::{self, print, wrapped};

/// The maximum width of the text about a flag.
const WIDTH: usize = 80;

/// Explains what the words name; without words, lists commands and topics.
///
/// # Errors
/// Fails if the words name nothing.
pub fn run_help(words: &[String]) -> Result<()> {
    let names: Vec<String> = words
        .iter()
        .map(|word| word.trim_start_matches('-').to_lowercase())
        .collect();
    let [name] = names.as_slice() else {
        return match command_help(&names) {
            Some(text) if !names.is_empty() => print_lines(&text),
            _ if names.is_empty() => print_lines(&list()),
            _ => Err(unknown(&words.join(" "))),
        };
    };
    let parts = [
        help_topics::find(name).map(topic_text),
        command_help(&names),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        return print_lines(&parts.join("\n\n"));
    }
    match flag_text(name) {
        Some(text) => print_lines(&wrapped(&text, terminal::width().min(WIDTH))),
        None => Err(unknown(&words[0])),
    }
}

fn print_lines(text: &str) -> Result<()> {
    Ok(print(format!("{}\n", text.trim_end()))?)
}

/// A topic's text and the page with more.
fn topic_text(topic: &Topic) -> String {
    format!("{}\nMore: docs/{}.md", topic.text, topic.page)
}

/// The commands and the topics, each with a line about it.
fn list() -> String {
    let mut command = cli::clap_command();
    command.build();
    let commands = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let commands = commands.map(|command| {
        let about = command.get_about().map(ToString::to_string);
        (command.get_name().to_owned(), about.unwrap_or_default())
    });
    let topics = TOPICS
        .iter()
        .map(|topic| (topic.name.to_owned(), topic.summary.to_owned()));
    let lines = |rows: &mut dyn Iterator<Item = (String, String)>| -> String {
        rows.map(|(name, about)| wrapped(&format!("  {name:<13} {about}"), WIDTH) + "\n")
            .collect()
    };
    format!(
        "Commands (`progtune help COMMAND`; without one, progtune trains):\n{}\n\
         Topics (`progtune help TOPIC`):\n{}\n\
         `progtune help FLAG` explains a flag, also one of Hugging Face's scripts.",
        lines(&mut commands.into_iter()),
        lines(&mut topics.into_iter()),
    )
}

/// The help of the command that the words name.
fn command_help(words: &[String]) -> Option<String> {
    let mut command = cli::clap_command();
    command.build();
    let mut found: &mut Command = &mut command;
    for word in words {
        let same = hugging_face_command(word);
        found = found.find_subcommand_mut(same.unwrap_or(word))?;
    }
    Some(found.render_long_help().to_string())
}

/// The command of which a word is another name.
fn hugging_face_command(word: &str) -> Option<&'static str> {
    let word = hugging_face::COMMANDS
        .iter()
        .find(|known| known.name == word.replace('-', "_"))?;
    match word.meaning {
        Meaning::Same([command, ..]) => Some(command),
        _ => None,
    }
}

/// The text about a flag, or about a flag of Hugging Face's tools.
fn flag_text(name: &str) -> Option<String> {
    let key = name.replace('-', "_");
    if let Some(flag) = key_flags().find(|flag| flag.about().name == key) {
        return Some(described(flag));
    }
    let commands = hugging_face::COMMANDS.iter();
    let words = hugging_face::flags().chain(commands);
    let word = words.into_iter().find(|word| word.name == key)?;
    Some(match word.meaning {
        Meaning::Same(names) => {
            let flag = key_flags().find(|flag| names.contains(&flag.about().name))?;
            format!("--{key} is another name of {}", described(flag))
        }
        Meaning::Sets(key, value) => {
            format!("--{} sets --{} {value}", word.name, key.replace('_', "-"))
        }
        Meaning::Always(values, text) => {
            let value = values.first().unwrap_or(&"");
            format!("--{key} {value} is accepted, because it always holds. Otherwise: {text}")
        }
        Meaning::Beside(other, text) => {
            format!("--{key}: accepted beside --{other}. Otherwise: {text}")
        }
        Meaning::Answer(_) | Meaning::NotYet(_) => {
            format!("{name}: {}", word.meaning.answer("…").unwrap_or_default())
        }
    })
}

/// A flag with its help, its default, its variable and its key.
fn described(flag: &dyn Declared) -> String {
    let about = flag.about();
    let default = about.default_text().unwrap_or("none");
    format!(
        "{}\n  {}\n  default: {default}\n  variable: {}, key: {}",
        about.flag(),
        about.help,
        about.variable(),
        about.name
    )
}

fn unknown(word: &str) -> Error {
    let topics = help_topics::names();
    let pages = TOPICS.iter().map(|topic| topic.page);
    let near = did_you_mean(word, topics.iter().copied().chain(pages));
    let near = if near.is_empty() { "." } else { &near };
    let topics = topics.join(", ");
    Error::Usage(format!(
        "there is no help on '{word}'{near} The topics are: {topics}; `progtune help` also lists the commands"
    ))
}
