//! From a cell to a [`Label`]: the same rules for TSV, parquet and JSONL, so that a data set means the same in each.
//!
//! A class may be written as its name or as its Hugging Face id, as a number or as text. Unlabelled is an absent or empty
//! cell, or -1: Hugging Face writes -1 for classes and, in STS-B, for scores too (scores run from 0 to 5).

use crate::error::{DataError, Place, quote};
use crate::example::Label;
use crate::task::{ProblemType, Task};

/// Whether each row of a file must have a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabelRule {
    /// Training and validation files.
    Required,
    /// Test files and `predict` input.
    Optional,
}

/// A label cell before it is understood.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RawLabel<'a> {
    Absent,
    Text(&'a str),
    Int(i64),
    Float(f64),
    /// Something that can be no label, as a message shows it.
    Other(String),
}

impl RawLabel<'_> {
    fn show(&self) -> String {
        match self {
            Self::Absent => "nothing".to_owned(),
            Self::Text(text) => quote(text),
            Self::Int(int) => int.to_string(),
            Self::Float(float) => float.to_string(),
            Self::Other(what) => what.clone(),
        }
    }
}

/// The label that `raw` means in `task`, or `None` if the row is unlabelled and `rule` allows that. `place` is only
/// called for an error's sake.
pub(crate) fn parse(
    task: &Task,
    raw: &RawLabel<'_>,
    rule: LabelRule,
    column: &str,
    place: impl Fn() -> Place,
) -> Result<Option<Label>, DataError> {
    let label = match task.problem_type {
        ProblemType::SingleLabelClassification => class(task, raw, column, &place)?,
        ProblemType::Regression => score(raw, column, &place)?,
    };
    if label.is_none() && rule == LabelRule::Required {
        return Err(DataError::MissingLabel {
            place: place(),
            column: column.to_owned(),
            expected: allowed(task),
            found: raw.show(),
        });
    }
    Ok(label)
}

fn class(
    task: &Task,
    raw: &RawLabel<'_>,
    column: &str,
    place: &impl Fn() -> Place,
) -> Result<Option<Label>, DataError> {
    let id = match raw {
        RawLabel::Absent | RawLabel::Text("") => return Ok(None),
        RawLabel::Text(text) => match task.labels.iter().position(|label| label == text) {
            Some(id) => Some(id),
            None => match text.parse::<i64>() {
                Ok(-1) => return Ok(None),
                Ok(int) => usize::try_from(int).ok(),
                Err(_) => None,
            },
        },
        RawLabel::Int(-1) => return Ok(None),
        RawLabel::Int(int) => usize::try_from(*int).ok(),
        RawLabel::Float(_) | RawLabel::Other(_) => {
            return Err(DataError::WrongType {
                place: place(),
                column: column.to_owned(),
                expected: "a label's name or integer id",
                found: raw.show(),
            });
        }
    };
    id.filter(|id| *id < task.labels.len())
        .and_then(|id| u32::try_from(id).ok())
        .map(|id| Some(Label::Class(id)))
        .ok_or_else(|| DataError::UnknownLabel {
            place: place(),
            column: column.to_owned(),
            found: raw.show(),
            allowed: allowed(task),
        })
}

fn score(
    raw: &RawLabel<'_>,
    column: &str,
    place: &impl Fn() -> Place,
) -> Result<Option<Label>, DataError> {
    let score = match raw {
        RawLabel::Absent | RawLabel::Text("") => return Ok(None),
        RawLabel::Text(text) => text.parse::<f32>().ok(),
        // A score has a handful of digits; one that f32 cannot hold becomes infinite and is refused below.
        RawLabel::Int(int) => Some(*int as f32),
        RawLabel::Float(float) => Some(*float as f32),
        RawLabel::Other(found) => {
            return Err(DataError::WrongType {
                place: place(),
                column: column.to_owned(),
                expected: "a number",
                found: found.clone(),
            });
        }
    };
    match score {
        Some(-1.0) => Ok(None),
        Some(score) if score.is_finite() => Ok(Some(Label::Score(score))),
        _ => Err(DataError::BadScore {
            place: place(),
            column: column.to_owned(),
            found: raw.show(),
        }),
    }
}

