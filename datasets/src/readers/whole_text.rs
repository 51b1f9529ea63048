//! A text file that is one document: read as far as requested, then as a whole. Called by the
//! reader of JSON documents; `lines` reads files that consist of lines.

use std::io::{BufRead, Read};

use crate::error::{DataError, Place, QuestionError};
use crate::format::{DataFile, TextEncoding};
use crate::readers::lines::BYTE_ORDER_MARK;
use crate::readers::text_file::TextFile;

/// The largest document: six times SQuAD v2.0's training file. A file of lines may be larger.
const MAX_DOCUMENT_BYTES: u64 = 256 << 20;

/// A document being read.
pub(crate) struct WholeText<'a> {
    file: &'a DataFile,
    opened: TextFile,
    /// The bytes read so far, as in the file.
    bytes: Vec<u8>,
    /// The same bytes, decoded.
    text: String,
}

impl<'a> WholeText<'a> {
    pub(crate) fn open(file: &'a DataFile) -> Result<Self, DataError> {
        Ok(Self {
            file,
            opened: TextFile::open(file)?,
            bytes: Vec::new(),
            text: String::new(),
        })
    }

    /// The file up to the end of its first non-blank line.
    pub(crate) fn first_line(&mut self) -> Result<&str, DataError> {
        loop {
            let before = self.bytes.len();
            let room = self.room()?;
            let result = self
                .opened
                .reader
                .by_ref()
                .take(room)
                .read_until(b'\n', &mut self.bytes);
            result.map_err(|error| self.failure(error))?;
            let line = &self.bytes[before..];
            if line.is_empty() || !line.trim_ascii().is_empty() {
                break;
            }
        }
        self.decode()
    }

    /// Whether only whitespace follows the part that was read.
    pub(crate) fn rest_is_blank(&mut self) -> Result<bool, DataError> {
        let before = self.bytes.len();
        self.read_rest()?;
        Ok(self.bytes[before..].trim_ascii().is_empty())
    }

    /// The whole file.
    pub(crate) fn whole(&mut self) -> Result<&str, DataError> {
        self.read_rest()?;
        self.decode()
    }

    fn read_rest(&mut self) -> Result<(), DataError> {
        let room = self.room()?;
        let result = self
            .opened
            .reader
            .by_ref()
            .take(room)
            .read_to_end(&mut self.bytes);
        result.map_err(|error| self.failure(error))?;
        self.room().map(|_| ())
    }

    /// The number of bytes that may still follow, and one more to detect excess.
    fn room(&self) -> Result<u64, DataError> {
        let left = (MAX_DOCUMENT_BYTES + 1).saturating_sub(self.bytes.len() as u64);
        match left {
            0 => Err(QuestionError::TooLarge {
                path: self.file.path.clone(),
                limit: MAX_DOCUMENT_BYTES,
            }
            .into()),
            left => Ok(left),
        }
    }

    fn line_number(&self, end: usize) -> usize {
        1 + self.bytes[..end]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count()
    }

    fn failure(&self, source: std::io::Error) -> DataError {
        let line = self.line_number(self.bytes.len());
        self.opened.failure(line, source)
    }

    fn decode(&mut self) -> Result<&str, DataError> {
        let path = &self.file.path;
        if self.opened.encoding == TextEncoding::default() {
            let text = std::str::from_utf8(&self.bytes).map_err(|error| {
                let at = error.valid_up_to();
                DataError::NotUtf8 {
                    path: path.clone(),
                    line: self.line_number(at),
                    offset: at as u64,
                    byte: self.bytes[at],
                }
            })?;
            return Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text));
        }
        let encoding = self.opened.encoding.0;
        match encoding.decode_without_bom_handling_and_without_replacement(&self.bytes) {
            Some(text) => self.text = text.into_owned(),
            None => {
                return Err(DataError::NotEncoded {
                    place: Place::file(path),
                    encoding: self.opened.encoding.name(),
                });
            }
        }
        Ok(&self.text)
    }
}
