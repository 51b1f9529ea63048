//! The commands that a run ends with: what uses its result, and a next step. They are made to be copied into a shell, so
//! they name all that the result needs and nothing else. Called by the report.

use crate::config::{RunConfig, SAMPLE_TASK, max_length};
use progtune_datasets::{OWN_TASK, ProblemType, Task};
use progtune_plain_text::is_hidden;
use std::path::Path;

/// A command as words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellCommand {
    words: Vec<String>,
}

impl ShellCommand {
    fn new(name: &str) -> Self {
        Self {
            words: vec!["progtune".into(), name.into()],
        }
    }

    fn flag(mut self, flag: &str, value: impl ToString) -> Self {
        self.words.extend([flag.into(), value.to_string()]);
        self
    }

    /// The command in one line, quoted for a shell.
    pub fn line(&self) -> String {
        let words: Vec<String> = self.words.iter().map(|word| quoted(word)).collect();
        words.join(" ")
    }

    /// The command after two spaces, a long one in several lines that a shell takes for one: broken before flags, so that
    /// lines have at most `width` characters where the words allow it.
    pub fn lines(&self, width: usize) -> String {
        let mut text = String::from(" ");
        let mut column = 1;
        for (at, word) in self.words.iter().enumerate() {
            let word = quoted(word);
            // A flag with its value and, where more follows, the backslash.
            let value = match (word.starts_with("--"), self.words.get(at + 1)) {
                (true, Some(value)) => 1 + quoted(value).chars().count(),
                _ => 0,
            };
            let needed = 1 + word.chars().count() + value + 2;
            if word.starts_with("--") && column + needed > width {
                text += " \\\n   ";
                column = 3;
            }
            text.push(' ');
            text += &word;
            column += 1 + word.chars().count();
        }
        text
    }
}

/// A word as a shell reads it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if word.chars().any(is_hidden) {
        return quoted_by_bytes(word);
    }
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// `$'a\033b'`: what a terminal would obey as the octal digits of its bytes, for a shell to make it again (Bash, Zsh and
/// POSIX of 2024).
fn quoted_by_bytes(word: &str) -> String {
    let mut quoted = String::from("$'");
    for c in word.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            c if is_hidden(c) => {
                let bytes = c.to_string().into_bytes();
                quoted.extend(bytes.into_iter().map(|byte| format!("\\{byte:03o}")));
            }
            c => quoted.push(c),
        }
    }
    quoted + "'"
}

/// What uses a run's result: `progtune predict`, with a file's name to be replaced. `whole`: the result is a checkpoint
/// and no adapter.
pub fn predict(config: &RunConfig, task: &Task, directory: &Path, whole: bool) -> ShellCommand {
    let mut command = with_result(ShellCommand::new("predict"), config, directory, whole);
    // An adapter of a named task says which.
    if task.name == OWN_TASK || whole && task.name != SAMPLE_TASK {
        command = command.flag("--task", &task.name);
    }
    with_reading(command, config, task).flag("--input", format!("FILE.{}", input_type(config)))
}

/// What to do next, in words, and how.
pub fn next(
    config: &RunConfig,
    task: &Task,
    directory: &Path,
    whole: bool,
) -> (&'static str, ShellCommand) {
    if task.is_generated() {
        let mut command = ShellCommand {
            words: vec!["progtune".into()],
        };
        if let Some(model) = &config.model {
            command = command.flag("--model", model.typed());
        }
        command = command
            .flag("--train-file", "FILE.csv")
            .flag("--validation-split", "0.1")
            .flag("--schedule", &config.schedule);
        if let Some(peft) = &config.peft {
            command = command.flag("--peft", peft);
        }
        let command = with_plugins(command, config);
        return ("the same on your own data", command);
    }
    if !whole {
        let merged = format!("{}-merged", directory.display());
        let command = with_result(ShellCommand::new("merge"), config, directory, whole);
        return ("as one plain checkpoint", command.flag("--output", merged));
    }
    let command = with_result(ShellCommand::new("evaluate"), config, directory, whole);
    let command = match (task.name.as_str(), &config.data) {
        (OWN_TASK, _) => command.flag("--test-file", format!("FILE.{}", input_type(config))),
        (name, None) => command.flag("--task", name),
        (name, Some(data)) => command.flag("--task", name).flag("--data", data.typed()),
    };
    ("measure it", with_reading(command, config, task))
}

