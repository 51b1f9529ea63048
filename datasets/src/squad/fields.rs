//! Converts JSON values to the parts of a question. All layouts use it, since a row of parquet is
//! an object too.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Answer;
use super::check::RawQuestion;
use crate::error::{DataError, QuestionError, QuestionPlace, suggestion};
use crate::readers::json_value::describe;

/// The question of a flat object, which has the context among its keys. `last` is the previous
/// context, which is shared if it is equal.
pub(super) fn flat_question(
    object: &Map<String, Value>,
    place: &QuestionPlace,
    last: &mut Arc<str>,
) -> Result<RawQuestion, DataError> {
    let place = &with_id_of(place, object);
    let context = text(object, "context", place)?;
    if context != &**last {
        *last = Arc::from(context);
    }
    question(object, Arc::clone(last), place)
}

/// The question of an object whose context is already known.
pub(super) fn question(
    object: &Map<String, Value>,
    context: Arc<str>,
    place: &QuestionPlace,
) -> Result<RawQuestion, DataError> {
    let place = &with_id_of(place, object);
    Ok(RawQuestion {
        id: id(object, place)?,
        context,
        question: text(object, "question", place)?.to_owned(),
        answers: answers(object, place)?,
        is_impossible: match object.get("is_impossible") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(bool)) => Some(*bool),
            Some(other) => {
                return Err(wrong_type(place, "is_impossible", "true or false", other));
            }
        },
    })
}

/// The place, with the question's id if it has one, by which a message can be traced.
fn with_id_of(place: &QuestionPlace, object: &Map<String, Value>) -> QuestionPlace {
    match object.get("id") {
        Some(Value::String(id)) => place.clone().with_id(id),
        _ => place.clone(),
    }
}

/// The string under a key.
pub(super) fn text<'a>(
    object: &'a Map<String, Value>,
    key: &'static str,
    place: &QuestionPlace,
) -> Result<&'a str, DataError> {
    match object.get(key) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(wrong_type(place, key, "a string", other)),
        None => Err(missing(object, key, place)),
    }
}

/// The list under a key.
pub(super) fn list<'a>(
    object: &'a Map<String, Value>,
    key: &'static str,
    place: &QuestionPlace,
) -> Result<&'a [Value], DataError> {
    match object.get(key) {
        Some(Value::Array(list)) => Ok(list),
        Some(other) => Err(wrong_type(place, key, "a list", other)),
        None => Err(missing(object, key, place)),
    }
}

/// The object in a list.
pub(super) fn object<'a>(
    value: &'a Value,
    place: &QuestionPlace,
) -> Result<&'a Map<String, Value>, DataError> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(QuestionError::NotAnObject {
            place: place.clone(),
            found: describe(other),
        }
        .into()),
    }
}

fn id(object: &Map<String, Value>, place: &QuestionPlace) -> Result<Option<String>, DataError> {
    match object.get("id") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) => Ok(Some(id.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(wrong_type(place, "id", "a string", other)),
    }
}

/// The answers: a list of `{text, answer_start}`, or Hugging Face's form
/// `{text: [...], answer_start: [...]}`.
fn answers(
    object: &Map<String, Value>,
    place: &QuestionPlace,
) -> Result<Option<Vec<Answer>>, DataError> {
    const KEY: &str = "answers";
    const EXPECTED: &str =
        "a list of {text, answer_start}, or an object with a list for each of the two";
    match object.get(KEY) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => {
            let one = |value: &Value| match value {
                Value::Object(answer) => Ok(Answer {
                    text: text(answer, "text", place)?.to_owned(),
                    start: match answer.get("answer_start") {
                        Some(start) => offset(start, place)?,
                        None => return Err(missing(answer, "answer_start", place)),
                    },
                }),
                other => Err(wrong_type(place, KEY, EXPECTED, other)),
            };
            list.iter().map(one).collect::<Result<_, _>>().map(Some)
        }
        Some(Value::Object(lists)) => {
            let texts = list(lists, "text", place)?;
            let starts = list(lists, "answer_start", place)?;
            if texts.len() != starts.len() {
                return Err(QuestionError::UnequalLists {
                    place: place.clone(),
                    texts: texts.len(),
                    starts: starts.len(),
                }
                .into());
            }
            let one = |(text, start): (&Value, &Value)| match text {
                Value::String(text) => Ok(Answer {
                    text: text.clone(),
                    start: offset(start, place)?,
                }),
                other => Err(wrong_type(place, "text", "a string", other)),
            };
            let answers = texts.iter().zip(starts).map(one);
            answers.collect::<Result<_, _>>().map(Some)
        }
        Some(other) => Err(wrong_type(place, KEY, EXPECTED, other)),
    }
}

fn offset(value: &Value, place: &QuestionPlace) -> Result<usize, DataError> {
    let offset = value
        .as_u64()
        .and_then(|offset| usize::try_from(offset).ok());
    offset.ok_or_else(|| {
        let expected = "a number of code points from 0";
        wrong_type(place, "answer_start", expected, value)
    })
}

fn wrong_type(
    place: &QuestionPlace,
    key: &'static str,
    expected: &'static str,
    found: &Value,
) -> DataError {
    QuestionError::WrongType {
        place: place.clone(),
        key,
        expected,
        found: describe(found),
    }
    .into()
}

fn missing(object: &Map<String, Value>, key: &'static str, place: &QuestionPlace) -> DataError {
    let keys = || object.keys().map(String::as_str);
    QuestionError::MissingKey {
        place: place.clone(),
        key,
        found: keys().map(str::to_owned).collect(),
        suggestion: suggestion(key, keys()),
    }
    .into()
}
