//! A single file of examples for `predict`: a file of the user's, or standard input. Its format is
//! the given one, or is recognised by its name or its content. Called by `predict`.

use crate::config::PredictConfig;
use progtune_datasets::{DataFile, Format, Header, Reading};
use progtune_engine::{Error, LearnedTask, Result};
use progtune_process::{
    files::temporary::{Access, Temporary, TemporaryPath},
    terminal::note,
};
use std::{
    env, fs,
    io::{BufRead, BufReader, IsTerminal, Read, Write},
    path::{Path, PathBuf},
};

/// The name of standard input in messages.
const STANDARD_INPUT: &str = "standard input";

/// The number of lines from which a format is recognised.
const N_LINES: usize = 200;

/// A file of examples.
pub(crate) struct InputFile {
    /// The file.
    pub path: PathBuf,
    /// The given or recognised format; `None` if neither name nor content shows it.
    pub format: Option<Format>,
    /// The way in which it is read.
    pub reading: Reading,
    /// The name in messages, if it is not the path.
    shown: Option<String>,
    /// The copy of a stream, which is removed afterwards.
    _copy: Option<TemporaryPath>,
}

impl InputFile {
    /// A file of the user's. A pipe is copied, because it can be read only once.
    ///
    /// # Errors
    /// Fails if a pipe is empty or cannot be read.
    pub(crate) fn new(path: &Path, config: &PredictConfig, columns: &[String]) -> Result<Self> {
        let reading = config.reading.clone();
        let is_stream = fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir());
        if is_stream {
            let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
            return Self::of_bytes(&bytes, path.display().to_string(), reading, columns);
        }
        let format = reading.format.or_else(|| Format::of_name(path));
        let is_text = || {
            let end = path.extension().and_then(|end| end.to_str());
            end.is_some_and(|end| ["txt", "text"].contains(&end.to_lowercase().as_str()))
        };
        Ok(Self {
            path: path.to_owned(),
            format: format.or_else(|| is_text().then_some(Format::Lines)),
            reading,
            shown: None,
            _copy: None,
        })
    }

    /// A copy of standard input.
    ///
    /// # Errors
    /// Fails if it is empty or cannot be read.
    pub(crate) fn of_standard_input(config: &PredictConfig, columns: &[String]) -> Result<Self> {
        if std::io::stdin().is_terminal() {
            note("reading from the terminal; Ctrl-D ends the input");
        }
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(Error::io(Path::new(STANDARD_INPUT), "read"))?;
        Self::of_bytes(
            &bytes,
            STANDARD_INPUT.into(),
            config.reading.clone(),
            columns,
        )
    }

    /// A copy of a stream. Its format is the given one, otherwise JSONL if it begins with a brace
    /// or bracket, and CSV or TSV if its first line has one of `columns`; otherwise it has one text
    /// per line.
    fn of_bytes(bytes: &[u8], name: String, reading: Reading, columns: &[String]) -> Result<Self> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::Usage(format!(
                "{name} is empty, so there is nothing to predict; pipe texts into it, or give --input FILE or --text TEXT"
            )));
        }
        let format = reading.format.unwrap_or_else(|| recognise(bytes, columns));
        let folder = env::temp_dir();
        let end = format!(".{}", format.as_str());
        let written = Temporary::new_in(&folder, &end, Access::Private).and_then(|mut copy| {
            copy.write_all(bytes)?;
            Ok(copy)
        });
        let (_, copy) = written
            .map_err(Error::io(&folder, "write a temporary file in"))?
            .into_parts();
        Ok(Self {
            path: copy.path().to_owned(),
            format: Some(format),
            reading,
            shown: Some(name),
            _copy: Some(copy),
        })
    }

    /// The file in a format, with its names of columns.
    pub(crate) fn in_format(&self, format: Format) -> DataFile {
        DataFile {
            path: self.path.clone(),
            format,
            encoding: self.reading.encoding,
            header: match format {
                Format::Lines => Header::FirstRow,
                _ => self.reading.header.clone(),
            },
            part: None,
        }
    }

    /// The name in messages.
    pub(crate) fn name(&self) -> String {
        match &self.shown {
            Some(shown) => shown.clone(),
            None => self.path.display().to_string(),
        }
    }

    /// The error with the name of the file that the user knows.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let Some(shown) = &self.shown else {
            return error;
        };
        let text = error.to_string();
        let path = self.path.display().to_string();
        match error {
            Error::Data(_) | Error::Model(_) if text.contains(&path) => {
                Error::Model(text.replace(&path, shown))
            }
            other => other,
        }
    }

    /// Whether its format is not known and its lines are those of a column file for a tagger: one
    /// word, or a word and its tag, per line.
    ///
    /// # Errors
    /// Fails if it cannot be read.
    pub(crate) fn has_word_lines(&self, learned: &LearnedTask) -> Result<bool> {
        let lines = first_lines(&self.path)?;
        let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
        let words = lines.iter().filter(|line| !line.trim().is_empty());
        let n_cells = |line: &&str| {
            if line.contains('\t') {
                line.split('\t').count()
            } else {
                line.split_whitespace().count()
            }
        };
        let counts: Vec<usize> = words.clone().map(n_cells).collect();
        let Some(&first) = counts.first() else {
            return Ok(false);
        };
        if counts.iter().any(|&count| count != first) {
            return Ok(false);
        }
        let is_tag = |line: &&str| {
            let last = line.split_whitespace().last();
            last.is_some_and(|last| learned.labels.names.iter().any(|name| name == last))
        };
        Ok(
            first == 1
                || words.clone().all(|line| line.contains('\t'))
                || words.clone().all(is_tag),
        )
    }

    /// Whether each line begins with one of the labels, as in training files of the format
    /// `label-text`.
    ///
    /// # Errors
    /// Fails if it cannot be read.
    pub(crate) fn has_label_lines(&self, learned: &LearnedTask) -> Result<bool> {
        let lines = first_lines(&self.path)?;
        let mut lines = lines.iter().filter(|line| !line.trim().is_empty());
        let names = &learned.labels.names;
        Ok(lines.all(|line| {
            let first = line.split_whitespace().next().unwrap_or_default();
            let coarse = first.split(':').next().unwrap_or_default();
            names.iter().any(|name| name == first || name == coarse)
        }))
    }
}

