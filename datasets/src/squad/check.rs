//! Validates questions and collects the valid ones. The readers of the layouts pass on what they
//! find; errors in it are reported here, once for all layouts.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::{Answer, AnswerRule, Question, Questions};
use crate::error::{DataError, QuestionError, QuestionPlace, quote};
use crate::request::OnBadRow;

/// A question as the file gives it.
pub(super) struct RawQuestion {
    /// `None` if the file gives none, which is allowed in `predict` input.
    pub(super) id: Option<String>,
    pub(super) context: Arc<str>,
    pub(super) question: String,
    pub(super) answers: Option<Vec<Answer>>,
    pub(super) is_impossible: Option<bool>,
}

/// Collects questions up to a limit.
pub(super) struct Taker {
    rule: AnswerRule,
    on_bad_row: OnBadRow,
    limit: usize,
    /// The place where each id first occurred.
    ids: HashMap<String, QuestionPlace>,
    read: Questions,
    /// The number of questions seen, valid or not.
    n_seen: usize,
}

impl Taker {
    pub(super) fn new(rule: AnswerRule, on_bad_row: OnBadRow, limit: Option<usize>) -> Self {
        Self {
            rule,
            on_bad_row,
            limit: limit.unwrap_or(usize::MAX),
            ids: HashMap::new(),
            read: Questions::default(),
            n_seen: 0,
        }
    }

    /// Whether the limit is reached.
    pub(super) fn is_full(&self) -> bool {
        self.read.questions.len() >= self.limit
    }

