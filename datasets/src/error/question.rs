//! What can be wrong with questions about texts (SQuAD's files and their like).

use std::fmt;
use std::path::PathBuf;

use super::Place;
use super::show::{names, printable};

/// Where a question is: `dev.json, question `56be…` (data[0].paragraphs[2].qas[1])`, `a.jsonl, line 3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionPlace {
    /// The file, with the line or row where it has such.
    pub place: Place,
    /// The question's id, once it is known.
    pub id: Option<String>,
    /// The way to it in a JSON document; empty elsewhere.
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

    /// One step further into a document.
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
    /// A file that is no JSON and not columnar.
    #[error(
        "{}: questions about texts are read from JSON (SQuAD's, or a question a line), parquet and Arrow, found the format \
         {format}; convert the file",
        path.display()
    )]
    WrongFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
    },

    /// A JSON document that is not JSON.
    #[error(
        "{}, line {line}: expected a JSON document with `data`, or a JSON object a line, found a syntax error at column \
         {column}: {message}; check that the file is whole",
        path.display()
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The byte in the line, from 1.
        column: usize,
        /// The parser's reason.
        message: String,
    },

    /// A JSON document that has none of the layouts.
    #[error(
        "{}: expected the key `data` with a list of articles (`paragraphs`, in them `context` and `qas`) or of questions \
         (`question`, `context`, `answers`), found {found}; check that the file holds questions about texts",
        path.display()
    )]
    UnknownLayout {
        /// The file.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },

    /// A document larger than any that is meant.
    #[error(
        "{}: expected a JSON document of at most {} MiB, found more; write a question a line (JSONL), or split the file",
        path.display(), limit >> 20
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most, in bytes.
        limit: u64,
    },

    /// No question, or none that is good.
    #[error(
        "{}: expected at least one question, found {found}; check the file, or leave the split out",
        path.display()
    )]
    NoQuestions {
        /// The first file.
        path: PathBuf,
        /// What there is instead.
        found: String,
    },

    /// Something else where an object should be.
    #[error("{place}: expected a JSON object, found {found}; correct or delete it")]
    NotAnObject {
        /// The question.
        place: QuestionPlace,
        /// What is there.
        found: String,
    },

    /// A key that a question needs.
    #[error(
        "{place}: expected the key `{key}`, found the keys {}{}; add it, or delete the question",
        names(found),
        nearest.as_ref().map(|name| format!(" (the nearest is `{}`)", printable(name, 60))).unwrap_or_default()
    )]
    MissingKey {
        /// The question.
        place: QuestionPlace,
        /// The key.
        key: &'static str,
        /// The keys there are.
        found: Vec<String>,
        /// The one most like it.
        nearest: Option<String>,
    },

    /// A value of a type that cannot be meant.
    #[error(
        "{place}: key `{key}`: expected {expected}, found {found}; correct it, or delete the question"
    )]
    WrongType {
        /// The question.
        place: QuestionPlace,
        /// The key.
        key: &'static str,
        /// What would do.
        expected: &'static str,
        /// What is there.
        found: String,
    },

    /// A question or context without text.
    #[error(
        "{place}: key `{key}`: expected a text, found an empty one; write it, or delete the question"
    )]
    EmptyText {
        /// The question.
        place: QuestionPlace,
        /// The key.
        key: &'static str,
    },

    /// A question without an id.
    #[error(
        "{place}: expected an `id`, found none; give each question its own: predictions are known by it"
    )]
    NoId {
        /// The question.
        place: QuestionPlace,
    },

    /// An id that another question has.
    #[error(
        "{place}: expected an id of its own, found that of {first}; rename or delete one of the two"
    )]
    DuplicateId {
        /// The second question.
        place: QuestionPlace,
        /// The first.
        first: Box<QuestionPlace>,
    },

    /// An answer without text.
    #[error(
        "{place}: answer {} of {}: expected a text, found an empty one; write it, or delete the answer (a question \
         without an answer has an empty list)",
        number.0, number.1
    )]
    EmptyAnswer {
        /// The question.
        place: QuestionPlace,
        /// Which of how many answers, from 1.
        number: (usize, usize),
    },

    /// An answer that is not where it should be.
    #[error(
        "{place}: answer {} of {}: expected {answer} at code point {start} of the context, found {found}; {advice}",
        number.0, number.1
    )]
    NotAtOffset {
        /// The question.
        place: QuestionPlace,
        /// Which of how many answers, from 1.
        number: (usize, usize),
        /// The answer, quoted.
        answer: String,
        /// Its `answer_start`.
        start: usize,
        /// What is there.
        found: String,
        /// Where it is, and what to do.
        advice: String,
    },

    /// Lists of texts and of offsets that do not go together.
    #[error(
        "{place}: key `answers`: expected as many `answer_start` as `text`, found {starts} and {texts}; correct the lists"
    )]
    UnequalLists {
        /// The question.
        place: QuestionPlace,
        /// How many texts.
        texts: usize,
        /// How many offsets.
        starts: usize,
    },

    /// `is_impossible` says something else than the answers.
    #[error(
        "{place}: expected answers exactly where the question can be answered, found {n_answers} answers and that {said}; \
         correct one of them"
    )]
    Contradiction {
        /// The question.
        place: QuestionPlace,
        /// What `is_impossible` says.
        said: &'static str,
        /// How many answers there are.
        n_answers: usize,
    },

    /// A question without the answers that the task needs.
    #[error("{place}: expected an answer, found {found}; {advice}")]
    NoAnswers {
        /// The question.
        place: QuestionPlace,
        /// What is there.
        found: &'static str,
        /// What to do.
        advice: &'static str,
    },
}

impl QuestionError {
    /// Whether one question is wrong, so that the others can be read without it.
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
