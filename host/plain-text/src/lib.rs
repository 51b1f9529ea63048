//! Makes foreign texts (from a file, a plugin, a server, an argument) safe to show and to keep.
//!
//! - [`escaped`]: the text cannot control or deceive a terminal.
//! - [`json_escaped`]: the same for JSON, whose values are unchanged.
//! - [`masked`]: the text contains no passwords and tokens.
//! - [`shown`] and [`shown_line`]: both.
//!
//! Called by the host wherever it prints or keeps a log, and by `plugin-loader`. The same rule
//! applies to all texts.

mod escape;
mod mask;

use escape::{continued, escaped_line};

pub use escape::{escaped, is_hidden, json_escaped};
pub use mask::{keep_secret, keep_secrets_of_address, masked};

/// A text of several lines in a form that may be shown: masked and escaped. Every line but the
/// first is indented, so that none looks like a separate message.
pub fn shown(text: &str) -> String {
    continued(&escaped(&masked(text)))
}

/// A text in a form that may be shown in one line.
pub fn shown_line(text: &str) -> String {
    escaped_line(&masked(text)).into_owned()
}
