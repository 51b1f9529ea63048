//! A file that only grows, such as the records of a run. A [`Mark`] says how far it had grown and
//! what it contained; the file can be taken back to it later. Called by the run directory and its
//! checkpoints.
//!
//! The hash of the contents goes along with each piece that is written, so a mark costs nothing
//! however long the file is. A piece is written whole or not at all: if the disk is full, the file
//! is cut back to the last whole piece.

use super::{folder::Folder, medium};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// Number of bytes that are read at once.
const READ_AT_ONCE: usize = 1 << 16;

/// A state of a journal: its length and its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Number of bytes.
    pub length: u64,
    /// The SHA-256 of these bytes.
    pub sha256: [u8; 32],
}

/// The reason why a journal cannot be taken back to a mark.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The attempt: `open`, `read`, `shorten`.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is shorter than it was at the mark.
    #[error("{}: a part of the file is missing: expected at least {expected} bytes, found {found}", path.display())]
    Shorter {
        /// The file.
        path: PathBuf,
        /// Its length at the mark.
        expected: u64,
        /// Its length now.
        found: u64,
    },
    /// The beginning of the file is not what it was at the mark.
    #[error("{}: the file was changed: its first {length} bytes are not the recorded ones", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its length at the mark.
        length: u64,
    },
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    length: u64,
    hash: Sha256,
    /// Whether bytes of an unfinished piece may follow the last whole one.
    is_torn: bool,
}

impl Journal {
    /// Creates an empty journal. Whatever has the name is removed first; no link is followed.
    ///
    /// # Errors
    /// Fails if the file system refuses.
    pub fn create(folder: &Folder, name: &str) -> io::Result<Self> {
        let path = folder.path().join(name);
        Ok(Self::at_the_start(folder.create(name)?, path))
    }

    /// Opens an existing journal with everything that it contains.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none, [`ErrorKind::InvalidInput`] if the name belongs to
    /// something else, such as a link.
    pub fn open(folder: &Folder, name: &str) -> io::Result<Self> {
        let path = folder.path().join(name);
        let mut journal = Self::at_the_start(folder.open_own(name)?, path);
        journal.read_on(u64::MAX)?;
        Ok(journal)
    }

    /// Opens an existing journal and takes it back to a mark: everything that was written after it
    /// is removed.
    ///
    /// # Errors
    /// Fails, and changes nothing, if the file is shorter, its beginning differs, or the file
    /// system refuses.
    pub fn reopen(folder: &Folder, name: &str, mark: &Mark) -> Result<Self, Fault> {
        let path = folder.path().join(name);
        let failed = |action| {
            let path = path.clone();
            move |source| Fault::Io {
                path,
                action,
                source,
            }
        };
        let file = folder.open_own(name).map_err(failed("open"))?;
        let mut journal = Self::at_the_start(file, path.clone());
        journal.read_on(mark.length).map_err(failed("read"))?;
        if journal.length < mark.length {
            return Err(Fault::Shorter {
                path,
                expected: mark.length,
                found: journal.length,
            });
        }
        if journal.mark() != *mark {
            return Err(Fault::Changed {
                path,
                length: mark.length,
            });
        }
        let length = journal.file.metadata().map_err(failed("read"))?.len();
        if length > mark.length {
            medium::truncate(&journal.file, &path, mark.length).map_err(failed("shorten"))?;
        }
        Ok(journal)
    }

    fn at_the_start(file: File, path: PathBuf) -> Self {
        Self {
            file,
            path,
            length: 0,
            hash: Sha256::new(),
            is_torn: false,
        }
    }

    /// Reads on from the end of what is known, up to `limit` bytes from the start.
    fn read_on(&mut self, limit: u64) -> io::Result<()> {
        let mut piece = vec![0; READ_AT_ONCE];
        while self.length < limit {
            let room = usize::try_from(limit - self.length).unwrap_or(READ_AT_ONCE);
            let n = match self.file.read(&mut piece[..room.min(READ_AT_ONCE)]) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.hash.update(&piece[..n]);
            self.length += n as u64;
        }
        Ok(())
    }

