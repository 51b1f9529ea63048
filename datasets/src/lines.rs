//! The lines of a UTF-8 text file, one at a time; `tsv` and `jsonl` read through it.
//!
//! A byte order mark at the start is dropped, as is a line's LF or CRLF; nothing else is. Only LF ends a line: texts may
//! hold U+0085 or U+2028, which some readers take for line ends.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::error::DataError;

const BYTE_ORDER_MARK: &str = "\u{FEFF}";

/// A text file being read.
pub(crate) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    line: Vec<u8>,
    /// The number of the line in `line`, from 1.
    number: usize,
    /// The offset in the file of the byte after `line`.
    offset: u64,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|source| DataError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            reader: BufReader::with_capacity(1 << 16, file),
            line: Vec::new(),
            number: 0,
            offset: 0,
        })
    }

    /// The next line and its number from 1; `None` at the end of the file.
    pub(crate) fn next_line(&mut self) -> Result<Option<(usize, &str)>, DataError> {
        self.line.clear();
        let n_bytes = self
            .reader
            .read_until(b'\n', &mut self.line)
            .map_err(|source| DataError::Io {
                path: self.path.clone(),
                source,
            })?;
        if n_bytes == 0 {
            return Ok(None);
        }
        let start = self.offset;
        self.offset = start.saturating_add(n_bytes as u64);
        self.number += 1;
        let text = std::str::from_utf8(&self.line).map_err(|error| DataError::NotUtf8 {
            path: self.path.clone(),
            line: self.number,
            offset: start.saturating_add(error.valid_up_to() as u64),
            byte: self
                .line
                .get(error.valid_up_to())
                .copied()
                .unwrap_or_default(),
        })?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let text = match self.number {
            1 => text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text),
            _ => text,
        };
        Ok(Some((self.number, text)))
    }
}
