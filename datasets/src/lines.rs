//! The lines of a text file, one at a time; every text reader reads through it.
//!
//! A byte order mark at the start is dropped, as is a line's LF or CRLF; nothing else is. Only LF ends a line: texts may
//! hold U+0085 or U+2028, which some readers take for line ends. A file that begins as gzip or zstd does is decompressed
//! on the way. A line is held in memory once, and at most [`MAX_LINE_BYTES`] of it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::{DataError, Place};
use crate::format::{DataFile, TextEncoding};

pub(crate) const BYTE_ORDER_MARK: &str = "\u{FEFF}";

/// The longest line, and the longest row of a CSV file: far above any text a model reads, far below memory.
pub(crate) const MAX_LINE_BYTES: usize = 16 << 20;

const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// A text file being read.
pub(crate) struct Lines {
    path: PathBuf,
    encoding: TextEncoding,
    reader: Box<dyn BufRead>,
    compression: Option<&'static str>,
    line: Vec<u8>,
    /// The line in characters, where it is not UTF-8 in the file.
    decoded: String,
    /// The number of the line in `line`, from 1.
    number: usize,
    /// The offset in the (decompressed) file of the byte after `line`.
    offset: u64,
}

impl Lines {
    pub(crate) fn open(file: &DataFile) -> Result<Self, DataError> {
        let path = &file.path;
        let (reader, compression) = decompressed(path)?;
        Ok(Self {
            path: path.clone(),
            encoding: file.encoding,
            reader,
            compression,
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

    /// The next line without its end, and its number from 1; `None` at the end of the file. After an error about a
    /// line the next call goes on with the next line.
    pub(crate) fn next_line(&mut self) -> Result<Option<(usize, &str)>, DataError> {
        Ok(self
            .next_line_and_end()?
            .map(|(number, line, _)| (number, line)))
    }

    /// As [`Lines::next_line`], with what ended the line: LF, CRLF, or nothing at the end of the file.
    pub(crate) fn next_line_and_end(&mut self) -> Result<Option<(usize, &str, &str)>, DataError> {
        let start = self.offset;
        if !self.read_bytes()? {
            return Ok(None);
        }
        let number = self.number;
        let text = if self.encoding == TextEncoding::default() {
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
            let encoding = self.encoding.0;
            let Some(text) =
                encoding.decode_without_bom_handling_and_without_replacement(&self.line)
            else {
                return Err(DataError::NotEncoded {
                    place: Place::line(&self.path, number),
                    encoding: self.encoding.name(),
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
        let result = self
            .reader
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut self.line);
        let n_bytes = result.map_err(|error| self.failure(error))?;
        if n_bytes == 0 {
            return Ok(false);
        }
        self.number += 1;
        self.offset = self.offset.saturating_add(n_bytes as u64);
        if n_bytes as u64 == limit && self.line.last() != Some(&b'\n') {
            let rest = self
                .reader
                .skip_until(b'\n')
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
        read_failure(&self.path, self.compression, self.number + 1, source)
    }
}

/// The contents of a file, and by what it is compressed: its first bytes tell.
pub(crate) fn decompressed(
    path: &Path,
) -> Result<(Box<dyn BufRead>, Option<&'static str>), DataError> {
    let failed = |source| DataError::Io {
        path: path.to_path_buf(),
        source,
    };
    let mut plain = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
    let start = plain.fill_buf().map_err(failed)?;
    Ok(if start.starts_with(&GZIP) {
        let gzip = flate2::bufread::MultiGzDecoder::new(plain);
        (Box::new(BufReader::new(gzip)), Some("gzip"))
    } else if start.starts_with(&ZSTD) {
        let zstd = ZstdFrames::new(plain);
        (Box::new(BufReader::new(zstd)), Some("zstd"))
    } else {
        (Box::new(plain), None)
    })
}

/// Why a file could not be read on, at a line.
pub(crate) fn read_failure(
    path: &Path,
    compression: Option<&'static str>,
    line: usize,
    source: io::Error,
) -> DataError {
    match compression {
        None => DataError::Io {
            path: path.to_path_buf(),
            source,
        },
        Some(compression) => DataError::Compressed {
            place: Place::line(path, line),
            compression,
            found: match source.kind() {
                io::ErrorKind::UnexpectedEof => "the end of the file in the middle".to_owned(),
                _ => source.to_string(),
            },
        },
    }
}

/// The contents of all frames of a zstd file, one after the other: the decoder stops after each.
struct ZstdFrames<R: BufRead> {
    /// `None` after the last frame.
    frame: Option<Frame<R>>,
}

enum Frame<R: BufRead> {
    Before(R),
    Inside(Box<ruzstd::decoding::StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(source: R) -> Self {
        Self {
            frame: Some(Frame::Before(source)),
        }
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.frame.take() {
                None => return Ok(0),
                Some(Frame::Before(mut source)) => {
                    if source.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let decoder = ruzstd::decoding::StreamingDecoder::new(source)
                        .map_err(|error| io::Error::other(error.to_string()))?;
                    self.frame = Some(Frame::Inside(Box::new(decoder)));
                }
                Some(Frame::Inside(mut decoder)) => {
                    let n_bytes = decoder.read(buffer)?;
                    if n_bytes > 0 || buffer.is_empty() {
                        self.frame = Some(Frame::Inside(decoder));
                        return Ok(n_bytes);
                    }
                    self.frame = Some(Frame::Before(decoder.into_inner()));
                }
            }
        }
    }
}
