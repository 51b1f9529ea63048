//! Compares the output in a document with a command's output.

/// The way to compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Line by line.
    Exact,
    /// Word by word, where any number equals any other, so line breaks may differ.
    Figures,
}

/// Stands for any lines.
const ANY: &str = "…";

/// A shown text and a printed one, as lines or words, and unchanged.
pub(super) struct Comparison {
    shown: Vec<String>,
    printed: Vec<String>,
    texts: [String; 2],
}

impl Comparison {
    /// Compares the texts. Spaces at the ends of lines and empty lines at the ends of a text do not
    /// count.
    pub(super) fn new(mode: Mode, shown: &[String], printed: &str) -> Self {
        let parts = |line: &str| match mode {
            Mode::Exact => vec![line.trim_end().to_owned()],
            Mode::Figures => words(line),
        };
        Self {
            shown: shown.iter().flat_map(|line| parts(line)).collect(),
            printed: lines(printed).flat_map(parts).collect(),
            texts: [shown.join("\n"), printed.to_owned()],
        }
    }

    /// A description of the difference; `None` if there is none.
    pub(super) fn difference(&self) -> Option<String> {
        let mut parts = self.shown.split(|part| part == ANY);
        let first = parts.next().unwrap_or_default();
        let mut rest = self.printed.strip_prefix(first);
        let mut parts = parts.peekable();
        let omits = parts.peek().is_some();
        while let (Some(printed), Some(part)) = (rest, parts.next()) {
            rest = match parts.peek() {
                // The last part must be the end of the printed text.
                None => printed.ends_with(part).then_some(&[]),
                Some(_) => (0..=printed.len()).find_map(|at| printed[at..].strip_prefix(part)),
            };
        }
        let agrees = rest.is_some_and(|rest| omits || rest.is_empty());
        (!agrees).then(|| {
            format!(
                "the document shows\n{}\nand printed is\n{}\n(PROGTUNE_README=write renews it)",
                self.texts[0], self.texts[1]
            )
        })
    }
}

/// The lines of a text, without empty ones at its ends and without those for steps (`step 50/750
/// …`).
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.trim_end().lines();
    let lines = lines.skip_while(|line| line.is_empty());
    lines.filter(|line| !line.starts_with("step "))
}

/// Units of size. The unit depends on the number.
const UNITS: [&str; 6] = ["kB", "MB", "GB", "KiB", "MiB", "GiB"];

/// The words of a line with `#` for each number in them, and `B` for each unit of size.
fn words(line: &str) -> Vec<String> {
    let words = line.split_whitespace().map(|word| {
        let mut out = String::new();
        let mut was_figure = false;
        let mut characters = word.chars().peekable();
        while let Some(c) = characters.next() {
            let next_is_digit = characters.peek().is_some_and(char::is_ascii_digit);
            let is_figure = c.is_ascii_digit() || was_figure && ".,e-".contains(c) && next_is_digit;
            match (is_figure, was_figure) {
                (true, false) => out.push('#'),
                (true, true) => {}
                (false, _) => out.push(c),
            }
            was_figure = is_figure;
        }
        if UNITS.contains(&out.trim_end_matches([',', '.', ')'])) {
            "B".to_owned()
        } else {
            out
        }
    });
    words.collect()
}

/// The new text for a document: the printed lines. If the old text contains `…`, the new one keeps
/// as many lines before it as the old one. After it, the new one continues from the last line that
/// resembles the old one's next line.
pub(super) fn renewed(shown: &[String], printed: &str) -> Vec<String> {
    let printed: Vec<String> = lines(printed)
        .map(|line| line.trim_end().to_owned())
        .collect();
    let Some(at) = shown.iter().position(|line| line == ANY) else {
        return printed;
    };
    let mut renewed = printed[..at].to_vec();
    renewed.push(ANY.to_owned());
    if let Some(like) = shown.get(at + 1) {
        let is_like = |line: &String| words(line) == words(like);
        let from = printed.iter().rposition(is_like);
        let from = from.unwrap_or_else(|| panic!("no line like `{like}` in {printed:#?}"));
        renewed.extend_from_slice(&printed[from..]);
    }
    renewed
}

#[test]
fn figures_and_omitted_parts_are_told() {
    let differs = |mode, shown: &str, printed: &str| {
        let shown: Vec<String> = shown.lines().map(str::to_owned).collect();
        let comparison = Comparison::new(mode, &shown, printed);
        comparison.difference().is_some()
    };
    let exact = |shown, printed| !differs(Mode::Exact, shown, printed);
    assert!(exact("a 1\n…\nb 2", "a 1\nx\ny\nb 2\n"));
    assert!(exact("a 1\n…\nb 2", "a 1\nb 2\n"));
    assert!(exact("…\nx\n…\nb 2\n…", "a 1\nx\ny\nb 2\nz\n"));
    assert!(!exact("…\nx\n…\nx\n…", "a 1\nx\ny\nb 2\nz\n"));
    assert!(!exact("a 1\n…\na 1", "a 1\n"));
    assert!(!exact("a 1", "a 2"));
    assert!(!exact("a 1", "a 1\nb"));
    let figures = |shown, printed| !differs(Mode::Figures, shown, printed);
    assert!(figures(
        "lr 5e-4  1,234 in 0.5 s, 3 kB",
        "step 1/2  loss 1\nlr 1e-3     9 in\n  12 s, 7.5 MB"
    ));
    assert!(!figures("accuracy 0.5", "f1 0.5"));
    assert!(!figures("accuracy 0.5", "accuracy"));
    let shown = ["a", ANY, "b 7"].map(str::to_owned);
    assert_eq!(
        renewed(&shown, "1\n2\nb 3\nb 4\nc\n"),
        ["1", ANY, "b 4", "c"]
    );
}
