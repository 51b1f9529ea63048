//! Reports an evaluation for each class of the user's own data, as keys for the records and as a
//! table for people. Called by the recipe and `evaluate`.

use crate::evaluate::Evaluation;
use progtune_datasets::{Task, TaskSource};
use progtune_pipeline::metrics::classes::ClassReport;
use progtune_plain_text::shown_line;
use serde_json::{Map, Value, json};

/// The keys, without their prefix `eval_`.
pub const KEYS: [&str; 2] = ["per_class", "confusion_matrix"];

/// The maximum number of classes in a table.
const N_SHOWN: usize = 20;

/// Builds `per_class` and `confusion_matrix`.
///
/// `per_class` has precision, recall, F1 and the number of examples for each label. In
/// `confusion_matrix` rows are expected classes and columns are predicted ones, in the order of
/// ids. Tagged sentences have only `per_class`, by entity type. The map is empty for regression and
/// for GLUE's tasks, whose records have only Hugging Face's keys.
pub fn report(task: &Task, evaluation: &Evaluation) -> Map<String, Value> {
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

/// Formats `eval_per_class` as a table; empty if the results do not contain it.
pub fn table(results: &Map<String, Value>) -> String {
    let Some(Value::Object(classes)) = results.get("eval_per_class") else {
        return String::new();
    };
    let mut text = format!(
        "{:<20} {:>9} {:>9} {:>9} {:>9}\n",
        "class", "precision", "recall", "f1", "examples"
    );
    for (label, report) in classes.iter().take(N_SHOWN) {
        let number = |key: &str| report[key].as_f64().unwrap_or_default();
        let label: String = shown_line(label).chars().take(20).collect();
        text.push_str(&format!(
            "{label:<20} {:>9.4} {:>9.4} {:>9.4} {:>9}\n",
            number("precision"),
            number("recall"),
            number("f1"),
            report["support"]
        ));
    }
    match classes.len().saturating_sub(N_SHOWN) {
        0 => {}
        more => text.push_str(&format!("and {more} more in all_results.json\n")),
    }
    text
}
