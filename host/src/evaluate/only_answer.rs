//! Detects a model that gives every example the same answer. Called by the evaluator.

use progtune_datasets::Task;
use progtune_engine::Target;
use progtune_pipeline::metrics::{arg_max, sets};

/// The one answer to all examples, in words, if the labels differ and no other answer is given.
/// Tags and questions are left out, because their metrics already show it.
pub(super) fn only_answer(task: &Task, labelled: &[(&[f32], &Target)]) -> Option<String> {
    let (first, rest) = labelled.split_first()?;
    let of_all = |same: &dyn Fn(&[f32]) -> bool| rest.iter().all(|(row, _)| same(row));
    if rest.iter().all(|(_, target)| *target == first.1) {
        return None;
    }
    let name = |label: u32| task.labels.get(label as usize).cloned().unwrap_or_default();
    match first.1 {
        Target::Class(_) => {
            let class = arg_max(first.0);
            of_all(&|row| arg_max(row) == class).then(|| format!("`{}`", name(class)))
        }
        Target::Score(_) => of_all(&|row| row == first.0).then(|| first.0[0].to_string()),
        Target::Classes(_) => {
            let labels = sets::predicted(first.0);
            of_all(&|row| sets::predicted(row) == labels).then(|| {
                if labels.is_empty() {
                    return "no label".to_owned();
                }
                let names: Vec<String> = labels
                    .iter()
                    .map(|&label| format!("`{}`", name(label)))
                    .collect();
                names.join(", ")
            })
        }
        Target::Tags(_) | Target::Span(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_for_all_is_noticed() {
        let mut task = Task::by_name("sst2").expect("a task").clone();
        task.labels = vec!["label 0".into(), "label 1".into()];
        let (a, b) = (Target::Class(0), Target::Class(1));
        let (left, right): (&[f32], &[f32]) = (&[1.0, 0.0], &[0.0, 1.0]);
        let name = Some("`label 0`".to_owned());
        assert_eq!(only_answer(&task, &[(left, &a), (left, &b)]), name);
        assert_eq!(only_answer(&task, &[(left, &a), (right, &b)]), None);
        assert_eq!(
            only_answer(&task, &[(left, &a), (left, &a)]),
            None,
            "all labels are equal"
        );
    }
}
