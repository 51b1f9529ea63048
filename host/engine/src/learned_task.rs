//! The task that a run on own files has learned, for later commands: `task.json` beside the result,
//! or the description of a checkpoint's head. The recipe, `task_data` and `merge` call it.

use crate::{
    error::{Error, Result},
    model::config::ModelConfig,
};
use progtune_datasets::{
    Column, Columns, Header, Labels, OwnRequest, ProblemType, Reading, RepairTags, Task,
};
use progtune_process::files::write_atomically;
use serde_json::{Value, json};
use std::path::Path;

/// The file that accompanies a result of training on own files.
pub const TASK_FILE: &str = "task.json";

/// The task of a run on own files: its labels, and the names of its columns.
///
/// ```
/// use progtune_engine::learned_task::LearnedTask;
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
    /// The separator of several labels or tags in a cell.
    label_separator: Option<String>,
    /// The columns of its files, if they had no header.
    header: Option<Vec<String>>,
    repair_tags: Option<RepairTags>,
    /// Whether questions may have no answer; `None` if this is unknown, or the task has no
    /// questions.
    pub has_unanswerable: Option<bool>,
}

impl LearnedTask {
    /// The description of a task of own files, which were read in this way.
    pub fn new(task: &Task, reading: &Reading) -> Self {
        let columns = &task.columns;
        Self {
            labels: Labels {
                problem_type: task.problem_type,
                names: task.labels.clone(),
            },
            columns: Some((
                columns.first.name.clone(),
                columns.second.as_ref().map(|column| column.name.clone()),
                columns.label.name.clone(),
            )),
            label_separator: reading.label_separator.clone(),
            header: match &reading.header {
                Header::FirstRow => None,
                Header::Absent(names) | Header::Learned(names) => Some(names.clone()),
            },
            repair_tags: reading.repair_tags,
            has_unanswerable: (task.problem_type == ProblemType::QuestionAnswering)
                .then_some(task.has_unanswerable),
        }
    }

    /// Questions about texts, with nothing else known.
    pub fn of_questions() -> Self {
        Self {
            labels: Labels {
                problem_type: ProblemType::QuestionAnswering,
                names: Vec::new(),
            },
            columns: None,
            label_separator: None,
            header: None,
            repair_tags: None,
            has_unanswerable: None,
        }
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
        let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
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
            )),
            label_separator: text("label_separator").ok(),
            header: value
                .get("columns")
                .and_then(Value::as_array)
                .and_then(texts),
            repair_tags: repair.map(|(_, repair)| *repair),
            has_unanswerable: value.get("has_unanswerable").and_then(Value::as_bool),
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
        Ok(Self {
            labels: Labels {
                problem_type,
                names: match problem_type {
                    ProblemType::Regression => Vec::new(),
                    _ => labels.clone(),
                },
            },
            columns: None,
            label_separator: None,
            header: None,
            repair_tags: None,
            has_unanswerable: None,
        })
    }

    /// The task itself.
    pub fn task(&self) -> Task {
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
        let reading = &mut request.reading;
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
