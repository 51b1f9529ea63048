//! SHA-256 hashes as text, of bytes that pass by and of files. Checkpoints and the records of runs
//! call it.

use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

/// The bytes that are hashed at a time.
const PIECE: usize = 1 << 18;

/// The hash of some bytes.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A hash as text.
pub(crate) fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The length and the hash of a file.
///
/// # Errors
/// Fails if it cannot be read.
pub(crate) fn of_file(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut length = 0;
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            return Ok((length, hex(&hash.finalize())));
        }
        hash.update(&piece[..n]);
        length += n as u64;
    }
}

/// Writes to `out`, and hashes what it wrote.
pub(crate) struct Hashing<W> {
    out: W,
    hash: Sha256,
    length: u64,
}

impl<W: Write> Hashing<W> {
    /// Begins with nothing written.
    pub(crate) fn new(out: W) -> Self {
        let hash = Sha256::new();
        Self {
            out,
            hash,
            length: 0,
        }
    }

    /// The destination, the length, and the hash.
    pub(crate) fn finish(self) -> (W, u64, String) {
        (self.out, self.length, hex(&self.hash.finalize()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.hash.update(&bytes[..n]);
        self.length += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
