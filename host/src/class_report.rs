//! Reports an evaluation for each class of the user's own data, as keys for the records and as
//! tables for people. Called by the recipe and `evaluate`.

mod tables;

pub(crate) use tables::tables;

use crate::evaluate::Evaluation;
use progtune_datasets::{Task, TaskSource};
use progtune_pipeline::metrics::ClassReport;
use serde_json::{Map, Value, json};

/// The keys, without their prefix `eval_`.
pub(crate) const KEYS: [&str; 2] = ["per_class", "confusion_matrix"];

/// Builds `per_class` and `confusion_matrix`.
///
/// `per_class` has precision, recall, F1 and the number of examples for each label. In
/// `confusion_matrix` rows are expected classes and columns are predicted ones, in the order of
/// ids. Tagged sentences have only `per_class`, by entity type. The map is empty for regression and
/// for GLUE's tasks, whose records have only Hugging Face's keys.
pub(crate) fn report(task: &Task, evaluation: &Evaluation) -> Map<String, Value> {
    let mut map = Map::new();
    if task.source != TaskSource::Own {
        return map;
    }
    let mut per_class: Map<String, Value> = Map::new();
    let mut add = |label: &str, report: ClassReport| {
        let report = json!({
            "precision": report.precision,
            "recall": report.recall,
            "f1": report.f1,
            "support": report.support,
        });
        per_class.insert(label.to_owned(), report);
    };
    if let Some(confusion) = &evaluation.confusion {
        for (class, label) in task.labels.iter().enumerate() {
            add(label, confusion.report(class));
        }
    }
    for (label, report) in &evaluation.parts {
        add(label, *report);
    }
    if !per_class.is_empty() {
        map.insert(KEYS[0].into(), per_class.into());
    }
    if let Some(confusion) = &evaluation.confusion {
        map.insert(KEYS[1].into(), json!(confusion.counts));
    }
    map
}

/// Returns an evaluation without the entries for each class, which would fill the log.
pub(crate) fn without_classes(results: &Map<String, Value>) -> Map<String, Value> {
    let is_for_classes = |key: &str| {
        let name = key.strip_prefix("eval_").unwrap_or(key);
        KEYS.contains(&name.trim_end_matches("_mm"))
    };
    let kept = results.iter().filter(|(key, _)| !is_for_classes(key));
    kept.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
