//! A text file from disk, made readable: decompressed, decoded if it is UTF-16, with its line ends
//! determined. `lines`, `whole_text` and `json_scan` read through it.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::error::{DataError, Place, TableError};
use crate::format::{DataFile, TextEncoding};
use crate::readers::decompress::{decompressed, read_failure};
use crate::readers::foreign;

/// The number of leading bytes inspected.
const PEEKED: u64 = 1 << 16;

/// An open text file.
pub(crate) struct TextFile {
    path: PathBuf,
    pub(crate) reader: Box<dyn BufRead>,
    compression: Option<&'static str>,
    /// The encoding that `reader` converts to UTF-8.
    transcoded: Option<&'static Encoding>,
    /// The encoding of the bytes from `reader`.
    pub(crate) encoding: TextEncoding,
    /// The byte that ends a line: LF, or CR in a file whose beginning has no LF.
    pub(crate) line_end: u8,
}

impl TextFile {
    /// Opens a file. Encodings other than UTF-8 and UTF-16 are passed through unchanged.
    pub(crate) fn open(file: &DataFile) -> Result<Self, DataError> {
        Self::open_as(file, false)
    }

    /// Opens a file to read it as UTF-8, whatever its encoding.
    pub(crate) fn open_as_utf8(file: &DataFile) -> Result<Self, DataError> {
        Self::open_as(file, true)
    }

    fn open_as(file: &DataFile, as_utf8: bool) -> Result<Self, DataError> {
        let (reader, compression) = decompressed(&file.path)?;
        let (start, reader) = peek(reader);
        if compression.is_some() {
            foreign::refuse(&file.path, &start, None)?;
        }
        let wide = wide_encoding(&file.path, &start, file.encoding)?;
        let asked = Some(file.encoding.0).filter(|encoding| as_utf8 && *encoding != UTF_8);
        let transcoded = wide.or(asked);
        let mut opened = Self {
            path: file.path.clone(),
            reader,
            compression,
            transcoded,
            encoding: file.encoding,
            line_end: line_end(&start),
        };
        if let Some(encoding) = transcoded {
            let utf8 = BufReader::with_capacity(
                1 << 16,
                Transcoded {
                    source: opened.reader,
                    decoder: encoding.new_decoder_with_bom_removal(),
                    state: State::Going,
                },
            );
            let (start, reader) = peek(Box::new(utf8));
            opened.reader = reader;
            opened.encoding = TextEncoding::default();
            opened.line_end = line_end(&start);
        }
        Ok(opened)
    }

    /// The error for a file that could not be read beyond a line.
    pub(crate) fn failure(&self, line: usize, source: io::Error) -> DataError {
        match self.transcoded {
            Some(encoding) if source.kind() == io::ErrorKind::InvalidData => {
                TableError::NotInEncoding {
                    place: Place::line(&self.path, line),
                    encoding: encoding.name(),
                }
                .into()
            }
            _ => read_failure(&self.path, self.compression, line, source),
        }
    }
}

/// The beginning of a reader's contents, and the same reader from its beginning. A failure on the
/// way is repeated where it occurred.
fn peek(mut reader: Box<dyn BufRead>) -> (Vec<u8>, Box<dyn BufRead>) {
    let mut start = Vec::new();
    let failure = reader.by_ref().take(PEEKED).read_to_end(&mut start).err();
    let again = io::Cursor::new(start.clone());
    match failure {
        None => (start, Box::new(again.chain(reader))),
        Some(error) => (start, Box::new(again.chain(BufReader::new(Failed(error))))),
    }
}

/// A reader that has failed, and fails whenever it is read.
struct Failed(io::Error);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(self.0.kind(), self.0.to_string()))
    }
}

/// The UTF-16 encoding of a file, if it has one. A byte order mark or the user says so, or every
/// other of the first eight bytes is zero, as in no other text.
fn wide_encoding(
    path: &Path,
    start: &[u8],
    asked: TextEncoding,
) -> Result<Option<&'static Encoding>, DataError> {
    let utf_32 = || {
        Err(TableError::Utf32 {
            path: path.to_path_buf(),
        }
        .into())
    };
    // The zeros among the first eight bytes: they show ASCII in an encoding of two or four bytes
    // per character.
    let zeros = start.get(..8).map(|start| {
        start
            .iter()
            .fold(0u8, |bits, byte| bits << 1 | u8::from(*byte == 0))
    });
    Ok(match (start, zeros) {
        ([0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..], _) => return utf_32(),
        ([0xFF, 0xFE, ..], _) => Some(UTF_16LE),
        ([0xFE, 0xFF, ..], _) => Some(UTF_16BE),
        (_, Some(0b0111_0111 | 0b1110_1110)) => return utf_32(),
        (_, Some(0b0101_0101)) => Some(UTF_16LE),
        (_, Some(0b1010_1010)) => Some(UTF_16BE),
        _ if !asked.0.is_ascii_compatible() => Some(asked.0),
        _ => None,
    })
}

/// The line end used at the beginning of a file.
fn line_end(start: &[u8]) -> u8 {
    // At the very end of the inspected bytes, a CR may be followed by an LF.
    let is_cut = start.len() as u64 == PEEKED;
    let seen = match start.split_last() {
        Some((_, before)) if is_cut => before,
        _ => start,
    };
    if seen.contains(&b'\r') && !start.contains(&b'\n') {
        b'\r'
    } else {
        b'\n'
    }
}

/// Text of another encoding, converted to UTF-8.
struct Transcoded {
    source: Box<dyn BufRead>,
    decoder: Decoder,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Going,
    Done,
    /// The next bytes are invalid in the encoding.
    Broken,
}

impl Read for Transcoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.state {
                State::Going => {}
                State::Done => return Ok(0),
                State::Broken => return Err(io::ErrorKind::InvalidData.into()),
            }
            let input = self.source.fill_buf()?;
            let is_last = input.is_empty();
            let (result, n_read, n_written) = self
                .decoder
                .decode_to_utf8_without_replacement(input, buffer, is_last);
            self.source.consume(n_read);
            match result {
                DecoderResult::Malformed(..) => self.state = State::Broken,
                DecoderResult::InputEmpty if is_last => self.state = State::Done,
                DecoderResult::InputEmpty => {}
                DecoderResult::OutputFull if n_written == 0 => {
                    return Err(io::Error::other("a buffer too small for a character"));
                }
                DecoderResult::OutputFull => {}
            }
            if n_written > 0 {
                return Ok(n_written);
            }
        }
    }
}
