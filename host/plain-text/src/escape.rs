//! Makes characters visible that a terminal obeys, or that hide or reorder the text around them:
//! `\u{1b}`. The form is Rust's own, so that text escaped by `{:?}` looks the same.

use std::borrow::Cow;

/// The base of the flags of England, Scotland and Wales, which is followed by tag characters.
const BLACK_FLAG: char = '\u{1f3f4}';

/// Whether a character controls a terminal, ends a line invisibly, reorders text, or is itself
/// invisible. The joiners (U+200C, U+200D) and variation selectors do not count, because emoji and
/// several scripts need them.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with every hidden character except line feeds and tabs as `\u{…}`. Text without any is
/// returned unchanged, and so is the result of this function.
pub fn escaped(text: &str) -> Cow<'_, str> {
    replaced(
        text,
        |c| is_hidden(c) && c != '\n' && c != '\t',
        push_escape,
    )
}

/// Like [`escaped`], in one line: line feeds, tabs and carriage returns become `\n`, `\t` and `\r`.
pub(crate) fn escaped_line(text: &str) -> Cow<'_, str> {
    replaced(text, is_hidden, |c, out| match c {
        '\n' | '\t' | '\r' => out.extend(c.escape_default()),
        c => push_escape(c, out),
    })
}

/// JSON text with every hidden character in its strings as `\uXXXX`. The values are the same, and a
/// terminal obeys none of it. Whitespace between values is unchanged.
pub fn json_escaped(json: &str) -> Cow<'_, str> {
    let is_not_json = |c: char| is_hidden(c) && !matches!(c, '\n' | '\t' | '\r');
    replaced(json, is_not_json, |c, out| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    })
}

/// The text with every further line indented by two columns, except empty ones.
pub(crate) fn continued(text: &str) -> String {
    let mut lines = text.split('\n');
    let mut result = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        result.push('\n');
        if !line.is_empty() && !line.starts_with("  ") {
            result.push_str("  ");
        }
        result.push_str(line);
    }
    result
}

fn push_escape(c: char, out: &mut String) {
    out.extend(c.escape_unicode());
}

