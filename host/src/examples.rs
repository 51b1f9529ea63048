//! From data files to tokenised examples: those kept on disk when the same files were tokenised before, else read and
//! tokenised now. Called by the recipe, `evaluate` and `predict`.

use crate::{
    batch::EncodedExample,
    error::Result,
    token_cache::{
        TokenCache,
        key::{Key, KeyBuilder},
    },
    tokenizer::Tokenizer,
};
use progtune_datasets::{Example, SplitName, Task, load_split, read_jsonl, split_files};
use std::path::Path;

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

    fn read(&self, origin: Origin<'_>, limit: Option<usize>) -> Result<Vec<Example>> {
        match origin {
            Origin::Split { directory, name } => {
                Ok(load_split(self.task, directory, name, limit)?.examples)
            }
            Origin::Jsonl(path) => {
                let mut examples = read_jsonl(self.task, path)?;
                examples.truncate(limit.unwrap_or(usize::MAX));
                Ok(examples)
            }
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
        }
        Some(key.finish())
    }
}
