//! `progtune evaluate` and `progtune predict`: a saved model, or a base model with adapters,
//! applied to data. Called by `main`.
//!
//! `opened` opens the model, `load` the examples, and `recorded_data` finds those of a result's own
//! training. `predict` and the modules below it write predictions: `input_file` (a file or standard
//! input), `kept` (columns of the input that are repeated), `predictions`, `output` and `table`.

mod answer_files;
mod input_file;
mod kept;
mod load;
mod opened;
mod output;
mod predict;
mod predictions;
mod recorded_data;
mod table;

pub(crate) use opened::{Opened, Purpose, records};
pub use predict::run_predict;

use crate::{
    config::{EvaluateConfig, Split as SplitChoice},
    evaluate::{evaluate, only_label},
    evaluation_keys::eval_keys,
    fetch::Fetcher,
    json_text::to_text,
    progress::metrics_table,
    result_record::ResultRecord,
};
use answer_files::AnswerFiles;
use load::Loaded;
use opened::Layer;
use progtune_datasets::{OWN_TASK, OwnRequest, SplitName, Task};
use progtune_engine::{Error, Result};
use progtune_hub::NamedPath;
use progtune_pipeline::EvalSplit;
use progtune_plain_text::shown_line;
use progtune_process::{
    interrupt::{self, Course},
    terminal::{self, note_for_people},
};
use recorded_data::OwnSplit;
use serde_json::{Map, Value};
use std::path::Path;

