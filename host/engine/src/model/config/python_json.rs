//! JSON as Python's `json` writes and reads it: with `NaN`, `Infinity` and `-Infinity`, which JSON
//! lacks, and with the byte order mark that editors add. It is used for `config.json`.

use serde_json::{Value, json};

/// The key under which transformers writes and reads a number that JSON lacks (`_FLOAT_TAG_KEY`).
const FLOAT_TAG: &str = "__float__";

/// The characters of a value that a message shows.
const SHOWN: usize = 200;

/// Parses a text.
///
/// # Errors
/// When it is not even JSON in Python's form.
pub(super) fn parse(text: &str) -> serde_json::Result<Value> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        // Text that is not JSON may be Python's. If it is not, the first error has the right place.
        Err(error) => serde_json::from_str(&tag_floats(text)).map_err(|_| error),
    }
}

/// The text with `NaN` and the infinities, outside of strings, replaced by transformers' objects.
fn tag_floats(text: &str) -> String {
    let mut tagged = String::with_capacity(text.len());
    let (mut rest, mut in_string) = (text, false);
    while let Some(c) = rest.chars().next() {
        let names = ["NaN", "Infinity", "-Infinity"];
        let name = names
            .into_iter()
            .find(|name| !in_string && rest.starts_with(name));
        let taken = match (name, c) {
            (Some(name), _) => {
                tagged.push_str(&json!({ FLOAT_TAG: name }).to_string());
                rest = &rest[name.len()..];
                continue;
            }
            // An escaped character does not end a string.
            (None, '\\') => c.len_utf8() + rest.chars().nth(1).map_or(0, char::len_utf8),
            (None, _) => c.len_utf8(),
        };
        in_string ^= c == '"';
        tagged.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    tagged
}

/// A value in the form that the file had, cut after the characters that a message has room for.
pub(super) fn show(value: &Value) -> String {
    let whole = match value.get(FLOAT_TAG).and_then(Value::as_str) {
        Some(name) => name.to_owned(),
        None => value.to_string(),
    };
    if whole.chars().nth(SHOWN).is_none() {
        return whole;
    }
    whole.chars().take(SHOWN).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_lacks_are_read() {
        let text = "\u{feff}{\"a\": NaN, \"b\": [-Infinity, Infinity, 1], \"c\": \"NaN \\\" NaN\"}";
        let value = parse(text).unwrap();
        assert_eq!(value["a"], json!({"__float__": "NaN"}));
        assert_eq!(show(&value["a"]), "NaN");
        assert_eq!(show(&value["b"][0]), "-Infinity");
        assert_eq!(show(&value["b"][1]), "Infinity");
        assert_eq!(value["c"], "NaN \" NaN");
        let error = parse("{\"a\": NaNa,\n \"b\" 1}").unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}
