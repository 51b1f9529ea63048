//! The contents of files that may be compressed with gzip or zstd, which is recognised by their
//! first bytes. Called by `text_file`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::error::{DataError, Place};
use crate::readers::foreign;

const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// The contents of a file, and the name of its compression.
///
/// # Errors
/// The file cannot be opened, or is of a kind that is recognised but not supported.
pub(crate) fn decompressed(
    path: &Path,
) -> Result<(Box<dyn BufRead>, Option<&'static str>), DataError> {
    let failed = |source| DataError::Io {
        path: path.to_path_buf(),
        source,
    };
    let mut plain = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
    let start = plain.fill_buf().map_err(failed)?;
    foreign::refuse(path, start, None)?;
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

/// The error for a file that could not be read beyond a line.
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
