//! What a document shows against what a command prints.

/// How they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Line by line.
    Exact,
    /// Line by line, where any number is any other.
    Figures,
}

/// Stands for any lines.
const ANY: &str = "…";

/// A text that is shown and one that is printed.
pub struct Comparison {
    shown: Vec<String>,
    printed: Vec<String>,
}

impl Comparison {
    /// Trailing spaces and empty lines at the ends do not count.
    pub fn new(mode: Mode, shown: &[String], printed: &str) -> Self {
        let form = |line: &str| match mode {
            Mode::Exact => line.trim_end().to_owned(),
            Mode::Figures => without_figures(line),
        };
        Self {
            shown: shown.iter().map(|line| form(line)).collect(),
            printed: lines(printed).map(form).collect(),
        }
    }

    /// What is different, in words; `None` if nothing is.
    pub fn difference(&self) -> Option<String> {
        let differs = match self.shown.iter().position(|line| line == ANY) {
            None => self.shown != self.printed,
            Some(at) => {
                let (head, tail) = (&self.shown[..at], &self.shown[at + 1..]);
                !self.printed.starts_with(head)
                    || !self.printed.ends_with(tail)
                    || self.printed.len() < head.len() + tail.len()
            }
        };
        differs.then(|| {
            format!(
                "the document shows\n{}\nand printed is\n{}\n(PROGTUNE_README=write renews it)",
                self.shown.join("\n"),
                self.printed.join("\n")
            )
        })
    }
}

/// The lines of a text, without empty ones at its ends and without those of steps (`step 50/750  …`).
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.trim_end().lines().skip_while(|line| line.is_empty());
    lines.filter(|line| !line.starts_with("step "))
}

/// Units of sizes; which one is used depends on the number.
const UNITS: [&str; 6] = ["kB", "MB", "GB", "KiB", "MiB", "GiB"];

/// A line with `#` for each number, `B` for each unit of sizes behind one, and one space for several.
fn without_figures(line: &str) -> String {
    let mut out = String::new();
    let mut was_figure = false;
    let mut characters = line.trim_end().chars().peekable();
    while let Some(c) = characters.next() {
        let next_is_digit = characters.peek().is_some_and(char::is_ascii_digit);
        let is_figure = c.is_ascii_digit() || was_figure && ".,e-".contains(c) && next_is_digit;
        let is_space = c == ' ' && out.ends_with(' ');
        match (is_figure, was_figure) {
            (true, false) => out.push('#'),
            (true, true) => {}
            (false, _) if is_space => {}
            (false, _) => out.push(c),
        }
        was_figure = is_figure;
    }
    for unit in UNITS {
        out = out.replace(&format!("# {unit}"), "# B");
    }
    out
}

/// What a document is to show instead: the printed lines, as many of them before and behind `…` as it had.
pub fn renewed(shown: &[String], printed: &str) -> Vec<String> {
    let printed: Vec<String> = lines(printed)
        .map(|line| line.trim_end().to_owned())
        .collect();
    let Some(at) = shown.iter().position(|line| line == ANY) else {
        return printed;
    };
    let (head, tail) = (at, shown.len() - at - 1);
    assert!(head + tail <= printed.len(), "too few lines: {printed:?}");
    let mut lines = printed[..head].to_vec();
    lines.push(ANY.to_owned());
    lines.extend_from_slice(&printed[printed.len() - tail..]);
    lines
}

#[test]
fn figures_and_omitted_lines_are_told() {
    let differs = |mode, shown: &str, printed: &str| {
        let shown: Vec<String> = shown.lines().map(str::to_owned).collect();
        Comparison::new(mode, &shown, printed)
            .difference()
            .is_some()
    };
    assert!(!differs(Mode::Exact, "a 1\n…\nb 2", "a 1\nx\ny\nb 2\n"));
    assert!(!differs(Mode::Exact, "a 1\n…\nb 2", "a 1\nb 2\n"));
    assert!(differs(Mode::Exact, "a 1\n…\na 1", "a 1\n"));
    assert!(differs(Mode::Exact, "a 1", "a 2"));
    assert!(!differs(
        Mode::Figures,
        "lr 5e-4  1,234 in 0.5 s, 3 kB",
        "lr 1e-3     9 in 12 s, 7.5 MB"
    ));
    assert!(differs(Mode::Figures, "accuracy 0.5", "f1 0.5"));
    assert!(differs(Mode::Figures, "accuracy 0.5", "accuracy"));
    let shown = ["a".to_owned(), ANY.to_owned(), "b".to_owned()];
    assert_eq!(renewed(&shown, "1\n2\n3\n4\n"), ["1", ANY, "4"]);
}
