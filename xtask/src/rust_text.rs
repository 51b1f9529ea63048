//! Rust source with its comments and literals blanked, so that a rule about code does not match
//! words in texts, and its comments without the rest. Called by `tidy`. It knows only as much of
//! the language as that requires and is not a parser.

/// The source with a space for every character of a comment, string or character literal; line
/// breaks are kept.
pub(crate) fn blank_comments_and_literals(source: &str) -> String {
    let text: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < text.len() {
        let end = end_of_blank(&text, at);
        if end == at {
            code.push(text[at]);
            at += 1;
        } else {
            code.extend(
                text[at..end]
                    .iter()
                    .map(|&c| if c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
    }
    code
}

/// A comment that begins with `//` and has no code before it.
pub(crate) struct LineComment<'a> {
    /// The number of its line, counted from 1.
    pub(crate) line: usize,
    /// The width of its line with the indentation, in characters.
    pub(crate) columns: usize,
    /// The comment from its `//` on.
    pub(crate) text: &'a str,
}

/// The comments that are lines of their own, and no texts that look like them.
pub(crate) fn line_comments(source: &str) -> Vec<LineComment<'_>> {
    let text: Vec<char> = source.chars().collect();
    let lines: Vec<&str> = source.split('\n').collect();
    let (mut found, mut at, mut line, mut line_start) = (Vec::new(), 0, 0, 0);
    while at < text.len() {
        let is_comment = text[at..].starts_with(&['/', '/']);
        if is_comment && text[line_start..at].iter().all(|c| c.is_whitespace()) {
            found.push(LineComment {
                line: line + 1,
                columns: lines[line].chars().count(),
                text: lines[line].trim_start(),
            });
        }
        let end = end_of_blank(&text, at).max(at + 1);
        for (offset, _) in text[at..end]
            .iter()
            .enumerate()
            .filter(|(_, c)| **c == '\n')
        {
            (line, line_start) = (line + 1, at + offset + 1);
        }
        at = end;
    }
    found
}

/// Whether a character may stand inside an identifier.
pub(crate) fn is_in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether the word occurs in the line without an identifier character before it, nor after it if
/// it ends in one.
pub(crate) fn contains_word(line: &str, word: &str) -> bool {
    let ends_in_name = word.ends_with(is_in_name);
    let starts_in_name = word.starts_with(is_in_name);
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back().is_some_and(is_in_name);
        let after = line[start + word.len()..]
            .chars()
            .next()
            .is_some_and(is_in_name);
        !(starts_in_name && before || ends_in_name && after)
    })
}

/// The end of the comment or literal that starts at `at`, or `at` itself if none does.
fn end_of_blank(text: &[char], at: usize) -> usize {
    let next = |offset: usize| text.get(at + offset).copied().unwrap_or('\0');
    let in_name = at > 0 && is_in_name(text[at - 1]);
    match text[at] {
        '/' if next(1) == '/' => find(text, at, |c| c == '\n'),
        '/' if next(1) == '*' => end_of_block_comment(text, at),
        '"' => end_of_quoted(text, at + 1, '"'),
        'r' if !in_name || text[at - 1] == 'b' || text[at - 1] == 'c' => {
            end_of_raw_string(text, at).unwrap_or(at)
        }
        // A lifetime has no closing quote after its first character, unlike a character literal.
        '\'' if next(1) == '\\' || next(2) == '\'' => end_of_quoted(text, at + 1, '\''),
        _ => at,
    }
}

fn find(text: &[char], from: usize, is_end: impl Fn(char) -> bool) -> usize {
    text[from..]
        .iter()
        .position(|&c| is_end(c))
        .map_or(text.len(), |offset| from + offset)
}

/// Block comments nest.
fn end_of_block_comment(text: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at + 1 < text.len() {
        match (text[at], text[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn end_of_quoted(text: &[char], from: usize, quote: char) -> usize {
    let mut at = from;
    while at < text.len() && text[at] != quote {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// The end of `r"…"`, `r#"…"#` and so on; `None` for a name that begins with r, raw or not.
fn end_of_raw_string(text: &[char], start: usize) -> Option<usize> {
    let open = find(text, start + 1, |c| c != '#');
    if text.get(open) != Some(&'"') {
        return None;
    }
    let n_hashes = open - start - 1;
    let mut at = open + 1;
    loop {
        let close = find(text, at, |c| c == '"');
        if close == text.len() {
            return Some(close);
        }
        let end = close + 1 + n_hashes;
        if end <= text.len() && text[close + 1..end].iter().all(|&c| c == '#') {
            return Some(end);
        }
        at = close + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_stays() {
        for (source, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"x("a\"b", y)"#, "x(      , y)"),
            (r##"r#"a"b"# c"##, "         c"),
            (r#"br"a\" c"#, "b      c"),
            ("for r in 0..1 {}", "for r in 0..1 {}"),
            ("r#type x", "r#type x"),
            (r"'a' '\'' b '\u{1}'", "         b        "),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("'\"' c", "    c"),
            ("\"open\nend", "     \n   "),
            ("a /* open", "a        "),
        ] {
            assert_eq!(blank_comments_and_literals(source), expected, "{source}");
        }
    }

    #[test]
    fn words_are_whole() {
        assert!(contains_word("unsafe {", "unsafe"));
        assert!(contains_word("a(unsafe)", "unsafe"));
        assert!(!contains_word("unsafe_code", "unsafe"));
        assert!(!contains_word("not_unsafe", "unsafe"));
        assert!(!contains_word("mytodo!()", "todo!"));
        assert!(contains_word("std::todo!()", "todo!"));
        assert!(contains_word("x#[ignore]", "#[ignore"));
    }
}
