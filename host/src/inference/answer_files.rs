//! The files of `--answers`: answers to questions as Hugging Face's `run_qa.py` writes them. Called
//! by `evaluate` and `predict`.

use progtune_engine::{Error, Result};
use progtune_pipeline::{
    EvalSplit,
    question_answering::{Decoded, prediction_files},
};
use progtune_process::files::{Folder, lock::DirectoryLock};
use std::path::Path;

/// The answers of each adapter with its name; `None` if its task has no questions.
pub(super) type Said = Vec<(String, Option<Vec<Decoded>>)>;

/// The directory of `--answers`, which is locked; nothing is written without it.
pub(super) struct AnswerFiles(Option<(Folder, DirectoryLock)>);

impl AnswerFiles {
    /// Locks the directory for writing. It is created if necessary.
    ///
    /// # Errors
    /// Fails if it is in use or cannot be opened.
    pub(super) fn claim(directory: Option<&Path>) -> Result<Self> {
        let Some(path) = directory else {
            return Ok(Self(None));
        };
        let lock = DirectoryLock::take(path, "--answers")?;
        let folder = Folder::open(path).map_err(Error::io(path, "open"))?;
        Ok(Self(Some((folder, lock))))
    }

    /// Writes the files. With several adapters, each has a subdirectory of its name.
    ///
    /// # Errors
    /// Fails if there are no answers, or a file cannot be written.
    pub(super) fn write(&self, splits: &[&EvalSplit], answers: &Said) -> Result<()> {
        let Some((folder, _)) = &self.0 else {
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
}
