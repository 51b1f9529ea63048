//! A run's examples: the training set and the evaluation splits, tokenised. Called by the recipe
//! and `plan`.

use crate::{config::DataConfig, task_data::TaskData};
use progtune_datasets::{SplitName, has_split};
use progtune_engine::error::{Error, Result};
use progtune_pipeline::{
    eval_split::EvalSplit,
    examples::{ExampleSource, Origin},
    question_answering::load::QuestionSource,
    token_cache::{TokenCache, TokenCacheUse},
    token_classification,
    token_store::Examples,
    tokenizer::Tokenizer,
};
use std::path::Path;

/// Loads and tokenises the training set and the evaluation splits.
pub fn load_data(
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
                token_classification::data::examples(tokenizer, name, &sentences, length)
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
