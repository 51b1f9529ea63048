//! Texts from plugins and files, made fit for a terminal. Called wherever one is shown or kept.

use progtune_plain_text::escaped;

/// A text from a plugin or a file, fit for a terminal: nothing in it is hidden, and it is not
/// endless.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 4000;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => escaped(&text[..end]).into_owned() + "…",
        None => escaped(text).into_owned(),
    }
}
