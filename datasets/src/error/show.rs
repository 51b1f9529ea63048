//! Names and values from files in the form in which messages show them: shortened, with control
//! characters escaped.

/// The names in back quotes, at most the first two dozen, or `nothing`.
pub(crate) fn names(list: &[String]) -> String {
    const SHOWN: usize = 24;
    if list.is_empty() {
        return "nothing".to_owned();
    }
    let shown: Vec<String> = list
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{}`", printable(name, 60)))
        .collect();
    match list.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The list in a sentence after "found": `no columns`, the column `` `a` ``, the columns
/// `` `a`, `b` ``.
pub(crate) fn listed(noun: &str, list: &[String]) -> String {
    match list.len() {
        0 => format!("no {noun}s"),
        1 => format!("the {noun} {}", names(list)),
        _ => format!("the {noun}s {}", names(list)),
    }
}

/// A suggestion of a name, which may be empty, and the advice after it. A suggestion ends in a
/// question mark, after which the advice is a sentence of its own.
pub(super) fn advice(suggestion: &str, advice: &str) -> String {
    if suggestion.is_empty() {
        return format!("; {advice}");
    }
    let (first, rest) = advice.split_at(1);
    format!("{suggestion} {}{rest}", first.to_uppercase())
}

/// A name that is not known, a suggestion, and all names that are.
pub(super) fn unknown(name: &str, suggestion: &str, known: &[String]) -> String {
    let advice = advice(suggestion, &format!("expected one of {}", names(known)));
    format!("`{}`{advice}", printable(name, 60))
}

/// A hint for a row with the wrong number of cells.
pub(super) fn ragged_advice(separator: &str, has_words: bool) -> String {
    match separator {
        _ if has_words => String::new(),
        "tab" => " (TSV files have no quoting, so a tab in a text starts a new cell; Hugging Face's `glue` leaves out the rows of \
                  QQP that lack cells)"
            .to_owned(),
        other => format!(" (a {other} inside a text needs double quotes around the text)"),
    }
}

/// A value from a file in quotes, shortened, with control characters escaped.
pub(crate) fn quote(value: &str) -> String {
    format!("{:?}", shorten(value, 60))
}

/// Like [`shorten`], with control characters escaped: a file must not be able to control the
/// terminal.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for character in shorten(text, limit).chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// At most `limit` characters of `text`, followed by an ellipsis if more were cut off.
fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{advice, listed, names, quote};

    #[test]
    fn advice_begins_a_sentence_after_a_question() {
        assert_eq!(advice("", "add it"), "; add it");
        let asked = "; did you mean 'a'?";
        assert_eq!(advice(asked, "add it"), "; did you mean 'a'? Add it");
    }

    #[test]
    fn long_values_and_lists_are_cut() {
        assert_eq!(quote("a\tb"), r#""a\tb""#);
        assert_eq!(quote(&"é".repeat(61)), format!("\"{}…\"", "é".repeat(60)));
        assert_eq!(names(&[]), "nothing");
        assert_eq!(listed("column", &[]), "no columns");
        assert_eq!(listed("key", &["a".to_owned()]), "the key `a`");
        let many: Vec<String> = (0..30).map(|i| i.to_string()).collect();
        assert!(
            names(&many).ends_with("`23` and 6 more"),
            "{}",
            names(&many)
        );
    }
}
