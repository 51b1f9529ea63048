//! The course of a command for a program: with `--progress json` every line of standard error is an object with the key
//! `event`. docs/progress-events.md lists the events and their keys, which stay; new ones may come. Called by everything
//! that a person would see on standard error.

use super::{Mode, Screen, colour::Colour, say, say_message, show};
use progtune_plain_text::masked;
use serde_json::{Map, Value, json};

/// Whether events are what is asked for.
pub fn are_on() -> bool {
    show().mode == Mode::Json
}

/// Writes an event with what it is about, an object; nothing in other modes.
pub fn emit(event: &str, about: &Value) {
    if are_on() {
        say(Screen::json(&masked(&line(event, about))));
    }
}

/// The line of an event.
fn line(event: &str, about: &Value) -> String {
    let mut object = Map::new();
    object.insert("event".into(), json!(event));
    if let Value::Object(about) = about {
        object.extend(about.clone());
    }
    Value::Object(object).to_string()
}

/// Emits the last event of a command that failed, or writes what a person reads in its place.
pub fn failure(message: &str, exit_code: u8) {
    match are_on() {
        true => emit(
            "error",
            &json!({ "message": message, "exit_code": exit_code }),
        ),
        false => {
            let paint = show().colour.stderr();
            let error = paint.colour(Colour::Error, "error");
            say_message(error, message);
        }
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
