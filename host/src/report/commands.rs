//! The commands at the end of a run: one that uses its result, and a next step. They can be copied
//! into a shell, so they name everything that the result needs and nothing else. Called by the
//! report.

use crate::config::{InputsConfig, RunConfig, SAMPLE_TASK, max_length};
use progtune_datasets::{Header, OWN_TASK, ProblemType, Task};
use progtune_pipeline::question_answering::Answering;
use progtune_plain_text::is_hidden;
use std::path::Path;

/// A command as a list of words.
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

    /// Returns the command in one line, quoted for a shell.
    pub fn line(&self) -> String {
        let words: Vec<String> = self.words.iter().map(|word| quoted(word)).collect();
        words.join(" ")
    }

    /// Returns the command, indented by two spaces. A long one is broken before flags into lines
    /// that a shell joins. They have at most `width` characters if the words allow it.
    pub fn lines(&self, width: usize) -> String {
        let mut text = String::from(" ");
        let mut column = 1;
        for (at, word) in self.words.iter().enumerate() {
            let word = quoted(word);
            // The width of a flag with its value, and of the backslash if more follows.
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

/// Quotes a word for a shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if word.chars().any(is_hidden) {
        return quoted_by_bytes(word);
    }
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Quotes as `$'a\033b'`. Characters that a terminal would obey become octal digits of their bytes,
/// which the shell decodes (Bash, Zsh and POSIX 2024).
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

/// The result of a run, and the settings of its training.
#[derive(Debug, Clone, Copy)]
pub struct Trained<'a> {
    /// The run's configuration.
    pub config: &'a RunConfig,
    /// The run's inputs as local paths.
    pub inputs: &'a InputsConfig,
    /// The maximum length of an input in tokens.
    pub max_length: usize,
    /// The run's task.
    pub task: &'a Task,
    /// The directory of the result.
    pub directory: &'a Path,
}

