//! A tree of files in memory, and the `.tar.gz` made of it. The same files give the same bytes:
//! names are sorted, owner and time are fixed. Called by `dist`.

use flate2::{Compression, GzBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use tar::{EntryType, Header};

/// Files by path, with `/` as the separator.
#[derive(Default)]
pub(super) struct Tree {
    files: BTreeMap<String, File>,
}

struct File {
    bytes: Vec<u8>,
    mode: u32,
}

impl Tree {
    pub(super) fn add(&mut self, path: &str, bytes: Vec<u8>) {
        self.files.insert(path.into(), File { bytes, mode: 0o644 });
    }

    pub(super) fn add_executable(&mut self, path: &str, bytes: Vec<u8>) {
        self.files.insert(path.into(), File { bytes, mode: 0o755 });
    }

    /// Writes the files below a directory.
    pub(super) fn write_to(&self, directory: &Path) -> Result<(), String> {
        for (path, file) in &self.files {
            let path = directory.join(path);
            write(&path, file).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// The archive. Everything in it lies in the directory `top` and was last changed at `time`, in
    /// seconds since 1970.
    pub(super) fn pack(&self, top: &str, time: u64) -> Result<Vec<u8>, String> {
        self.write_archive(top, time)
            .map_err(|error| format!("{top}.tar.gz: {error}"))
    }

    fn write_archive(&self, top: &str, time: u64) -> std::io::Result<Vec<u8>> {
        let packed = GzBuilder::new().write(Vec::new(), Compression::best());
        let mut archive = tar::Builder::new(packed);
        let header = |kind: EntryType, size: usize, mode: u32| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(size as u64);
            header.set_mode(mode);
            header.set_mtime(time);
            header.set_uid(0);
            header.set_gid(0);
            header
        };
        // Directories have their own entries. One that unpacking creates implicitly may become
        // writable for everyone, and plugins in it are then refused.
        for directory in self.directories(top) {
            let mut header = header(EntryType::Directory, 0, 0o755);
            archive.append_data(&mut header, format!("{directory}/"), &[][..])?;
        }
        for (path, file) in &self.files {
            let mut header = header(EntryType::Regular, file.bytes.len(), file.mode);
            archive.append_data(&mut header, format!("{top}/{path}"), &*file.bytes)?;
        }
        archive.into_inner()?.finish()
    }

    /// `top` and the directories of all files below it, parents first.
    fn directories(&self, top: &str) -> BTreeSet<String> {
        let paths = self.files.keys().map(|path| format!("{top}/{path}"));
        let parents = paths.flat_map(|path| {
            let ends: Vec<usize> = path.match_indices('/').map(|(end, _)| end).collect();
            ends.into_iter()
                .map(move |end| path[..end].to_owned())
                .collect::<Vec<_>>()
        });
        parents.collect()
    }
}

fn write(path: &Path, file: &File) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, file.mode);
    options.open(path)?.write_all(&file.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;

    #[test]
    fn the_order_of_adding_and_the_clock_change_nothing() {
        let pack = |names: [&str; 3]| {
            let mut tree = Tree::default();
            for name in names {
                tree.add(name, name.as_bytes().to_vec());
            }
            tree.add_executable("run", b"#!".to_vec());
            tree.pack("top", 1_000_000_000).unwrap()
        };
        let long = format!("share/{}/x", "long".repeat(40));
        let first = pack(["b/c/d", &long, "a"]);
        assert_eq!(first, pack(["a", "b/c/d", &long]));

        let mut archive = tar::Archive::new(GzDecoder::new(&*first));
        let found: Vec<(String, u32, u64, u64)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                (
                    entry.path().unwrap().display().to_string(),
                    header.mode().unwrap(),
                    header.mtime().unwrap(),
                    header.uid().unwrap() + header.gid().unwrap(),
                )
            })
            .collect();
        let name = |at: usize| found[at].0.trim_end_matches('/');
        assert_eq!([name(0), name(1), name(2)], ["top", "top/b", "top/b/c"]);
        assert_eq!(found.len(), 9);
        for (path, mode, time, owner) in &found {
            let is_run = path == "top/run";
            let is_directory = path.ends_with('/');
            assert_eq!(*mode == 0o755, is_run || is_directory, "{path}");
            assert_eq!((*time, *owner), (1_000_000_000, 0), "{path}");
        }
        assert!(
            found
                .iter()
                .any(|(path, ..)| *path == format!("top/{long}"))
        );
    }
}
