//! Reading of files that others made: only regular files, and only up to a size. Memory is taken
//! after the file's real length has been checked. Everything that reads a model, an adapter, a
//! record or a configuration calls it.

use std::{
    fs::{self, File},
    io::{Error, ErrorKind, Read, Result},
    path::Path,
};

/// The largest JSON or TOML file that is read. Parsed, it may take ten times as much memory.
pub const LARGEST_TEXT: u64 = 16 << 20;

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// Fails if the file is larger, a device or a pipe, or cannot be read.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    read_any(open(path)?, most)
}

/// Opens a regular file. A pipe would block, and a device may have no end.
///
/// # Errors
/// Fails if it is a device or a pipe, or cannot be opened.
pub fn open(path: &Path) -> Result<File> {
    let about = fs::metadata(path)?;
    // The system's own message about a directory is clear.
    if !about.is_file() && !about.is_dir() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "expected a file, found a device or a pipe",
        ));
    }
    File::open(path)
}

/// Reads a text like [`read`].
///
/// # Errors
/// Fails like [`read`], and if the text is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> Result<String> {
    as_text(read(path, most)?)
}

/// Reads a text that a person named, which may also come from a pipe.
///
/// # Errors
/// Fails if there are more than `most` bytes, or if they cannot be read or are not UTF-8.
pub fn read_named_text(path: &Path, most: u64) -> Result<String> {
    as_text(read_any(File::open(path)?, most)?)
}

fn read_any(file: File, most: u64) -> Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if length > most {
        return Err(too_large(most));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // The file may grow meanwhile, and a pipe has no length.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large(most));
    }
    Ok(bytes)
}

fn too_large(most: u64) -> Error {
    let mib = most >> 20;
    Error::new(
        ErrorKind::FileTooLarge,
        format!("expected at most {mib} MiB, found more"),
    )
}

fn as_text(bytes: Vec<u8>) -> Result<String> {
    let invalid = |_| Error::new(ErrorKind::InvalidData, "stream did not contain valid UTF-8");
    String::from_utf8(bytes).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_a_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "héllo").unwrap();
        assert_eq!(read_text(&path, 6).unwrap(), "héllo");
        assert_eq!(read(&path, 5).unwrap_err().kind(), ErrorKind::FileTooLarge);
        fs::write(&path, b"\xff").unwrap();
        let error = read_text(&path, 6).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(read(folder.path(), 6).is_err());
        let missing = read(&folder.path().join("missing"), 6).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }

    /// A sparse file has a length, but no bytes on the disk. Nothing is allocated for it.
    #[test]
    fn a_length_is_checked_before_memory_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        File::create(&path).unwrap().set_len(1 << 33).unwrap();
        let error = read(&path, LARGEST_TEXT).unwrap_err();
        assert_eq!(error.to_string(), "expected at most 16 MiB, found more");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_not_a_file() {
        let zero = Path::new("/dev/zero");
        assert_eq!(read(zero, 9).unwrap_err().kind(), ErrorKind::InvalidInput);
        let endless = read_named_text(zero, 9).unwrap_err();
        assert_eq!(endless.kind(), ErrorKind::FileTooLarge);
        assert_eq!(read_named_text(Path::new("/dev/null"), 9).unwrap(), "");
    }
}
