//! From data files to tokenised examples: those kept on disk when the same files were tokenised before, else read and
//! tokenised now, some thousand rows at a time. Called by the recipe, `evaluate` and `predict`.

use crate::{
    own_files::KeyedFiles,
    token_cache::TokenCache,
    token_store::{
        Examples,
        key::{Key, KeyBuilder},
    },
    tokenizer::Tokenizer,
};
use progtune_datasets::{DataError, Example, SplitName, Task, jsonl_rows, split_files, split_rows};
use progtune_engine::error::Result;
use progtune_process::{interrupt, phase::Phase};
use std::{
    mem,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

/// Rows that are tokenised together, at most: enough for all threads.
const ROWS_AT_ONCE: usize = 4096;
/// Bytes of text that are tokenised together, but for a longer text: what the tokenizer makes of them takes a hundred
/// times as much.
const TEXT_AT_ONCE: usize = 1 << 19;

/// Chunks of rows that are read ahead.
const READY: usize = 2;

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
    /// A split of the user's own files.
    Own {
        /// The files.
        files: &'a KeyedFiles,
        /// The split.
        name: SplitName,
    },
}

impl Origin<'_> {
    /// `the train split`.
    fn describe(&self) -> String {
        match self {
            Self::Split { name, .. } | Self::Own { name, .. } => format!("the {name} split"),
            Self::Jsonl(path) => path.display().to_string(),
        }
    }

    /// How many rows there are, where that is known.
    fn rows(&self, limit: Option<usize>) -> Option<u64> {
        match self {
            Self::Own { files, name } => {
                let n_rows = files.files.n_rows(*name);
                Some(limit.map_or(n_rows, |limit| n_rows.min(limit)) as u64)
            }
            Self::Split { .. } | Self::Jsonl(_) => None,
        }
    }
}

type Chunks = SyncSender<Result<Vec<Example>>>;
type Rows<'a> = Box<dyn Iterator<Item = Result<Example, DataError>> + 'a>;

impl ExampleSource<'_> {
    /// The first `limit` examples, all of them for `None`.
    ///
    /// # Errors
    /// When a file or a text in it is not as the task or the tokenizer expects.
    pub fn load(&self, origin: Origin<'_>, limit: Option<usize>) -> Result<Examples> {
        let key = self.key(origin, limit);
        interrupt::check()?;
        if let Some(known) = key.and_then(|key| self.cache.get(&key)) {
            return Ok(known);
        }
        let phase = Phase::begin(
            "tokenize",
            format!("tokenising {}", origin.describe()),
            "rows",
            origin.rows(limit),
        );
        let mut examples = thread::scope(|scope| {
            let (sender, chunks) = sync_channel(READY);
            scope.spawn(move || {
                if let Err(error) = self.read(origin, limit, &sender) {
                    // If nobody waits any more, nobody needs to know.
                    let _ = sender.send(Err(error));
                }
            });
            self.tokenise(chunks, key.as_ref(), &phase)
        })?;
        phase.finish();
        // Not what was read from a file that changed since it was hashed.
        if let Some(key) = key.filter(|_| self.key(origin, limit) == key) {
            self.cache.keep(&key, &mut examples);
        }
        Ok(examples)
    }

    fn rows<'a>(&self, origin: Origin<'a>, limit: Option<usize>) -> Result<Rows<'a>> {
        Ok(match origin {
            Origin::Split { directory, name } => {
                Box::new(split_rows(self.task, directory, name, limit)?)
            }
            Origin::Jsonl(path) => Box::new(jsonl_rows(self.task, path, limit)?),
            Origin::Own { files, name } => {
                Box::new(files.files.rows(name).take(limit.unwrap_or(usize::MAX)))
            }
        })
    }

    /// Reads rows in chunks, while those before are tokenised.
    fn read(&self, origin: Origin<'_>, limit: Option<usize>, chunks: &Chunks) -> Result<()> {
        let (mut chunk, mut text_bytes) = (Vec::new(), 0);
        for example in self.rows(origin, limit)? {
            let example = example?;
            interrupt::check()?;
            text_bytes += example.text.len() + example.pair.as_ref().map_or(0, String::len);
            chunk.push(example);
            if chunk.len() >= ROWS_AT_ONCE || text_bytes >= TEXT_AT_ONCE {
                text_bytes = 0;
                if chunks.send(Ok(mem::take(&mut chunk))).is_err() {
                    return Ok(());
                }
            }
        }
        if !chunk.is_empty() {
            // Nobody waits: tokenising has failed, which is said.
            let _ = chunks.send(Ok(chunk));
        }
        Ok(())
    }

    fn tokenise(
        &self,
        chunks: Receiver<Result<Vec<Example>>>,
        key: Option<&Key>,
        phase: &Phase,
    ) -> Result<Examples> {
        let mut builder = self.cache.builder(key);
        let mut n_before = 0;
        for chunk in chunks {
            interrupt::check()?;
            let chunk = chunk?;
            for example in self.tokenizer.encode_rows(&chunk, n_before)? {
                builder.push(example)?;
            }
            n_before += chunk.len();
            phase.advance(chunk.len() as u64);
        }
        builder.finish()
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
            Origin::Own { files, name } => {
                key.add("own split", name.as_str().as_bytes());
                key.add("own files", &files.key()?.0);
            }
        }
        Some(key.finish())
    }
}
