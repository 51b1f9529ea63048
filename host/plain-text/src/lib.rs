//! Texts of others (a file's, a plugin's, a server's, an argument's), made safe to show and to keep.
//!
//! - [`escaped`] and [`escaped_line`]: nothing in them steers or deceives a terminal;
//! - [`json_escaped`]: the same for JSON, whose values stay as they are;
//! - [`masked`]: passwords and tokens are not in them.
//!
//! Called by the host wherever it prints or keeps a log, and by `plugin-loader`. There is one rule for all of them.

mod escape;
mod mask;

pub use escape::{continued, escaped, escaped_line, is_hidden, json_escaped};
pub use mask::{keep_secret, keep_secrets_of_address, masked};

/// A text of several lines as it may be shown: masked, escaped, and every line but the first indented, so that no line of it
/// looks like a message of its own.
pub fn shown(text: &str) -> String {
    continued(&escaped(&masked(text)))
}

/// A text as it may be shown in one line.
pub fn shown_line(text: &str) -> String {
    escaped_line(&masked(text)).into_owned()
}
