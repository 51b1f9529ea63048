//! Panic messages, which are escaped and masked like all messages. Set up by `main`.

use super::{Screen, say};
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, PanicHookInfo},
    thread,
};

/// Installs a panic hook that prints the standard library's message, but escaped and masked.
pub fn say_panics() {
    panic::set_hook(Box::new(|info| {
        say(Screen::message(&in_words(info, &Backtrace::capture())));
    }));
}

/// The message of the panic, if it is a text.
fn payload<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    let fixed = payload.downcast_ref::<&str>().copied();
    let made = payload.downcast_ref::<String>().map(String::as_str);
    fixed.or(made).unwrap_or("no message")
}

fn in_words(info: &PanicHookInfo<'_>, trace: &Backtrace) -> String {
    let thread = thread::current();
    let place = info.location().map(ToString::to_string);
    let text = format!(
        "thread '{}' panicked at {}:\n{}\ninternal error: please report this",
        thread.name().unwrap_or("unnamed"),
        place.unwrap_or_default(),
        payload(info),
    );
    match trace.status() {
        BacktraceStatus::Captured => format!("{text}\n{trace}"),
        _ => text,
    }
}
