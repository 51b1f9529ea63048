//! The commands at the end of a run: one that uses its result, and a next step. They can be copied
//! into a shell, so they name everything that the result needs and nothing else. Called by the
//! report, and by `merge_command` for the name of the input.

use crate::config::{InputsConfig, RunConfig};
use progtune_datasets::{Format, Header, OwnFiles, OwnRequest, Task};
use progtune_plain_text::is_hidden;
use std::path::{Path, PathBuf};

/// A command as a list of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShellCommand {
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
    pub(crate) fn line(&self) -> String {
        let words: Vec<String> = self.words.iter().map(|word| quoted(word)).collect();
        words.join(" ")
    }

    /// Returns the command, indented by two spaces. A long one is broken before flags into lines
    /// that a shell joins. They have at most `width` characters if the words allow it.
    pub(crate) fn lines(&self, width: usize) -> String {
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
pub(crate) fn quoted(word: &str) -> String {
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
pub(crate) struct Trained<'a> {
    /// The run's configuration.
    pub config: &'a RunConfig,
    /// The run's inputs as local paths.
    pub inputs: &'a InputsConfig,
    /// The run's task.
    pub task: &'a Task,
    /// The directory of the result.
    pub directory: &'a Path,
    /// Whether `progtune merge` can fold the method into the weights.
    pub(crate) is_mergeable: bool,
}

impl Trained<'_> {
    /// Returns the command that uses the result: `progtune predict`, with a placeholder for the
    /// input file. The result itself records its task, its base model and the length of its inputs.
    pub(crate) fn predict(&self) -> ShellCommand {
        let command = self.open(ShellCommand::new("predict"));
        command.flag("--input", input_name(self.inputs.own.as_ref()))
    }

    /// Returns the next step, as text and as a command.
    pub(crate) fn next(&self) -> (&'static str, ShellCommand) {
        if self.task.is_generated() {
            return ("the same on your own data", self.on_own_data());
        }
        if !self.is_whole() && self.is_mergeable {
            let merged = format!("{}-merged", self.directory.display());
            let command = self.open(ShellCommand::new("merge"));
            return ("as one plain checkpoint", command.flag("--output", merged));
        }
        let command = self.open(ShellCommand::new("evaluate"));
        let command = match &self.inputs.own {
            Some(own) => command.flag("--test-file", input_name(Some(own))),
            // The result records the data of a named task.
            None => command,
        };
        ("measure it", command)
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
    fn open(&self, command: ShellCommand) -> ShellCommand {
        let directory = self.directory.display();
        if self.is_whole() {
            return command.flag("--model", directory);
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
}

/// The placeholder for a file in the format of the user's own training files; JSONL for a named
/// task.
pub(crate) fn input_name(own: Option<&OwnRequest>) -> String {
    const PLAIN: [&str; 12] = [
        "csv", "tsv", "jsonl", "json", "parquet", "arrow", "feather", "conll", "conllu", "bio",
        "iob2", "txt",
    ];
    let Some(own) = own else {
        return "FILE.jsonl".into();
    };
    // A directory or a pattern stands for files.
    let found = OwnFiles::find(own).ok();
    let first = found.and_then(|files| files.into_iter().next());
    let first = first.map(|file| file.path);
    let first = first.or_else(|| own.train.first().map(PathBuf::from));
    let name = first.as_deref().and_then(Path::file_name);
    let name = name.unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    let end = name.rsplit_once('.').map(|(_, end)| end);
    let of_format = match own.reading.format {
        Some(Format::LabelText | Format::Lines | Format::TextFile) => "txt",
        Some(format) => format.as_str(),
        None if own.reading.header != Header::FirstRow => "tsv",
        None => "jsonl",
    };
    let end = end.filter(|end| PLAIN.contains(end)).unwrap_or(of_format);
    format!("FILE.{end}")
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
            task: sample,
            directory: Path::new("runs/x"),
            is_mergeable: true,
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
            task: Task::by_name("mrpc").unwrap(),
            ..of_sample
        };
        assert_eq!(
            of_mrpc.next().1.line(),
            format!("progtune evaluate --model {shown}")
        );
        let of_mrpc = Trained {
            directory: Path::new("my runs/x"),
            ..of_mrpc
        };
        assert_eq!(
            of_mrpc.predict().line(),
            "progtune predict --adapter 'my runs/x' --input FILE.jsonl"
        );
        assert_eq!(
            of_mrpc.next().1.line(),
            "progtune merge --adapter 'my runs/x' --output 'my runs/x-merged'"
        );
        let of_bottleneck = Trained {
            is_mergeable: false,
            ..of_mrpc
        };
        assert_eq!(
            of_bottleneck.next().1.line(),
            "progtune evaluate --adapter 'my runs/x'"
        );
    }

    #[test]
    fn the_input_has_the_format_of_the_training_files() {
        let name = |file: &str, format: Option<Format>| {
            let mut own = OwnRequest {
                train: vec![file.into()],
                ..OwnRequest::default()
            };
            own.reading.format = format;
            input_name(Some(&own))
        };
        assert_eq!(input_name(None), "FILE.jsonl");
        assert_eq!(name("a/b.csv", None), "FILE.csv");
        assert_eq!(name("b.TSV.gz", None), "FILE.tsv");
        assert_eq!(name("train.conll", None), "FILE.conll");
        assert_eq!(name("TREC.train", Some(Format::LabelText)), "FILE.txt");
        assert_eq!(name("rows", Some(Format::Csv)), "FILE.csv");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("one.parquet"), "").unwrap();
        assert_eq!(
            name(&folder.path().display().to_string(), None),
            "FILE.parquet"
        );
    }
}
