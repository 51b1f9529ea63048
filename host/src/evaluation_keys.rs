//! Gives an evaluation the keys of Hugging Face's records. Called by the recipe and by `evaluate`.

use crate::{class_report, evaluate::Evaluation};
use progtune_datasets::Task;
use serde_json::{Map, Value, json};

/// Maps an evaluation to Hugging Face's keys: `eval_`, the name, and `suffix`. Values that are not
/// finite become null.
pub(crate) fn eval_keys(task: &Task, result: &Evaluation, suffix: &str) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |key: &str, value: f64| {
        let value = if value.is_finite() {
            json!(value)
        } else {
            Value::Null
        };
        map.insert(format!("eval_{key}{suffix}"), value);
    };
    for &(name, value) in &result.metrics {
        put(name, value);
    }
    if let Some(loss) = result.loss {
        put("loss", loss);
    }
    put("runtime", result.secs);
    put(
        "samples_per_second",
        result.samples as f64 / result.secs.max(1e-9),
    );
    put(
        "steps_per_second",
        result.steps as f64 / result.secs.max(1e-9),
    );
    map.insert(format!("eval_samples{suffix}"), json!(result.samples));
    for (key, value) in class_report::report(task, result) {
        map.insert(format!("eval_{key}{suffix}"), value);
    }
    map
}