fn first_lines(path: &Path) -> Result<Vec<String>> {
    let file = fs::File::open(path).map_err(Error::io(path, "read"))?;
    let mut reader = BufReader::new(file);
    let mut lines = Vec::new();
    while lines.len() < N_LINES {
        let mut line = Vec::new();
        let n = reader
            .by_ref()
            .take(1 << 16)
            .read_until(b'\n', &mut line)
            .map_err(Error::io(path, "read"))?;
        if n == 0 {
            break;
        }
        lines.push(String::from_utf8_lossy(&line).into_owned());
    }
    Ok(lines)
}

/// The format of a text by its first characters or its first line.
fn recognise(bytes: &[u8], columns: &[String]) -> Format {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(1 << 16)]).into_owned();
    let start = start.trim_start_matches('\u{feff}').trim_start();
    if start.starts_with(['{', '[']) {
        return Format::Jsonl;
    }
    let first = start.lines().next().unwrap_or_default();
    let has_column = |separator: char| {
        let mut cells = first
            .split(separator)
            .map(|cell| cell.trim().trim_matches('"'));
        cells.any(|cell| columns.iter().any(|name| name == cell))
    };
    if first.contains('\t') && has_column('\t') {
        Format::Tsv
    } else if [',', ';', '|'].into_iter().any(has_column) {
        Format::Csv
    } else {
        Format::Lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_tells_its_format() {
        let columns = ["text".to_owned(), "url".to_owned()];
        for (text, expected) in [
            ("{\"text\": 1}\n", Format::Jsonl),
            (" [\n{}]", Format::Jsonl),
            ("id,text\n1,a\n", Format::Csv),
            ("\"text\"\na\n", Format::Csv),
            ("id;\"text\"\n1;a\n", Format::Csv),
            ("id\ttext\n1\ta\n", Format::Tsv),
            ("A text, and more of it\n", Format::Lines),
            ("a\tpair\n", Format::Lines),
        ] {
            assert_eq!(recognise(text.as_bytes(), &columns), expected, "{text}");
        }
    }
}
