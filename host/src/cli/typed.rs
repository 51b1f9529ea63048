//! The command line as typed, in the words of this program: `--learning_rate` becomes `--lr`, and
//! `finetune` becomes `train`. Words of Hugging Face's tools without an equal here are answered,
//! all at once. Called by `cli::parse` before clap sees the words.

use std::ffi::OsString;

use super::commands::{COMMANDS, GLOBAL};
use crate::flags::hugging_face::{self, Meaning, is_truth, snake};
use crate::flags::{About, Takes};

/// A command line in the words of this program.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Typed {
    /// The words for clap, without the program's name.
    pub words: Vec<OsString>,
    /// The words that name the command, such as `plugins list`; empty for `progtune` itself.
    pub path: String,
    /// The words without an equal here, as typed, each with its answer.
    pub answers: Vec<(String, String)>,
}

/// Reads the words after the program's name.
pub(super) fn read(words: impl IntoIterator<Item = OsString>) -> Typed {
    let mut reader = Reader {
        words: words.into_iter().collect(),
        ..Reader::default()
    };
    while let Some(word) = reader.next() {
        match word.to_str() {
            Some("--") => {
                reader.typed.words.push(word);
                reader.typed.words.extend(reader.words.drain(reader.at..));
            }
            Some(text) if text.starts_with("--") => reader.flag(text),
            Some(text) if !text.starts_with('-') => reader.bare_word(text),
            _ => reader.typed.words.push(word),
        }
    }
    reader.answer_those_alone();
    reader.typed
}

/// The state of reading.
#[derive(Default)]
struct Reader {
    words: Vec<OsString>,
    at: usize,
    typed: Typed,
    /// The names of the words that always hold here.
    held: Vec<&'static str>,
    /// Words that hold only beside another one: name, other name, answer.
    beside: Vec<(String, &'static str, String)>,
}

impl Reader {
    fn next(&mut self) -> Option<OsString> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word
    }

    fn peek(&self) -> Option<&str> {
        self.words.get(self.at).and_then(|word| word.to_str())
    }

    /// A word beginning with `--`.
    fn flag(&mut self, text: &str) {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let ours = name.replace('_', "-");
        if self.typed.path == "help" && taken_here("help", |about| about.flag() == ours).is_none() {
            // `help --lr` is about the flag.
            let is_request = ours == "--help";
            return self.push(if is_request {
                ours
            } else {
                name[2..].to_owned()
            });
        }
        if let Some(about) = taken(&self.typed.path, |about| about.flag() == ours) {
            return self.own(about, value);
        }
        match hugging_face::find(&name[2..]) {
            Some(word) => self.foreign(word, name, value),
            None => self.typed.words.push(text.into()),
        }
    }

    /// A flag of this program, under any of its names.
    fn own(&mut self, about: &'static About, value: Option<&str>) {
        let flag = about.flag();
        match (about.takes, value) {
            (_, Some(value)) => self.push(format!("{flag}={value}")),
            (Takes::Switch, None) => {
                // Python's scripts take the value of a switch as a word of its own.
                let follows = self.peek().and_then(is_truth);
                match follows.filter(|_| !self.takes_words()) {
                    Some(value) => {
                        self.at += 1;
                        self.push(format!("{flag}={value}"));
                    }
                    None => self.push(flag),
                }
            }
            (Takes::Nothing, None) => self.push(flag),
            (Takes::Value | Takes::Values | Takes::Options, None) => {
                self.push(flag);
                let value = self.next();
                self.typed.words.extend(value);
            }
        }
    }

    /// A flag of Hugging Face's tools.
    fn foreign(&mut self, word: &hugging_face::Word, name: &str, value: Option<&str>) {
        if let Meaning::Same(flags) = word.meaning {
            let is_one = |about: &About| flags.contains(&about.name);
            if let Some(about) = taken_here(&self.typed.path, is_one) {
                return self.own(about, value);
            }
        }
        let value = value.map_or_else(|| self.value(), str::to_owned);
        let answer = match word.meaning {
            Meaning::Same(flags) => Some(self.belongs_elsewhere(flags)),
            Meaning::Sets(key, set) => {
                if value != "false" {
                    self.push(format!("--{}={set}", key.replace('_', "-")));
                }
                None
            }
            Meaning::Beside(other, _) => {
                let text = word.meaning.answer(&value).unwrap_or_default();
                self.beside.push((name.to_owned(), other, text));
                None
            }
            meaning => meaning.answer(&value),
        };
        match answer {
            Some(answer) => self.typed.answers.push((name.to_owned(), answer)),
            None => self.held.push(word.name),
        }
    }

    /// The values of a flag that this program does not declare: the words up to the next flag or
    /// command, joined by commas; `true` if there are none.
    fn value(&mut self) -> String {
        let mut values: Vec<String> = Vec::new();
        while let Some(word) = self.peek() {
            let is_number = word.parse::<f64>().is_ok();
            let is_command = self.typed.path.is_empty() && command_at(word).is_some();
            if word.starts_with('-') && !is_number || is_command {
                break;
            }
            values.push(word.to_owned());
            self.at += 1;
        }
        match values.as_slice() {
            [] => "true".into(),
            [value] if is_truth(value).is_some() => value.to_lowercase(),
            _ => values.join(","),
        }
    }

