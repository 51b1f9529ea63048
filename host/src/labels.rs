//! The order of a head's outputs: a checkpoint names its own in `id2label`, a task has Hugging Face's.
//! Called by `assemble` when a saved head is read, and by `adapter` when one is written for PEFT.

/// Where each of the task's labels stands among the checkpoint's; `None` when the order is the same, or when the
/// checkpoint has other names (Hugging Face's placeholders `LABEL_0`, …): then ids count.
pub fn label_order(checkpoint: &[String], task: &[String]) -> Option<Vec<u32>> {
    let plain = |label: &str| label.to_lowercase().replace(['-', '_', ' '], "");
    let order: Vec<u32> = task
        .iter()
        .map(|label| {
            let found = checkpoint
                .iter()
                .position(|other| plain(other) == plain(label));
            found.map(|at| at as u32)
        })
        .collect::<Option<_>>()?;
    let moved =
        checkpoint.len() == task.len() && order.iter().enumerate().any(|(i, &at)| i as u32 != at);
    moved.then_some(order)
}

/// The permutation that undoes `order`.
pub fn inverse(order: &[u32]) -> Vec<u32> {
    let mut inverse = vec![0; order.len()];
    for (to, &from) in order.iter().enumerate() {
        inverse[from as usize] = to as u32;
    }
    inverse
}

/// Whether a parameter has one row an output.
pub fn is_last_layer(name: &str) -> bool {
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

    #[test]
    fn labels_are_matched_by_name() {
        let names = |list: &[&str]| -> Vec<String> { list.iter().map(|&l| l.to_owned()).collect() };
        let task = names(&["entailment", "neutral", "contradiction"]);
        let other = names(&["NEUTRAL", "CONTRADICTION", "ENTAILMENT"]);
        let order = label_order(&other, &task).unwrap();
        assert_eq!(order, [2, 0, 1]);
        assert_eq!(inverse(&order), [1, 2, 0]);
        assert_eq!(label_order(&task, &task), None);
        assert_eq!(
            label_order(&names(&["LABEL_0", "LABEL_1", "LABEL_2"]), &task),
            None
        );
        assert_eq!(label_order(&[], &task), None);
    }
}
