//! Questions about texts, as in SQuAD: the question type, the two tasks of that name, and reading
//! questions from files. The host calls [`load_questions`] for a named task's split and
//! [`read_questions`] for the user's own files.
//!
//! Layouts are recognised by content. They are the official JSON (`data`, `paragraphs`, `qas`),
//! Hugging Face's flat JSON, and parquet as the hub serves `squad` and `squad_v2`. Flat JSON is
//! `data` with one question per element, or one question per line.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use crate::error::{DataError, QuestionError};
use crate::format::{DataFile, Format, Header, TextEncoding};
use crate::request::OnBadRow;
use crate::sampling::{Sample, sampled};
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
pub(crate) use document::is_question_file;

/// A question about a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The id that identifies the question in predictions; unique within a split.
    pub id: String,
    /// The text that contains the answer, shared by the questions of a paragraph. Never empty.
    pub context: Arc<str>,
    /// The question, exactly as in the file. Never blank.
    pub question: String,
    /// The correct answers; training uses the first. An empty list means that the text contains
    /// none (SQuAD v2.0). `None` means that the file does not say (`predict` input).
    pub answers: Option<Vec<Answer>>,
}

impl Question {
    /// Whether the file says that the text contains no answer.
    pub fn is_impossible(&self) -> bool {
        self.answers.as_ref().is_some_and(Vec::is_empty)
    }
}

/// A correct answer: a part of the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text, which equals the context at `start`. Never empty.
    pub text: String,
    /// Its beginning in the context, in Unicode code points.
    pub start: usize,
}

/// The requirement that a file's questions must meet regarding answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerRule {
    /// At least one answer (SQuAD v1.1).
    Required,
    /// Answers, or an explicit statement that there are none (SQuAD v2.0).
    OrNone,
    /// No requirement (`predict` input).
    Optional,
}

/// The questions read from files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// In the files' order; ids are unique.
    pub questions: Vec<Question>,
    /// The questions left out because they are invalid.
    pub skipped: SkippedRows,
}

/// The first `limit` questions (all if `None`) of files, in order. With [`OnBadRow::Skip`] an
/// invalid question is left out. A file that cannot be split into questions is always an error.
///
/// # Errors
/// See [`DataError`] and [`QuestionError`]; also an error if no question is left.
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
                    format!("no valid question; the last one left out: {reason}")
                }
            },
        }
        .into());
    }
    Ok(read)
}

/// The questions of a sample, stratified by whether they have an answer, or all questions if it is
/// `None`.
pub fn sampled_questions(questions: &[Question], sample: Option<Sample>) -> Cow<'_, [Question]> {
    sampled(questions, sample, |question| {
        usize::from(question.is_impossible())
    })
}

/// The questions of a sample (all if `None`) of a split of `task` in the directory `dir`. The
/// directory contains the official files (`train-v1.1.json`, `dev-v2.0.json`, …), JSON or JSONL
/// named after the split, or Hugging Face's parquet. The files are in `dir` itself or in a folder
/// named after the task.
///
/// # Errors
/// See [`DataError`].
pub fn load_questions(
    task: &Task,
    dir: &Path,
    split: SplitName,
    sample: Option<Sample>,
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
            part: None,
        })
        .collect();
    let limit = Sample::limit(sample);
    let read = read_questions(&files, task.answer_rule(), OnBadRow::Error, limit)?;
    Ok(Questions {
        questions: sampled_questions(&read.questions, sample).into_owned(),
        ..read
    })
}

impl Task {
    /// The requirement that the questions in this task's training and validation files must meet
    /// regarding answers.
    pub(crate) fn answer_rule(&self) -> AnswerRule {
        if self.has_unanswerable {
            AnswerRule::OrNone
        } else {
            AnswerRule::Required
        }
    }

    /// The task formed by the user's own files of questions. `has_unanswerable` says whether some
    /// questions have no answer.
    pub fn own_questions(has_unanswerable: bool) -> Self {
        Self {
            name: crate::own::data::OWN_TASK.to_owned(),
            source: TaskSource::Own,
            test_splits: vec![SplitName::Test],
            ..questions("", has_unanswerable)
        }
    }
}
