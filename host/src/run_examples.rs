//! A run's examples: the training set, the evaluation splits and the labelled test splits,
//! tokenised. Called by the recipe and `plan`.

use crate::{config::DataConfig, nonfinite::Text, task_data::TaskData};
use progtune_datasets::{DataError, Example, SplitName, has_split, sampled_rows, split_rows};
use progtune_engine::{Error, Result};
use progtune_pipeline::{
    EvalSplit, ExampleSource, Origin,
    question_answering::QuestionSource,
    token_cache::{TokenCache, TokenCacheUse},
    token_classification,
    token_store::Examples,
    tokenizer::Tokenizer,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Loads and tokenises the training set and the evaluation splits.
pub(crate) fn load_data(
    config: &DataConfig,
    data: &TaskData,
    tokenizer: &Tokenizer,
    token_cache: TokenCacheUse,
) -> Result<(Examples, Vec<EvalSplit>)> {
    let task = data.task();
    let source = ExampleSource {
        task,
        tokenizer,
        cache: &TokenCache::new(token_cache),
    };
    let directory = match data {
        TaskData::Named { directory, .. } => directory,
        TaskData::Questions(questions) => {
            let source = QuestionSource {
                task,
                tokenizer,
                cache: source.cache,
                answering: config.answering,
            };
            let train = source.examples(&questions.train, config.train_sample())?;
            let validation = source.split(&questions.validation, config.eval_sample())?;
            let validation = EvalSplit::of_questions(SplitName::Validation, validation);
            return Ok((train, vec![validation]));
        }
        TaskData::Own(own) => {
            let load = |name, sample| source.load(Origin::Own { files: own, name }, sample);
            let train = load(SplitName::Train, config.train_sample())?;
            let name = SplitName::Validation;
            let validation = load(name, config.eval_sample())?;
            let validation = EvalSplit::of_examples(name, validation);
            return Ok((train, vec![validation]));
        }
        TaskData::Tagged { data, .. } => {
            let load = |name, sentences, sample| {
                let sentences = data.sampled(sentences, sample);
                let length = tokenizer.max_length();
                token_classification::examples(tokenizer, name, &sentences, length)
            };
            let train = load(SplitName::Train, &data.train, config.train_sample())?;
            let name = SplitName::Validation;
            let validation = load(name, &data.validation, config.eval_sample())?;
            let validation = EvalSplit::of_examples(name, validation);
            return Ok((train, vec![validation]));
        }
    };
    load_splits(config, &source, directory)
}

/// Loads the splits of a named task from its files.
fn load_splits(
    config: &DataConfig,
    source: &ExampleSource<'_>,
    directory: &Path,
) -> Result<(Examples, Vec<EvalSplit>)> {
    let task = source.task;
    let load = |name, sample| source.load(Origin::Split { directory, name }, sample);
    let train = load(SplitName::Train, config.train_sample())?;
    if train.is_empty() {
        return Err(Error::Usage(
            "the training set is empty; raise --max-train-samples".into(),
        ));
    }
    let mut eval_splits = Vec::new();
    for &name in &task.eval_splits {
        // MNLI's matched and mismatched halves are separate files, and one of them is enough.
        if task.eval_splits.len() > 1 && !has_split(task, directory, name)? {
            tracing::warn!(
                "{}: no {name} split here; it is not evaluated",
                directory.display()
            );
            continue;
        }
        let examples = load(name, config.eval_sample())?;
        eval_splits.push(EvalSplit::of_examples(name, examples));
    }
    if eval_splits.is_empty() {
        let names: Vec<&str> = task.eval_splits.iter().map(|name| name.as_str()).collect();
        return Err(Error::Usage(format!(
            "{}: none of the splits to evaluate on is here: {}; add one of them",
            directory.display(),
            names.join(", ")
        )));
    }
    Ok((train, eval_splits))
}

/// Loads and tokenises the test splits that have labels, on which the result of a run is measured.
/// Errors in a test file of a named task only cost its figures, because nobody named the file.
pub(crate) fn load_test(
    config: &DataConfig,
    data: &TaskData,
    tokenizer: &Tokenizer,
    token_cache: TokenCacheUse,
) -> Result<Vec<EvalSplit>> {
    let (task, cache) = (data.task(), &TokenCache::new(token_cache));
    let (name, sample) = (SplitName::Test, config.test_sample());
    let source = ExampleSource {
        task,
        tokenizer,
        cache,
    };
    Ok(match data {
        TaskData::Named { directory, .. } => load_named_test(config, &source, directory)?,
        TaskData::Own(files) if files.has_test_labels() => {
            let examples = source.load(Origin::Own { files, name }, sample)?;
            vec![EvalSplit::of_examples(name, examples)]
        }
        TaskData::Tagged { data, .. } if data.test.iter().any(|s| s.tags.is_some()) => {
            let (test, length) = (data.sampled(&data.test, sample), tokenizer.max_length());
            let examples = token_classification::examples(tokenizer, name, &test, length)?;
            vec![EvalSplit::of_examples(name, examples)]
        }
        TaskData::Questions(own) if own.test.iter().any(|question| question.answers.is_some()) => {
            let source = QuestionSource {
                task,
                tokenizer,
                cache,
                answering: config.answering,
            };
            vec![EvalSplit::of_questions(
                name,
                source.split(&own.test, sample)?,
            )]
        }
        TaskData::Own(_) | TaskData::Tagged { .. } | TaskData::Questions(_) => Vec::new(),
    })
}

/// Reads the texts of some training examples again, by their indices. Windows of questions have no
/// texts of their own, and files that cannot be read now have none either.
pub(crate) fn training_texts(
    config: &DataConfig,
    data: &TaskData,
    indices: &BTreeSet<usize>,
) -> BTreeMap<usize, Text> {
    let sample = config.train_sample();
    let pick = |rows: &mut dyn Iterator<Item = Result<Example, DataError>>| {
        let last = indices.last().map_or(0, |last| last + 1);
        let rows = rows.take(last).enumerate();
        rows.filter(|(index, _)| indices.contains(index))
            .filter_map(|(index, row)| row.ok().map(|row| (index, (row.text, row.pair))))
            .collect()
    };
    match data {
        TaskData::Named { task, directory } => {
            let rows = sampled_rows(task, directory, SplitName::Train, sample);
            rows.map(|mut rows| pick(&mut rows)).unwrap_or_default()
        }
        TaskData::Own(own) => pick(&mut own.files.rows(SplitName::Train, sample)),
        TaskData::Tagged { data, .. } => {
            let sentences = data.sampled(&data.train, sample);
            let text = |&index: &usize| {
                let words = sentences.get(index)?.words.join(" ");
                Some((index, (words, None)))
            };
            indices.iter().filter_map(text).collect()
        }
        TaskData::Questions(_) => BTreeMap::new(),
    }
}

/// Loads the test splits of a named task whose first row has a label.
fn load_named_test(
    config: &DataConfig,
    source: &ExampleSource<'_>,
    directory: &Path,
) -> Result<Vec<EvalSplit>> {
    let task = source.task;
    let mut splits = Vec::new();
    for &name in &task.test_splits {
        let first = match has_split(task, directory, name) {
            Ok(true) => split_rows(task, directory, name, Some(1)).map(|mut rows| rows.next()),
            Ok(false) | Err(_) => continue,
        };
        // GLUE's own test files have other columns, and no labels.
        let Ok(Some(Ok(first))) = first else { continue };
        if first.label.is_none() {
            continue;
        }
        match source.load(Origin::Split { directory, name }, config.test_sample()) {
            Ok(examples) => splits.push(EvalSplit::of_examples(name, examples)),
            Err(Error::Data(error)) => {
                tracing::warn!("{error}; the run continues without figures for the {name} split");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(splits)
}