    /// Takes a question, or the error in it.
    ///
    /// # Errors
    /// The question is invalid, and may not be left out.
    pub(super) fn take(
        &mut self,
        place: &QuestionPlace,
        found: Result<RawQuestion, DataError>,
    ) -> Result<(), DataError> {
        self.n_seen += 1;
        let checked = found.and_then(|raw| {
            let place = match &raw.id {
                Some(id) => place.clone().with_id(id),
                None => place.clone(),
            };
            let question = check(raw, self.rule, &place, self.n_seen)?;
            match self.ids.entry(question.id.clone()) {
                Entry::Occupied(first) => Err(QuestionError::DuplicateId {
                    place,
                    first: Box::new(first.get().clone()),
                }
                .into()),
                Entry::Vacant(entry) => {
                    entry.insert(place);
                    Ok(question)
                }
            }
        });
        match checked {
            Ok(question) => self.read.questions.push(question),
            Err(error) if self.on_bad_row == OnBadRow::Skip && error.is_about_a_row() => {
                self.read.skipped.add(&error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Questions {
        self.read
    }
}

/// Validates a question. `number` is its position among all questions, counted from 1; it becomes
/// the id of a question without one.
fn check(
    raw: RawQuestion,
    rule: AnswerRule,
    place: &QuestionPlace,
    number: usize,
) -> Result<Question, DataError> {
    for (key, text) in [
        ("question", raw.question.as_str()),
        ("context", &raw.context),
    ] {
        if text.trim().is_empty() {
            return Err(QuestionError::EmptyText {
                place: place.clone(),
                key,
            }
            .into());
        }
    }
    let id = match (raw.id, rule) {
        (Some(id), _) => id,
        (None, AnswerRule::Optional) => number.to_string(),
        (None, _) => {
            return Err(QuestionError::NoId {
                place: place.clone(),
            }
            .into());
        }
    };
    let answers = raw.answers.as_deref().unwrap_or_default();
    for (at, answer) in answers.iter().enumerate() {
        check_answer(answer, &raw.context, place, (at + 1, answers.len()))?;
    }
    check_contradiction(raw.is_impossible, answers.len(), rule, place)?;
    let answers = match (raw.answers, raw.is_impossible) {
        (None, Some(true)) => Some(Vec::new()),
        (answers, _) => answers,
    };
    check_presence(answers.as_deref(), rule, place)?;
    Ok(Question {
        id,
        context: raw.context,
        question: raw.question,
        answers,
    })
}

/// Refuses a question whose `is_impossible` and whose number of answers contradict each other.
fn check_contradiction(
    is_impossible: Option<bool>,
    n_answers: usize,
    rule: AnswerRule,
    place: &QuestionPlace,
) -> Result<(), DataError> {
    let said = match (is_impossible, n_answers) {
        (Some(true), 1..) => "`is_impossible` is true",
        (Some(false), 0) if rule != AnswerRule::Optional => "`is_impossible` is false",
        _ => return Ok(()),
    };
    Err(QuestionError::Contradiction {
        place: place.clone(),
        said,
        n_answers,
    }
    .into())
}

/// Refuses a question without the answers that the rule requires.
fn check_presence(
    answers: Option<&[Answer]>,
    rule: AnswerRule,
    place: &QuestionPlace,
) -> Result<(), DataError> {
    let (found, advice) = match (answers, rule) {
        (None, AnswerRule::Required | AnswerRule::OrNone) => (
            "nothing about answers",
            "add `answers`; without them a question can only be predicted, not used for training or evaluation",
        ),
        (Some([]), AnswerRule::Required) => (
            "no answer",
            "add one, or pass --task squad_v2, which allows questions without an answer",
        ),
        _ => return Ok(()),
    };
    Err(QuestionError::NoAnswers {
        place: place.clone(),
        found,
        advice,
    }
    .into())
}

/// Validates an answer. `number` is its position, counted from 1, and the number of answers.
fn check_answer(
    answer: &Answer,
    context: &str,
    place: &QuestionPlace,
    number: (usize, usize),
) -> Result<(), DataError> {
    if answer.text.is_empty() {
        return Err(QuestionError::EmptyAnswer {
            place: place.clone(),
            number,
        }
        .into());
    }
    let there = byte_of(context, answer.start).map(|byte| &context[byte..]);
    if there.is_some_and(|there| there.starts_with(answer.text.as_str())) {
        return Ok(());
    }
    let n_characters = answer.text.chars().count();
    Err(QuestionError::NotAtOffset {
        place: place.clone(),
        number,
        answer: quote(&answer.text),
        start: answer.start,
        found: match there {
            Some(there) if !there.is_empty() => {
                quote(&there.chars().take(n_characters).collect::<String>())
            }
            _ => format!(
                "the end of the context, which has {} code points",
                context.chars().count()
            ),
        },
        advice: advice(answer, context),
    }
    .into())
}

/// The advice for an answer that does not occur at its offset.
fn advice(answer: &Answer, context: &str) -> String {
    // (code point, byte, UTF-16 unit) of every occurrence of the text.
    let mut places = context
        .match_indices(answer.text.as_str())
        .map(|(byte, _)| {
            let before = &context[..byte];
            (before.chars().count(), byte, before.encode_utf16().count())
        });
    let all: Vec<(usize, usize, usize)> = places.by_ref().take(1000).collect();
    if let Some((code_point, byte, _)) = all
        .iter()
        .find(|(_, byte, utf16)| *byte == answer.start || *utf16 == answer.start)
    {
        let unit = if *byte == answer.start {
            "bytes"
        } else {
            "UTF-16 units"
        };
        return format!(
            "it is there when counting {unit}, but `answer_start` counts code points: write {code_point}"
        );
    }
    let nearest = all
        .iter()
        .map(|(code_point, _, _)| *code_point)
        .min_by_key(|code_point| code_point.abs_diff(answer.start));
    match nearest {
        Some(at) => format!("it is at {at}: correct `answer_start`"),
        None => "it does not occur in the context: correct the answer, or delete it".to_owned(),
    }
}

/// The byte at which a code point begins; the text's length for the one after the last.
fn byte_of(text: &str, code_point: usize) -> Option<usize> {
    // Counting is needed only for text that is not ASCII.
    if text.is_ascii() {
        return (code_point <= text.len()).then_some(code_point);
    }
    text.char_indices()
        .map(|(byte, _)| byte)
        .chain([text.len()])
        .nth(code_point)
}
