//! The resolved configuration of `predict`: the examples, and the form of the predictions. Resolved
//! by `main`, read by that command.

use std::path::{Path, PathBuf};

use progtune_datasets::{OwnRequest, Reading, Sample};

use super::{
    ConfigError, InferenceConfig, Sources, Split,
    data::{DATA, TASK},
    inference::{ANSWERS, read_task},
    layers, own,
    settings::Settings,
    split::SPLIT,
};
use crate::flags::{Arguments, Declared, Flag, Offers, Scope, Takes, advice};
use progtune_process::name_of;
use std::fmt;

/// The other sources of examples, which exclude `--input`, `--text` and `--question`.
const DATA_FLAGS: [&str; 5] = [
    "data",
    "split",
    "train_file",
    "validation_file",
    "test_file",
];

pub(crate) static INPUT: Flag<String> = Flag::argument(
    "input",
    "FILE",
    "Input file with the columns of the training data, in any format that training reads; .txt has one text per line, - is \
     standard input",
)
.computed("standard input unless it is a terminal; with --data or --split that data")
.usual()
.adjust(|arg| {
    let arg = arg.allow_hyphen_values(true);
    arg.conflicts_with_all(DATA_FLAGS).conflicts_with_all(["text", "question"])
});

pub(crate) static TEXT: Flag<Vec<String>> =
    Flag::argument("text", "TEXT", "Text to predict for; repeatable")
        .computed("none")
        .takes(Takes::Values)
        .usual()
        .adjust(|arg| {
            let arg = arg.allow_hyphen_values(true);
            arg.conflicts_with_all(DATA_FLAGS)
                .conflicts_with("question")
        });

pub(crate) static TEXT_PAIR: Flag<Vec<String>> = Flag::argument(
    "text_pair",
    "TEXT",
    "Second text of the --text at the same place, for tasks on pairs; repeatable",
)
.computed("none")
.takes(Takes::Values)
.adjust(|arg| arg.allow_hyphen_values(true).requires("text"));

pub(crate) static QUESTION: Flag<Vec<String>> = Flag::argument(
    "question",
    "TEXT",
    "Question to answer from --context; repeatable",
)
.computed("none")
.takes(Takes::Values)
.adjust(|arg| {
    let arg = arg.allow_hyphen_values(true);
    arg.conflicts_with_all(DATA_FLAGS).requires("context")
});

pub(crate) static CONTEXT: Flag<Vec<String>> = Flag::argument(
    "context",
    "TEXT",
    "Text with the answer to the --question at the same place, or to all questions; repeatable",
)
.computed("none")
.takes(Takes::Values)
.adjust(|arg| arg.allow_hyphen_values(true).requires("question"));

/// Distinct from the key `output`, which is training's run directory.
pub(crate) static PREDICTIONS: Flag<String> = Flag::argument(
    "predictions",
    "FILE",
    "File to write: .csv and .tsv are tables, anything else has one JSON object per line",
)
.long("output")
.computed("standard output")
.usual();

pub(crate) static OUTPUT_FORMAT: Flag<String> = Flag::argument(
    "output_format",
    "NAME",
    "Form of the predictions: jsonl (one JSON object per line), csv, tsv, or table (for reading)",
)
.computed("as --output is named; on a terminal table, else jsonl")
.offers(Offers::Some(|| {
    OutputFormat::NAMES.iter().map(|(name, _)| *name).collect()
}));

pub(crate) static KEEP_COLUMNS: Flag<String> = Flag::argument(
    "keep_columns",
    "A,B",
    "Columns of the input to repeat before each prediction, or all",
)
.computed("id, if there is such a column");

pub(crate) static TOP_K: Flag<String> = Flag::argument(
    "top_k",
    "K",
    "Number of labels with the highest scores to list, instead of the probabilities of all",
)
.computed("none: the probabilities of all labels");

/// A text from the command line, or a question with its context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedPair {
    /// The text or the question.
    pub first: String,
    /// The second text or the context.
    pub second: Option<String>,
}

