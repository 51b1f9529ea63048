//! The panic guard: nothing unwinds out of a plugin. Every function that the host can call runs
//! inside [`guarded`].
//!
//! A library contains its own copy of the standard library and thus has its own panic hook.
//! `install_hook` runs when the host loads the library. It keeps the message and place of a panic
//! inside [`guarded`] for the error. Every other panic (in a thread that the plugin started, or in
//! a unit test) goes to the previous hook.

use crate::{
    records::{ErrorCode, PluginError},
    root::Answer,
};
use abi_stable::std_types::{RErr, ROk};
use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body`; a panic becomes an error with the code [`ErrorCode::PANIC`]. `what` names the
/// entry.
pub fn guarded<T>(what: &str, body: impl FnOnce() -> Result<T, PluginError>) -> Answer<T> {
    DEPTH.set(DEPTH.get() + 1);
    let outcome = catch_unwind(AssertUnwindSafe(body));
    DEPTH.set(DEPTH.get() - 1);
    match outcome {
        Ok(Ok(value)) => ROk(value),
        Ok(Err(error)) => RErr(error),
        Err(payload) => {
            let message = text_of(&*payload);
            // Dropping a payload may panic again.
            std::mem::forget(payload);
            let place = PLACE
                .take()
                .map(|place| format!(" at {place}"))
                .unwrap_or_default();
            RErr(
                PluginError::new(
                    ErrorCode::PANIC,
                    format!("panicked in {what}{place}: {message}"),
                )
                .with_help("this is a bug of the plugin; report it to its author"),
            )
        }
    }
}

/// Keeps the place of a panic inside [`guarded`] instead of printing it.
pub(crate) fn install_hook() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| match DEPTH.get() {
        0 => previous(info),
        _ => PLACE.set(
            info.location()
                .map(|place| format!("{}:{}", place.file(), place.line())),
        ),
    }));
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is not text".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let answer = guarded::<()>("plan", || panic!("index {}", 7));
        let error = answer.into_result().unwrap_err();
        assert_eq!(error.code, ErrorCode::PANIC);
        assert_eq!(error.message.as_str(), "panicked in plan: index 7");
        let answer = guarded::<()>("plan", || std::panic::panic_any(Bomb));
        assert!(answer.is_err());
        assert_eq!(DEPTH.get(), 0);
    }
}
