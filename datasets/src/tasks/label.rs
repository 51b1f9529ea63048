//! From a cell to a [`Label`]: the same rules for TSV, parquet and JSONL, so that a data set means
//! the same in each.
//!
//! A class may be written as its name or as its Hugging Face id, as a number or as text. A row is
//! unlabelled if the cell is absent or empty, or contains -1. Hugging Face writes -1 for classes
//! and, in STS-B, for scores too (scores run from 0 to 5).

use crate::error::{DataError, Place, printable};
use crate::example::Label;
use crate::problem_type::ProblemType;
use crate::readers::cell::Cell;
use crate::readers::raw_row::LabelRule;
use crate::tasks::task::{Task, TaskSource};

/// The label that `raw` stands for in `task`, or `None` if the row is unlabelled and `rule` allows
/// that. `place` is called only for an error.
pub(crate) fn parse(
    task: &Task,
    raw: &Cell,
    rule: LabelRule,
    column: &str,
    place: impl Fn() -> Place,
) -> Result<Option<Label>, DataError> {
    let cell = LabelCell {
        task,
        raw,
        column,
        place: &place,
    };
    let is_own = task.source == TaskSource::Own;
    let label = match task.problem_type {
        ProblemType::SingleLabelClassification if is_own => cell.own_class()?,
        ProblemType::SingleLabelClassification => cell.class()?,
        ProblemType::Regression => cell.score(is_own)?,
        ProblemType::MultiLabelClassification => cell.set()?,
        // Their rows are read elsewhere.
        ProblemType::TokenClassification | ProblemType::QuestionAnswering => None,
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

/// A cell in the column of labels.
#[derive(Clone, Copy)]
struct LabelCell<'a> {
    task: &'a Task,
    raw: &'a Cell,
    column: &'a str,
    place: &'a dyn Fn() -> Place,
}

impl LabelCell<'_> {
    fn class(self) -> Result<Option<Label>, DataError> {
        if self.raw.is_empty() {
            return Ok(None);
        }
        let id = match self.raw {
            Cell::Absent => return Ok(None),
            Cell::Text(text) => match self.task.labels.iter().position(|label| label == text) {
                Some(id) => Some(id),
                None => match text.parse::<i64>() {
                    Ok(-1) => return Ok(None),
                    Ok(int) => usize::try_from(int).ok(),
                    Err(_) => None,
                },
            },
            Cell::Int(-1) => return Ok(None),
            Cell::Int(int) => usize::try_from(*int).ok(),
            Cell::Float(_) | Cell::Bool(_) | Cell::List(_) | Cell::Other(_) => {
                return Err(self.wrong_type("a label's name or integer id"));
            }
        };
        self.known(id).map(|id| Some(Label::Class(id)))
    }

    /// A class of the user's own data. It is identified by its name, whatever its type in the file.
    /// For example, the class `2` of the labels `2` and `3` does not have the id 2. Data for a
    /// model whose labels are words may also use ids.
    fn own_class(self) -> Result<Option<Label>, DataError> {
        if self.raw.is_empty() {
            return Ok(None);
        }
        self.own_id().map(|id| Some(Label::Class(id)))
    }

    /// The labels that apply to a row of the user's own data: any number of them, or none.
    fn set(self) -> Result<Option<Label>, DataError> {
        let items = match self.raw {
            Cell::List(items) => items,
            Cell::Absent => return Ok(None),
            _ => {
                return Err(self.wrong_type(
                    "a list of labels (or give --label-separator, if they are in one text)",
                ));
            }
        };
        let ids = items.iter().map(|raw| LabelCell { raw, ..self }.own_id());
        let mut ids = ids.collect::<Result<Vec<u32>, DataError>>()?;
        ids.sort_unstable();
        ids.dedup();
        Ok(Some(Label::Classes(ids)))
    }

    /// The id of a label of the user's own data.
    fn own_id(self) -> Result<u32, DataError> {
        let labels = &self.task.labels;
        let Some(name) = self.raw.name() else {
            return Err(self.wrong_type("a label's name"));
        };
        let by_id = || {
            let are_words = labels.iter().all(|label| label.parse::<f64>().is_err());
            let id = name.parse().ok().filter(|&id| id < labels.len());
            id.filter(|_| are_words)
        };
        let id = labels.iter().position(|label| *label == name);
        self.known(id.or_else(by_id))
    }

    /// The id read from the cell, if it is the id of one of the task's labels.
    fn known(self, id: Option<usize>) -> Result<u32, DataError> {
        id.filter(|id| *id < self.task.labels.len())
            .and_then(|id| u32::try_from(id).ok())
            .ok_or_else(|| DataError::UnknownLabel {
                place: (self.place)(),
                column: self.column.to_owned(),
                found: self.raw.show(),
                allowed: allowed(self.task),
            })
    }

    /// The score in the cell. In the user's own data, -1 is an ordinary score.
    fn score(self, is_own: bool) -> Result<Option<Label>, DataError> {
        if self.raw.is_empty() {
            return Ok(None);
        }
        let score = match self.raw {
            Cell::Absent => return Ok(None),
            Cell::Text(text) => text.parse::<f32>().ok(),
            // A score has a handful of digits; one that f32 cannot hold becomes infinite and is
            // refused below.
            Cell::Int(int) => Some(*int as f32),
            Cell::Float(float) => Some(*float as f32),
            Cell::Bool(_) | Cell::List(_) | Cell::Other(_) => {
                return Err(self.wrong_type("a number"));
            }
        };
        match score {
            Some(-1.0) if !is_own => Ok(None),
            Some(score) if score.is_finite() => Ok(Some(Label::Score(score))),
            _ => Err(DataError::BadScore {
                place: (self.place)(),
                column: self.column.to_owned(),
                found: self.raw.show(),
            }),
        }
    }

    fn wrong_type(self, expected: &'static str) -> DataError {
        DataError::WrongType {
            place: (self.place)(),
            column: self.column.to_owned(),
            expected,
            found: self.raw.show(),
        }
    }
}

