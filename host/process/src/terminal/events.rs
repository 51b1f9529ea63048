//! Progress for programs: with `--progress json`, every line of standard error is an object with
//! the key `event`. docs/progress-events.md lists the events and their keys. These are stable, and
//! new ones may be added. Called by everything that a person would see on standard error.

use super::{Mode, Screen, colour::Colour, say, say_message, show};
use progtune_plain_text::masked;
use serde_json::{Map, Value, json};

/// Whether events were requested.
pub fn are_on() -> bool {
    show().mode == Mode::Json
}

/// Writes an event whose keys are those of the object `about`; does nothing in other modes.
pub fn emit(event: &str, about: &Value) {
    if are_on() {
        say(Screen::json(&masked(&line(event, about))));
    }
}

/// The line for an event.
fn line(event: &str, about: &Value) -> String {
    let mut object = Map::new();
    object.insert("event".into(), json!(event));
    if let Value::Object(about) = about {
        object.extend(about.clone());
    }
    Value::Object(object).to_string()
}

/// Reports the error that ended a command: its last event, or a message for people.
pub fn failure(message: &str, exit_code: u8) {
    if are_on() {
        emit(
            "error",
            &json!({ "message": message, "exit_code": exit_code }),
        )
    } else {
        let paint = show().colour.stderr();
        say_message("error", |kind| paint.colour(Colour::Error, kind), message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_that_begins_with_its_name() {
        let about = json!({ "message": "two\nlines \u{1b}[31m", "exit_code": 2 });
        let line = line("error", &about);
        assert!(line.starts_with("{\"event\":\"error\","), "{line}");
        assert!(!line.chars().any(char::is_control), "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], about["message"]);
    }
}
