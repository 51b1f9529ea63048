//! The order of a head's outputs: a checkpoint has its own in `id2label`, a task has Hugging
//! Face's. It is called by `assemble` for a saved head, by the recipe for a PEFT head, and by
//! `adapter`.
//!
//! This is the only place where names of labels are compared loosely. Everywhere else (data, tags,
//! class weights, class reports) a label is its exact text.

use progtune_process::short_list;
use std::collections::{BTreeMap, BTreeSet};

/// The relation of the names of a head's outputs to a task's labels.
///
/// ```
/// use progtune_engine::LabelMatch;
///
/// let names = |list: [&str; 2]| list.map(str::to_owned);
/// let task = names(["negative", "positive"]);
/// let saved = names(["Positive", "Negative"]);
/// assert_eq!(LabelMatch::of(&saved, &task), LabelMatch::Reordered(vec![1, 0]));
/// let saved = names(["LABEL_0", "LABEL_1"]);
/// assert_eq!(LabelMatch::of(&saved, &task), LabelMatch::ById);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelMatch {
    /// Output i is label i: the names are equal, or they are uninformative and the ids count.
    ById,
    /// The same names in another order: the place of each of the task's labels among the
    /// checkpoint's.
    Reordered(Vec<u32>),
    /// Other names, with the difference as a sentence without its full stop.
    Differ(String),
}

impl LabelMatch {
    /// Compares the names of a checkpoint's outputs with a task's labels.
    ///
    /// Names are first compared as they are. If they are uninformative, the ids count: no names,
    /// Hugging Face's placeholders `LABEL_0`, `LABEL_1`, …, or the ids themselves where the other
    /// side has words. The ids also count for another number of labels, because such a head is not
    /// the task's, which its shape shows. Finally, capitals, hyphens, underscores and spaces are
    /// ignored, but only if each label then has exactly one partner.
    pub fn of(checkpoint: &[String], task: &[String]) -> Self {
        if checkpoint == task || checkpoint.len() != task.len() {
            return Self::ById;
        }
        let exact = permutation(checkpoint, task, |label| label.clone());
        let silent = are_silent(checkpoint, task) || are_silent(task, checkpoint);
        if exact.is_none() && silent {
            return Self::ById;
        }
        match exact.or_else(|| permutation(checkpoint, task, |label| folded(label))) {
            Some(order) if (0..).zip(&order).all(|(i, &at)| i == at) => Self::ById,
            Some(order) => Self::Reordered(order),
            None => Self::Differ(difference(checkpoint, task)),
        }
    }

    /// The order of the rows, if it is not the task's. It is also `None` if the names differ and
    /// the ids count.
    pub fn order(self) -> Option<Vec<u32>> {
        match self {
            Self::Reordered(order) => Some(order),
            Self::ById | Self::Differ(_) => None,
        }
    }
}

/// Whether the names are only their own numbers: `LABEL_0` for the output 0, and so on, or `0`
/// where the others are words. Beside the labels -1, 0 and 1, the names 0, 1 and 2 are informative.
fn are_silent(names: &[String], others: &[String]) -> bool {
    let numbered = |prefix: &str| {
        let mut names = names.iter().enumerate();
        names.all(|(id, name)| name.strip_prefix(prefix) == Some(id.to_string().as_str()))
    };
    let are_words = || others.iter().all(|label| label.parse::<f64>().is_err());
    numbered("LABEL_") || (numbered("") && are_words())
}

/// A label without differences of spelling.
fn folded(label: &str) -> String {
    label.to_lowercase().replace(['-', '_', ' '], "")
}

/// The place of each of the task's labels among the checkpoint's, if every one occurs there exactly
/// once.
fn permutation(
    checkpoint: &[String],
    task: &[String],
    key: impl Fn(&String) -> String,
) -> Option<Vec<u32>> {
    let mut places: BTreeMap<String, u32> = BTreeMap::new();
    for (at, label) in (0..).zip(checkpoint) {
        if places.insert(key(label), at).is_some() {
            return None;
        }
    }
    // Each place is removed together with its label, so that none is used twice.
    let order = task.iter().map(|label| places.remove(&key(label)));
    order.collect()
}

/// The names that only one side has or, if both have the same names, those that occur more than
/// once.
fn difference(checkpoint: &[String], task: &[String]) -> String {
    let set = |names: &[String]| -> BTreeSet<String> { names.iter().cloned().collect() };
    let quoted = |names: Vec<&String>| {
        let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        short_list(&names, ", ")
    };
    let (theirs, ours) = (set(checkpoint), set(task));
    let (only_theirs, only_ours): (Vec<&String>, Vec<&String>) = (
        theirs.difference(&ours).collect(),
        ours.difference(&theirs).collect(),
    );
    if only_theirs.is_empty() && only_ours.is_empty() {
        return format!(
            "some of the labels {} occur more than once, so their order cannot be told",
            quoted(checkpoint.iter().collect())
        );
    }
    let side = |who: &str, names: Vec<&String>| {
        if names.is_empty() {
            return format!("{who} has no label of its own");
        }
        format!("only {who} has {}", quoted(names))
    };
    format!(
        "{}, {}",
        side("the model", only_theirs),
        side("the task", only_ours)
    )
}

