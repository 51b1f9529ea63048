//! `progtune evaluate` and `progtune predict`: a saved model, or a base model with adapters,
//! applied to data. Called by `main`.

mod opened;

use crate::{
    config::{EvaluateConfig, PredictConfig, PredictInput, Split as SplitChoice},
    evaluate::{evaluate, logits, only_label, split_logits},
    evaluation_keys::eval_keys,
    fetch::Fetcher,
    json_text::to_text,
    progress::metrics_table,
};
use opened::Opened;
use progtune_datasets::{SplitName, TaggedSentence, Task};
use progtune_engine::{
    error::{Error, Result},
    model::Model,
};
use progtune_hub::NamedPath;
use progtune_pipeline::{
    eval_split::EvalSplit,
    question_answering::{answers, decode::Decoded, prediction_files},
    task_scores::prediction,
    token_classification::predictions,
    token_store::Examples,
};
use progtune_plain_text::shown_line;
use progtune_process::{
    files::{
        directory_of, folder::Folder, lock::DirectoryLock, temporary::sweep_once, write_named,
    },
    interrupt::{self, Course},
    terminal::{self, note_for_people},
};
use serde_json::{Map, Value};
use std::path::Path;

/// Prints the metrics of a split as JSON, and as a table for the user. With several adapters the
/// metrics are grouped by adapter name.
pub fn run_evaluate(config: &EvaluateConfig) -> Result<()> {
    let answers_to = lock_answers(config.answers.as_deref())?;
    let fetcher = Fetcher::new(&config.inference.hub);
    let models = fetcher.models(&config.inference.models)?;
    let own = match (&config.own, &config.data) {
        (Some(own), Some(data)) => Some(fetcher.own_split(own, data, config.split)?),
        (own, _) => own.clone(),
    };
    let opened = Opened::new(&config.inference, &models, own.as_ref())?;
    let task = one_task(&opened)?;
    let data = match own {
        Some(_) => None,
        None => fetcher.task_data(&task.name, config.data.as_deref())?,
    };
    let directory = data.as_ref().map_or(Path::new("."), NamedPath::path);
    let splits = opened.load_splits(task, directory, &split_names(task, config.split))?;
    let results = opened.with_each_model(|model, task| {
        let (mut results, mut answers) = (Map::new(), None);
        for split in &splits {
            let result = evaluate(model, task, split, config.inference.eval_batch)?;
            if result.loss.is_none() {
                return Err(unlabelled(directory, split.name));
            }
            if let Some(label) = result.only_label.as_deref().map(shown_line) {
                let remark = only_label::remark("evaluated", &label);
                tracing::warn!("{remark}; {}", only_label::ADVICE);
            }
            results.extend(eval_keys(task, &result, split.suffix()));
            answers = result.answers;
        }
        Ok((results, answers))
    })?;
    let (results, answers) = apart(results);
    interrupt::check()?;
    interrupt::set_course(Course::Saving);
    write_answers(answers_to.as_ref(), &splits, &answers)?;
    if results.len() > 1 {
        note_for_people(metrics_table(&results).trim_end());
    }
    let results = by_name(results.into_iter().map(|(name, map)| (name, map.into())));
    Ok(terminal::print_json(&(to_text(&results) + "\n"))?)
}

/// Returns the one task of the adapters, because the data belongs to a single task.
fn one_task<'a>(opened: &'a Opened<'_>) -> Result<&'a Task> {
    match opened.tasks().as_slice() {
        [(first, name), (second, other), ..] => Err(Error::Usage(format!(
            "--adapter: `{name}` is for the task {}, `{other}` for {}, but they are evaluated on the data of one \
             task; evaluate them separately, or pass the intended --task",
            first.name, second.name
        ))),
        tasks => Ok(tasks[0].0),
    }
}

fn unlabelled(directory: &Path, split: SplitName) -> Error {
    Error::Usage(format!(
        "{}: the {split} split has no labels, so there is nothing to measure; use `progtune predict`",
        directory.display()
    ))
}

