//! The names of a head's outputs: `id2label` and `num_labels` of `config.json`, read as
//! transformers' `PreTrainedConfig` reads them. They are read when a configuration is parsed.

use progtune_process::short_list;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The largest number of outputs. A file with more is damaged.
const MOST_LABELS: usize = 1 << 20;

/// The names of a head's outputs, as a configuration has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeadLabels {
    /// One name per output.
    pub names: Vec<String>,
    /// Whether the file mentions them. Otherwise there are two, transformers' default.
    pub are_stated: bool,
    /// A doubt about the names that a person should know before they are used.
    pub doubt: Option<String>,
}

/// Reads the names.
///
/// Names that are not strings are written as the same values are written in data: `0`, `true`,
/// `0.5`. An output without a name gets transformers' placeholder (`LABEL_1`). A list names the
/// outputs in order.
///
/// # Errors
/// The key, and the value that was expected of it.
pub(super) fn read(raw: &Map<String, Value>) -> Result<HeadLabels, (&'static str, String)> {
    let count = count(raw.get("num_labels"))?;
    let stated = match raw.get("id2label") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(Value::Object(map)) => by_id(map)?,
        Some(Value::Array(list)) => list.iter().enumerate().collect(),
        Some(_) => return Err(("id2label", "an object of label names by id".into())),
    };
    if stated.is_empty() {
        let n = count.unwrap_or(2);
        return Ok(HeadLabels {
            names: (0..n).map(placeholder).collect(),
            are_stated: count.is_some(),
            doubt: None,
        });
    }
    // As in transformers, a different `num_labels` takes precedence and leaves no name.
    if let Some(n) = count.filter(|&n| n != stated.len()) {
        return Ok(HeadLabels {
            names: (0..n).map(placeholder).collect(),
            are_stated: true,
            doubt: Some(format!(
                "key `num_labels` is {n}, but `id2label` has {} names; `num_labels` takes precedence, so the names are not used",
                stated.len()
            )),
        });
    }
    let n = stated.len();
    let name_of = |id: usize| stated.get(&id).and_then(|&value| name(value));
    let names: Vec<String> = (0..n)
        .map(|id| name_of(id).unwrap_or_else(|| placeholder(id)))
        .collect();
    let doubt = doubt(raw, &stated, &names);
    Ok(HeadLabels {
        names,
        are_stated: true,
        doubt,
    })
}

/// Hugging Face's name for an output that has none.
fn placeholder(id: usize) -> String {
    format!("LABEL_{id}")
}

fn count(value: Option<&Value>) -> Result<Option<usize>, (&'static str, String)> {
    let expected = || {
        (
            "num_labels",
            format!("a whole number from 1 to {MOST_LABELS}"),
        )
    };
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let n = value.as_u64().and_then(|n| usize::try_from(n).ok());
            let n = n.filter(|n| (1..=MOST_LABELS).contains(n));
            n.map(Some).ok_or_else(expected)
        }
    }
}

/// The entries by number. Python's `int()` takes a key with white space, a sign or leading zeros.
fn by_id(map: &Map<String, Value>) -> Result<BTreeMap<usize, &Value>, (&'static str, String)> {
    let mut names = BTreeMap::new();
    for (key, value) in map {
        let Some(id) = key.trim().parse().ok().filter(|&id| id < MOST_LABELS) else {
            let advice = if value.is_u64() {
                " (names and ids seem to be swapped)"
            } else {
                ""
            };
            return Err((
                "id2label",
                format!("label names by id (\"0\", \"1\", …), not by {key:?}{advice}"),
            ));
        };
        if names.insert(id, value).is_some() {
            return Err(("id2label", format!("each id once, not {id} twice")));
        }
    }
    Ok(names)
}

/// A name, written as the same value in data; `None` if it is null.
fn name(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => float.to_string(),
            None => number.to_string(),
        }),
        other => Some(other.to_string()),
    }
}

