//! The lines of a column file that contain words: without comments, document marks and, in CoNLL-U,
//! the lines that are not words of their own. Called by `conll`.
//!
//! A comment begins with `#` and whitespace, before the first word of a sentence (`# id 7`,
//! `# text = …`, as in MultiCoNER's and CoNLL-U's files). The word `#` at the beginning of a
//! sentence looks the same. Such a line is a word if it has as many cells as the file's words and
//! ends in a tag or has only one cell. Tags are `O`, a part of an entity, or a text with neither
//! lower-case letters nor a number.

use std::collections::VecDeque;

use crate::error::DataError;
use crate::format::DataFile;
use crate::readers::lines::Lines;
use crate::tag_scheme::repair::is_part;

const DOCUMENT_START: &str = "-DOCSTART-";
/// The columns of CoNLL-U: ID, FORM, LEMMA, UPOS, XPOS, FEATS, HEAD, DEPREL, DEPS, MISC.
const CONLL_U_COLUMNS: usize = 10;
/// The maximum number of lines beginning with `#` that are held until a word shows the number of
/// columns. Beyond it they are comments.
const MAX_HELD: usize = 1000;

/// A relevant line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WordLine {
    /// A word with its line number, counted from 1.
    Word(usize, String),
    /// The end of a sentence.
    End,
}

/// The lines of a file.
pub(crate) struct WordLines {
    lines: Lines,
    /// Whether tabs separate the cells; known from the first word on.
    has_tabs: bool,
    /// The number of columns of the first word; 0 before it.
    n_columns: usize,
    /// Whether no word of a sentence has been read yet.
    at_start: bool,
    /// Lines that were read ahead of the first word.
    held: VecDeque<WordLine>,
    n_left_out: usize,
}

impl WordLines {
    /// Opens a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn open(file: &DataFile) -> Result<Self, DataError> {
        Ok(Self {
            lines: Lines::open(file)?,
            has_tabs: false,
            n_columns: 0,
            at_start: true,
            held: VecDeque::new(),
            n_left_out: 0,
        })
    }

    /// The file's path.
    pub(crate) fn path(&self) -> &std::path::Path {
        self.lines.path()
    }

    /// The number of columns of the first word; 0 before it.
    pub(crate) fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// The name of the separator, for messages.
    pub(crate) fn separator(&self) -> &'static str {
        if self.has_tabs { "tab" } else { "space" }
    }

    /// The number of lines so far that were comments or, in CoNLL-U, not words of their own.
    pub(crate) fn n_left_out(&self) -> usize {
        self.n_left_out
    }

    /// The cells of a word's line.
    pub(crate) fn split<'a>(&self, line: &'a str) -> Vec<&'a str> {
        split(line, self.has_tabs)
    }

    /// The next relevant line; `None` at the end of the file.
    ///
    /// # Errors
    /// A line cannot be read; the next call continues after it.
    pub(crate) fn next_line(&mut self) -> Result<Option<WordLine>, DataError> {
        loop {
            if self.n_columns > 0
                && let Some(line) = self.held.pop_front()
            {
                match self.judge(line) {
                    Some(line) => return Ok(Some(line)),
                    None => continue,
                }
            }
            let line = match self.lines.next_line()? {
                Some((_, line)) if is_empty(line) || is_document_start(line) => WordLine::End,
                Some((number, line)) => WordLine::Word(number, line.to_owned()),
                None => {
                    self.n_left_out += self
                        .held
                        .drain(..)
                        .filter(|line| *line != WordLine::End)
                        .count();
                    return Ok(None);
                }
            };
            if self.n_columns == 0 {
                self.hold(line);
            } else if let Some(line) = self.judge(line) {
                return Ok(Some(line));
            }
        }
    }

    /// Keeps a line that precedes the first word, or learns the columns from that word.
    fn hold(&mut self, line: WordLine) {
        if let WordLine::Word(_, text) = &line {
            if !may_be_comment(text) {
                self.has_tabs = text.contains('\t');
                self.n_columns = split(text, self.has_tabs).len();
            } else if self.held.len() >= MAX_HELD {
                self.n_left_out += 1;
                return;
            }
        }
        self.held.push_back(line);
    }

    /// The line, unless it is left out.
    fn judge(&mut self, line: WordLine) -> Option<WordLine> {
        let WordLine::Word(_, text) = &line else {
            self.at_start = true;
            return Some(line);
        };
        let cells = self.split(text);
        let is_comment = self.at_start && may_be_comment(text) && !self.is_word(&cells);
        // `3-4` is the surface form of words 3 and 4 together; `3.1` is a word that is not written.
        let is_no_word = self.has_tabs
            && self.n_columns == CONLL_U_COLUMNS
            && cells.len() == CONLL_U_COLUMNS
            && cells[0]
                .split_once(['-', '.'])
                .is_some_and(|(a, b)| is_number(a) && is_number(b));
        if is_comment || is_no_word {
            self.n_left_out += 1;
            return None;
        }
        self.at_start = false;
        Some(line)
    }

    /// Whether the cells of a line that begins with `#` are those of a word.
    fn is_word(&self, cells: &[&str]) -> bool {
        let is_tag = |tag: &str| {
            tag == "O" || is_part(tag) || !tag.chars().any(char::is_lowercase) && !is_number(tag)
        };
        // `# id 7` and `# text = O` may have as many cells as a word.
        let is_key = cells.len() > 2 && (cells[1] == "id" || cells[2] == "=");
        // In a file with only words, `#` by itself is a word.
        let is_lone = cells.len() == 1;
        cells.len() == self.n_columns
            && !is_key
            && (is_lone || cells.last().is_some_and(|tag| is_tag(tag)))
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn may_be_comment(line: &str) -> bool {
    let rest = line.strip_prefix('#');
    rest.is_some_and(|rest| rest.chars().next().is_none_or(char::is_whitespace))
}

/// The cells of a line.
fn split(line: &str, has_tabs: bool) -> Vec<&str> {
    if has_tabs {
        line.split('\t').collect()
    } else {
        line.split_whitespace().collect()
    }
}

fn is_empty(line: &str) -> bool {
    let is_blank = |character: char| character.is_whitespace() || character == '\u{FEFF}';
    line.chars().all(is_blank)
}

fn is_document_start(line: &str) -> bool {
    line.split_whitespace().next() == Some(DOCUMENT_START)
}
