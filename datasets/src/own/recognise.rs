//! Recognises the format of a file by its content if its name does not tell (`train.txt`,
//! `SMSSpamCollection`). Called by `own::find`.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::format::{DataFile, Format};
use crate::readers::csv;
use crate::readers::foreign::columnar_format;
use crate::readers::lines::Lines;

/// The number of lines inspected.
const N_LINES: usize = 200;

/// Fewer lines than this do not show a format without separators.
const FEW_LINES: usize = 10;

/// The findings about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// It has this format.
    Known(Format),
    /// Its lines look like this format, which is proposed and not chosen.
    Looks(Format),
    /// Nothing is known.
    Unknown,
}

/// Inspects the beginning of a file, whose `format` is not known yet. A file that cannot be read is
/// unknown; whatever reads it reports the reason.
pub(crate) fn recognise(file: &DataFile) -> Content {
    if let Some(format) = start_of(&file.path).and_then(|start| columnar_format(&start)) {
        return Content::Known(format);
    }
    let Some(lines) = first_lines(file) else {
        return Content::Unknown;
    };
    let texts: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| !line.trim().is_empty())
        .collect();
    let Some(first) = texts.first() else {
        return Content::Unknown;
    };
    let start = first.trim_start();
    if start.starts_with("{\"") || start == "{" || is_array(start) {
        return Content::Known(Format::Jsonl);
    }
    if are_words_and_tags(&lines) {
        return Content::Known(Format::Conll);
    }
    if is_even(&texts, |line| line.split('\t').count()) {
        return Content::Known(Format::Tsv);
    }
    if csv::is_even(file) {
        return Content::Known(Format::Csv);
    }
    if texts.len() < FEW_LINES {
        Content::Unknown
    } else if are_labelled(&texts) {
        Content::Looks(Format::LabelText)
    } else {
        Content::Looks(Format::Lines)
    }
}

/// Whether a table without quoting, judging by its name, is quoted in truth: every name in its
/// first line is.
pub(crate) fn has_quoted_header(file: &DataFile) -> bool {
    let first = first_lines(file).and_then(|lines| lines.into_iter().next());
    first.is_some_and(|line| {
        let is_quoted = |cell: &str| cell.len() > 1 && cell.starts_with('"') && cell.ends_with('"');
        line.contains('\t') && line.split('\t').all(is_quoted)
    })
}

fn start_of(path: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    let is_file = path.is_file();
    let file = File::open(path).ok().filter(|_| is_file)?;
    file.take(64).read_to_end(&mut start).ok()?;
    Some(start)
}

/// The first lines, as far as they can be read. A pipe is not read, because it can be read only
/// once.
fn first_lines(file: &DataFile) -> Option<Vec<String>> {
    if !file.path.is_file() {
        return None;
    }
    let mut lines = Lines::open(file).ok()?;
    let mut found = Vec::new();
    while found.len() < N_LINES {
        match lines.next_line() {
            Ok(Some((_, line))) => found.push(line.to_owned()),
            Ok(None) => break,
            // A line in another encoding.
            Err(error) if error.is_about_a_row() => {}
            Err(_) => return None,
        }
    }
    Some(found)
}

/// Whether a line begins a JSON array of rows.
fn is_array(start: &str) -> bool {
    let inside = start.strip_prefix('[').map(str::trim_start);
    inside.is_some_and(|inside| inside.is_empty() || inside.starts_with(['{', '[', '"']))
}

/// Whether lines consist of equally many cells, at least two, with empty lines after some of them.
fn are_words_and_tags(lines: &[String]) -> bool {
    let mut counts = lines.iter().map(|line| line.split_whitespace().count());
    let first = counts.clone().find(|&count| count > 0).unwrap_or_default();
    let n_blank = lines.iter().rev().skip_while(|line| line.trim().is_empty());
    let n_blank = n_blank.filter(|line| line.trim().is_empty()).count();
    first > 1 && n_blank > 0 && counts.all(|count| count == 0 || count == first)
}

/// Whether all rows have as many cells as the first, at least two.
fn is_even(texts: &[&str], count: impl Fn(&str) -> usize) -> bool {
    let Some((first, others)) = texts.split_first() else {
        return false;
    };
    let n_cells = count(first);
    let n_even = others.iter().filter(|line| count(line) == n_cells).count();
    // A few uneven rows are reported as such.
    n_cells > 1 && !others.is_empty() && n_even * 10 >= others.len() * 9
}

/// Whether the first words of lines are labels: few words, each of which begins many lines.
fn are_labelled(texts: &[&str]) -> bool {
    let words = texts.iter().map(|line| line.split_whitespace().next());
    let words: HashSet<Option<&str>> = words.collect();
    let have_text = texts.iter().all(|line| line.split_whitespace().count() > 1);
    have_text && words.len() > 1 && words.len() * 3 <= texts.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Header, TextEncoding};

    fn found(content: &str) -> Content {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        std::fs::write(&path, content).unwrap();
        recognise(&DataFile {
            path,
            format: Format::Lines,
            encoding: TextEncoding::default(),
            header: Header::default(),
            part: None,
        })
    }

    #[test]
    fn content_tells_the_format() {
        let prose = |n: usize| format!("{n} films were, on the whole, fine\nso I said\n");
        let lines: String = (0..10).map(prose).collect();
        let labelled: String = (0..30)
            .map(|row| {
                format!(
                    "{} is it number {row}?\n",
                    ["ASK:what", "TELL:who"][row % 2]
                )
            })
            .collect();
        for (content, expected) in [
            ("{\"text\": \"a\"}\n", Content::Known(Format::Jsonl)),
            ("[\n{\"text\": \"a\"}]", Content::Known(Format::Jsonl)),
            ("[[\"a\", \"b\"]]", Content::Known(Format::Jsonl)),
            (
                "ham\thello, you\nspam\twin now\n",
                Content::Known(Format::Tsv),
            ),
            ("text,label\n\"a, b\",x\nc,y\n", Content::Known(Format::Csv)),
            ("text;label\na, b;x\nc;y\n", Content::Known(Format::Csv)),
            (
                "EU NNP B-ORG\nrejects VBZ O\n\nPeter NNP B-PER\n",
                Content::Known(Format::Conll),
            ),
            ("PAR1\x15\x04", Content::Known(Format::Parquet)),
            (&labelled, Content::Looks(Format::LabelText)),
            (&lines, Content::Looks(Format::Lines)),
            ("a b\n", Content::Unknown),
            ("", Content::Unknown),
        ] {
            assert_eq!(found(content), expected, "{content}");
        }
    }
}