/// The labels of a task in the form used by messages: `0 (entailment), 1 (not_entailment)`.
pub(crate) fn allowed(task: &Task) -> String {
    if task.problem_type == ProblemType::Regression {
        return "a score".to_owned();
    }
    listed(&task.labels)
}

/// Labels with their ids in the form used by messages.
pub(crate) fn listed(labels: &[String]) -> String {
    const SHOWN: usize = 24;
    let shown = labels.iter().enumerate();
    let shown: Vec<String> = shown
        .take(SHOWN)
        .map(|(id, name)| format!("{id} ({})", printable(name, 40)))
        .collect();
    match labels.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    fn read(task: &str, raw: Cell) -> Result<Option<Label>, String> {
        let task = Task::by_name(task).map_err(|error| error.to_string())?;
        parse(task, &raw, LabelRule::Optional, "label", || {
            Place::line(Path::new("f.tsv"), 7)
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn classes_by_name_and_id() {
        let entailment = Ok(Some(Label::Class(0)));
        for raw in [text("entailment"), text("0"), Cell::Int(0)] {
            assert_eq!(read("rte", raw), entailment);
        }
        assert_eq!(read("wnli", text("entailment")), Ok(Some(Label::Class(1))));
    }

    #[test]
    fn unlabelled_is_absent_empty_or_minus_one() {
        for task in ["rte", "stsb"] {
            for raw in [Cell::Absent, text(""), text("-1"), Cell::Int(-1)] {
                assert_eq!(read(task, raw), Ok(None));
            }
        }
        assert_eq!(read("stsb", Cell::Float(-1.0)), Ok(None));
    }

    #[test]
    fn a_label_outside_the_set_lists_the_set() {
        for raw in [text("2"), Cell::Int(2), text("-2"), Cell::Int(i64::MAX)] {
            let message = read("rte", raw).unwrap_err();
            assert!(
                message.starts_with(
                    "f.tsv, line 7: column `label`: expected one of the labels \
                                         0 (entailment), 1 (not_entailment), found "
                ),
                "{message}"
            );
        }
        let message = read("sst2", text("Positive")).unwrap_err();
        assert!(
            message.contains(r#"found "Positive"; correct the label"#),
            "{message}"
        );
    }

    #[test]
    fn scores_must_be_finite_numbers() {
        assert_eq!(read("stsb", text("3.800")), Ok(Some(Label::Score(3.8))));
        assert_eq!(read("stsb", Cell::Int(5)), Ok(Some(Label::Score(5.0))));
        assert_eq!(
            read("stsb", Cell::Float(0.25)),
            Ok(Some(Label::Score(0.25)))
        );
        for raw in [
            text("high"),
            text("NaN"),
            text("inf"),
            text("1e60"),
            Cell::Float(1e60),
            Cell::Float(f64::NAN),
        ] {
            let message = read("stsb", raw).unwrap_err();
            assert!(
                message.contains("line 7: column `label`: expected a finite number as the score"),
                "{message}"
            );
        }
    }

    #[test]
    fn other_types_are_refused() {
        let message = read("sst2", Cell::Float(1.0)).unwrap_err();
        assert!(
            message.contains("expected a label's name or integer id, found 1;"),
            "{message}"
        );
        let message = read("stsb", Cell::Other("the boolean true".to_owned())).unwrap_err();
        assert!(
            message.contains("expected a number, found the boolean true;"),
            "{message}"
        );
    }
}