/// Writes one JSON line per example with `logits` and `label`. With several adapters, a line is an
/// object of these by adapter name.
pub fn run_predict(config: &PredictConfig) -> Result<()> {
    if let Some(path) = &config.output {
        check_output(path)?;
        sweep_once(directory_of(path));
    }
    let answers_to = lock_answers(config.answers.as_deref())?;
    let fetcher = Fetcher::new(&config.inference.hub);
    let models = fetcher.models(&config.inference.models)?;
    let own = match &config.input {
        PredictInput::Own(request) => Some(request.clone()),
        PredictInput::OwnData {
            request,
            data,
            split,
        } => Some(fetcher.own_split(request, data, *split)?),
        PredictInput::File(_) | PredictInput::Data { .. } => None,
    };
    let opened = Opened::new(&config.inference, &models, own.as_ref())?;
    if let Some(sentences) = opened.sentences() {
        return predict_tags(config, &opened, &sentences);
    }
    // Each task reads its own columns of the same lines.
    let mut inputs: Vec<(&str, Vec<EvalSplit>)> = Vec::new();
    for (task, name) in opened.tasks() {
        let splits = input(config, &fetcher, &opened, task).map_err(|e| opened.named(e, name))?;
        inputs.push((&task.name, splits));
    }
    let rows = |splits: &[EvalSplit]| splits.iter().map(EvalSplit::rows).sum::<usize>();
    let count = rows(&inputs[0].1);
    if let Some((task, other)) = inputs.iter().find(|(_, other)| rows(other) != count) {
        return Err(Error::Usage(format!(
            "the adapters have different examples to predict: {} has {count}, {task} {}; predict them separately",
            inputs[0].0,
            rows(other)
        )));
    }
    let said = opened.with_each_model(|model: &Model, task| {
        let (mut lines, mut answers) = (Vec::with_capacity(count), None);
        let splits = inputs.iter().find(|(name, _)| *name == task.name);
        for split in splits.map_or(&[][..], |(_, splits)| splits) {
            let rows = split_logits(model, split, config.inference.eval_batch)
                .map_err(|error| in_input(error, config))?;
            let Some(asked) = &split.asked else {
                lines.extend(rows.iter().map(|row| prediction(task, row)));
                continue;
            };
            let decoded = asked.answers(&rows);
            let questions = asked.questions.iter().zip(&decoded);
            lines.extend(questions.map(|(question, answer)| answers::prediction(question, answer)));
            answers = Some(decoded);
        }
        Ok((lines, answers))
    })?;
    let (predictions, answers) = apart(said);
    let splits = inputs.into_iter().flat_map(|(_, splits)| splits);
    let splits: Vec<EvalSplit> = splits.filter(|split| split.asked.is_some()).collect();
    interrupt::check()?;
    interrupt::set_course(Course::Saving);
    write_answers(answers_to.as_ref(), &splits, &answers)?;
    write_lines(config, count, &predictions)
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

/// Locks the directory of `--answers` for writing. It is created if necessary.
fn lock_answers(directory: Option<&Path>) -> Result<Option<Answers>> {
    let Some(path) = directory else {
        return Ok(None);
    };
    let lock = DirectoryLock::take(path, "--answers")?;
    let folder = Folder::open(path).map_err(Error::io(path, "open"))?;
    Ok(Some(Answers {
        folder,
        _lock: lock,
    }))
}

/// The locked directory of `--answers`.
struct Answers {
    folder: Folder,
    _lock: DirectoryLock,
}

/// Writes the files of `--answers`. With several adapters, each has a subdirectory of its name.
fn write_answers(
    directory: Option<&Answers>,
    splits: &[EvalSplit],
    answers: &Said<Option<Vec<Decoded>>>,
) -> Result<()> {
    let Some(Answers { folder, .. }) = directory else {
        return Ok(());
    };
    let asked = splits.iter().find_map(|split| split.asked.as_ref());
    let several = answers.len() > 1;
    for (name, answers) in answers {
        let (Some(asked), Some(answers)) = (asked, answers) else {
            return Err(Error::Usage(
                "--answers: the task has no questions about texts, so there are no answers to write; remove the option".into(),
            ));
        };
        let own = if several {
            let path = folder.path().join(name);
            let made = folder
                .subfolder(name)
                .map_err(Error::io(&path, "create the directory"));
            Some(made.map_err(|e| Error::Usage(format!("--answers {e}")))?)
        } else {
            None
        };
        let directory = own.as_ref().unwrap_or(folder);
        prediction_files::write(directory.path(), asked, answers)?;
    }
    Ok(())
}

/// Writes the predictions for sentences: one line each, with the tags of its words and the
/// resulting entities.
fn predict_tags(
    config: &PredictConfig,
    opened: &Opened<'_>,
    sentences: &[TaggedSentence],
) -> Result<()> {
    let aligned = opened.aligned(sentences, SplitName::Test)?;
    let examples: Examples = aligned.iter().map(|a| a.example.clone()).collect();
    let predictions = opened.with_each_model(|model: &Model, task| {
        let rows = logits(model, &examples, config.inference.eval_batch)
            .map_err(|error| in_input(error, config))?;
        let all = sentences.iter().zip(&aligned).zip(&rows);
        Ok(all
            .map(|((sentence, aligned), row)| predictions::prediction(task, sentence, aligned, row))
            .collect())
    })?;
    write_lines(config, sentences.len(), &predictions)
}

/// Writes one line per example: the prediction of a single adapter, or an object with one entry per
/// adapter.
fn write_lines(
    config: &PredictConfig,
    count: usize,
    predictions: &[(String, Vec<Value>)],
) -> Result<()> {
    let mut text = String::new();
    for example in 0..count {
        let of_each = predictions
            .iter()
            .map(|(name, rows)| (name.clone(), rows[example].clone()));
        text.push_str(&by_name(of_each).to_string());
        text.push('\n');
    }
    match &config.output {
        Some(path) => Ok(write_named(path, text.as_bytes())?),
        None => Ok(terminal::print_json(&text)?),
    }
}

/// Returns an object of the adapters' values by name, or the value itself if there is only one.
fn by_name(values: impl ExactSizeIterator<Item = (String, Value)>) -> Value {
    match values.len() {
        1 => values.map(|(_, value)| value).collect::<Vec<_>>().remove(0),
        _ => Value::Object(values.collect()),
    }
}

/// Reports an output file that cannot be written before the predictions are computed.
fn check_output(path: &Path) -> Result<()> {
    let directory = directory_of(path);
    if !directory.is_dir() || path.is_dir() {
        return Err(Error::Usage(format!(
            "--output {}: expected a file in a directory that exists; choose another path, or create the directory",
            path.display()
        )));
    }
    Ok(())
}

/// Adds the input file's name to an error about logits that are not finite, if there is a single
/// file.
fn in_input(error: Error, config: &PredictConfig) -> Error {
    let file = match &config.input {
        PredictInput::File(path) => Some(path.display().to_string()),
        PredictInput::Own(request) => match [&request.train, &request.validation, &request.test]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .as_slice()
        {
            [only] => Some(only.to_string()),
            _ => None,
        },
        PredictInput::OwnData { .. } | PredictInput::Data { .. } => None,
    };
    match (error, file) {
        (Error::NotFinite(mut fault), Some(file)) => {
            fault.split = file;
            Error::NotFinite(fault)
        }
        (error, _) => error,
    }
}

/// Loads the data to be predicted.
fn input(
    config: &PredictConfig,
    fetcher: &Fetcher<'_>,
    opened: &Opened<'_>,
    task: &Task,
) -> Result<Vec<EvalSplit>> {
    match &config.input {
        PredictInput::File(path) => Ok(vec![opened.load_file(task, path)?]),
        // The request contains the files of a single split.
        PredictInput::Own(_) | PredictInput::OwnData { .. } => {
            opened.load_splits(task, Path::new("."), &[SplitName::Test])
        }
        PredictInput::Data { data, split } => {
            let data = fetcher.task_data(&task.name, data.as_deref())?;
            let directory = data.as_ref().map_or(Path::new("."), NamedPath::path);
            opened.load_splits(task, directory, &split_names(task, *split))
        }
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