/// The labels of a task as messages list them: `0 (entailment), 1 (not_entailment)`.
pub(crate) fn allowed(task: &Task) -> String {
    if task.problem_type == ProblemType::Regression {
        return "a score".to_owned();
    }
    let labels = task.labels.iter().enumerate();
    labels
        .map(|(id, name)| format!("{id} ({name})"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(task: &str, raw: RawLabel<'_>) -> Result<Option<Label>, String> {
        let task = Task::by_name(task).map_err(|error| error.to_string())?;
        parse(task, &raw, LabelRule::Optional, "label", || {
            Place::line(Path::new("f.tsv"), 7)
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn classes_by_name_and_id() {
        let entailment = Ok(Some(Label::Class(0)));
        for raw in [
            RawLabel::Text("entailment"),
            RawLabel::Text("0"),
            RawLabel::Int(0),
        ] {
            assert_eq!(read("rte", raw), entailment);
        }
        assert_eq!(
            read("wnli", RawLabel::Text("entailment")),
            Ok(Some(Label::Class(1)))
        );
    }

    #[test]
    fn unlabelled_is_absent_empty_or_minus_one() {
        for task in ["rte", "stsb"] {
            for raw in [
                RawLabel::Absent,
                RawLabel::Text(""),
                RawLabel::Text("-1"),
                RawLabel::Int(-1),
            ] {
                assert_eq!(read(task, raw), Ok(None));
            }
        }
        assert_eq!(read("stsb", RawLabel::Float(-1.0)), Ok(None));
    }

    #[test]
    fn a_label_outside_the_set_lists_the_set() {
        for raw in [
            RawLabel::Text("2"),
            RawLabel::Int(2),
            RawLabel::Text("-2"),
            RawLabel::Int(i64::MAX),
        ] {
            let message = read("rte", raw).unwrap_err();
            assert!(
                message.starts_with(
                    "f.tsv, line 7: column `label`: expected one of the labels \
                                         0 (entailment), 1 (not_entailment), found "
                ),
                "{message}"
            );
        }
        let message = read("sst2", RawLabel::Text("Positive")).unwrap_err();
        assert!(
            message.contains(r#"found "Positive"; correct the label"#),
            "{message}"
        );
    }

    #[test]
    fn scores_must_be_finite_numbers() {
        assert_eq!(
            read("stsb", RawLabel::Text("3.800")),
            Ok(Some(Label::Score(3.8)))
        );
        assert_eq!(read("stsb", RawLabel::Int(5)), Ok(Some(Label::Score(5.0))));
        assert_eq!(
            read("stsb", RawLabel::Float(0.25)),
            Ok(Some(Label::Score(0.25)))
        );
        for raw in [
            RawLabel::Text("high"),
            RawLabel::Text("NaN"),
            RawLabel::Text("inf"),
            RawLabel::Text("1e60"),
            RawLabel::Float(1e60),
            RawLabel::Float(f64::NAN),
        ] {
            let message = read("stsb", raw).unwrap_err();
            assert!(
                message.contains("line 7: column `label`: expected a finite number as score"),
                "{message}"
            );
        }
    }

    #[test]
    fn other_types_are_refused() {
        let message = read("sst2", RawLabel::Float(1.0)).unwrap_err();
        assert!(
            message.contains("expected a label's name or integer id, found 1;"),
            "{message}"
        );
        let message = read("stsb", RawLabel::Other("the boolean true".to_owned())).unwrap_err();
        assert!(
            message.contains("expected a number, found the boolean true;"),
            "{message}"
        );
    }
}
