//! Remarks on oddities in the examples of a run, beyond single rows: splits of a single label,
//! labels that a split lacks, and rows in two splits. Called by the recipe before training starts.

use crate::evaluate::only_label::{ADVICE, only_label, remark};
use progtune_datasets::{ProblemType, Task, TaskSource};
use progtune_engine::{EncodedExample, Result, Target};
use progtune_pipeline::{EvalSplit, token_store::Examples};
use progtune_plain_text::shown_line;
use progtune_process::{grouped, short_list};
use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

/// More examples than this are not read before training only to look for oddities.
const MOST: usize = 200_000;

/// The rows to learn from, in remarks.
const TRAINING: &str = "training";

/// The remarks about the splits of a run, one sentence each.
///
/// # Errors
/// Fails if examples cannot be read.
pub(crate) fn remarks(
    task: &Task,
    train: &Examples,
    evaluated: &[EvalSplit],
) -> Result<Vec<String>> {
    let evaluated_rows = evaluated.iter().map(|split| split.examples.len());
    if train.len() + evaluated_rows.sum::<usize>() > MOST {
        return Ok(Vec::new());
    }
    let mut remarks = Vec::new();
    let seen = Seen::of(train)?;
    remarks.extend(labels(task, TRAINING, &seen.targets));
    for split in evaluated {
        let name = split.name.as_str();
        let other = Seen::of(&split.examples)?;
        remarks.extend(labels(task, name, &other.targets));
        // The public data sets are as they are.
        if task.source == TaskSource::Own && split.asked.is_none() {
            remarks.extend(shared(name, &seen.inputs, &other.inputs));
        }
    }
    Ok(remarks)
}

/// The targets of a split, and a hash of each input.
struct Seen {
    targets: Vec<Target>,
    inputs: Vec<u64>,
}

impl Seen {
    fn of(examples: &Examples) -> Result<Self> {
        let mut seen = Self {
            targets: Vec::new(),
            inputs: Vec::new(),
        };
        for example in examples.iter() {
            let EncodedExample {
                input_ids, target, ..
            } = example?;
            let mut hasher = DefaultHasher::new();
            input_ids.hash(&mut hasher);
            seen.inputs.push(hasher.finish());
            seen.targets.extend(target);
        }
        Ok(seen)
    }
}

fn labels(task: &Task, rows: &str, targets: &[Target]) -> Option<String> {
    if let Some(label) = only_label(task, targets.iter()) {
        let label = shown_line(&label);
        return Some(if rows == TRAINING {
            format!("every training row has the label {label}, so the model learns no other")
        } else {
            format!("{}; {ADVICE}", remark(rows, &label))
        });
    }
    if task.problem_type != ProblemType::SingleLabelClassification || targets.len() < 2 {
        return None;
    }
    let mut is_there = vec![false; task.labels.len()];
    for target in targets {
        if let Target::Class(class) = target
            && let Some(is_there) = is_there.get_mut(*class as usize)
        {
            *is_there = true;
        }
    }
    let missing = task
        .labels
        .iter()
        .zip(&is_there)
        .filter(|(_, there)| !**there);
    let missing: Vec<String> = missing.map(|(label, _)| shown_line(label)).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "no {rows} row has {} of the {} labels: {}",
            missing.len(),
            task.labels.len(),
            short_list(&missing, ", ")
        )
    })
}

fn shared(name: &str, train: &[u64], other: &[u64]) -> Option<String> {
    let train: HashSet<&u64> = train.iter().collect();
    let n = other.iter().filter(|input| train.contains(input)).count();
    (n > 0).then(|| {
        format!(
            "{} of {} {name} rows have the same tokens as a training row, so the metrics are too good for new texts",
            grouped(n as u64),
            grouped(other.len() as u64)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_datasets::SplitName;

    fn examples(rows: &[(u32, u32)]) -> Examples {
        let example = |&(token, class): &(u32, u32)| EncodedExample {
            input_ids: vec![1, token, 2],
            token_type_ids: vec![0; 3],
            target: Some(Target::Class(class)),
        };
        rows.iter().map(example).collect()
    }

    fn found(own: bool, train: &[(u32, u32)], validation: &[(u32, u32)]) -> Vec<String> {
        let mut task = Task::by_name("mnli").expect("a task").clone();
        if own {
            task.source = TaskSource::Own;
        }
        let validation = EvalSplit::of_examples(SplitName::Validation, examples(validation));
        remarks(&task, &examples(train), &[validation]).expect("examples in memory")
    }

    #[test]
    fn odd_splits_are_noticed() {
        let train = [(5, 0), (6, 1), (7, 2), (8, 0)];
        assert!(found(true, &train, &[(9, 0), (10, 1), (11, 2)]).is_empty());
        let one = found(true, &train, &[(9, 1), (10, 1)]);
        assert!(
            one[0].starts_with("every validation row has the label `neutral`"),
            "{one:?}"
        );
        assert_eq!(
            found(true, &train, &[(9, 0), (10, 1)]),
            ["no validation row has 1 of the 3 labels: contradiction"]
        );
        let shared = found(true, &train, &[(5, 0), (6, 1), (11, 2)]);
        assert!(
            shared[0].starts_with("2 of 3 validation rows have the same tokens"),
            "{shared:?}"
        );
        assert!(found(false, &train, &[(5, 0), (6, 1), (11, 2)]).is_empty());
    }
}
