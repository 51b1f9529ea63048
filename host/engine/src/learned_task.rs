//! The task of a result, for later commands: `task.json` beside it, or the description of a
//! checkpoint's head. The recipe, `task_data`, `result_record` and `merge` call it.

use crate::{
    error::{Error, Result},
    model::config::ModelConfig,
};
use progtune_datasets::{
    Column, Columns, Format, Header, Labels, OWN_TASK, OwnRequest, ProblemType, Reading,
    RepairTags, Task,
};
use progtune_process::files::{
    bounded::{LARGEST_TEXT, read_text},
    write_atomically,
};
use serde_json::{Value, json};
use std::path::Path;

/// The file that accompanies a result.
pub const TASK_FILE: &str = "task.json";

/// The least number of tokens of an input: two special tokens and a word.
const SHORTEST_INPUT: usize = 3;

/// The task of a result: its labels, the names of its columns, and how its inputs were read.
///
/// ```
/// use progtune_engine::LearnedTask;
///
/// let task = LearnedTask::of_questions().task();
/// assert!(task.problem_type.reads_every_token());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LearnedTask {
    /// The labels.
    pub labels: Labels,
    /// The columns of its training data: text, pair, label; `None` if they are unknown.
    columns: Option<(String, Option<String>, String)>,
    /// The name of a named task; `None` for own files.
    name: Option<String>,
    /// The format of its files, if it was given and not recognised.
    format: Option<Format>,
    /// The separator of several labels or tags in a cell.
    pub label_separator: Option<String>,
    /// The columns of its files, if they had no header.
    header: Option<Vec<String>>,
    repair_tags: Option<RepairTags>,
    /// Whether questions may have no answer; `None` if this is unknown, or the task has no
    /// questions.
    pub has_unanswerable: Option<bool>,
    /// The maximum length of an input in tokens.
    pub max_length: Option<usize>,
    /// The overlap of the windows of a long text, for questions.
    pub doc_stride: Option<usize>,
    /// Whether punctuation marks were words of their own in the training sentences; `None` if this
    /// is unknown, or the task has no sentences.
    pub punctuation_is_apart: Option<bool>,
}

impl LearnedTask {
    /// The description of a task of own files, which were read in this way.
    pub fn new(task: &Task, reading: &Reading) -> Self {
        Self {
            format: reading.format,
            label_separator: reading.label_separator.clone(),
            header: match &reading.header {
                Header::FirstRow => None,
                Header::Absent(names) | Header::Learned(names) => Some(names.clone()),
            },
            repair_tags: reading.repair_tags,
            ..Self::of_task(task)
        }
    }

    /// The description of any task.
    pub fn of_task(task: &Task) -> Self {
        let columns = &task.columns;
        Self {
            name: (task.name != OWN_TASK).then(|| task.name.clone()),
            columns: Some((
                columns.first.name.clone(),
                columns.second.as_ref().map(|column| column.name.clone()),
                columns.label.name.clone(),
            )),
            has_unanswerable: (task.problem_type == ProblemType::QuestionAnswering)
                .then_some(task.has_unanswerable),
            ..Self::of_labels(Labels {
                problem_type: task.problem_type,
                names: task.labels.clone(),
            })
        }
    }

    /// Questions about texts, with nothing else known.
    pub fn of_questions() -> Self {
        Self::of_labels(Labels {
            problem_type: ProblemType::QuestionAnswering,
            names: Vec::new(),
        })
    }

    /// The task of own files with these labels, with nothing else known.
    fn of_labels(labels: Labels) -> Self {
        Self {
            labels,
            columns: None,
            name: None,
            format: None,
            label_separator: None,
            header: None,
            repair_tags: None,
            has_unanswerable: None,
            max_length: None,
            doc_stride: None,
            punctuation_is_apart: None,
        }
    }

