//! JSON that people read as well: indented, but with each list or object of plain values in one
//! line. A confusion matrix thus takes a line per class. Called for the records of a run and by
//! `evaluate`.

use serde_json::Value;

/// Formats a value over several lines, without a line end. Only the outermost list or object always
/// has a line for each of its values.
pub(crate) fn to_text(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text
}

fn write(value: &Value, depth: usize, text: &mut String) {
    let nested = |value: &Value| matches!(value, Value::Array(_) | Value::Object(_));
    match value {
        Value::Array(items) => {
            let is_flat = depth > 0 && !items.iter().any(nested);
            let items = items.iter().map(|item| (None, item));
            write_all(['[', ']'], items, is_flat, depth, text);
        }
        Value::Object(map) => {
            let is_flat = depth > 0 && !map.values().any(nested);
            let items = map.iter().map(|(key, item)| (Some(key.as_str()), item));
            write_all(['{', '}'], items, is_flat, depth, text);
        }
        plain => text.push_str(&plain.to_string()),
    }
}

fn write_all<'a>(
    [open, close]: [char; 2],
    items: impl ExactSizeIterator<Item = (Option<&'a str>, &'a Value)>,
    is_flat: bool,
    depth: usize,
    text: &mut String,
) {
    let is_empty = items.len() == 0;
    let new_line = |depth: usize| format!("\n{}", "  ".repeat(depth));
    text.push(open);
    for (at, (key, item)) in items.enumerate() {
        if at > 0 {
            text.push_str(if is_flat { ", " } else { "," });
        }
        if !is_flat {
            text.push_str(&new_line(depth + 1));
        }
        if let Some(key) = key {
            text.push_str(&format!("{}: ", Value::from(key)));
        }
        write(item, depth + 1, text);
    }
    if !is_flat && !is_empty {
        text.push_str(&new_line(depth));
    }
    text.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_lists_and_objects_take_one_line() {
        let value = json!({
            "a": 1.5,
            "matrix": [[1, 0], [2, 3]],
            "per \"class\"": { "x": { "f1": 1.0, "support": 2 } },
            "names": ["a\n", "b"],
            "none": [], "nothing": {},
        });
        let expected = r#"{
  "a": 1.5,
  "matrix": [
    [1, 0],
    [2, 3]
  ],
  "per \"class\"": {
    "x": {"f1": 1.0, "support": 2}
  },
  "names": ["a\n", "b"],
  "none": [],
  "nothing": {}
}"#;
        assert_eq!(to_text(&value), expected);
        assert_eq!(
            serde_json::from_str::<Value>(&to_text(&value)).unwrap(),
            value
        );
        assert_eq!(to_text(&json!({})), "{}");
        assert_eq!(to_text(&json!({"a": 1})), "{\n  \"a\": 1\n}");
        assert_eq!(to_text(&json!("x")), "\"x\"");
    }
}
