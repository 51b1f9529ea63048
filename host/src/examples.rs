//! From data files to tokenised examples: those kept on disk when the same files were tokenised before, else read and
//! tokenised now. Called by the recipe, `evaluate` and `predict`.

use crate::{
    batch::EncodedExample,
    config::RunConfig,
    error::{Error, Result},
    task_data::TaskData,
    token_cache::{
        TokenCache,
        key::{Key, KeyBuilder},
    },
    token_classification,
    tokenizer::Tokenizer,
    train::EvalSplit,
};
use progtune_datasets::{
    Example, Label, SplitName, Task, has_split, load_split, read_jsonl, split_files,
};
use std::{borrow::Cow, path::Path};

/// What turns files into examples.
pub struct ExampleSource<'a> {
    /// The task, which knows the columns.
    pub task: &'a Task,
    /// The model's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Where tokenised examples are kept.
    pub cache: &'a TokenCache,
}

/// Which examples.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// A split of the task in a data directory.
    Split {
        /// The directory.
        directory: &'a Path,
        /// The split.
        name: SplitName,
    },
    /// A JSONL file, labelled or not.
    Jsonl(&'a Path),
    /// Rows that are read already.
    Read(&'a [Example]),
}

impl ExampleSource<'_> {
    /// The first `limit` examples, all of them for `None`.
    ///
    /// # Errors
    /// When a file or a text in it is not as the task or the tokenizer expects.
    pub fn load(&self, origin: Origin<'_>, limit: Option<usize>) -> Result<Vec<EncodedExample>> {
        let key = self.key(origin, limit);
        if let Some(known) = key.and_then(|key| self.cache.get(&key)) {
            return Ok(known);
        }
        let examples = self.tokenizer.encode(&self.read(origin, limit)?)?;
        // Not what was read from a file that changed since it was hashed.
        if let Some(key) = key.filter(|_| self.key(origin, limit) == key) {
            self.cache.put(&key, &examples);
        }
        Ok(examples)
    }

    fn read<'a>(&self, origin: Origin<'a>, limit: Option<usize>) -> Result<Cow<'a, [Example]>> {
        match origin {
            Origin::Split { directory, name } => Ok(load_split(self.task, directory, name, limit)?
                .examples
                .into()),
            Origin::Jsonl(path) => {
                let mut examples = read_jsonl(self.task, path)?;
                examples.truncate(limit.unwrap_or(usize::MAX));
                Ok(examples.into())
            }
            Origin::Read(examples) => Ok(first(examples, limit).into()),
        }
    }

    /// What decides the examples; `None` where nothing is kept, or where reading will tell what is wrong. Generated
    /// examples have no file: the code that makes them is part of every key.
    fn key(&self, origin: Origin<'_>, limit: Option<usize>) -> Option<Key> {
        if !self.cache.is_on() {
            return None;
        }
        let mut key = KeyBuilder::new();
        self.tokenizer.add_to(&mut key);
        key.add("task", self.task.name.as_bytes());
        key.add("limit", format!("{limit:?}").as_bytes());
        match origin {
            Origin::Split { directory, name } => {
                key.add("split", name.as_str().as_bytes());
                for file in split_files(self.task, directory, name).ok()? {
                    key.add_file(&file).ok()?;
                }
            }
            Origin::Jsonl(path) => {
                key.add("input", b"");
                key.add_file(path).ok()?;
            }
            Origin::Read(examples) => {
                for example in first(examples, limit) {
                    add_example(&mut key, example);
                }
            }
        }
        Some(key.finish())
    }
}

/// The tokenised training set and evaluation splits.
pub fn load_data(
    config: &RunConfig,
    data: &TaskData,
    tokenizer: &Tokenizer,
) -> Result<(Vec<EncodedExample>, Vec<EvalSplit>)> {
    let task = data.task();
    let source = ExampleSource {
        task,
        tokenizer,
        cache: &TokenCache::new(config.token_cache),
    };
    let directory = match data {
        TaskData::Named { directory, .. } => directory,
        TaskData::Own(own) => {
            let train = source.load(Origin::Read(&own.train), config.max_train_samples)?;
            let validation = EvalSplit {
                name: SplitName::Validation,
                examples: source.load(Origin::Read(&own.validation), config.max_eval_samples)?,
            };
            return Ok((train, vec![validation]));
        }
        TaskData::Tagged { data, .. } => {
            return token_classification::data::load(config, data, tokenizer);
        }
    };
    let load = |name, limit| source.load(Origin::Split { directory, name }, limit);
    let train = load(SplitName::Train, config.max_train_samples)?;
    if train.is_empty() {
        return Err(Error::Usage(
            "the training set is empty; raise --max-train-samples".into(),
        ));
    }
    let mut eval_splits = Vec::new();
    for &name in &task.eval_splits {
        // MNLI's halves are separate files, and one of them is enough.
        if task.eval_splits.len() > 1 && !has_split(task, directory, name)? {
            tracing::warn!(
                "{}: no {name} split here; it is not evaluated",
                directory.display()
            );
            continue;
        }
        eval_splits.push(EvalSplit {
            name,
            examples: load(name, config.max_eval_samples)?,
        });
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

fn first(examples: &[Example], limit: Option<usize>) -> &[Example] {
    &examples[..examples.len().min(limit.unwrap_or(usize::MAX))]
}

/// Rows of own files count by what they say, however they are spread over files.
fn add_example(key: &mut KeyBuilder, example: &Example) {
    key.add("text", example.text.as_bytes());
    if let Some(pair) = &example.pair {
        key.add("pair", pair.as_bytes());
    }
    match &example.label {
        None => {}
        Some(Label::Class(id)) => key.add_number("class", (*id).into()),
        Some(Label::Classes(ids)) => {
            key.add_number("classes", ids.len() as u64);
            ids.iter()
                .for_each(|id| key.add_number("class", (*id).into()));
        }
        Some(Label::Score(score)) => key.add_number("score", score.to_bits().into()),
    }
}
