//! The two tasks of questions about texts. Listed by `named`; `squad` makes those for the user's
//! own files in the same way.

use crate::columns::{Column, Columns};
use crate::problem_type::ProblemType;
use crate::split_name::SplitName;
use crate::tasks::task::{Task, TaskSource};

/// The columns (keys) of a question, named as in the hub's `squad`.
pub(crate) const COLUMNS: [&str; 3] = ["question", "context", "answers"];

/// `squad` (v1.1) and `squad_v2`, as the hub names them.
pub(crate) fn tasks() -> [Task; 2] {
    [questions("squad", false), questions("squad_v2", true)]
}

/// A task with that name. `has_unanswerable` says whether a question may lack an answer.
pub(crate) fn questions(name: &str, has_unanswerable: bool) -> Task {
    let [question, context, answers] = COLUMNS;
    Task {
        name: name.to_owned(),
        source: TaskSource::Squad,
        columns: Columns {
            first: Column::named(question),
            second: Some(Column::named(context)),
            label: Column::named(answers),
        },
        labels: Vec::new(),
        problem_type: ProblemType::QuestionAnswering,
        metrics: Vec::new(),
        eval_splits: vec![SplitName::Validation],
        test_splits: Vec::new(),
        headerless: None,
        has_unanswerable,
    }
}
