//! The description of the columns of a parquet or Arrow file by Hugging Face's `datasets`, in the
//! schema's metadata. Called by the readers of both.

use serde_json::{Map, Value};

/// The metadata key of the description.
pub(crate) const HUB_KEY: &str = "huggingface";

/// The features by name.
fn features(text: &str) -> Option<Map<String, Value>> {
    let value: Value = serde_json::from_str(text).ok()?;
    Some(value.get("info")?.get("features")?.as_object()?.clone())
}

/// The class names in a column of `ClassLabel`s or of lists of them, in the order of their ids.
pub(crate) fn classes(text: &str, column: &str) -> Option<Vec<String>> {
    let features = features(text)?;
    let feature = features.get(column)?;
    let item = feature.get("feature").or_else(|| feature.get(0));
    let item = item.unwrap_or(feature);
    let names = item.get("names")?.as_array()?;
    let names = names.iter().map(|name| name.as_str().map(str::to_owned));
    names
        .collect::<Option<Vec<String>>>()
        .filter(|names| !names.is_empty())
}

#[cfg(test)]
mod tests {
    use super::classes;
    use serde_json::json;

    #[test]
    fn classes_of_values_and_of_lists() {
        let label = json!({"names": ["world", "sports"], "_type": "ClassLabel"});
        let text = json!({"info": {"features": {
            "label": label,
            "lists": {"feature": label, "_type": "List"},
            "old": [label],
            "text": {"dtype": "string", "_type": "Value"},
        }}})
        .to_string();
        let names = Some(vec!["world".to_owned(), "sports".to_owned()]);
        for column in ["label", "lists", "old"] {
            assert_eq!(classes(&text, column), names, "{column}");
        }
        assert_eq!(classes(&text, "text"), None);
        assert_eq!(classes(&text, "other"), None);
        assert_eq!(classes("{}", "label"), None);
    }
}