/// A doubt about names that are missing, too many, not unique, or different from those of
/// `label2id`.
fn doubt(
    raw: &Map<String, Value>,
    stated: &BTreeMap<usize, &Value>,
    names: &[String],
) -> Option<String> {
    let nameless = |id: &usize| stated.get(id).is_none_or(|value| value.is_null());
    let nameless: Vec<String> = (0..names.len())
        .filter(nameless)
        .map(|id| id.to_string())
        .collect();
    if !nameless.is_empty() {
        return Some(format!(
            "key `id2label` has no name for these of the {} outputs: {}; they are named LABEL_ and their number",
            names.len(),
            short_list(&nameless, ", ")
        ));
    }
    let mut first = BTreeMap::new();
    for (id, name) in names.iter().enumerate() {
        if let Some(other) = first.insert(name, id) {
            return Some(format!(
                "key `id2label` calls the outputs {other} and {id} both {name:?}; in data this label means the output {other}"
            ));
        }
    }
    let back = raw.get("label2id").and_then(Value::as_object)?;
    let differs = |(id, name): &(usize, &String)| {
        let back = back.get(name.as_str());
        back.is_some_and(|back| back.as_u64() != Some(*id as u64))
    };
    let (id, name) = names.iter().enumerate().find(differs)?;
    Some(format!(
        "keys `id2label` and `label2id` disagree: the output {id} is called {name:?}, whose id is {}; `id2label` takes precedence",
        back[name.as_str()]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(config: Value) -> Result<HeadLabels, (&'static str, String)> {
        read(config.as_object().unwrap())
    }

    /// References: `config.id2label` of transformers 5.24.0. For values that are not strings, the
    /// reference is the form that the data readers give the same value.
    #[test]
    fn names_are_transformers() {
        for (config, names) in [
            (json!({}), &["LABEL_0", "LABEL_1"][..]),
            (json!({"id2label": null}), &["LABEL_0", "LABEL_1"]),
            (json!({"id2label": {}}), &["LABEL_0", "LABEL_1"]),
            (json!({"num_labels": 3}), &["LABEL_0", "LABEL_1", "LABEL_2"]),
            (json!({"id2label": null, "num_labels": 1}), &["LABEL_0"]),
            (
                json!({"id2label": {"0": 0, "1": 1, "2": -7}}),
                &["0", "1", "-7"],
            ),
            (
                json!({"id2label": {"0": false, "1": true}}),
                &["false", "true"],
            ),
            (json!({"id2label": {"0": 0.5, "1": 1.0}}), &["0.5", "1"]),
            (json!({"id2label": {"1": "b", "0": "a"}}), &["a", "b"]),
            (json!({"id2label": {"00": "a", " 1": "b"}}), &["a", "b"]),
            (json!({"id2label": ["a", "b", 3]}), &["a", "b", "3"]),
            (
                json!({"id2label": {"0": "a", "1": "b"}, "num_labels": 2}),
                &["a", "b"],
            ),
        ] {
            let labels = of(config.clone()).unwrap();
            assert_eq!(labels.names, names, "{config}");
            assert_eq!(labels.doubt, None, "{config}");
        }
        assert!(!of(json!({"id2label": null})).unwrap().are_stated);
        assert!(of(json!({"num_labels": 2})).unwrap().are_stated);
    }

    #[test]
    fn doubts_are_said() {
        for (config, names, says) in [
            (
                json!({"id2label": {"0": "a", "2": "b", "5": "c"}}),
                &["a", "LABEL_1", "b"][..],
                "no name for these of the 3 outputs: 1;",
            ),
            (
                json!({"id2label": {"0": "a", "1": null}}),
                &["a", "LABEL_1"],
                "outputs: 1;",
            ),
            (
                json!({"id2label": {"0": "a", "1": "a"}}),
                &["a", "a"],
                "calls the outputs 0 and 1 both \"a\"",
            ),
            (
                json!({"id2label": {"0": "a", "1": "b"}, "num_labels": 3}),
                &["LABEL_0", "LABEL_1", "LABEL_2"],
                "`num_labels` is 3, but `id2label` has 2 names",
            ),
            (
                json!({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 1, "b": 0}}),
                &["a", "b"],
                "the output 0 is called \"a\", whose id is 1; `id2label` takes precedence",
            ),
        ] {
            let labels = of(config.clone()).unwrap();
            assert_eq!(labels.names, names, "{config}");
            let doubt = labels.doubt.unwrap_or_default();
            assert!(doubt.contains(says), "{config}: {doubt}");
        }
    }

    #[test]
    fn what_transformers_cannot_read_is_refused() {
        for (config, key, says) in [
            (json!({"id2label": {"a": 0, "b": 1}}), "id2label", "swapped"),
            (
                json!({"id2label": {"0.0": "a"}}),
                "id2label",
                "not by \"0.0\"",
            ),
            (
                json!({"id2label": {"-1": "a"}}),
                "id2label",
                "not by \"-1\"",
            ),
            (
                json!({"id2label": {"0": "a", "00": "b"}}),
                "id2label",
                "not 0 twice",
            ),
            (json!({"id2label": "a"}), "id2label", "an object"),
            (json!({"num_labels": "3"}), "num_labels", "a whole number"),
            (json!({"num_labels": 0}), "num_labels", "a whole number"),
            (json!({"num_labels": true}), "num_labels", "a whole number"),
        ] {
            let (found, expected) = of(config.clone()).unwrap_err();
            assert_eq!(found, key, "{config}");
            assert!(expected.contains(says), "{config}: {expected}");
        }
    }
}