    /// Appends a piece, whole or not at all.
    ///
    /// # Errors
    /// Fails if the file system refuses. The journal stays as it was, and can be tried again.
    pub fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        self.mend()?;
        if let Err(error) = medium::write(&mut self.file, &self.path, piece) {
            self.is_torn = true;
            // If this fails as well, the next piece tries again.
            let _ = self.mend();
            return Err(error);
        }
        self.hash.update(piece);
        self.length += piece.len() as u64;
        Ok(())
    }

    /// Removes the bytes of an unfinished piece.
    fn mend(&mut self) -> io::Result<()> {
        if self.is_torn {
            medium::truncate(&self.file, &self.path, self.length)?;
            self.is_torn = false;
        }
        // Reading and failed writes move the position.
        self.file.seek(SeekFrom::Start(self.length)).map(drop)
    }

    /// The path at which the journal was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of bytes in whole pieces.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The present state, to which the journal can be taken back later.
    pub fn mark(&self) -> Mark {
        Mark {
            length: self.length,
            sha256: self.hash.clone().finalize().into(),
        }
    }

    /// Forces everything that was appended to the disk. The name of a new journal is certain only
    /// after [`Folder::sync`].
    ///
    /// # Errors
    /// Fails if the file system refuses.
    pub fn sync(&self) -> io::Result<()> {
        medium::sync(&self.file, &self.path)
    }

    /// Creates a journal with the same contents elsewhere. This one may already have lost its name.
    ///
    /// # Errors
    /// Fails if the file system refuses.
    pub fn copy_to(&mut self, folder: &Folder, name: &str) -> io::Result<Self> {
        let mut copy = Self::create(folder, name)?;
        copy.append(&self.contents()?)?;
        Ok(copy)
    }

    /// All whole pieces. This works also if the file has lost its name.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or was cut by someone else.
    pub fn contents(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        (&self.file).take(self.length).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < self.length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn opened() -> (tempfile::TempDir, Folder) {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        (place, folder)
    }

    fn mark_of(bytes: &[u8]) -> Mark {
        Mark {
            length: bytes.len() as u64,
            sha256: Sha256::digest(bytes).into(),
        }
    }

    #[test]
    fn a_journal_is_taken_back_to_a_mark_and_goes_on() {
        let (place, folder) = opened();
        let mut journal = Journal::create(&folder, "records").unwrap();
        assert_eq!(journal.mark(), mark_of(b""));
        journal.append(b"one\n").unwrap();
        let mark = journal.mark();
        assert_eq!(mark, mark_of(b"one\n"));
        journal.append(b"two\n").unwrap();
        journal.sync().unwrap();
        assert_eq!(journal.length(), 8);
        drop(journal);

        let mut journal = Journal::reopen(&folder, "records", &mark).unwrap();
        let text = || fs::read_to_string(place.path().join("records")).unwrap();
        assert_eq!(text(), "one\n");
        journal.append(b"three\n").unwrap();
        assert_eq!(text(), "one\nthree\n");
        assert_eq!(journal.mark(), mark_of(b"one\nthree\n"));
        drop(journal);

        let mut journal = Journal::open(&folder, "records").unwrap();
        journal.append(b"four\n").unwrap();
        assert_eq!(journal.mark(), mark_of(b"one\nthree\nfour\n"));
        let mut copy = journal.copy_to(&folder, "copy").unwrap();
        journal.append(b"five\n").unwrap();
        copy.append(b"5\n").unwrap();
        assert_eq!(text(), "one\nthree\nfour\nfive\n");
        let copied = fs::read_to_string(place.path().join("copy")).unwrap();
        assert_eq!(copied, "one\nthree\nfour\n5\n");
        assert_eq!(copy.mark(), mark_of(copied.as_bytes()));
    }

    #[test]
    fn a_long_journal_is_read_and_copied_in_pieces() {
        let (_place, folder) = opened();
        let mut journal = Journal::create(&folder, "long").unwrap();
        let line: Vec<u8> = (0..=255).cycle().take(3 * READ_AT_ONCE / 2).collect();
        journal.append(&line).unwrap();
        let mark = journal.mark();
        journal.append(&line).unwrap();
        let whole = journal.mark();
        assert_eq!(journal.copy_to(&folder, "copy").unwrap().mark(), whole);
        assert_eq!(Journal::open(&folder, "long").unwrap().mark(), whole);
        let back = Journal::reopen(&folder, "long", &mark).unwrap();
        assert_eq!((back.mark(), back.length()), (mark, line.len() as u64));
    }

    #[test]
    fn what_is_not_the_marked_file_is_refused_and_stays() {
        let (place, folder) = opened();
        let path = place.path().join("records");
        let refused = |found: &str| {
            fs::write(&path, found).unwrap();
            let fault = Journal::reopen(&folder, "records", &mark_of(b"one\ntwo\n")).unwrap_err();
            assert_eq!(fs::read_to_string(&path).unwrap(), found);
            fault.to_string().replace(&path.display().to_string(), "F")
        };
        assert_eq!(
            refused("one\n"),
            "F: a part of the file is missing: expected at least 8 bytes, found 4"
        );
        assert_eq!(
            refused("one\nTwo\nmore\n"),
            "F: the file was changed: its first 8 bytes are not the recorded ones"
        );
        fs::remove_file(&path).unwrap();
        let fault = Journal::reopen(&folder, "records", &mark_of(b"")).unwrap_err();
        assert!(matches!(fault, Fault::Io { source, .. } if source.kind() == ErrorKind::NotFound));
    }

    /// If cutting the file back failed as well, the next piece does it first.
    #[test]
    fn half_a_piece_is_removed_before_the_next() {
        let (place, folder) = opened();
        let path = place.path().join("records");
        let mut journal = Journal::create(&folder, "records").unwrap();
        journal.append(b"one\n").unwrap();
        fs::write(&path, "one\ntw").unwrap();
        journal.is_torn = true;
        journal.append(b"3\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n3\n");
        assert_eq!(journal.mark(), mark_of(b"one\n3\n"));
    }

    #[cfg(unix)]
    #[test]
    fn no_link_is_followed() {
        let (place, folder) = opened();
        let canary = place.path().join("canary");
        fs::write(&canary, "precious").unwrap();
        std::os::unix::fs::symlink(&canary, place.path().join("link")).unwrap();
        assert!(Journal::open(&folder, "link").is_err());
        assert!(Journal::reopen(&folder, "link", &mark_of(b"")).is_err());
        let mut journal = Journal::create(&folder, "link").unwrap();
        journal.append(b"text").unwrap();
        assert_eq!(fs::read_to_string(&canary).unwrap(), "precious");
    }
}
