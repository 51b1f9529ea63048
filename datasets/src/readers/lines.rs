//! The lines of a text file, one at a time. Every text reader reads through it.
//!
//! Only a byte order mark at the start and a line's LF or CRLF are removed. Only LF ends a line,
//! because texts may contain U+0085 or U+2028, which some readers take for line ends. If the
//! beginning of a file has no LF, CR ends its lines, as on the classic Macintosh. `text_file`
//! decompresses and converts UTF-16 to UTF-8 on the way. One copy of a line is held in memory, and
//! at most [`MAX_LINE_BYTES`] of it.

use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use crate::error::{DataError, Place};
use crate::format::{DataFile, TextEncoding};
use crate::readers::text_file::TextFile;

pub(crate) const BYTE_ORDER_MARK: &str = "\u{FEFF}";

/// The upper bound for a line, and for a row of a CSV file. It is far above any text that a model
/// reads, and far below the size of memory.
pub(crate) const MAX_LINE_BYTES: usize = 16 << 20;

/// A text file being read.
pub(crate) struct Lines {
    path: PathBuf,
    file: TextFile,
    line: Vec<u8>,
    /// The decoded line, if the file is not UTF-8.
    decoded: String,
    /// The number of the line in `line`, counted from 1.
    number: usize,
    /// The offset in the (decompressed) file of the byte after `line`.
    offset: u64,
}

impl Lines {
    pub(crate) fn open(file: &DataFile) -> Result<Self, DataError> {
        Ok(Self {
            path: file.path.clone(),
            file: TextFile::open(file)?,
            line: Vec::new(),
            decoded: String::new(),
            number: 0,
            offset: 0,
        })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next line without its end, and its number, counted from 1; `None` at the end of the
    /// file. After an error about a line the next call continues with the next line.
    pub(crate) fn next_line(&mut self) -> Result<Option<(usize, &str)>, DataError> {
        Ok(self
            .next_line_and_end()?
            .map(|(number, line, _)| (number, line)))
    }

    /// Like [`Lines::next_line`], with the line's end: LF, CRLF, CR, or nothing at the end of the
    /// file.
    pub(crate) fn next_line_and_end(&mut self) -> Result<Option<(usize, &str, &str)>, DataError> {
        let start = self.offset;
        if !self.read_bytes()? {
            return Ok(None);
        }
        let number = self.number;
        let text = if self.file.encoding == TextEncoding::default() {
            std::str::from_utf8(&self.line).map_err(|error| DataError::NotUtf8 {
                path: self.path.clone(),
                line: number,
                offset: start.saturating_add(error.valid_up_to() as u64),
                byte: self
                    .line
                    .get(error.valid_up_to())
                    .copied()
                    .unwrap_or_default(),
            })?
        } else {
            let encoding = self.file.encoding.0;
            let Some(text) =
                encoding.decode_without_bom_handling_and_without_replacement(&self.line)
            else {
                return Err(DataError::NotEncoded {
                    place: Place::line(&self.path, number),
                    encoding: self.file.encoding.name(),
                });
            };
            self.decoded.clear();
            self.decoded.push_str(&text);
            &self.decoded
        };
        if let Some(at) = self.line.iter().position(|&byte| byte == 0) {
            return Err(DataError::NulByte {
                place: Place::line(&self.path, number),
                offset: start.saturating_add(at as u64),
            });
        }
        let text = match number {
            1 => text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text),
            _ => text,
        };
        let body = text.strip_suffix('\n').unwrap_or(text);
        let body = body.strip_suffix('\r').unwrap_or(body);
        Ok(Some((number, body, &text[body.len()..])))
    }

    /// Reads up to the next LF into `line`; false at the end of the file.
    fn read_bytes(&mut self) -> Result<bool, DataError> {
        self.line.clear();
        let limit = MAX_LINE_BYTES as u64 + 1;
        let line_end = self.file.line_end;
        let reader = self.file.reader.by_ref();
        let result = reader.take(limit).read_until(line_end, &mut self.line);
        let n_bytes = result.map_err(|error| self.failure(error))?;
        if n_bytes == 0 {
            return Ok(false);
        }
        self.number += 1;
        self.offset = self.offset.saturating_add(n_bytes as u64);
        if n_bytes as u64 == limit && self.line.last() != Some(&line_end) {
            let rest = self
                .file
                .reader
                .skip_until(line_end)
                .map_err(|error| self.failure(error))?;
            self.offset = self.offset.saturating_add(rest as u64);
            return Err(DataError::TooLong {
                place: Place::line(&self.path, self.number),
                what: "line",
                found: format!("{} bytes", n_bytes + rest),
                limit: MAX_LINE_BYTES,
            });
        }
        Ok(true)
    }

    fn failure(&self, source: io::Error) -> DataError {
        self.file.failure(self.number + 1, source)
    }
}
