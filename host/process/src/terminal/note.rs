//! Lines about the course of things that stay, whatever shows it. Called by everything that has something to say of it.

use super::{Mode, events::emit, say, show, width, wrapped};
use serde_json::json;

/// A line about the course of things that stays; for programs an event `message`.
pub fn note(text: &str) {
    emit("message", &json!({ "message": text }));
    note_for_people(text);
}

/// A line for people, of which programs hear in another way.
pub fn note_for_people(text: &str) {
    let show = show();
    match show.mode {
        Mode::Bar => {
            let text = wrapped(text, width());
            say(show.colour.stderr().squares(&text));
        }
        Mode::Plain => say(show.colour.stderr().squares(text)),
        Mode::Json | Mode::Silent => {}
    }
}
