//! Breaks long lines at spaces, so that a terminal need not break them inside words. Called for
//! texts that people read.

/// A space at which no line is broken, for example between a name and its value. It is shown as a
/// space.
pub const NO_BREAK: char = '\u{a0}';

/// The text with spaces in place of [`NO_BREAK`].
pub fn spaced(text: &str) -> String {
    text.replace(NO_BREAK, " ")
}

/// Wraps the text to `width` characters; continuation lines are indented by two more spaces. A
/// longer word, such as a path, stays whole, and so does a short command between backticks.
pub fn wrapped(text: &str, width: usize) -> String {
    wrapped_after(0, text, width)
}

/// Wraps the text like [`wrapped`] if its first line begins after `column` characters.
pub(crate) fn wrapped_after(column: usize, text: &str, width: usize) -> String {
    let lines = text.lines().enumerate();
    let lines: Vec<String> = lines
        .map(|(number, line)| wrapped_line(if number == 0 { column } else { 0 }, line, width))
        .collect();
    spaced(&lines.join("\n"))
}

fn wrapped_line(before: usize, line: &str, width: usize) -> String {
    let length = |text: &str| text.chars().count();
    if before + length(line) <= width {
        return line.to_owned();
    }
    let indent = line.len() - line.trim_start().len();
    let further = format!("\n{}  ", &line[..indent]);
    let (mut wrapped, mut column) = (line[..indent].to_owned(), before + indent);
    let mut first = true;
    for word in words(line.trim_start(), width.saturating_sub(indent + 2)) {
        if first {
            first = false;
        } else if column + 1 + length(word) > width {
            wrapped += &further;
            column = indent + 2;
        } else {
            wrapped.push(' ');
            column += 1;
        }
        wrapped += word;
        column += length(word);
    }
    wrapped
}

/// The parts between which a line may be broken: at spaces, but not between backticks if the whole
/// command fits in `width`. A broken one could not be copied.
fn words(line: &str, width: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    while start < line.len() {
        let rest = &line[start..];
        let space = rest.find(' ').unwrap_or(rest.len());
        let end = match rest[..space].find('`') {
            None => space,
            Some(tick) => rest[tick + 1..]
                .find('`')
                .map(|close| tick + 1 + close)
                .map(|close| close + rest[close..].find(' ').unwrap_or(rest.len() - close))
                .filter(|&end| rest[..end].chars().count() <= width)
                .unwrap_or(space),
        };
        words.push(&rest[..end]);
        start += end + 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{spaced, wrapped, wrapped_after};

    #[test]
    fn lines_are_broken_at_spaces() {
        assert_eq!(wrapped("a bc def", 8), "a bc def");
        assert_eq!(wrapped("a bc def\nx", 5), "a bc\n  def\nx");
        assert_eq!(wrapped("  ab cd ef", 7), "  ab cd\n    ef");
        assert_eq!(wrapped("abcdefgh ij", 4), "abcdefgh\n  ij");
        assert_eq!(wrapped("a  b", 4), "a  b", "what fits stays as it is");
        assert_eq!(
            wrapped("f1\u{a0}0.5, loss\u{a0}0.1", 15),
            "f1 0.5,\n  loss 0.1"
        );
        assert_eq!(spaced("f1\u{a0}0.5"), "f1 0.5");
        assert_eq!(wrapped_after(3, "a bc\nd ef", 6), "a\n  bc\nd ef");
    }

    #[test]
    fn a_command_between_backticks_stays_whole_if_it_fits() {
        assert_eq!(wrapped("use `a b c`: it", 11), "use\n  `a b c`:\n  it");
        assert_eq!(wrapped("use `a b c` it", 8), "use `a b\n  c` it");
        assert_eq!(wrapped("a ` b c d", 4), "a `\n  b\n  c\n  d");
        assert_eq!(wrapped("`a``b c` d", 8), "`a``b c`\n  d");
    }
}