/// The source of the examples to predict.
#[derive(Debug, Clone, PartialEq)]
pub enum PredictInput {
    /// Standard input if it is not a terminal, otherwise the test split of the task's data.
    Unsaid,
    /// A file, read as the model's task has it.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// Texts from the command line.
    Texts(Vec<TypedPair>),
    /// Questions from the command line.
    Questions(Vec<TypedPair>),
    /// The user's own files, in any format.
    Own(OwnRequest),
    /// A part of a data set that the user chose.
    OwnData {
        /// The request that says how its files are read.
        request: OwnRequest,
        /// Directory or id of the data set.
        data: PathBuf,
        /// The part; by default, test.
        split: Split,
    },
    /// A part of the task's data.
    Data {
        /// Directory with the task's files, or id of a data set. `None` for a task that generates
        /// its data or has a data set on the hub.
        data: Option<PathBuf>,
        /// The part; by default, test.
        split: Split,
    },
}

/// The form of the predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated, quoted as in RFC 4180.
    Csv,
    /// Tab-separated, without quoting.
    Tsv,
    /// Aligned columns, for people.
    Table,
}

impl OutputFormat {
    /// The names of the flag's values.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("jsonl", Self::Jsonl),
        ("csv", Self::Csv),
        ("tsv", Self::Tsv),
        ("table", Self::Table),
    ];

    /// The format that the name of an output file indicates.
    fn of_name(path: &Path) -> Self {
        let end = path.extension().and_then(|end| end.to_str());
        match end.map(str::to_lowercase).as_deref() {
            Some("csv") => Self::Csv,
            Some("tsv" | "tab") => Self::Tsv,
            _ => Self::Jsonl,
        }
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

/// The columns of the input that are repeated in the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepColumns {
    /// The column `id`, if there is one.
    Id,
    /// All columns.
    All,
    /// These columns.
    Named(Vec<String>),
}

/// The configuration of `progtune predict`.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictConfig {
    /// Model, task and machine.
    pub inference: InferenceConfig,
    /// The examples to predict.
    pub input: PredictInput,
    /// The way in which a single input file is read.
    pub reading: Reading,
    /// The columns to repeat.
    pub(crate) keep_columns: KeepColumns,
    /// The number of labels to list, at least 1; `None` gives the probabilities of all.
    pub top_k: Option<usize>,
    /// File to write; `None` for standard output.
    pub output: Option<PathBuf>,
    /// The form of the predictions; `None` chooses by the kind of standard output.
    pub(crate) output_format: Option<OutputFormat>,
    /// Directory for the answer files of questions about texts; `None` writes none.
    pub answers: Option<PathBuf>,
}

impl PredictConfig {
    /// Resolves the configuration of `progtune predict`.
    ///
    /// # Errors
    /// Fails like [`RunConfig::resolve_train`](super::RunConfig::resolve_train), except that the
    /// data is needed only without another input.
    pub fn resolve(arguments: &Arguments, sources: &Sources) -> Result<Self, ConfigError> {
        let settings = layers::merge(arguments, sources, Scope::Inference)?;
        let output = arguments.one(&PREDICTIONS).map(PathBuf::from);
        let given = read_format(arguments)?;
        let (task, input) = match read_direct(arguments)? {
            Some(input) => {
                let is_set = settings.is_set(&TASK);
                let task = is_set.then(|| settings.text(&TASK)).transpose()?;
                (task, input)
            }
            None => read_data(&settings)?,
        };
        Ok(Self {
            inference: InferenceConfig::read(&settings, task, Sample::first)?,
            input,
            reading: own::read_reading(&settings)?,
            keep_columns: read_columns(arguments)?,
            top_k: read_top_k(arguments)?,
            output_format: given.or(output.as_deref().map(OutputFormat::of_name)),
            output,
            answers: arguments.one(&ANSWERS).map(PathBuf::from),
        })
    }
}

/// The input that is named on the command line by itself; `None` if there is none.
fn read_direct(arguments: &Arguments) -> Result<Option<PredictInput>, ConfigError> {
    if let Some(file) = arguments.one(&INPUT) {
        return Ok(Some(match file.as_str() {
            "-" => PredictInput::Stdin,
            _ => PredictInput::File(file.into()),
        }));
    }
    let (texts, pairs) = (arguments.all(&TEXT), arguments.all(&TEXT_PAIR));
    if !texts.is_empty() {
        return paired(&TEXT_PAIR, texts, pairs).map(|rows| Some(PredictInput::Texts(rows)));
    }
    let (questions, mut contexts) = (arguments.all(&QUESTION), arguments.all(&CONTEXT));
    if questions.is_empty() {
        return Ok(None);
    }
    if let [only] = contexts.as_slice() {
        contexts = vec![only.clone(); questions.len()];
    }
    paired(&CONTEXT, questions, contexts).map(|rows| Some(PredictInput::Questions(rows)))
}

