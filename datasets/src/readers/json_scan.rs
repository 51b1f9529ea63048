//! Splits a JSON text into values while holding only one of them. It determines where each value
//! begins and ends and nothing else; `serde_json` parses the values. Called by `json_document`, and
//! by `jsonl` for `NaN`.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use crate::error::{DataError, Place, TableError};
use crate::format::DataFile;
use crate::readers::lines::{BYTE_ORDER_MARK, MAX_LINE_BYTES};
use crate::readers::text_file::TextFile;

/// A position in a JSON text.
pub(crate) struct JsonScan {
    path: PathBuf,
    file: TextFile,
    line: usize,
}

/// The state of the scan within a value.
#[derive(Default)]
struct Inside {
    /// The number of open braces and brackets.
    depth: usize,
    is_string: bool,
    is_escaped: bool,
    is_scalar: bool,
}

impl Inside {
    /// Takes in a byte: `None` if the value ended before it, otherwise whether the value ends with
    /// it.
    fn take(&mut self, byte: u8) -> Option<bool> {
        if self.is_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => {
                    self.is_string = false;
                    return Some(self.depth == 0);
                }
                _ => {}
            }
            return Some(false);
        }
        if self.is_scalar {
            let is_over = byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}' | b':');
            return (!is_over).then_some(false);
        }
        match byte {
            b'"' => self.is_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return Some(self.depth == 0);
            }
            _ => self.is_scalar = self.depth == 0,
        }
        Some(false)
    }
}

impl JsonScan {
    pub(crate) fn open(file: &DataFile) -> Result<Self, DataError> {
        let mut scan = Self {
            path: file.path.clone(),
            file: TextFile::open_as_utf8(file)?,
            line: 1,
        };
        let has_mark = match scan.file.reader.fill_buf() {
            Ok(start) => start.starts_with(BYTE_ORDER_MARK.as_bytes()),
            Err(error) => return Err(scan.file.failure(1, error)),
        };
        if has_mark {
            scan.file.reader.consume(BYTE_ORDER_MARK.len());
        }
        Ok(scan)
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The line that the scan has reached.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// The next byte that is not whitespace, without consuming it.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, DataError> {
        loop {
            let line = self.line;
            let bytes = match self.file.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) => return Err(self.file.failure(line, error)),
            };
            let Some(&first) = bytes.first() else {
                return Ok(None);
            };
            let n_blank = bytes
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
            if n_blank == 0 {
                return Ok(Some(first));
            }
            self.line += count_lines(&bytes[..n_blank]);
            self.file.reader.consume(n_blank);
        }
    }

    /// Consumes the next byte if it is this one.
    pub(crate) fn take(&mut self, byte: u8) -> Result<bool, DataError> {
        let is_next = self.peek()? == Some(byte);
        if is_next {
            self.file.reader.consume(1);
        }
        Ok(is_next)
    }

    /// Consumes the next byte, which must be this one.
    pub(crate) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), DataError> {
        if self.take(byte)? {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    /// The error for an unexpected byte.
    pub(crate) fn unexpected(&mut self, expected: &'static str) -> DataError {
        let found = match self.peek() {
            Err(error) => return error,
            Ok(None) => "the end of the file".to_owned(),
            Ok(Some(byte)) => {
                if byte.is_ascii_graphic() {
                    format!("`{}`", byte as char)
                } else {
                    format!("the byte 0x{byte:02X}")
                }
            }
        };
        TableError::JsonLayout {
            path: self.path.clone(),
            line: self.line,
            expected,
            found,
        }
        .into()
    }

    /// The next value as written. An error about its length names `row`.
    pub(crate) fn value(&mut self, row: usize) -> Result<Vec<u8>, DataError> {
        let mut value = Vec::new();
        let n_bytes = self.walk(Some(&mut value), u64::MAX)?;
        if n_bytes > MAX_LINE_BYTES as u64 {
            return Err(DataError::TooLong {
                place: Place::row(&self.path, row),
                what: "row",
                found: format!("{n_bytes} bytes"),
                limit: MAX_LINE_BYTES,
            });
        }
        Ok(value)
    }

    /// Skips a value. An array may have any length, other values at most the length of a row.
    pub(crate) fn skip(&mut self) -> Result<(), DataError> {
        let limit = match self.peek()? {
            Some(b'[') => u64::MAX,
            _ => MAX_LINE_BYTES as u64,
        };
        self.walk(None, limit).map(|_| ())
    }

    /// Walks over a value and returns its length. As much of it as a row may have is copied to
    /// `value`.
    fn walk(&mut self, mut value: Option<&mut Vec<u8>>, limit: u64) -> Result<u64, DataError> {
        if matches!(self.peek()?, None | Some(b',' | b':' | b']' | b'}')) {
            return Err(self.unexpected("a value"));
        }
        let mut inside = Inside::default();
        let mut n_bytes = 0;
        loop {
            let line = self.line;
            let bytes = match self.file.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) => return Err(self.file.failure(line, error)),
            };
            if bytes.is_empty() {
                return if inside.is_scalar {
                    Ok(n_bytes)
                } else {
                    Err(self.unexpected("the end of a value"))
                };
            }
            let mut n_taken = bytes.len();
            let mut is_over = false;
            for (at, &byte) in bytes.iter().enumerate() {
                match inside.take(byte) {
                    Some(false) => continue,
                    Some(true) => n_taken = at + 1,
                    None => n_taken = at,
                }
                is_over = true;
                break;
            }
            if let Some(value) = value.as_mut() {
                let room = MAX_LINE_BYTES.saturating_sub(value.len()).min(n_taken);
                value.extend_from_slice(&bytes[..room]);
            }
            n_bytes += n_taken as u64;
            self.line += count_lines(&bytes[..n_taken]);
            self.file.reader.consume(n_taken);
            if is_over {
                return Ok(n_bytes);
            }
            if n_bytes > limit {
                return Err(self.unexpected("the end of a value of more than 16 MiB"));
            }
        }
    }

    /// Checks that only whitespace follows.
    pub(crate) fn expect_end(&mut self) -> Result<(), DataError> {
        match self.peek()? {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end of the file after the JSON document")),
        }
    }
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

/// A JSON text in which the constants that Python's `json` writes and JSON lacks are replaced:
/// `NaN` by `null`, as pandas reads it, and an infinity by its name. `None` if there are none of
/// them.
pub(crate) fn without_nan(text: &str) -> Option<String> {
    const WORDS: [(&str, &str); 3] = [
        ("NaN", "null"),
        ("-Infinity", "\"-Infinity\""),
        ("Infinity", "\"Infinity\""),
    ];
    let mut found = false;
    let mut out = String::with_capacity(text.len());
    let (mut is_string, mut is_escaped) = (false, false);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if !is_string
            && let Some((word, json)) = WORDS.iter().find(|(word, _)| rest.starts_with(word))
        {
            out.push_str(json);
            rest = &rest[word.len()..];
            found = true;
            continue;
        }
        match first {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_string,
            '"' => is_string = !is_string,
            _ => {}
        }
        out.push(first);
        rest = &rest[first.len_utf8()..];
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::without_nan;

    #[test]
    fn nan_outside_of_strings_is_null() {
        let read = |text: &str| without_nan(text);
        assert_eq!(
            read(r#"{"a": NaN, "b": [-Infinity, Infinity], "NaN": "NaN \" NaN"}"#).as_deref(),
            Some(r#"{"a": null, "b": ["-Infinity", "Infinity"], "NaN": "NaN \" NaN"}"#)
        );
        assert_eq!(read(r#"{"a": "NaN"}"#), None);
    }
}
