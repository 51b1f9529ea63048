//! `progtune predict`: a saved model, or a base model with adapters, applied to examples without
//! labels. Called by `main`.

use super::{
    answer_files::{AnswerFiles, Said as Answers},
    apart,
    input_file::InputFile,
    kept::{Files, Kept},
    load::Loaded,
    opened::{Layer, Opened, Purpose, records},
    output,
    predictions::{Predictions, Said},
    recorded_data::{self, OwnSplit},
    split_names,
};
use crate::{
    config::{OutputFormat, PredictConfig, PredictInput, Split, TypedPair},
    evaluate::split_logits,
    fetch::Fetcher,
    result_record::ResultRecord,
};
use progtune_datasets::{OWN_TASK, OwnRequest, ProblemType, SplitName};
use progtune_engine::{Error, Result, model::Model};
use progtune_hub::NamedPath;
use progtune_pipeline::{
    EvalSplit,
    question_answering::{Decoded, answers},
    task_scores::prediction,
    token_classification::{prediction as tagged, with_places},
};
use progtune_process::{
    files::{directory_of, temporary::sweep_once},
    interrupt::{self, Course},
};
use serde_json::Value;
use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
};

/// Writes the predictions for every example. With several adapters, those of each are under its
/// name.
///
/// # Errors
/// Fails if the model or the input cannot be read, they do not fit together, or the output cannot
/// be written.
pub fn run_predict(config: &PredictConfig) -> Result<()> {
    if let Some(path) = &config.output {
        check_output(path)?;
        sweep_once(directory_of(path));
    }
    let answers_to = AnswerFiles::claim(config.answers.as_deref())?;
    let fetcher = Fetcher::new(&config.inference.hub);
    let models = fetcher.models(&config.inference.models)?;
    let records = records(&models)?;
    let source = Source::find(config, &fetcher, &records)?;
    let opened = Opened::new(&config.inference, &models, &records, source.purpose())?;
    for layer in &opened.layers {
        output::check_top_k(config, &layer.task).map_err(|e| opened.named(e, layer.name))?;
    }
    // Each task reads its own columns of the same rows.
    let mut inputs: Vec<(&Layer<'_>, Loaded)> = Vec::new();
    for layer in opened.distinct() {
        let loaded = source.load(&opened, layer, &fetcher);
        inputs.push((layer, loaded.map_err(|e| opened.named(e, layer.name))?));
    }
    check_counts(&inputs)?;
    let kept = keep(config, &source, &inputs)?;
    let texts = texts(config, &source, &inputs)?;
    let said = opened.with_each_model(|model, layer| {
        let mut own = inputs.iter().filter(|(other, _)| other.reads_like(layer));
        match own.next() {
            Some((_, loaded)) => predict(config, &source, model, loaded),
            None => Ok((Vec::new(), None)),
        }
    })?;
    let (rows, answers): (Vec<(String, Vec<Value>)>, Answers) = apart(said);
    interrupt::check()?;
    interrupt::set_course(Course::Saving);
    let splits: Vec<&EvalSplit> = inputs.iter().flat_map(|(_, input)| &input.splits).collect();
    answers_to.write(&splits, &answers)?;
    let separator = opened.layers[0].learned.label_separator.clone();
    let adapters = rows.into_iter().zip(&opened.layers);
    let predictions = Predictions {
        kept,
        texts,
        adapters: adapters
            .map(|((name, rows), layer)| Said {
                name,
                task: layer.task.clone(),
                rows,
            })
            .collect(),
        label_separator: separator.unwrap_or_else(|| ";".into()),
    };
    output::write(config, &predictions)
}

/// The source of the examples.
enum Source<'a> {
    /// A single file.
    File(InputFile),
    /// Texts from the command line.
    Texts(&'a [TypedPair]),
    /// Questions from the command line.
    Questions(&'a [TypedPair]),
    /// The user's own files.
    Own(OwnSplit),
    /// A split of the task's data.
    Data(Option<PathBuf>, Split),
}

impl<'a> Source<'a> {
    fn find(
        config: &'a PredictConfig,
        fetcher: &Fetcher<'_>,
        records: &[Option<ResultRecord>],
    ) -> Result<Self> {
        let first = records.first().and_then(Option::as_ref);
        let is_own = match config.inference.task.as_deref() {
            Some(task) => task == OWN_TASK,
            None => first.is_some_and(ResultRecord::is_own),
        };
        let columns = || text_columns(config, records);
        Ok(match &config.input {
            PredictInput::File(path) => Self::File(InputFile::new(path, config, &columns())?),
            PredictInput::Stdin => Self::File(InputFile::of_standard_input(config, &columns())?),
            PredictInput::Unsaid if !std::io::stdin().is_terminal() => {
                Self::File(InputFile::of_standard_input(config, &columns())?)
            }
            PredictInput::Unsaid if first.and_then(ResultRecord::named).is_none() => {
                return Err(nothing());
            }
            PredictInput::Unsaid => Self::Data(recorded_data::task_data(first)?, Split::Test),
            PredictInput::Texts(texts) => Self::Texts(texts),
            PredictInput::Questions(questions) => Self::Questions(questions),
            PredictInput::Own(request) => Self::Own(request.clone().into()),
            PredictInput::OwnData {
                request,
                data,
                split,
            } => Self::Own(fetcher.own_split(request, data, *split)?.into()),
            PredictInput::Data {
                data: Some(data),
                split,
            } if is_own => {
                let request = OwnRequest {
                    ignore_labels: true,
                    ..OwnRequest::default()
                };
                Self::Own(fetcher.own_split(&request, data, *split)?.into())
            }
            PredictInput::Data { data: None, split } if is_own => {
                let hub = &config.inference.hub;
                let recorded = first.map(|record| recorded_data::own_split(record, *split, hub));
                Self::Own(recorded.transpose()?.ok_or_else(nothing)?)
            }
            PredictInput::Data { data, split } => {
                let asked = config.inference.task.as_deref();
                let of_task = first.filter(|it| asked.is_none() || it.task_name() == asked);
                let data = match data {
                    Some(data) => Some(data.clone()),
                    None => recorded_data::task_data(of_task)?,
                };
                Self::Data(data, *split)
            }
        })
    }

    fn purpose(&self) -> Purpose<'_> {
        match self {
            Self::Own(own) => Purpose::OwnFiles(Some(&own.request)),
            Self::File(_) | Self::Texts(_) | Self::Questions(_) => Purpose::Input,
            Self::Data(..) => Purpose::TaskData,
        }
    }

    fn load(
        &self,
        opened: &Opened<'_>,
        layer: &Layer<'_>,
        fetcher: &Fetcher<'_>,
    ) -> Result<Loaded> {
        match self {
            Self::File(file) => opened.load_file(layer, file),
            Self::Texts(texts) => opened.load_texts(layer, texts),
            Self::Questions(questions) => opened.load_typed_questions(layer, questions),
            Self::Own(own) => opened.load_own(layer, &own.request, (SplitName::Test, own.at)),
            Self::Data(data, split) => {
                let data = fetcher.task_data(&layer.task.name, data.as_deref())?;
                let directory = data.as_ref().map_or(Path::new("."), NamedPath::path);
                opened.load_splits(&layer.task, directory, &split_names(&layer.task, *split))
            }
        }
    }

    fn file(&self) -> Option<&InputFile> {
        match self {
            Self::File(file) => Some(file),
            _ => None,
        }
    }

    /// The name of the single input file, for messages.
    fn name(&self) -> Option<String> {
        match self {
            Self::File(file) => Some(file.name()),
            Self::Own(own) => {
                let request = &own.request;
                let files = [&request.train, &request.validation, &request.test];
                let files: Vec<&String> = files.into_iter().flatten().collect();
                match files.as_slice() {
                    [only] => Some((*only).clone()),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

fn nothing() -> Error {
    Error::Usage(
        "there is nothing to predict; give --input FILE, --text TEXT, or pipe texts into the command".into(),
    )
}

/// The names that a header line of the input may have.
fn text_columns(config: &PredictConfig, records: &[Option<ResultRecord>]) -> Vec<String> {
    let mut names: Vec<String> = ["text", "sentence", "question", "tokens"]
        .map(str::to_owned)
        .into();
    let reading = &config.reading;
    names.extend(
        reading
            .text_column
            .iter()
            .chain(&reading.pair_column)
            .cloned(),
    );
    for record in records.iter().flatten() {
        if let Some(learned) = record.learned() {
            names.extend(learned.text_columns());
        }
        if let Some(task) = record.named() {
            let columns = &task.columns;
            let each = std::iter::once(&columns.first).chain(&columns.second);
            names.extend(each.flat_map(|column| column.names().map(str::to_owned)));
        }
    }
    names
}

/// Checks that all tasks have the same number of examples.
fn check_counts(inputs: &[(&Layer<'_>, Loaded)]) -> Result<()> {
    let count = inputs[0].1.rows();
    match inputs.iter().find(|(_, other)| other.rows() != count) {
        None => Ok(()),
        Some((layer, other)) => Err(Error::Usage(format!(
            "the adapters have different examples to predict: {} has {count}, {} {}; predict them separately",
            inputs[0].0.task.name,
            layer.task.name,
            other.rows()
        ))),
    }
}

/// The predictions of a model for the examples of its task, and its answers to questions.
fn predict(
    config: &PredictConfig,
    source: &Source<'_>,
    model: &Model,
    loaded: &Loaded,
) -> Result<(Vec<Value>, Option<Vec<Decoded>>)> {
    let (mut lines, mut answers) = (Vec::with_capacity(loaded.rows()), None);
    for split in &loaded.splits {
        let rows = split_logits(model, split, config.inference.eval_batch)
            .map_err(|error| in_input(error, source))?;
        if let Some(asked) = &split.asked {
            let decoded = asked.answers(&rows);
            let questions = asked.questions.iter().zip(&decoded);
            lines.extend(questions.map(|(question, answer)| answers::prediction(question, answer)));
            answers = Some(decoded);
        } else if loaded.task.problem_type == ProblemType::TokenClassification {
            let all = loaded.sentences.iter().zip(&rows);
            lines.extend(all.map(|(sentence, row)| {
                let (words, aligned) = (&sentence.words, &sentence.aligned);
                let said = tagged(&loaded.task, words, aligned, row);
                match &sentence.raw {
                    Some(raw) => with_places(said, raw),
                    None => said,
                }
            }));
        } else {
            let each = rows.iter();
            lines.extend(each.map(|row| prediction(&loaded.task, row, config.top_k)));
        }
    }
    Ok((lines, answers))
}

/// Reads the columns to repeat.
fn keep(
    config: &PredictConfig,
    source: &Source<'_>,
    inputs: &[(&Layer<'_>, Loaded)],
) -> Result<Kept> {
    let loaded = &inputs[0].1;
    let files = Files::of(loaded, source.file())?;
    let asks = loaded.task.problem_type == ProblemType::QuestionAnswering;
    let kept = Kept::read(&config.keep_columns, files.as_ref(), loaded, asks);
    match source.file() {
        Some(file) => kept.map_err(|error| file.explain(error)),
        None => kept,
    }
}

/// The texts of the examples, if people are to read them.
fn texts(
    config: &PredictConfig,
    source: &Source<'_>,
    inputs: &[(&Layer<'_>, Loaded)],
) -> Result<Option<Vec<String>>> {
    if output::format_of(config) != OutputFormat::Table {
        return Ok(None);
    }
    let loaded = &inputs[0].1;
    let one_line = |pair: &TypedPair| match &pair.second {
        Some(second) => format!("{} | {second}", pair.first),
        None => pair.first.clone(),
    };
    let sentences = || {
        let text = |sentence: &super::load::LoadedSentence| match &sentence.raw {
            Some(raw) => raw.text.clone(),
            None => sentence.words.words.join(" "),
        };
        loaded.sentences.iter().map(text).collect()
    };
    let asked = loaded.splits.iter().find_map(|split| split.asked.as_ref());
    Ok(match (source, asked) {
        (Source::Texts(texts), _) => {
            let limit = loaded.rows();
            Some(texts.iter().take(limit).map(one_line).collect())
        }
        (_, Some(asked)) => {
            let questions = asked.questions.iter();
            Some(questions.map(|one| one.question.clone()).collect())
        }
        _ if !loaded.sentences.is_empty() => Some(sentences()),
        _ => Kept::texts(Files::of(loaded, source.file())?.as_ref(), loaded),
    })
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
fn in_input(error: Error, source: &Source<'_>) -> Error {
    match (error, source.name()) {
        (Error::NotFinite(mut fault), Some(file)) => {
            fault.split = file;
            Error::NotFinite(fault)
        }
        (error, _) => error,
    }
}