fn replaced(
    text: &str,
    is_bad: impl Fn(char) -> bool,
    push: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    if !text.chars().any(&is_bad) {
        return text.into();
    }
    let mut result = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = flag_length(rest).unwrap_or(c.len_utf8());
        if length == c.len_utf8() && is_bad(c) {
            push(c, &mut result);
        } else {
            result.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    result.into()
}

/// The number of bytes of the flag at the beginning of a text, if tag characters spell one.
fn flag_length(text: &str) -> Option<usize> {
    let tags = text.strip_prefix(BLACK_FLAG)?;
    let end = tags.find(|c| !matches!(c, '\u{e0030}'..='\u{e0039}' | '\u{e0061}'..='\u{e007a}'))?;
    let n_tags = tags[..end].chars().count();
    let is_flag = (3..=6).contains(&n_tags) && tags[end..].starts_with('\u{e007f}');
    is_flag.then_some(BLACK_FLAG.len_utf8() + end + '\u{e007f}'.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The inverse of [`escaped_line`].
    fn unescaped(text: &str) -> String {
        let (mut result, mut rest) = (String::new(), text);
        while let Some(at) = rest.find("\\u{") {
            result.push_str(&rest[..at]);
            let end = at + rest[at..].find('}').expect("an end");
            let code = u32::from_str_radix(&rest[at + 3..end], 16).expect("a number");
            result.push(char::from_u32(code).expect("a character"));
            rest = &rest[end + 1..];
        }
        result + rest
    }

    /// Texts with many hidden characters.
    fn texts() -> impl Strategy<Value = String> {
        let all: Vec<char> = ('\0'..='\u{e007f}').filter(|&c| is_hidden(c)).collect();
        let hidden = prop::sample::select(all);
        let listed = prop::sample::select(vec![
            '\u{1b}',
            '\u{7}',
            '\r',
            '\n',
            '\t',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{9f}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{2028}',
            '\u{202e}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{e0041}',
            BLACK_FLAG,
            '\u{e007f}',
            '\u{e0067}',
        ]);
        let c = prop_oneof![3 => listed, 1 => any::<char>(), 1 => prop::char::range(' ', '~'), 1 => hidden];
        prop::collection::vec(c, 0..40).prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn nothing_hidden_is_left_and_nothing_else_changes(text in texts()) {
            let line = escaped_line(&text).into_owned();
            // Any remaining tag characters belong to a flag.
            let flagless: String = {
                let (mut left, mut rest) = (String::new(), line.as_str());
                while let Some(c) = rest.chars().next() {
                    let length = flag_length(rest);
                    if length.is_none() { left.push(c); }
                    rest = &rest[length.unwrap_or(c.len_utf8())..];
                }
                left
            };
            prop_assert!(!flagless.chars().any(is_hidden), "{line:?}");
            prop_assert_eq!(&escaped_line(&line), &line, "a second time changes nothing");
            let visible = |text: &str| -> String { text.chars().filter(|&c| !is_hidden(c)).collect() };
            if !text.contains('\\') {
                let breaks = text.contains(['\n', '\t', '\r']);
                if !breaks {
                    prop_assert_eq!(unescaped(&line), text.clone(), "the original can be recovered");
                }
                prop_assert_eq!(visible(&unescaped(&line.replace("\\n", "").replace("\\t", "").replace("\\r", ""))),
                    visible(&text));
            }
            let lines = escaped(&text);
            prop_assert_eq!(lines.matches('\n').count(), text.matches('\n').count());
            prop_assert_eq!(&escaped(&lines), &lines);
            if !text.chars().any(is_hidden) {
                prop_assert_eq!(&*line, &*text, "clean text stays");
            }
        }

        #[test]
        fn a_message_begins_once(text in texts()) {
            let shown = crate::shown(&format!("error: {text}"));
            let fake = shown.lines().skip(1).filter(|line| !line.is_empty() && !line.starts_with("  "));
            prop_assert_eq!(fake.count(), 0);
        }
    }

    #[test]
    fn each_kind_is_shown_as_it_is_written_in_rust() {
        assert_eq!(
            escaped("a\u{1b}[31mb\u{7}\r\nc\td"),
            "a\\u{1b}[31mb\\u{7}\\u{d}\nc\td"
        );
        assert_eq!(escaped_line("a\r\n\tb\u{9b}"), "a\\r\\n\\tb\\u{9b}");
        assert_eq!(
            escaped("x\u{202e}y\u{2069}\u{200f}\u{61c}"),
            "x\\u{202e}y\\u{2069}\\u{200f}\\u{61c}"
        );
        assert_eq!(escaped("\u{e0041}\u{e0042}"), "\\u{e0041}\\u{e0042}");
    }

    #[test]
    fn emoji_and_scripts_stay() {
        for text in [
            "👩‍👩‍👧",
            "❤️",
            "🇩🇪",
            "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
            "漢字",
            "e\u{301}",
            "می‌خواهم",
            "שלום",
            "ü\\u",
            "C:\\new",
        ] {
            assert_eq!(escaped_line(text), text);
            assert!(matches!(escaped_line(text), Cow::Borrowed(_)) || text.starts_with('🏴'));
        }
    }

    #[test]
    fn json_keeps_its_values() {
        let json = "{\"a\": \"\u{7f}\u{85}\u{202e}\u{e0041}é\",\n\t\"b\": 1}";
        assert_eq!(
            json_escaped(json),
            "{\"a\": \"\\u007f\\u0085\\u202e\\udb40\\udc41é\",\n\t\"b\": 1}"
        );
    }

    #[test]
    fn further_lines_are_indented() {
        assert_eq!(
            continued("a\nerror: b\n\n    c\n"),
            "a\n  error: b\n\n    c\n"
        );
    }
}
