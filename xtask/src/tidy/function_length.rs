//! The rule that a function fits on a screen or two. Called by [`super`].
//!
//! It reads the source with comments and literals blanked, not a syntax tree, so that functions
//! inside macros (`proptest!`, `simd_fn!`) count too.

use crate::rust_text::{blank_comments_and_literals, is_in_name};

/// A longer function does more than one thing.
const MAX_LINES: usize = 80;

/// The functions that may be longer, because they are tables: file, name, and the reason.
const TABLES: &[(&str, &str, &str)] = &[(
    "datasets/tests/own/bad_tags.rs",
    "cases",
    "one row for each kind of damage: contents, message, sentences that remain",
)];

/// A function with a body.
struct Function {
    name: String,
    /// The line of its signature, counted from 1.
    line: usize,
    /// From the line of the signature to that of the closing brace.
    n_lines: usize,
}

/// Adds a finding for each function of the file that is too long.
pub(super) fn check(path: &str, text: &str, findings: &mut Vec<String>) {
    for function in functions(text) {
        let Function {
            name,
            line,
            n_lines,
        } = &function;
        let is_table = TABLES
            .iter()
            .any(|(file, table, _)| path == *file && name == table);
        if *n_lines > MAX_LINES && !is_table {
            findings.push(format!(
                "{path}:{line}: `{name}` has {n_lines} lines, at most {MAX_LINES}: one thing a function"
            ));
        }
    }
}

/// The entries of the list of tables that no longer name a long function.
pub(super) fn stale_tables(read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let is_long = |file: &str, name: &str| {
        let text = read(file).unwrap_or_default();
        functions(&text)
            .iter()
            .any(|function| function.name == name && function.n_lines > MAX_LINES)
    };
    TABLES
        .iter()
        .filter(|(file, name, _)| !is_long(file, name))
        .map(|(file, name, _)| {
            format!("{file}: `{name}` is no longer a long table: remove it from the list in tidy")
        })
        .collect()
}

/// The functions with a body in a file, in the order of their signatures.
fn functions(text: &str) -> Vec<Function> {
    let code: Vec<char> = blank_comments_and_literals(text).chars().collect();
    let mut found = Vec::new();
    let mut line = 1;
    for at in 0..code.len() {
        line += usize::from(code[at] == '\n');
        if !starts_function(&code, at) {
            continue;
        }
        let name: String = code[at + 3..]
            .iter()
            .skip_while(|c| c.is_whitespace())
            .take_while(|&&c| is_in_name(c))
            .collect();
        // A pointer to a function (`fn(u32)`) has no name, and `fn` in a macro's pattern no body.
        let Some(end) = end_of_body(&code, at).filter(|_| !name.is_empty()) else {
            continue;
        };
        let n_breaks = code[at..end].iter().filter(|&&c| c == '\n').count();
        found.push(Function {
            name,
            line,
            n_lines: n_breaks + 1,
        });
    }
    found
}

/// Whether the keyword `fn` stands here, followed by white space.
fn starts_function(code: &[char], at: usize) -> bool {
    code[at..].starts_with(&['f', 'n'])
        && code.get(at + 2).is_some_and(|c| c.is_whitespace())
        && !(at > 0 && is_in_name(code[at - 1]))
}

/// The position of the closing brace of the function that starts at `start`; `None` for a
/// declaration without a body.
fn end_of_body(code: &[char], start: usize) -> Option<usize> {
    // The body opens at the first brace outside the parentheses and brackets of the signature.
    let (mut n_round, mut n_curly) = (0_i32, 0_i32);
    for (at, &c) in code.iter().enumerate().skip(start) {
        match c {
            '(' | '[' => n_round += 1,
            ')' | ']' => n_round -= 1,
            '{' => n_curly += 1,
            '}' if n_curly == 1 && n_round == 0 => return Some(at),
            '}' => n_curly -= 1,
            ';' if n_curly == 0 && n_round == 0 => return None,
            _ => (),
        }
        if n_curly < 0 || n_round < 0 {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, usize, usize)> {
        functions(text)
            .into_iter()
            .map(|function| (function.name, function.line, function.n_lines))
            .collect()
    }

    #[test]
    fn functions_are_measured_from_signature_to_closing_brace() {
        let text = "//! x\n/// fn no() {}\npub fn a(\n    x: [u8; 2],\n) -> u8 {\n    if x { \"}\" }\n}\n\
                    trait T {\n    fn declared(&self);\n    fn given(&self) {}\n}\n\
                    proptest! {\n    #[test]\n    fn inside(a in { 0..1 }) {\n        fn inner() {\n        }\n    }\n}\n\
                    type F = fn(u32) -> u32;\n";
        let expected = [
            ("a", 3, 5),
            ("given", 10, 1),
            ("inside", 14, 4),
            ("inner", 15, 2),
        ];
        assert_eq!(
            found(text),
            expected.map(|(name, line, n)| (name.to_owned(), line, n))
        );
    }

    #[test]
    fn long_functions_are_refused_unless_they_are_tables() {
        let body = |n: usize| format!("//! x\nfn cases() {{\n{}}}\n", "    x();\n".repeat(n));
        let findings = |path: &str, n: usize| {
            let mut findings = Vec::new();
            check(path, &body(n), &mut findings);
            findings
        };
        assert_eq!(findings("a.rs", MAX_LINES - 2), Vec::<String>::new());
        let long = findings("a.rs", MAX_LINES - 1);
        assert_eq!(
            long,
            ["a.rs:2: `cases` has 81 lines, at most 80: one thing a function"]
        );
        let (table, ..) = TABLES[0];
        assert_eq!(findings(table, MAX_LINES), Vec::<String>::new());
        assert_eq!(
            stale_tables(|_| Some(body(MAX_LINES))).len(),
            TABLES.len() - 1
        );
        assert_eq!(stale_tables(|_| None).len(), TABLES.len());
    }
}
