//! Errors in questions about texts (SQuAD files and similar ones).

use std::fmt;
use std::path::PathBuf;

use super::Place;
use super::show::{self, printable};

/// The position of a question: `dev.json, question `56be…` (data[0].paragraphs[2].qas[1])`,
/// `a.jsonl, line 3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionPlace {
    /// The file, with the line or row if the format has one.
    pub place: Place,
    /// The question's id, once it is known.
    pub id: Option<String>,
    /// The path to it in a JSON document; empty elsewhere.
    pub path: String,
}

impl QuestionPlace {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            id: None,
            path: String::new(),
        }
    }

    pub(crate) fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// The place one step further into a document.
    pub(crate) fn within(mut self, step: String) -> Self {
        self.path.push_str(&step);
        self
    }
}

impl fmt::Display for QuestionPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        match (&self.id, self.path.as_str()) {
            (None, "") => Ok(()),
            (None, path) => write!(f, ", {path}"),
            (Some(id), "") => write!(f, ", question `{}`", printable(id, 60)),
            (Some(id), path) => write!(f, ", question `{}` ({path})", printable(id, 60)),
        }
    }
}

/// A file of questions that cannot be read, or a question that cannot be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionError {
    /// A file that is neither JSON nor columnar.
    #[error(
        "{}: expected questions about texts in JSON (SQuAD's, or one question per line), parquet or Arrow, found the format \
         {format}; convert the file",
        path.display()
    )]
    WrongFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
    },

    /// A JSON document with a syntax error.
    #[error(
        "{}, line {line}: expected a JSON document with `data`, or one JSON object per line, found a syntax error at column \
         {column}: {message}; check that the file is complete",
        path.display()
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The byte within the line, counted from 1.
        column: usize,
        /// The reason that the parser gave.
        message: String,
    },

    /// A JSON document that has none of the known layouts.
    #[error(
        "{}: expected the key `data` with a list of articles (`paragraphs` with `context` and `qas`) or of questions \
         (`question`, `context`, `answers`), found {found}; check that the file contains questions about texts",
        path.display()
    )]
    UnknownLayout {
        /// The file.
        path: PathBuf,
        /// The contents found instead.
        found: String,
    },

    /// A document larger than the limit.
    #[error(
        "{}: expected a JSON document of at most {} MiB, found more; write one question per line (JSONL), or split the file",
        path.display(), limit >> 20
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },

    /// A file without a valid question.
    #[error(
        "{}: expected at least one question, found {found}; fetch the file again, or check that it is the right one",
        path.display()
    )]
    NoQuestions {
        /// The first file.
        path: PathBuf,
        /// The contents found instead.
        found: String,
    },

    /// A value other than an object where an object was expected.
    #[error("{place}: expected a JSON object, found {found}; correct or delete it")]
    NotAnObject {
        /// The question.
        place: QuestionPlace,
        /// The value found.
        found: String,
    },

    /// A missing key that a question needs.
    #[error(
        "{place}: expected the key `{key}`, found {}{}",
        show::listed("key", found),
        show::advice(suggestion, "add it, or delete the question")
    )]
    MissingKey {
        /// The question.
        place: QuestionPlace,
        /// The key.
        key: &'static str,
        /// The existing keys.
        found: Vec<String>,
        /// Similar keys.
        suggestion: String,
    },

    /// A value of an unusable type.
    #[error(
        "{place}: key `{key}`: expected {expected}, found {found}; correct it, or delete the question"
    )]
    WrongType {
        /// The question.
        place: QuestionPlace,
        /// The key.
        key: &'static str,
        /// The accepted types.
        expected: &'static str,
        /// The value found.
        found: String,
    },

    /// A question or context without text.
    #[error(
        "{place}: key `{key}`: expected a text, found an empty one; fill it in, or delete the question"
    )]
    EmptyText {
        /// The question.
        place: QuestionPlace,
        /// The key.
        key: &'static str,
    },

    /// A question without an id.
    #[error(
        "{place}: expected an `id`, found none; give each question its own, because predictions refer to it"
    )]
    NoId {
        /// The question.
        place: QuestionPlace,
    },

    /// An id that another question already has.
    #[error(
        "{place}: expected a unique id, found that of {first}; rename or delete one of the two"
    )]
    DuplicateId {
        /// The second question.
        place: QuestionPlace,
        /// The first.
        first: Box<QuestionPlace>,
    },

    /// An answer without text.
    #[error(
        "{place}: answer {} of {}: expected a text, found an empty one; fill it in, or delete the answer (a question \
         without an answer has an empty list)",
        number.0, number.1
    )]
    EmptyAnswer {
        /// The question.
        place: QuestionPlace,
        /// The number of the answer, counted from 1, and the number of answers.
        number: (usize, usize),
    },

    /// An answer that does not occur at its offset.
    #[error(
        "{place}: answer {} of {}: expected {answer} at code point {start} of the context, found {found}; {advice}",
        number.0, number.1
    )]
    NotAtOffset {
        /// The question.
        place: QuestionPlace,
        /// The number of the answer, counted from 1, and the number of answers.
        number: (usize, usize),
        /// The answer, quoted.
        answer: String,
        /// Its `answer_start`.
        start: usize,
        /// The text found there.
        found: String,
        /// The actual position of the answer, and what to do.
        advice: String,
    },

    /// Lists of texts and of offsets that have different lengths.
    #[error(
        "{place}: key `answers`: expected as many `answer_start` as `text`, found {starts} and {texts}; correct the lists"
    )]
    UnequalLists {
        /// The question.
        place: QuestionPlace,
        /// The number of texts.
        texts: usize,
        /// The number of offsets.
        starts: usize,
    },

    /// `is_impossible` contradicts the answers.
    #[error(
        "{place}: expected answers if and only if the question can be answered, found {n_answers} answers and that {said}; \
         correct one of them"
    )]
    Contradiction {
        /// The question.
        place: QuestionPlace,
        /// The statement of `is_impossible`.
        said: &'static str,
        /// The number of answers.
        n_answers: usize,
    },

    /// A question without the answers that the task needs.
    #[error("{place}: expected an answer, found {found}; {advice}")]
    NoAnswers {
        /// The question.
        place: QuestionPlace,
        /// The contents found instead.
        found: &'static str,
        /// The advice to the user.
        advice: &'static str,
    },
}

impl QuestionError {
    /// Whether the error concerns one question only, so that the others can be read without it.
    pub(super) fn is_about_a_question(&self) -> bool {
        !matches!(
            self,
            Self::WrongFormat { .. }
                | Self::Syntax { .. }
                | Self::UnknownLayout { .. }
                | Self::TooLarge { .. }
                | Self::NoQuestions { .. }
        )
    }
}
