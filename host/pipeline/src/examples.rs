//! Turns data files into tokenised examples. If the same files were tokenised before, the cached
//! examples are used. Otherwise the files are read and tokenised, a few thousand rows at a time.
//! Called by the recipe, `evaluate` and `predict`.

use crate::{
    own_files::KeyedFiles,
    token_cache::TokenCache,
    token_store::{
        Examples,
        key::{Key, KeyBuilder},
    },
    tokenizer::Tokenizer,
};
use progtune_datasets::{
    DataError, DataFile, Example, Sample, SplitName, Task, file_rows, sampled_rows, split_files,
};
use progtune_engine::Result;
use progtune_process::{Phase, interrupt};
use std::{
    mem,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

/// The maximum number of rows tokenised together, which is enough for all threads.
const ROWS_AT_ONCE: usize = 4096;
/// The maximum number of text bytes tokenised together, except for a single longer text. The
/// tokenizer's output takes a hundred times as much memory.
const TEXT_AT_ONCE: usize = 1 << 19;

/// The number of chunks that are read ahead.
const READY: usize = 2;

/// Turns files into examples.
pub struct ExampleSource<'a> {
    /// The task, which knows the columns.
    pub task: &'a Task,
    /// The model's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The cache of tokenised examples.
    pub cache: &'a TokenCache,
}

/// The origin of a set of examples.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// A split of the task in a data directory.
    Split {
        /// The directory.
        directory: &'a Path,
        /// The split.
        name: SplitName,
    },
    /// A file with the task's columns, with or without labels.
    File(&'a DataFile),
    /// A split of the user's own files.
    Own {
        /// The files.
        files: &'a KeyedFiles,
        /// The split.
        name: SplitName,
    },
}

impl Origin<'_> {
    /// The name of this origin in messages, such as `the train split`.
    fn describe(&self) -> String {
        match self {
            Self::Split { name, .. } | Self::Own { name, .. } => format!("the {name} split"),
            Self::File(file) => file.path.display().to_string(),
        }
    }

    /// The number of rows, if it is known.
    fn rows(&self, sample: Option<Sample>) -> Option<u64> {
        match self {
            Self::Own { files, name } => {
                let n_rows = files.files.n_rows(*name);
                Some(sample.map_or(n_rows, |sample| n_rows.min(sample.n_rows)) as u64)
            }
            Self::Split { .. } | Self::File(_) => None,
        }
    }
}

type Chunks = SyncSender<Result<Vec<Example>>>;
type Rows<'a> = Box<dyn Iterator<Item = Result<Example, DataError>> + 'a>;

impl ExampleSource<'_> {
    /// Loads the examples of a sample, or all of them for `None`. Of a JSONL file, whose
    /// predictions are matched with its lines, these are always the first.
    ///
    /// # Errors
    /// Fails if a file or a text in it does not meet the task's or the tokenizer's requirements.
    pub fn load(&self, origin: Origin<'_>, sample: Option<Sample>) -> Result<Examples> {
        let key = self.key(origin, sample);
        interrupt::check()?;
        if let Some(known) = key.and_then(|key| self.cache.get(&key)) {
            return Ok(known);
        }
        let phase = Phase::begin(
            "tokenize",
            format!("tokenising {}", origin.describe()),
            "rows",
            origin.rows(sample),
        );
        let mut examples = thread::scope(|scope| {
            let (sender, chunks) = sync_channel(READY);
            scope.spawn(move || {
                if let Err(error) = self.read(origin, sample, &sender) {
                    // If the receiver is gone, nobody needs the error.
                    let _ = sender.send(Err(error));
                }
            });
            self.tokenise(chunks, key.as_ref(), &phase)
        })?;
        phase.finish();
        // Examples from a file that changed since it was hashed are not cached.
        if let Some(key) = key.filter(|_| self.key(origin, sample) == key) {
            self.cache.keep(&key, &mut examples);
        }
        Ok(examples)
    }

    fn rows<'a>(&self, origin: Origin<'a>, sample: Option<Sample>) -> Result<Rows<'a>> {
        Ok(match origin {
            Origin::Split { directory, name } => {
                Box::new(sampled_rows(self.task, directory, name, sample)?)
            }
            Origin::File(file) => {
                let limit = sample.map(|sample| sample.n_rows);
                Box::new(file_rows(self.task, file.clone(), limit)?)
            }
            Origin::Own { files, name } => Box::new(files.files.rows(name, sample)),
        })
    }

    /// Reads rows in chunks, while earlier chunks are tokenised.
    fn read(&self, origin: Origin<'_>, sample: Option<Sample>, chunks: &Chunks) -> Result<()> {
        let (mut chunk, mut text_bytes) = (Vec::new(), 0);
        for example in self.rows(origin, sample)? {
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
            // If the receiver is gone, tokenising has failed and reports that itself.
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

    /// The key of everything that determines the examples. `None` if the cache is off, or if a file
    /// is unreadable, which reading will report. Generated examples have no file: the code that
    /// generates them is part of every key.
    fn key(&self, origin: Origin<'_>, sample: Option<Sample>) -> Option<Key> {
        if !self.cache.is_on() {
            return None;
        }
        let mut key = KeyBuilder::new();
        self.tokenizer.add_to(&mut key);
        key.add("task", self.task.name.as_bytes());
        key.add("sample", format!("{sample:?}").as_bytes());
        match origin {
            Origin::Split { directory, name } => {
                key.add("split", name.as_str().as_bytes());
                for file in split_files(self.task, directory, name).ok()? {
                    key.add_file(&file).ok()?;
                }
            }
            Origin::File(file) => {
                key.add("input", b"");
                let columns = &self.task.columns;
                let reading = (file.format, file.encoding, &file.header, columns);
                key.add("reading", format!("{reading:?}").as_bytes());
                key.add_file(&file.path).ok()?;
            }
            Origin::Own { files, name } => {
                key.add("own split", name.as_str().as_bytes());
                key.add("own files", &files.key()?.0);
            }
        }
        Some(key.finish())
    }
}