    /// The named task that this is; `None` for a task of own files.
    pub fn named(&self) -> Option<&'static Task> {
        Task::by_name(self.name.as_deref()?).ok()
    }

    /// Whether the words of its sentences stand in numbered columns, one word per line.
    pub fn has_column_files(&self) -> bool {
        let text = self.columns.as_ref().map(|(text, ..)| text);
        text.is_some_and(|text| text.parse::<usize>().is_ok())
    }

    /// Writes `task.json` beside a result, so that `evaluate` and `predict` know the task.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let (text, pair, label) = self.columns.clone().unwrap_or_default();
        let mut value = json!({
            "problem_type": self.labels.problem_type.as_str(),
            "labels": self.labels.names,
            "text_column": text,
            "pair_column": pair,
            "label_column": label,
        });
        if let Some(separator) = &self.label_separator {
            value["label_separator"] = json!(separator);
        }
        if let Some(names) = &self.header {
            value["columns"] = json!(names);
        }
        if let Some(repair) = self.repair_tags {
            value["repair_tags"] = json!(repair.as_str());
        }
        if let Some(has_unanswerable) = self.has_unanswerable {
            value["has_unanswerable"] = json!(has_unanswerable);
        }
        if let Some(name) = &self.name {
            value["task"] = json!(name);
        }
        if let Some(format) = self.format {
            value["file_format"] = json!(format.as_str());
        }
        for (key, number) in [
            ("max_length", self.max_length),
            ("doc_stride", self.doc_stride),
        ] {
            if let Some(number) = number {
                value[key] = json!(number);
            }
        }
        if let Some(is_apart) = self.punctuation_is_apart {
            value["punctuation_is_apart"] = json!(is_apart);
        }
        Ok(write_atomically(
            &directory.join(TASK_FILE),
            format!("{value:#}\n").as_bytes(),
        )?)
    }

    /// The content of the first `task.json` in `directories`.
    ///
    /// # Errors
    /// When such a file cannot be read or is not one of these.
    pub fn find<'a>(directories: impl Iterator<Item = &'a Path>) -> Result<Option<Self>> {
        for directory in directories {
            let path = directory.join(TASK_FILE);
            if path.is_file() {
                return Self::read(&path).map(Some);
            }
        }
        Ok(None)
    }

    fn read(path: &Path) -> Result<Self> {
        let text = read_text(path, LARGEST_TEXT).map_err(Error::io(path, "read"))?;
        let fault = |what: String| {
            Error::Model(format!(
                "{}: {what}; copy the file again, or remove it and name columns by flags",
                path.display()
            ))
        };
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| fault(format!("not valid JSON: {error}")))?;
        let text = |key: &str| {
            let text = value.get(key).and_then(Value::as_str).map(str::to_owned);
            text.ok_or_else(|| fault(format!("key `{key}`: expected a text")))
        };
        let found = text("problem_type")?;
        let problem_type = ProblemType::by_name(&found).ok_or_else(|| {
            let known = ProblemType::ALL.map(ProblemType::as_str).join(", ");
            fault(format!(
                "key `problem_type`: expected one of {known}; found `{found}`"
            ))
        })?;
        let number = |key: &str| usize::try_from(value.get(key)?.as_u64()?).ok();
        let repair = text("repair_tags").ok();
        let repairs = RepairTags::NAMES.iter();
        let repair = repair.and_then(|found| repairs.clone().find(|(name, _)| *name == found));
        let labels = value.get("labels").and_then(Value::as_array);
        let texts = |list: &Vec<Value>| -> Option<Vec<String>> {
            list.iter()
                .map(|label| label.as_str().map(str::to_owned))
                .collect()
        };
        let names = labels.and_then(texts);
        Ok(Self {
            labels: Labels {
                problem_type,
                names: names
                    .ok_or_else(|| fault("key `labels`: expected a list of texts".into()))?,
            },
            columns: Some((
                text("text_column")?,
                text("pair_column").ok(),
                text("label_column")?,
            ))
            .filter(|(text, ..)| !text.is_empty()),
            label_separator: text("label_separator").ok(),
            header: value
                .get("columns")
                .and_then(Value::as_array)
                .and_then(texts),
            repair_tags: repair.map(|(_, repair)| *repair),
            name: text("task").ok(),
            format: text("file_format").ok().and_then(|name| {
                let mut known = Format::NAMES.iter();
                known.find(|(other, _)| *other == name).map(|(_, it)| *it)
            }),
            has_unanswerable: value.get("has_unanswerable").and_then(Value::as_bool),
            max_length: number("max_length").filter(|&length| length >= SHORTEST_INPUT),
            doc_stride: number("doc_stride"),
            punctuation_is_apart: value.get("punctuation_is_apart").and_then(Value::as_bool),
        })
    }

    /// The task of a checkpoint's head, by `id2label` or `num_labels`. If it has neither, it has
    /// transformers' two labels.
    ///
    /// # Errors
    /// When it has no head, or one that no task here has.
    pub fn of_checkpoint(config: &ModelConfig, origin: &str) -> Result<Self> {
        let labels = &config.labels;
        if !config.labels_are_stated && config.has_no_head() {
            return Err(Error::Model(format!(
                "{origin}: there is no {TASK_FILE} and no `id2label` in config.json, so the labels of the model are not \
                 known; give the directory of a training run, or add `id2label`"
            )));
        }
        let problem_type = config.problem_type();
        config.check_problem_type(origin)?;
        Ok(Self::of_labels(Labels {
            problem_type,
            names: match problem_type {
                ProblemType::Regression => Vec::new(),
                _ => labels.clone(),
            },
        }))
    }

    /// The format of its files, if it was given and not recognised.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// The columns of its texts, as far as they are known.
    pub fn text_columns(&self) -> Vec<String> {
        match &self.columns {
            Some((text, pair, _)) => std::iter::once(text).chain(pair).cloned().collect(),
            None => Vec::new(),
        }
    }

    /// Whether the columns of its examples are known.
    pub fn has_columns(&self) -> bool {
        self.columns.is_some()
    }

    /// The task itself: a named one, or one of own files.
    pub fn task(&self) -> Task {
        self.named().cloned().unwrap_or_else(|| self.own_task())
    }

    /// The task as one of own files, with the same labels.
    pub fn own_task(&self) -> Task {
        if self.labels.problem_type == ProblemType::QuestionAnswering {
            return Task::own_questions(self.has_unanswerable.unwrap_or(false));
        }
        let (first, second, label) = self.columns.clone().unwrap_or_default();
        let columns = Columns {
            first: Column::named(first),
            second: second.map(Column::named),
            label: Column::named(label),
        };
        Task::own(columns, self.labels.clone())
    }

    /// The request, completed by the columns of training where it names none.
    pub fn complete(&self, request: &OwnRequest) -> OwnRequest {
        let mut request = request.clone();
        // The keys of questions have the same names everywhere.
        if self.labels.problem_type == ProblemType::QuestionAnswering {
            return request;
        }
        let tells_format = |files: &Vec<String>| {
            let mut paths = files.iter().map(Path::new);
            paths.any(|path| Format::of_name(path).is_some() || path.is_dir())
        };
        let names_tell_format = tells_format(&request.train)
            || tells_format(&request.validation)
            || tells_format(&request.test);
        let reading = &mut request.reading;
        // A file whose name tells its format may have another one than the training files.
        if !names_tell_format {
            reading.format = reading.format.or(self.format);
        }
        if let (Some((text, pair, label)), None, None) =
            (&self.columns, &reading.text_column, &reading.pair_column)
        {
            reading.text_column = Some(text.clone());
            reading.pair_column.clone_from(pair);
            reading.label_column.get_or_insert_with(|| label.clone());
        }
        if reading.label_separator.is_none() {
            reading.label_separator.clone_from(&self.label_separator);
        }
        if let (Some(names), Header::FirstRow) = (&self.header, &reading.header) {
            reading.header = Header::Learned(names.clone());
        }
        reading.repair_tags = reading.repair_tags.or(self.repair_tags);
        request
    }
}
