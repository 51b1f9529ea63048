//! The key that names a file of tokenised examples: a hash over everything that determines its
//! contents. Made by `examples`, [`crate::question_answering`] and the tokenizer.

use progtune_datasets::fingerprint::{READERS, extend};
use progtune_process::interrupt;
use sha2::{Digest, Sha256};
use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The code that turns files into ids: the readers, progtune's own part of the tokenisation, and
/// all dependencies (including `tokenizers`) with their versions.
const CODE: u64 = {
    let hash = extend(READERS, include_bytes!("../tokenizer.rs"));
    let hash = extend(hash, include_bytes!("../tokenizer/added_tokens.rs"));
    let hash = extend(hash, include_bytes!("../tokenizer/build.rs"));
    let hash = extend(hash, include_bytes!("../tokenizer/byte_level.rs"));
    let hash = extend(hash, include_bytes!("../tokenizer/class.rs"));
    let hash = extend(hash, include_bytes!("../tokenizer/encode.rs"));
    let hash = extend(hash, include_bytes!("../tokenizer/serialized.rs"));
    let hash = extend(hash, include_bytes!("../tokenizer/settings.rs"));
    let hash = extend(hash, include_bytes!("../tokenizer/unigram.rs"));
    let hash = extend(hash, include_bytes!("../tokenizer/word_piece.rs"));
    let hash = extend(hash, include_bytes!("../examples.rs"));
    let hash = extend(hash, include_bytes!("../own_files.rs"));
    let hash = extend(hash, include_bytes!("../question_answering/windows.rs"));
    let hash = extend(hash, include_bytes!("../question_answering/load.rs"));
    let hash = extend(hash, include_bytes!("../token_store/block.rs"));
    let hash = extend(hash, include_bytes!("../token_store/directory.rs"));
    extend(hash, include_bytes!("../../../../Cargo.lock"))
};

/// The key of one split's examples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Key(pub(crate) [u8; 32]);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Key {
    #[cfg(test)]
    pub(crate) fn of_text(text: &str) -> Self {
        let mut builder = KeyBuilder::new();
        builder.add("text", text.as_bytes());
        builder.finish()
    }
}

/// A builder for keys. Each part is hashed with its name and length, so that parts cannot run into
/// each other.
#[derive(Clone)]
pub(crate) struct KeyBuilder {
    hash: Sha256,
}

impl Default for KeyBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyBuilder {
    /// Creates a builder whose key covers only progtune's code.
    pub(crate) fn new() -> Self {
        let mut builder = Self {
            hash: Sha256::new(),
        };
        builder.add("code", &CODE.to_le_bytes());
        builder
    }

    /// Adds a part.
    pub(crate) fn add(&mut self, name: &str, value: &[u8]) {
        for part in [name.as_bytes(), value] {
            self.hash.update((part.len() as u64).to_le_bytes());
            self.hash.update(part);
        }
    }

    /// Adds a number.
    pub(crate) fn add_number(&mut self, name: &str, value: u64) {
        self.add(name, &value.to_le_bytes());
    }

    /// Adds a file: its name and its contents.
    ///
    /// # Errors
    /// Fails if it cannot be read, or cannot be read twice (a pipe).
    pub(crate) fn add_file(&mut self, path: &Path) -> io::Result<()> {
        // This is checked before the file is opened, because opening a pipe would already disturb
        // its writer.
        if !path.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let mut file = File::open(path)?;
        let name = path.file_name().unwrap_or_default();
        self.add("file", name.as_encoded_bytes());
        let mut contents = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            if interrupt::requested() {
                return Err(io::Error::other("interrupted"));
            }
            match file.read(&mut buffer)? {
                0 => break,
                n => contents.update(&buffer[..n]),
            }
        }
        self.add("contents", &contents.finalize());
        Ok(())
    }

    /// The finished key.
    pub(crate) fn finish(self) -> Key {
        Key(self.hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[(&str, &str)]) -> Key {
        let mut builder = KeyBuilder::new();
        for (name, value) in parts {
            builder.add(name, value.as_bytes());
        }
        builder.finish()
    }

    #[test]
    fn every_part_counts_and_none_runs_into_the_next() {
        let expected = key(&[("a", "bc"), ("d", "")]);
        assert_eq!(key(&[("a", "bc"), ("d", "")]), expected);
        for other in [
            [("ab", "c"), ("d", "")].as_slice(),
            &[("a", "b"), ("cd", "")],
            &[("a", "bc")],
            &[("d", ""), ("a", "bc")],
        ] {
            assert_ne!(key(other), expected);
        }
        assert_eq!(expected.to_string().len(), 64);
    }

    #[test]
    fn files_count_by_name_and_contents() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str, contents: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, contents).unwrap();
            let mut builder = KeyBuilder::new();
            builder.add_file(&path).unwrap();
            builder.finish()
        };
        let expected = of("train.tsv", "a\tb\n");
        assert_eq!(of("train.tsv", "a\tb\n"), expected);
        assert_ne!(of("train.tsv", "a\tc\n"), expected);
        assert_ne!(of("train.jsonl", "a\tb\n"), expected);
        assert!(KeyBuilder::new().add_file(folder.path()).is_err());
    }
}