    /// A word that is no flag: a command, or the value of a positional argument.
    fn bare_word(&mut self, text: &str) {
        let path = format!("{} {text}", self.typed.path);
        if let Some(path) = command_at(path.trim_start()) {
            self.typed.path = path.to_owned();
            return self.push(text.to_owned());
        }
        let word = hugging_face::find_command(text).filter(|_| self.typed.path.is_empty());
        match word.map(|word| word.meaning) {
            Some(Meaning::Same([command, ..])) => {
                self.typed.path = (*command).to_owned();
                self.push((*command).to_owned());
            }
            Some(meaning) => {
                let answer = meaning.answer("").unwrap_or_default();
                self.typed.answers.push((text.to_owned(), answer));
                // The flags that follow belong to a command that does not exist.
                self.at = self.words.len();
            }
            None => self.push(text.to_owned()),
        }
    }

    /// Answers the words that hold only beside others which were not typed.
    fn answer_those_alone(&mut self) {
        for (name, other, answer) in std::mem::take(&mut self.beside) {
            let evaluates = self.typed.path == "evaluate";
            if !evaluates && !self.held.contains(&other) {
                self.typed.answers.push((name, answer));
            }
        }
    }

    /// The answer to a flag of another command.
    fn belongs_elsewhere(&self, flags: &[&str]) -> String {
        let owner = COMMANDS.iter().skip(1).find_map(|command| {
            let mut all = command.all().map(|flag| flag.about());
            let about = all.find(|about| flags.contains(&about.name))?;
            Some((about.flag(), command.path))
        });
        let (flag, owner) = owner.unwrap_or_default();
        let path = &self.typed.path;
        format!("that is {flag} of `progtune {owner}`, and no flag of `progtune {path}`")
    }

    /// Whether the command takes words without a flag before them.
    fn takes_words(&self) -> bool {
        taken_here(&self.typed.path, About::is_positional).is_some()
    }

    fn push(&mut self, word: String) {
        self.typed.words.push(word.into());
    }
}

/// The path of a known command.
fn command_at(path: &str) -> Option<&'static str> {
    let mut paths = COMMANDS.iter().map(|command| command.path);
    paths.find(|known| !known.is_empty() && *known == path)
}

/// A flag of the command at `path`, or one of every command.
fn taken_here(path: &str, is_meant: impl Fn(&About) -> bool) -> Option<&'static About> {
    let commands = COMMANDS.iter().filter(|command| command.path == path);
    let own = commands.flat_map(|command| command.all());
    let global = GLOBAL.iter().flat_map(|(_, list)| list.iter().copied());
    let mut all = own.chain(global).map(|flag| flag.about());
    all.find(|about| is_meant(about))
}

/// A flag of the command at `path`, otherwise of any command; clap then names the right one.
fn taken(path: &str, is_meant: impl Fn(&About) -> bool) -> Option<&'static About> {
    let is_flag = |about: &About| !about.is_positional() && is_meant(about);
    let mut others = COMMANDS.iter().flat_map(|command| command.all());
    taken_here(path, is_flag).or_else(|| {
        others
            .find(|flag| is_flag(flag.about()))
            .map(|flag| flag.about())
            // `--dtype` belongs to `merge`; elsewhere it is a word of Trainer's.
            .filter(|about| hugging_face::find(&snake(about.name)).is_none())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words for clap, or the answers.
    fn read_line(line: &str) -> String {
        let typed = read(line.split_whitespace().map(OsString::from));
        if typed.answers.is_empty() {
            let words = typed.words.iter().map(|word| word.to_string_lossy());
            return words.collect::<Vec<_>>().join(" ");
        }
        let names = typed.answers.into_iter().map(|(name, _)| name);
        format!("answers {}", names.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn flags_and_commands_get_their_names_here() {
        for (typed, read) in [
            ("--learning_rate 2e-5", "--lr 2e-5"),
            ("--learning-rate=2e-5", "--lr=2e-5"),
            (
                "--batch_size 8 --weight_decay 0.1",
                "--batch-size 8 --weight-decay 0.1",
            ),
            ("finetune --num_train_epochs 3.0", "train --epochs 3.0"),
            ("plan --no_cuda --seed 1", "plan --device=cpu --seed 1"),
            ("merge --output_dir m", "merge --output m"),
            ("predict --adapter_name_or_path a", "predict --adapter a"),
            ("--adapter_name_or_path a", "--init-adapter a"),
            // Switches of Python's scripts.
            ("--gradient_checkpointing True", "--recompute=true"),
            ("--recompute false --seed 1", "--recompute=false --seed 1"),
            (
                "--do_train --do_eval --optim adamw_torch --seed 1",
                "--seed 1",
            ),
            ("--fp16 False plan", "plan"),
            // Words that are no flags stay as they are.
            ("plugins show lora", "plugins show lora"),
            ("--task fit", "--task fit"),
            (
                "data inspect --no-header true",
                "data inspect --no-header true",
            ),
            ("-v plan --x_y 3", "-v plan --x_y 3"),
            ("plan -- --fp16", "plan -- --fp16"),
            ("help --learning_rate", "help learning_rate"),
        ] {
            assert_eq!(read_line(typed), read, "{typed}");
        }
    }

    #[test]
    fn every_word_without_an_equal_is_answered() {
        for (typed, read) in [
            (
                "--fp16 --run_name mine --seed 1 --fp16_full_eval",
                "answers --fp16 --run_name --fp16_full_eval",
            ),
            (
                "--report_to wandb tensorboard --seed 1",
                "answers --report_to",
            ),
            ("serve --port 80", "answers serve"),
            ("--do_eval", "answers --do_eval"),
            (
                "evaluate --do_eval --learning_rate 1",
                "answers --learning_rate",
            ),
            ("predict --output_dir p", "answers --output_dir"),
            ("--dtype bf16", "answers --dtype"),
            ("merge --dtype bf16", "merge --dtype bf16"),
        ] {
            assert_eq!(read_line(typed), read, "{typed}");
        }
    }
}