/// Prints the metrics of a split as JSON, and as a table for the user. With several adapters the
/// metrics are grouped by adapter name.
///
/// # Errors
/// Fails if the model or the data cannot be read, or they do not fit together.
pub fn run_evaluate(config: &EvaluateConfig) -> Result<()> {
    let answers_to = AnswerFiles::claim(config.answers.as_deref())?;
    let fetcher = Fetcher::new(&config.inference.hub);
    let models = fetcher.models(&config.inference.models)?;
    let records = records(&models)?;
    let first = records.first().and_then(Option::as_ref);
    let own = own_files(config, &fetcher, first)?;
    let purpose = match &own {
        Some(own) => Purpose::OwnFiles(Some(&own.request)),
        None => Purpose::TaskData,
    };
    let opened = Opened::new(&config.inference, &models, &records, purpose)?;
    let task = one_task(&opened)?;
    let data = match own {
        Some(_) => None,
        None => named_data(config, &fetcher, first, task)?,
    };
    let directory = data.as_ref().map_or(Path::new("."), NamedPath::path);
    let mut inputs: Vec<(&Layer<'_>, Loaded)> = Vec::new();
    for layer in opened.distinct() {
        let names = split_names(&layer.task, config.split);
        let loaded = match &own {
            Some(own) => opened.load_own(layer, &own.request, (names[0], own.at)),
            None => opened.load_splits(&layer.task, directory, &names),
        };
        inputs.push((layer, loaded.map_err(|e| opened.named(e, layer.name))?));
    }
    let results = opened.with_each_model(|model, layer| {
        let (mut results, mut answers) = (Map::new(), None);
        let mut of_layer = inputs.iter().filter(|(other, _)| other.reads_like(layer));
        let Some((_, loaded)) = of_layer.next() else {
            return Ok((results, answers));
        };
        for split in &loaded.splits {
            let result = evaluate(model, &loaded.task, split, config.inference.eval_batch)?;
            if result.loss.is_none() {
                return Err(unlabelled(directory, split.name));
            }
            if let Some(label) = result.only_label.as_deref().map(shown_line) {
                let remark = only_label::remark("evaluated", &label);
                tracing::warn!("{remark}; {}", only_label::ADVICE);
            }
            results.extend(eval_keys(&loaded.task, &result, split.suffix()));
            answers = result.answers;
        }
        Ok((results, answers))
    })?;
    let (results, answers) = apart(results);
    interrupt::check()?;
    interrupt::set_course(Course::Saving);
    let splits: Vec<&EvalSplit> = inputs.iter().flat_map(|(_, input)| &input.splits).collect();
    answers_to.write(&splits, &answers)?;
    if results.len() > 1 {
        note_for_people(metrics_table(&results).trim_end());
    }
    let results = by_name(results.into_iter().map(|(name, map)| (name, map.into())));
    Ok(terminal::print_json(&(to_text(&results) + "\n"))?)
}

/// The user's own files to evaluate on: the given ones, those of a given data set, or those of the
/// run that made the result. `None` for a named task.
fn own_files(
    config: &EvaluateConfig,
    fetcher: &Fetcher<'_>,
    record: Option<&ResultRecord>,
) -> Result<Option<OwnSplit>> {
    let has_files = |own: &OwnRequest| {
        let files = [&own.train, &own.validation, &own.test];
        files.into_iter().any(|files| !files.is_empty())
    };
    if let Some(own) = config.own.as_ref().filter(|own| has_files(own)) {
        return Ok(Some(own.clone().into()));
    }
    let is_own = match config.inference.task.as_deref() {
        Some(task) => task == OWN_TASK,
        None => record.is_some_and(ResultRecord::is_own),
    };
    if !is_own {
        return Ok(None);
    }
    if let Some(data) = &config.data {
        let own = config.own.clone().unwrap_or_default();
        return Ok(Some(fetcher.own_split(&own, data, config.split)?.into()));
    }
    match record {
        Some(record) => {
            let hub = &config.inference.hub;
            recorded_data::own_split(record, config.split, hub).map(Some)
        }
        None => Err(Error::Usage(
            "task `own`: the model does not record the data of its training; give files with --test-file FILE, or a data set \
             with --data"
                .into(),
        )),
    }
}

/// The data of a named task: the given one, that of the run that made the result, or the task's
/// data set on the hub.
fn named_data(
    config: &EvaluateConfig,
    fetcher: &Fetcher<'_>,
    record: Option<&ResultRecord>,
    task: &Task,
) -> Result<Option<NamedPath>> {
    let of_task = record.filter(|record| record.task_name() == Some(&task.name));
    let recorded = match &config.data {
        Some(_) => None,
        None if task.is_generated() => None,
        None => recorded_data::task_data(of_task)?,
    };
    let data = config.data.as_deref().or(recorded.as_deref());
    fetcher.task_data(&task.name, data)
}

/// Returns the one task of the adapters, because the data belongs to a single task.
fn one_task<'a>(opened: &'a Opened<'_>) -> Result<&'a Task> {
    let first = &opened.layers[0];
    let mut others = opened.layers.iter();
    match others.find(|other| other.task.name != first.task.name) {
        None => Ok(&first.task),
        Some(other) => Err(Error::Usage(format!(
            "--adapter: `{}` is for the task {}, `{}` for {}, but they are evaluated on the data of one \
             task; evaluate them separately, or pass the intended --task",
            first.name, first.task.name, other.name, other.task.name
        ))),
    }
}

fn unlabelled(directory: &Path, split: SplitName) -> Error {
    Error::Usage(format!(
        "{}: the {split} split has no labels, so there is nothing to measure; use `progtune predict`",
        directory.display()
    ))
}

/// The results of each adapter, with its name.
type Said<T> = Vec<(String, T)>;

/// Splits pairs of results into two lists, each with the adapters' names.
fn apart<A, B>(said: Said<(A, B)>) -> (Said<A>, Said<B>) {
    let each = said
        .into_iter()
        .map(|(name, (a, b))| ((name.clone(), a), (name, b)));
    each.unzip()
}

/// Returns an object of the adapters' values by name, or the value itself if there is only one.
fn by_name(values: impl ExactSizeIterator<Item = (String, Value)>) -> Value {
    match values.len() {
        1 => values.map(|(_, value)| value).collect::<Vec<_>>().remove(0),
        _ => Value::Object(values.collect()),
    }
}

fn split_names(task: &Task, choice: SplitChoice) -> Vec<SplitName> {
    match choice {
        SplitChoice::Train => vec![SplitName::Train],
        SplitChoice::Validation => task.eval_splits.clone(),
        SplitChoice::Test if task.test_splits.is_empty() => vec![SplitName::Test],
        SplitChoice::Test => task.test_splits.clone(),
    }
}
