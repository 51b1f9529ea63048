//! Questions in JSON: a whole document (the official layout, or `data` with flat questions), or one
//! question per line.
//!
//! A document is held in memory; the questions of a paragraph share its context.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::check::Taker;
use super::fields;
use crate::error::{DataError, Place, QuestionError, QuestionPlace};
use crate::format::{DataFile, Format};
use crate::readers::json_document::{Detected, Layout, detect};
use crate::readers::json_value::describe;
use crate::readers::jsonl::JsonlObjects;
use crate::readers::whole_text::WholeText;
use crate::tasks::squad::COLUMNS;

/// The content of a file of questions.
enum Content {
    /// A JSON value that is the whole file.
    Document(Value),
    /// One object per line.
    Lines,
}

/// Reads the questions of a file in any of the layouts.
pub(super) fn read(file: &DataFile, taker: &mut Taker) -> Result<(), DataError> {
    match content(file)? {
        Content::Document(value) => read_document(file, &value, taker),
        Content::Lines => read_lines(file, taker),
    }
}

/// Whether a file contains questions, judging by its first row. In an array, in lines or in a
/// columnar file, the row must have `question`, `context` and `answers`. Under `data` it must be an
/// article with `paragraphs`, or a question with its context and either answers or no label.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn is_question_file(file: &DataFile) -> Result<bool, DataError> {
    let has = |row: &Value, key: &str| row.get(key).is_some();
    match file.format {
        Format::Parquet | Format::Arrow => super::columnar::has_questions(file),
        Format::Jsonl => {
            let Detected { layout, first } = match detect(file) {
                Ok(detected) => detected,
                Err(error @ DataError::Io { .. }) => return Err(error),
                // The file's reader reports what is wrong with it.
                Err(_) => return Ok(false),
            };
            if layout == Layout::Data {
                return Ok(first.is_some_and(|row| {
                    let [question, context, answers] = COLUMNS.map(|key| has(&row, key));
                    let has_label = ["label", "labels"].iter().any(|key| has(&row, key));
                    has(&row, "paragraphs") || question && context && (answers || !has_label)
                }));
            }
            let first = match (first, layout) {
                (Some(first), _) => Some(first),
                (None, Layout::Lines) => first_on_a_line(file)?,
                (None, _) => None,
            };
            Ok(first.is_some_and(|row| COLUMNS.iter().all(|key| has(&row, key))))
        }
        _ => Ok(false),
    }
}

/// The first row of a file of lines, if it is valid.
fn first_on_a_line(file: &DataFile) -> Result<Option<Value>, DataError> {
    match JsonlObjects::open(file).and_then(|mut objects| objects.next_object()) {
        Ok(first) => Ok(first.map(|(_, row)| Value::Object(row))),
        Err(error @ DataError::Io { .. }) => Err(error),
        Err(_) => Ok(None),
    }
}

/// The whole file if its first line is not an object by itself, or is one with `data`.
fn content(file: &DataFile) -> Result<Content, DataError> {
    let mut text = WholeText::open(file)?;
    let first = text.first_line()?;
    let alone = serde_json::from_str::<Value>(first).ok();
    match alone {
        Some(value) if value.is_object() && value.get("data").is_none() => Ok(Content::Lines),
        Some(value) if text.rest_is_blank()? => Ok(Content::Document(value)),
        _ => {
            let all = text.whole()?;
            let document = serde_json::from_str(all).map_err(|error| {
                let message = error.to_string();
                QuestionError::Syntax {
                    path: file.path.clone(),
                    line: error.line(),
                    column: error.column(),
                    message: message
                        .split(" at line ")
                        .next()
                        .unwrap_or_default()
                        .to_owned(),
                }
            })?;
            Ok(Content::Document(document))
        }
    }
}

fn read_lines(file: &DataFile, taker: &mut Taker) -> Result<(), DataError> {
    let mut objects = JsonlObjects::open(file)?;
    let mut context = Arc::from("");
    while !taker.is_full() {
        match objects.next_object() {
            Ok(None) => break,
            Ok(Some((place, object))) => {
                let place = QuestionPlace::new(place);
                taker.take(&place, fields::flat_question(&object, &place, &mut context))?;
            }
            Err(error) => taker.take(&QuestionPlace::new(Place::file(&file.path)), Err(error))?,
        }
    }
    Ok(())
}

fn read_document(file: &DataFile, document: &Value, taker: &mut Taker) -> Result<(), DataError> {
    let unknown = |found: String| {
        DataError::from(QuestionError::UnknownLayout {
            path: file.path.clone(),
            found,
        })
    };
    let (name, entries) = match document {
        Value::Array(list) => ("", list),
        Value::Object(object) => match object.get("data") {
            Some(Value::Array(list)) => ("data", list),
            Some(other) => return Err(unknown(format!("`data` is {}", describe(other)))),
            None => {
                let keys: Vec<String> = object.keys().cloned().collect();
                return Err(unknown(crate::error::listed("key", &keys)));
            }
        },
        other => return Err(unknown(describe(other))),
    };
    let place = QuestionPlace::new(Place::file(&file.path));
    let mut context = Arc::from("");
    for (at, entry) in entries.iter().enumerate() {
        if taker.is_full() {
            break;
        }
        let place = place.clone().within(format!("{name}[{at}]"));
        match entry {
            Value::Object(article) if article.contains_key("paragraphs") => {
                read_article(article, &place, taker)?;
            }
            entry => {
                let object = fields::object(entry, &place);
                let found =
                    object.and_then(|object| fields::flat_question(object, &place, &mut context));
                taker.take(&place, found)?;
            }
        }
    }
    Ok(())
}

fn read_article(
    article: &Map<String, Value>,
    place: &QuestionPlace,
    taker: &mut Taker,
) -> Result<(), DataError> {
    let paragraphs = match fields::list(article, "paragraphs", place) {
        Ok(paragraphs) => paragraphs,
        Err(error) => return taker.take(place, Err(error)),
    };
    for (at, paragraph) in paragraphs.iter().enumerate() {
        let place = place.clone().within(format!(".paragraphs[{at}]"));
        let parts = fields::object(paragraph, &place)
            .and_then(|object| Ok((object, fields::list(object, "qas", &place)?)));
        let (paragraph, questions) = match parts {
            Ok(parts) => parts,
            Err(error) => {
                taker.take(&place, Err(error))?;
                continue;
            }
        };
        let context: Option<Arc<str>> = match paragraph.get("context") {
            Some(Value::String(context)) => Some(Arc::from(context.as_str())),
            _ => None,
        };
        for (at, question) in questions.iter().enumerate() {
            if taker.is_full() {
                return Ok(());
            }
            let place = place.clone().within(format!(".qas[{at}]"));
            let found = fields::object(question, &place).and_then(|object| {
                let context = match &context {
                    Some(context) => Arc::clone(context),
                    // In this case every question of the paragraph is invalid, and counted.
                    None => fields::text(paragraph, "context", &place)?.into(),
                };
                fields::question(object, context, &place)
            });
            taker.take(&place, found)?;
        }
    }
    Ok(())
}
