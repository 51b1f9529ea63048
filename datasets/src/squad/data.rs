//! The splits of questions that a run needs, from a named task or from the user's own files. The
//! host asks whether such files contain questions before it reads them as labelled rows
//! ([`OwnData`](crate::OwnData)).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::{AnswerRule, Question, is_question_file, load_questions, read_questions};
use crate::error::{DataError, OwnDataError};
use crate::own::find::find_files;
use crate::problem_type::ProblemType;
use crate::request::OwnRequest;
use crate::sampling::Sample;
use crate::skipped_rows::SkippedRows;
use crate::split_name::SplitName;
use crate::splitmix::SplitMix64;
use crate::tasks::task::Task;

/// The questions read, by split.
#[derive(Debug, Clone, PartialEq)]
pub struct QuestionData {
    /// The task, which says whether questions may lack an answer.
    pub task: Task,
    /// Training questions; empty without training files.
    pub train: Vec<Question>,
    /// Validation questions, from their own files or held out; empty without either.
    pub validation: Vec<Question>,
    /// Test questions; empty without test files.
    pub test: Vec<Question>,
    /// The questions left out.
    pub skipped: SkippedRows,
}

impl QuestionData {
    /// Whether a request is about questions: it says so, or it does not mention labels and its
    /// first file contains questions.
    ///
    /// # Errors
    /// The file cannot be found or read.
    pub fn are_meant(request: &OwnRequest) -> Result<bool, DataError> {
        let reading = &request.reading;
        if let Some(problem) = reading.problem_type {
            return Ok(problem == ProblemType::QuestionAnswering);
        }
        if reading.text_column.is_some() || reading.label_column.is_some() {
            return Ok(false);
        }
        let mut given = request.files().into_iter();
        let Some((flag, paths)) = given.find(|(_, paths)| !paths.is_empty()) else {
            return Ok(false);
        };
        let files = find_files(flag, paths, reading)?;
        files.first().map_or(Ok(false), is_question_file)
    }

    /// The training and validation questions of a named task in a directory, those of a sample of
    /// each.
    ///
    /// # Errors
    /// See [`load_questions`].
    pub fn of_task(
        task: &Task,
        dir: &Path,
        samples: [Option<Sample>; 2],
    ) -> Result<Self, DataError> {
        let load =
            |name, sample| load_questions(task, dir, name, sample).map(|read| read.questions);
        Ok(Self {
            task: task.clone(),
            train: load(SplitName::Train, samples[0])?,
            validation: load(SplitName::Validation, samples[1])?,
            test: Vec::new(),
            skipped: SkippedRows::default(),
        })
    }

    /// Reads all files of `request`. `has_unanswerable` says what a model was trained for. Without
    /// it, the task allows questions without an answer if any question has none.
    ///
    /// # Errors
    /// See [`DataError`].
    pub fn own(request: &OwnRequest, has_unanswerable: Option<bool>) -> Result<Self, DataError> {
        let reading = &request.reading;
        let mut skipped = SkippedRows::default();
        let mut read = |(flag, given): (&'static str, &[String]), rule: AnswerRule| {
            let files = find_files(flag, given, reading)?;
            if files.is_empty() {
                return Ok(Vec::new());
            }
            let rule = if request.ignore_labels {
                AnswerRule::Optional
            } else {
                rule
            };
            let read = read_questions(&files, rule, reading.on_bad_row, None)?;
            skipped.extend(read.skipped);
            Ok::<_, DataError>(read.questions)
        };
        let [train, validation, test] = request.files();
        let mut train = read(train, AnswerRule::OrNone)?;
        let mut validation = read(validation, AnswerRule::OrNone)?;
        let test = read(test, AnswerRule::Optional)?;
        if train.is_empty() && validation.is_empty() && test.is_empty() {
            return Err(OwnDataError::none_given().into());
        }
        if let Some(share) = request.validation_split {
            (train, validation) = hold_out(train, share, request.seed)?;
        }
        let mut all = train.iter().chain(&validation).chain(&test);
        let has_unanswerable = has_unanswerable.unwrap_or_else(|| all.any(Question::is_impossible));
        Ok(Self {
            task: Task::own_questions(has_unanswerable),
            train,
            validation,
            test,
            skipped,
        })
    }
}

/// `questions` split into those that remain and a held-out `share`, both in their order. The
/// questions about a text stay together, so that no text is on both sides. The same seed takes the
/// same texts.
fn hold_out(
    questions: Vec<Question>,
    share: f64,
    seed: u64,
) -> Result<(Vec<Question>, Vec<Question>), OwnDataError> {
    let mut texts: Vec<(Arc<str>, usize)> = Vec::new();
    let mut numbers: HashMap<Arc<str>, usize> = HashMap::new();
    for question in &questions {
        let number = *numbers
            .entry(Arc::clone(&question.context))
            .or_insert_with(|| {
                texts.push((Arc::clone(&question.context), 0));
                texts.len() - 1
            });
        texts[number].1 += 1;
    }
    SplitMix64::new(seed).shuffle(&mut texts);
    let wanted = (questions.len() as f64 * share).round() as usize;
    let mut taken = HashMap::new();
    let mut n_taken = 0;
    for (text, n) in texts {
        if n_taken + n <= wanted {
            n_taken += n;
            taken.insert(text, ());
        }
    }
    if n_taken == 0 || n_taken == questions.len() {
        return Err(OwnDataError::CannotSplit {
            share,
            n_rows: questions.len(),
            n_taken,
        });
    }
    let (held, kept) = questions
        .into_iter()
        .partition(|question| taken.contains_key(&question.context));
    Ok((kept, held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_on_both_sides() {
        let question = |n: usize| Question {
            id: n.to_string(),
            context: Arc::from(format!("text {}", n / 3)),
            question: "?".to_owned(),
            answers: None,
        };
        let questions: Vec<Question> = (0..60).map(question).collect();
        let (kept, held) = hold_out(questions.clone(), 0.2, 7).unwrap();
        assert_eq!((kept.len(), held.len()), (48, 12));
        assert!(
            held.iter()
                .all(|one| kept.iter().all(|other| one.context != other.context))
        );
        assert_eq!(hold_out(questions.clone(), 0.2, 7).unwrap().1, held);
        assert_ne!(hold_out(questions.clone(), 0.2, 8).unwrap().1, held);
        assert!(hold_out(questions, 0.01, 7).is_err(), "less than a text");
    }
}