/// The flags that open a run's result.
fn with_result(
    mut command: ShellCommand,
    config: &RunConfig,
    directory: &Path,
    whole: bool,
) -> ShellCommand {
    let directory = directory.display();
    if whole {
        return command.flag("--model", directory);
    }
    if let Some(model) = &config.model {
        command = command.flag("--model", model.typed());
    }
    with_plugins(command.flag("--adapter", directory), config)
}

/// The flags that name where plugins were taken from, apart from the usual places.
fn with_plugins(mut command: ShellCommand, config: &RunConfig) -> ShellCommand {
    for file in &config.plugins.files {
        command = command.flag("--plugin", file.display());
    }
    for folder in &config.plugins.directories {
        command = command.flag("--plugin-dir", folder.display());
    }
    command
}

/// How texts were read in training, where it was not as usual: their length, and the windows of long ones.
fn with_reading(mut command: ShellCommand, config: &RunConfig, task: &Task) -> ShellCommand {
    match config.max_length {
        Some(length) if length != max_length(None, task.problem_type) => {
            command = command.flag("--max-length", length);
        }
        _ => {}
    }
    let (asked, usual) = (config.answering, RunConfig::default().answering);
    if task.problem_type == ProblemType::QuestionAnswering && asked.doc_stride != usual.doc_stride {
        command = command.flag("--doc-stride", asked.doc_stride);
    }
    command
}

/// The end of the name of a file like those that were trained on.
fn input_type(config: &RunConfig) -> &str {
    const PLAIN: [&str; 10] = [
        "csv", "tsv", "jsonl", "json", "parquet", "arrow", "feather", "conll", "bio", "txt",
    ];
    let own = config.own.as_ref();
    let first = own.and_then(|own| own.train.first());
    let end = first.and_then(|file| Path::new(file).extension()?.to_str());
    end.filter(|end| PLAIN.contains(end)).unwrap_or("jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> ShellCommand {
        ShellCommand {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, expected) in [
            ("runs/a-b_c.d", "runs/a-b_c.d"),
            ("org/name@0123", "org/name@0123"),
            ("my runs/a", "'my runs/a'"),
            ("it's", "'it'\\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
            ("a\x1bé'\\\n", "$'a\\033é\\'\\\\\\012'"),
            ("\u{202e}x", "$'\\342\\200\\256x'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn long_commands_are_broken_before_flags() {
        let long = command(&[
            "progtune",
            "predict",
            "--adapter",
            "runs/a b",
            "--input",
            "F",
        ]);
        assert_eq!(
            long.line(),
            "progtune predict --adapter 'runs/a b' --input F"
        );
        assert_eq!(
            long.lines(80),
            "  progtune predict --adapter 'runs/a b' --input F"
        );
        assert_eq!(
            long.lines(44),
            "  progtune predict --adapter 'runs/a b' \\\n    --input F"
        );
        let lines = long.lines(20);
        let expected = "  progtune predict \\\n    --adapter 'runs/a b' \\\n    --input F";
        assert_eq!(lines, expected);
    }

    #[test]
    fn nothing_is_said_that_the_result_says_itself() {
        let sample = Task::by_name("sample").unwrap();
        let config = RunConfig {
            max_length: Some(128),
            ..RunConfig::default()
        };
        let directory = Path::new("runs/x");
        assert_eq!(
            predict(&config, sample, directory, false).line(),
            "progtune predict --adapter runs/x --input FILE.jsonl"
        );
        assert_eq!(
            predict(&config, sample, directory, true).line(),
            "progtune predict --model runs/x --input FILE.jsonl"
        );
        let mut elsewhere = config.clone();
        elsewhere.plugins.directories = vec!["target/release".into()];
        assert_eq!(
            next(&elsewhere, sample, directory, true).1.line(),
            "progtune --train-file FILE.csv --validation-split 0.1 --schedule full --plugin-dir target/release"
        );
        let config = RunConfig {
            max_length: Some(64),
            model: Some("my models/bert".into()),
            ..config
        };
        let mrpc = Task::by_name("mrpc").unwrap();
        assert_eq!(
            predict(&config, mrpc, directory, true).line(),
            "progtune predict --model runs/x --task mrpc --max-length 64 --input FILE.jsonl"
        );
        assert_eq!(
            next(&config, mrpc, directory, false).1.line(),
            "progtune merge --model 'my models/bert' --adapter runs/x --output runs/x-merged"
        );
    }
}
