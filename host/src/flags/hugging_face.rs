//! The words of Hugging Face's scripts, Trainer and PEFT, and their meaning here: flags, keys,
//! commands and values. A word that means exactly the same as a flag here is an alias; any other
//! word has an answer. `cli::typed` reads flags and commands, `config::layers` keys,
//! `config::settings` values, and `main` adds hints on ids.
//!
//! The tables are in `training_words`, `method_words`, `command_words` and `value_words`. A row is
//! one line: a feature that is built later turns its row from `not_yet` into `same`.
//! docs/from-transformers.md has the same tables for readers, and a test keeps them equal.

mod command_words;
mod method_words;
mod training_words;
mod value_words;

pub use command_words::COMMANDS;
pub use value_words::VALUES;

/// A word with its meaning.
#[derive(Debug)]
pub struct Word {
    /// The word in snake case and in lower case, as in their scripts.
    pub name: &'static str,
    /// The meaning of the word.
    pub meaning: Meaning,
}

/// The meaning of a word here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The same as the flag with this name, with the same values; as a command or a value, the same
    /// as that one. Several flags never belong to one command.
    Same(&'static [&'static str]),
    /// A switch that sets a key to a value: `no_cuda` sets `device` to `cpu`.
    Sets(&'static str, &'static str),
    /// A setting that always has one of these values here, and is therefore accepted with them. Any
    /// other value gets the answer.
    Always(&'static [&'static str], &'static str),
    /// A switch that always holds beside another one, and otherwise gets the answer.
    Beside(&'static str, &'static str),
    /// A word without an equal here; the answer says what to do. In it, `{value}` stands for the
    /// typed value.
    Answer(&'static str),
    /// A feature that is not built yet; the answer says what there is instead.
    NotYet(&'static str),
}

/// The words that begin the answer about a feature that is not built yet.
const NOT_YET: &str = "not supported yet; ";

const fn same(name: &'static str, flags: &'static [&'static str]) -> Word {
    let meaning = Meaning::Same(flags);
    Word { name, meaning }
}

const fn sets(name: &'static str, key: &'static str, value: &'static str) -> Word {
    let meaning = Meaning::Sets(key, value);
    Word { name, meaning }
}

const fn always(
    name: &'static str,
    values: &'static [&'static str],
    otherwise: &'static str,
) -> Word {
    let meaning = Meaning::Always(values, otherwise);
    Word { name, meaning }
}

const fn answer(name: &'static str, text: &'static str) -> Word {
    let meaning = Meaning::Answer(text);
    Word { name, meaning }
}

const fn not_yet(name: &'static str, text: &'static str) -> Word {
    let meaning = Meaning::NotYet(text);
    Word { name, meaning }
}

/// All words that are flags in scripts and keys in files.
pub fn flags() -> impl Iterator<Item = &'static Word> {
    training_words::FLAGS
        .iter()
        .chain(method_words::FLAGS.iter())
}

/// The flag or key with this name, in any case and with `-` or `_`.
pub fn find(name: &str) -> Option<&'static Word> {
    let name = snake(name);
    flags().find(|word| word.name == name)
}

/// The command with this name, in any case and with `-` or `_`.
pub(crate) fn find_command(name: &str) -> Option<&'static Word> {
    let name = snake(name);
    COMMANDS.iter().find(|word| word.name == name)
}

/// The meaning of a value of a key here: another value, or an answer.
pub(crate) fn value(key: &str, text: &str) -> Option<Meaning> {
    let name = snake(text);
    let mut rows = VALUES.iter().filter(|(of, _)| *of == key);
    let (_, word) = rows.find(|(_, word)| word.name == name)?;
    Some(word.meaning)
}

/// The end of the message about an unknown id of a schedule or method: what the word means
/// elsewhere, or nothing. Only unknown ids have hints, since a plugin may have any id.
pub fn hint(key: &str, id: &str) -> String {
    match value(key, id) {
        Some(Meaning::Answer(text) | Meaning::NotYet(text)) => format!("\n'{id}': {text}"),
        Some(Meaning::Same([same, ..])) => format!("\n'{id}': write `--{key} {same}`"),
        _ => String::new(),
    }
}

impl Meaning {
    /// The answer to a value of the word; `None` if there is nothing to say. A switch has the value
    /// `true`.
    pub(crate) fn answer(self, typed: &str) -> Option<String> {
        match self {
            Self::Same(_) | Self::Sets(..) => None,
            Self::Always(values, _) if values.contains(&typed.to_lowercase().as_str()) => None,
            Self::Always(_, text) | Self::Beside(_, text) => Some(text.to_owned()),
            Self::Answer(text) => {
                let typed = if is_truth(typed).is_some() {
                    "…"
                } else {
                    typed
                };
                Some(text.replace("{value}", typed))
            }
            Self::NotYet(text) => Some(format!("{NOT_YET}{text}")),
        }
    }
}

/// The truth value that Python and TOML write so.
pub(crate) fn is_truth(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// A name in the form of the tables.
pub(crate) fn snake(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_are_unique_and_in_snake_case() {
        for words in [flags().collect::<Vec<_>>(), COMMANDS.iter().collect()] {
            let mut names = BTreeSet::new();
            for word in words {
                assert_eq!(word.name, snake(word.name));
                assert!(names.insert(word.name), "{} is there twice", word.name);
            }
        }
        let mut values = BTreeSet::new();
        for (key, word) in VALUES {
            assert_eq!(word.name, snake(word.name));
            assert!(values.insert((key, word.name)), "{key} {}", word.name);
        }
    }

    /// An answer follows a word and a colon or a semicolon, so it begins in lower case; each of its
    /// sentences is short.
    #[test]
    fn answers_are_short_and_end_a_message() {
        let words = flags().chain(COMMANDS.iter());
        for word in words.chain(VALUES.iter().map(|(_, word)| word)) {
            let Some(text) = word.meaning.answer("?") else {
                continue;
            };
            let first = text.chars().next().unwrap_or('.');
            assert!(!first.is_uppercase() || text.starts_with("LoRA "), "{text}");
            assert!(!text.ends_with('.'), "{text}");
            let longest = text.split([';', ':']).map(|part| part.split(' ').count());
            assert!(longest.max().unwrap_or(0) <= 25, "{text}");
        }
    }

    #[test]
    fn a_typed_value_is_filled_in() {
        let r = find("lora-r").unwrap().meaning;
        let text = r.answer("4").unwrap();
        assert!(text.contains("--peft-opt r=4"), "{text}");
        let text = r.answer("true").unwrap();
        assert!(text.contains("--peft-opt r=…"), "{text}");
        assert_eq!(find("fp16").unwrap().meaning.answer("False"), None);
        assert!(find("report_to").unwrap().meaning.answer("wandb").is_some());
        assert_eq!(find("batch_size").map(|word| word.name), None);
    }
}