/// The texts of two flags, each of the first with the one at the same place in the second.
fn paired(
    flag: &Flag<Vec<String>>,
    first: Vec<String>,
    second: Vec<String>,
) -> Result<Vec<TypedPair>, ConfigError> {
    if !second.is_empty() && second.len() != first.len() {
        return Err(bad(
            flag,
            &format!("as many as there are texts before them ({})", first.len()),
            &second.len().to_string(),
            "give one for each, in the same order",
        ));
    }
    let mut second = second.into_iter();
    let pair = |first| TypedPair {
        first,
        second: second.next(),
    };
    Ok(first.into_iter().map(pair).collect())
}

/// The task and the input from files or a data set.
fn read_data(settings: &Settings) -> Result<(Option<String>, PredictInput), ConfigError> {
    let data = settings.path(&DATA)?;
    let split = settings.find(&SPLIT)?;
    let is_unsaid = data.is_none() && split.is_none();
    if is_unsaid && !settings.is_set(&TASK) && !own::has_files(settings)? {
        // Flags about files are about standard input.
        return Ok((None, PredictInput::Unsaid));
    }
    let (task, own) = read_task(settings)?;
    let Some(own) = own else {
        let input = PredictInput::Data {
            data,
            split: split.unwrap_or(Split::Test),
        };
        return Ok((task, input));
    };
    let is_without_files = own::is_without_files(&own);
    let unlabelled = |own| OwnRequest {
        ignore_labels: true,
        ..own
    };
    let input = match data.filter(|_| is_without_files) {
        Some(data) => PredictInput::OwnData {
            request: unlabelled(own),
            data,
            split: split.unwrap_or(Split::Test),
        },
        None if is_without_files && is_unsaid => PredictInput::Unsaid,
        // The files are those of the run that made the result.
        None if is_without_files => PredictInput::Data {
            data: None,
            split: split.unwrap_or(Split::Test),
        },
        None => {
            let preferred = [Split::Test, Split::Validation, Split::Train];
            let (own, _) = own::of_split(own, split, preferred)?;
            PredictInput::Own(unlabelled(own))
        }
    };
    Ok((task, input))
}

fn read_format(arguments: &Arguments) -> Result<Option<OutputFormat>, ConfigError> {
    let Some(given) = arguments.one(&OUTPUT_FORMAT) else {
        return Ok(None);
    };
    let mut known = OutputFormat::NAMES.iter();
    let names = OutputFormat::NAMES.iter().map(|(name, _)| *name);
    match known.find(|(name, _)| *name == given) {
        Some((_, format)) => Ok(Some(*format)),
        None => Err(bad(
            &OUTPUT_FORMAT,
            "one of jsonl, csv, tsv, table",
            &format!("`{given}`"),
            &advice(&given, names, "give something like --output-format csv"),
        )),
    }
}

fn read_columns(arguments: &Arguments) -> Result<KeepColumns, ConfigError> {
    let Some(given) = arguments.one(&KEEP_COLUMNS) else {
        return Ok(KeepColumns::Id);
    };
    if given == "all" {
        return Ok(KeepColumns::All);
    }
    let names: Vec<String> = given
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect();
    let is_new = |(at, name): (usize, &String)| !names[..at].contains(name);
    if names.contains(&String::new()) || !names.iter().enumerate().all(is_new) {
        return Err(bad(
            &KEEP_COLUMNS,
            "different names with commas between them, or all",
            &format!("`{given}`"),
            "give something like --keep-columns id,url",
        ));
    }
    Ok(KeepColumns::Named(names))
}

fn read_top_k(arguments: &Arguments) -> Result<Option<usize>, ConfigError> {
    let Some(given) = arguments.one(&TOP_K) else {
        return Ok(None);
    };
    match given.parse().ok().filter(|&k: &usize| k >= 1) {
        Some(k) => Ok(Some(k)),
        None => Err(bad(
            &TOP_K,
            "a whole number of at least 1",
            &format!("`{given}`"),
            "give something like --top-k 3",
        )),
    }
}

/// The error about the value of a flag that is not a key.
fn bad(flag: &dyn Declared, expected: &str, found: &str, advice: &str) -> ConfigError {
    ConfigError::BadValue {
        key: flag.about().name.into(),
        origin: format!("flag {}", flag.about().flag()),
        expected: expected.into(),
        found: found.into(),
        advice: advice.into(),
    }
}
