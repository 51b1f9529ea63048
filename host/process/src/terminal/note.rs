//! Notes about progress, which stay visible in every mode. Everything that has something to report
//! calls it.

use super::{Mode, events::emit, say, show, spaced, width, wrapped};
use serde_json::json;

/// Writes a note for people, and an event `message` for programs.
pub fn note(text: &str) {
    emit("message", &json!({ "message": text }));
    note_for_people(text);
}

/// Writes a note for people only; programs learn about it in another way.
pub fn note_for_people(text: &str) {
    let show = show();
    match show.mode {
        Mode::Bar => {
            let text = wrapped(text, width());
            say(show.colour.stderr().squares(&text));
        }
        Mode::Plain => say(show.colour.stderr().squares(&spaced(text))),
        Mode::Json | Mode::Silent => {}
    }
}
