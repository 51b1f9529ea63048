//! Checksums of fetched contents: the hub's entity tags are hashes. Called by `download`.

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A hash in progress, of the kind that the entity tag indicates.
pub(super) enum Checksum {
    /// For large files: SHA-256 of the contents.
    Sha256(Sha256),
    /// For files in git: SHA-1 of `blob SIZE`, a zero byte and the contents.
    Git(Sha1),
    /// For tags of another kind, for example a mirror's: only the size is checked.
    Unknown,
}

impl Checksum {
    /// Starts a checksum. The tag's length tells its kind; git's hash needs the size in advance.
    pub(crate) fn new(etag: &str, size: Option<u64>) -> Self {
        let is_hex = etag.bytes().all(|b| b.is_ascii_hexdigit());
        match (etag.len(), size) {
            (64, _) if is_hex => Self::Sha256(Sha256::new()),
            (40, Some(size)) if is_hex => {
                let mut hash = Sha1::new();
                hash.update(format!("blob {size}\0"));
                Self::Git(hash)
            }
            _ => Self::Unknown,
        }
    }

    /// Adds the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Git(hash) => hash.update(bytes),
            Self::Unknown => {}
        }
    }

    /// The hash in hexadecimal, if the tag can be compared with one.
    pub(crate) fn finish(self) -> Option<String> {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Sha256(hash) => Some(hex(&hash.finalize())),
            Self::Git(hash) => Some(hex(&hash.finalize())),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(etag: &str, contents: &str) -> Option<String> {
        let mut checksum = Checksum::new(etag, Some(contents.len() as u64));
        checksum.update(contents.as_bytes());
        checksum.finish()
    }

    #[test]
    fn tags_are_what_git_and_sha256sum_say() {
        // `printf 'hello\n' | git hash-object --stdin`, and `sha256sum`.
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        let sha = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert_eq!(checksum(git, "hello\n").as_deref(), Some(git));
        assert_eq!(checksum(sha, "hello\n").as_deref(), Some(sha));
        assert_eq!(checksum("another-kind", "hello\n"), None);
    }
}
