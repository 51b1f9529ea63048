//! Questions about texts, as SQuAD has them: what a question is, the two tasks of that name, and reading the questions of
//! files. The host calls [`load_questions`] for a named task's split and [`read_questions`] for files of the user's own.
//!
//! Layouts are told by content: the official JSON (`data`, `paragraphs`, `qas`), Hugging Face's flat one (`data` with a
//! question each, or a question a line), and parquet as the hub serves `squad` and `squad_v2`.

use std::path::Path;
use std::sync::Arc;

use crate::error::{DataError, QuestionError};
use crate::format::{DataFile, Format, Header, TextEncoding};
use crate::request::OnBadRow;
use crate::skipped_rows::SkippedRows;
use crate::split_name::SplitName;
use crate::tasks::locate::locate;
use crate::tasks::squad::questions;
use crate::tasks::task::{Task, TaskSource};

mod check;
mod columnar;
mod data;
mod document;
mod fields;

pub use data::QuestionData;
pub use document::is_question_file;

/// A question about a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What it is known by in predictions; unique within a split.
    pub id: String,
    /// The text that holds the answer; the questions of a paragraph share it. Never empty.
    pub context: Arc<str>,
    /// The question, exactly as in the file. Never blank.
    pub question: String,
    /// The answers that count as right, of which training takes the first; empty: there is none in the text (SQuAD v2.0).
    /// `None`: the file does not say (`predict` input).
    pub answers: Option<Vec<Answer>>,
}

impl Question {
    /// Whether the file says that the text holds no answer.
    pub fn is_impossible(&self) -> bool {
        self.answers.as_ref().is_some_and(Vec::is_empty)
    }
}

/// A right answer: a part of the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text; what the context has at `start`. Never empty.
    pub text: String,
    /// Where it begins in the context, in Unicode code points.
    pub start: usize,
}

/// What each question of a file must say about its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerRule {
    /// At least one answer (SQuAD v1.1).
    Required,
    /// Answers, or that there are none (SQuAD v2.0).
    OrNone,
    /// Nothing (`predict` input).
    Optional,
}

/// Questions that were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// In the files' order; ids are unique.
    pub questions: Vec<Question>,
    /// Those left out because something is wrong with them.
    pub skipped: SkippedRows,
}

/// The first `limit` questions (all if `None`) of files, in order. With [`OnBadRow::Skip`] a question that is wrong is left
/// out; a file that cannot be taken apart into questions is an error either way.
///
/// # Errors
/// See [`DataError`] and [`QuestionError`]; also when no question is left.
pub fn read_questions(
    files: &[DataFile],
    rule: AnswerRule,
    on_bad_row: OnBadRow,
    limit: Option<usize>,
) -> Result<Questions, DataError> {
    let mut taker = check::Taker::new(rule, on_bad_row, limit);
    for file in files {
        if taker.is_full() {
            break;
        }
        match file.format {
            Format::Jsonl => document::read(file, &mut taker)?,
            Format::Parquet | Format::Arrow => columnar::read(file, &mut taker)?,
            other => {
                return Err(QuestionError::WrongFormat {
                    path: file.path.clone(),
                    format: other.as_str(),
                }
                .into());
            }
        }
    }
    let read = taker.finish();
    if let (true, Some(file)) = (read.questions.is_empty() && limit != Some(0), files.first()) {
        return Err(QuestionError::NoQuestions {
            path: file.path.clone(),
            found: match read.skipped.reasons.last() {
                None => "none".to_owned(),
                Some(reason) => {
                    format!("none that is good; the last that was left out: {reason}")
                }
            },
        }
        .into());
    }
    Ok(read)
}

/// The first `limit` questions (all if `None`) of a split of `task` in the directory `dir`, which holds the official files
/// (`train-v1.1.json`, `dev-v2.0.json`, ...), JSON or JSONL named after the split, or Hugging Face's parquet, itself or in
/// a folder named after the task.
///
/// # Errors
/// See [`DataError`].
pub fn load_questions(
    task: &Task,
    dir: &Path,
    split: SplitName,
    limit: Option<usize>,
) -> Result<Questions, DataError> {
    if !task.splits().any(|name| name == split) {
        return Err(DataError::NoSuchSplit {
            task: task.name.clone(),
            split,
            available: task.splits().map(|name| name.to_string()).collect(),
        });
    }
    let located = locate(task, dir, split)?;
    let files: Vec<DataFile> = located
        .files
        .into_iter()
        .map(|path| DataFile {
            path,
            format: located.format,
            encoding: TextEncoding::default(),
            header: Header::default(),
        })
        .collect();
    read_questions(&files, task.answer_rule(), OnBadRow::Error, limit)
}

impl Task {
    /// What a question of this task's training and validation files must say about its answers.
    pub fn answer_rule(&self) -> AnswerRule {
        match self.has_unanswerable {
            true => AnswerRule::OrNone,
            false => AnswerRule::Required,
        }
    }

    /// The task that files of the user's own with questions make; `has_unanswerable`: some have no answer.
    pub fn own_questions(has_unanswerable: bool) -> Self {
        Self {
            name: crate::own::data::OWN_TASK.to_owned(),
            source: TaskSource::Own,
            test_splits: vec![SplitName::Test],
            ..questions("", has_unanswerable)
        }
    }
}
