//! Detects examples that all have the same label, on which every metric says little: a model that
//! always gives this answer is perfect there. Called by the evaluator and at the start of a run.

use progtune_datasets::Task;
use progtune_engine::Target;

/// The one label of all targets, in words, if there are several targets. Tags, questions and sets
/// of labels are left out: they differ within an example.
pub(crate) fn only_label<'a>(
    task: &Task,
    mut targets: impl Iterator<Item = &'a Target>,
) -> Option<String> {
    let first = targets.next()?;
    let mut n_others = 0;
    let is_same = |target: &Target| {
        n_others += 1;
        target == first
    };
    if !targets.all(is_same) || n_others == 0 {
        return None;
    }
    match first {
        Target::Class(class) => Some(format!("`{}`", task.labels.get(*class as usize)?)),
        Target::Score(score) => Some(score.to_string()),
        Target::Classes(_) | Target::Tags(_) | Target::Span(_) => None,
    }
}

/// The way on from such examples.
pub(crate) const ADVICE: &str =
    "evaluate on rows of every label; `progtune data inspect` counts the labels of files";

/// The remark about such rows: the `evaluated` ones, those of a split.
pub(crate) fn remark(rows: &str, label: &str) -> String {
    format!("every {rows} row has the label {label}, so the metrics say nothing about other labels")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_label_for_all_is_noticed() {
        let task = Task::by_name("sst2").expect("a task");
        let found = |targets: &[Target]| only_label(task, targets.iter());
        let (a, b) = (Target::Class(0), Target::Class(1));
        assert_eq!(
            found(&[a.clone(), a.clone()]).as_deref(),
            Some("`negative`")
        );
        assert_eq!(found(&[a.clone(), b]), None);
        assert_eq!(found(&[a]), None, "one row has one label");
        assert_eq!(found(&[]), None);
        let score = Target::Score(2.5);
        assert_eq!(found(&[score.clone(), score]).as_deref(), Some("2.5"));
    }
}