/// The permutation that undoes `order`.
pub(crate) fn inverse(order: &[u32]) -> Vec<u32> {
    let mut inverse = vec![0; order.len()];
    for (to, &from) in order.iter().enumerate() {
        inverse[from as usize] = to as u32;
    }
    inverse
}

/// Whether a parameter has one row per output.
pub(crate) fn is_last_layer(name: &str) -> bool {
    matches!(
        name,
        "classifier.weight"
            | "classifier.bias"
            | "classifier.out_proj.weight"
            | "classifier.out_proj.bias"
            | "qa_outputs.weight"
            | "qa_outputs.bias"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(checkpoint: &[&str], task: &[&str]) -> LabelMatch {
        let names = |list: &[&str]| -> Vec<String> { list.iter().map(|&l| l.to_owned()).collect() };
        LabelMatch::of(&names(checkpoint), &names(task))
    }

    #[test]
    fn labels_are_matched_by_name() {
        let task = ["entailment", "neutral", "contradiction"];
        let order = of(&["NEUTRAL", "CONTRADICTION", "ENTAILMENT"], &task).order();
        assert_eq!(order, Some(vec![2, 0, 1]));
        assert_eq!(inverse(&[2, 0, 1]), [1, 2, 0]);
        assert_eq!(
            of(
                &["not-equivalent", "Equivalent"],
                &["equivalent", "not_equivalent"]
            ),
            LabelMatch::Reordered(vec![1, 0])
        );
        assert_eq!(of(&task, &task), LabelMatch::ById);
    }

    #[test]
    fn names_that_say_nothing_leave_the_ids_to_count() {
        let task = ["entailment", "neutral", "contradiction"];
        for names in [
            &["LABEL_0", "LABEL_1", "LABEL_2"][..],
            &["0", "1", "2"],
            &[],
            // Another size means another head.
            &["yes", "no"],
        ] {
            assert_eq!(of(names, &task), LabelMatch::ById);
        }
        let placeholders = ["LABEL_0", "LABEL_1", "LABEL_2"];
        assert_eq!(of(&["-1", "0", "1"], &placeholders), LabelMatch::ById);
        assert_eq!(of(&["no", "yes"], &["0", "1"]), LabelMatch::ById);
        // They are compared if they can be told apart.
        assert_eq!(
            of(&["LABEL_1", "LABEL_0"], &["LABEL_0", "LABEL_1"]),
            LabelMatch::Reordered(vec![1, 0])
        );
        assert_eq!(
            of(&["1", "0"], &["0", "1"]),
            LabelMatch::Reordered(vec![1, 0])
        );
    }

    /// Labels that fold to the same text were all given the first such row.
    #[test]
    fn exact_names_come_first() {
        for labels in [
            &["-1", "0", "1"][..],
            &["US", "us"],
            &["A", "A-", "B+"],
            &["a b", "a-b", "a_b", "ab"],
            &["straße", "STRASSE", "strasse"],
        ] {
            assert_eq!(of(labels, labels), LabelMatch::ById);
            let turned: Vec<&str> = labels.iter().rev().copied().collect();
            let n = labels.len() as u32;
            let order = (0..n).rev().collect();
            assert_eq!(of(&turned, labels), LabelMatch::Reordered(order));
        }
    }

    #[test]
    fn anything_else_is_a_difference_that_is_named() {
        for (checkpoint, task, says) in [
            (
                &["negative", "positive"][..],
                &["equivalent", "not_equivalent"][..],
                "only the model has \"negative\", \"positive\", only the task has \"equivalent\", \"not_equivalent\"",
            ),
            // Folded, both would be "us", so they cannot be told apart.
            (
                &["us", "Us"],
                &["US", "us"],
                "only the model has \"Us\", only the task has \"US\"",
            ),
            (
                &["a", "b", "c"],
                &["a", "b", "d"],
                "only the model has \"c\", only the task has \"d\"",
            ),
            (&["a", "a", "b"], &["a", "b", "b"], "more than once"),
            (
                &["0", "1", "2"],
                &["-1", "0", "1"],
                "only the model has \"2\", only the task has \"-1\"",
            ),
            (
                &["a", "a"],
                &["a", "b"],
                "the model has no label of its own, only the task has \"b\"",
            ),
            // Placeholders in another order are names.
            (
                &["LABEL_1", "LABEL_0"],
                &["no", "yes"],
                "only the model has \"LABEL_0\", \"LABEL_1\"",
            ),
        ] {
            match of(checkpoint, task) {
                LabelMatch::Differ(what) => assert!(what.contains(says), "{what}"),
                other => panic!("{checkpoint:?} and {task:?}: {other:?}"),
            }
        }
    }
}
