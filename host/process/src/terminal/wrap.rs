//! Breaks long lines at spaces, so that a terminal need not break them inside words. Called for
//! texts that people read.

/// Wraps the text to `width` characters; continuation lines are indented by two more spaces. A
/// longer word, such as a path, stays whole.
pub fn wrapped(text: &str, width: usize) -> String {
    let lines: Vec<String> = text.lines().map(|line| wrapped_line(line, width)).collect();
    lines.join("\n")
}

fn wrapped_line(line: &str, width: usize) -> String {
    let length = |text: &str| text.chars().count();
    if length(line) <= width {
        return line.to_owned();
    }
    let indent = line.len() - line.trim_start().len();
    let further = format!("\n{}  ", &line[..indent]);
    let (mut wrapped, mut column) = (line[..indent].to_owned(), indent);
    let mut first = true;
    for word in line.trim_start().split(' ') {
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

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_are_broken_at_spaces() {
        assert_eq!(wrapped("a bc def", 8), "a bc def");
        assert_eq!(wrapped("a bc def\nx", 5), "a bc\n  def\nx");
        assert_eq!(wrapped("  ab cd ef", 7), "  ab cd\n    ef");
        assert_eq!(wrapped("abcdefgh ij", 4), "abcdefgh\n  ij");
        assert_eq!(wrapped("a  b", 4), "a  b", "what fits stays as it is");
    }
}