impl Trained<'_> {
    /// Returns the command that uses the result: `progtune predict`, with a placeholder for the
    /// input file.
    pub fn predict(&self) -> ShellCommand {
        let (task, whole) = (self.task, self.is_whole());
        let mut command = self.open(ShellCommand::new("predict"));
        // An adapter records the name of its task.
        if task.name == OWN_TASK || whole && task.name != SAMPLE_TASK {
            command = command.flag("--task", &task.name);
        }
        let input = format!("FILE.{}", self.input_type());
        self.with_reading(command).flag("--input", input)
    }

    /// Returns the next step, as text and as a command.
    pub fn next(&self) -> (&'static str, ShellCommand) {
        if self.task.is_generated() {
            return ("the same on your own data", self.on_own_data());
        }
        if !self.is_whole() {
            let merged = format!("{}-merged", self.directory.display());
            let command = self.open(ShellCommand::new("merge"));
            return ("as one plain checkpoint", command.flag("--output", merged));
        }
        let command = self.open(ShellCommand::new("evaluate"));
        let command = match (self.task.name.as_str(), &self.inputs.data) {
            (OWN_TASK, _) => command.flag("--test-file", format!("FILE.{}", self.input_type())),
            (name, None) => command.flag("--task", name),
            (name, Some(data)) => command.flag("--task", name).flag("--data", data.typed()),
        };
        ("measure it", self.with_reading(command))
    }

    fn on_own_data(&self) -> ShellCommand {
        let mut command = ShellCommand {
            words: vec!["progtune".into()],
        };
        if let Some(model) = &self.inputs.model {
            command = command.flag("--model", model.typed());
        }
        let schedule_and_method = &self.config.schedule_and_method;
        command = command
            .flag("--train-file", "FILE.csv")
            .flag("--validation-split", "0.1")
            .flag("--schedule", &schedule_and_method.schedule);
        if let Some(peft) = &schedule_and_method.peft {
            command = command.flag("--peft", peft);
        }
        self.with_plugins(command)
    }

    /// Whether the result is a checkpoint rather than an adapter.
    fn is_whole(&self) -> bool {
        self.directory.join("config.json").exists()
    }

    /// Adds the flags that open the result to a command.
    fn open(&self, mut command: ShellCommand) -> ShellCommand {
        let directory = self.directory.display();
        if self.is_whole() {
            return command.flag("--model", directory);
        }
        if let Some(model) = &self.inputs.model {
            command = command.flag("--model", model.typed());
        }
        self.with_plugins(command.flag("--adapter", directory))
    }

    /// Adds the flags for plugins outside the default directories.
    fn with_plugins(&self, mut command: ShellCommand) -> ShellCommand {
        for file in &self.config.plugins.files {
            command = command.flag("--plugin", file.display());
        }
        for folder in &self.config.plugins.directories {
            command = command.flag("--plugin-dir", folder.display());
        }
        command
    }

    /// Adds the flags for reading texts if they differ from the defaults: the maximum length, and
    /// the windows of long texts.
    fn with_reading(&self, mut command: ShellCommand) -> ShellCommand {
        let problem = self.task.problem_type;
        if self.max_length != max_length(None, problem) {
            command = command.flag("--max-length", self.max_length);
        }
        let asked = self.config.data.answering.doc_stride;
        if problem == ProblemType::QuestionAnswering && asked != Answering::default().doc_stride {
            command = command.flag("--doc-stride", asked);
        }
        command
    }

    /// Returns the file extension of the training data.
    fn input_type(&self) -> &str {
        const PLAIN: [&str; 10] = [
            "csv", "tsv", "jsonl", "json", "parquet", "arrow", "feather", "conll", "bio", "txt",
        ];
        let own = self.inputs.own.as_ref();
        let first = own.and_then(|own| own.train.first());
        let end = first.and_then(|file| Path::new(file).extension()?.to_str());
        let has_header = own.is_none_or(|own| own.reading.header == Header::FirstRow);
        let otherwise = if has_header { "jsonl" } else { "tsv" };
        end.filter(|end| PLAIN.contains(end)).unwrap_or(otherwise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_engine::plugin::PluginSources;

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
        let config = RunConfig::default();
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().join("x");
        std::fs::create_dir(&whole).unwrap();
        std::fs::write(whole.join("config.json"), "{}").unwrap();
        let shown = whole.display();
        let of_sample = Trained {
            config: &config,
            inputs: &config.inputs,
            max_length: 128,
            task: sample,
            directory: Path::new("runs/x"),
        };
        assert_eq!(
            of_sample.predict().line(),
            "progtune predict --adapter runs/x --input FILE.jsonl"
        );
        let of_sample = Trained {
            directory: &whole,
            ..of_sample
        };
        assert_eq!(
            of_sample.predict().line(),
            format!("progtune predict --model {shown} --input FILE.jsonl")
        );
        let elsewhere = RunConfig {
            plugins: PluginSources {
                directories: vec!["target/release".into()],
                ..PluginSources::default()
            },
            ..config.clone()
        };
        let of_elsewhere = Trained {
            config: &elsewhere,
            ..of_sample
        };
        assert_eq!(
            of_elsewhere.next().1.line(),
            "progtune --train-file FILE.csv --validation-split 0.1 --schedule full --plugin-dir target/release"
        );
        let inputs = InputsConfig {
            model: Some("my models/bert".into()),
            ..InputsConfig::default()
        };
        let of_mrpc = Trained {
            inputs: &inputs,
            max_length: 64,
            task: Task::by_name("mrpc").unwrap(),
            ..of_sample
        };
        assert_eq!(
            of_mrpc.predict().line(),
            format!(
                "progtune predict --model {shown} --task mrpc --max-length 64 --input FILE.jsonl"
            )
        );
        let of_mrpc = Trained {
            directory: Path::new("runs/x"),
            ..of_mrpc
        };
        assert_eq!(
            of_mrpc.next().1.line(),
            "progtune merge --model 'my models/bert' --adapter runs/x --output runs/x-merged"
        );
    }
}
