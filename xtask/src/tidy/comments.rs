//! The rules for comments that are lines of their own: their width, and the first word of a doc
//! comment. Called by [`super`].

use crate::rust_text::line_comments;

/// A comment is prose, and long lines of prose are hard to read.
const MAX_COLUMNS: usize = 100;
/// Words with which a relative clause without a noun begins. A doc comment begins with a noun
/// phrase or a verb.
const REFUSED_STARTS: &[&str] = &["What", "Who", "Where"];

/// Adds a finding for each comment line that is too wide, and for each doc comment that begins
/// with a refused word.
pub(super) fn check(path: &str, text: &str, findings: &mut Vec<String>) {
    let mut above = None;
    for comment in line_comments(text) {
        let (line, columns) = (comment.line, comment.columns);
        if columns > MAX_COLUMNS {
            findings.push(format!(
                "{path}:{line}: a comment of {columns} columns, at most {MAX_COLUMNS}: wrap it"
            ));
        }
        let mark = doc_mark(comment.text);
        // Only the first line of a comment is its beginning.
        let begins = above != Some((line - 1, mark));
        above = Some((line, mark));
        let Some(mark) = mark.filter(|_| begins) else {
            continue;
        };
        let first = comment.text[mark.len()..].trim_start();
        let word = first.split(|c: char| !c.is_alphanumeric()).next();
        if let Some(word) = word.filter(|word| REFUSED_STARTS.contains(word)) {
            findings.push(format!(
                "{path}:{line}: a doc comment begins with \"{word}\": begin with a noun or a verb"
            ));
        }
    }
}

/// The mark of a doc comment; `None` for any other comment.
fn doc_mark(comment: &str) -> Option<&'static str> {
    ["//!", "///"]
        .into_iter()
        .find(|mark| comment.starts_with(mark) && !comment.starts_with("////"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check("a.rs", text, &mut findings);
        findings
    }

    #[test]
    fn good_comments_pass() {
        let wide = "é".repeat(MAX_COLUMNS - 3);
        let text = format!(
            "//! The plugins:\n//! What a line begins with does not matter.\n// {wide}\n\
             let s = \"\n// {wide} in a string\n\"; // {wide} behind code\n\
             // What only a reader of the code sees.\n/// Whether it is.\n"
        );
        assert_eq!(findings(&text), Vec::<String>::new());
    }

    #[test]
    fn wide_lines_and_refused_words_are_found() {
        let wide = "x".repeat(MAX_COLUMNS - 2);
        assert_eq!(
            findings(&format!("    // {wide}\n")),
            ["a.rs:1: a comment of 105 columns, at most 100: wrap it"]
        );
        for (text, line) in [
            ("//! What\n", 1),
            ("//! A.\n/// Where it is.\n", 2),
            ("/// A.\nfn a() {}\n/// Who's there.\n", 3),
        ] {
            let found = findings(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].starts_with(&format!("a.rs:{line}: a doc comment begins")));
        }
    }
}
