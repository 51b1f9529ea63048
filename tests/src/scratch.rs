//! A directory for one test, with copies of fixtures that the test may damage. The tests of broken
//! input use it.

use crate::fixture;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A directory that is removed with the test.
pub struct Scratch {
    directory: TempDir,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// Creates an empty directory.
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    /// A path in the directory, whether or not it exists.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Copies `fixtures/parity/NAME` without subdirectories, under the name `copy`.
    pub fn copy(&self, name: &str, copy: &str) -> PathBuf {
        let (from, to) = (fixture("parity").join(name), self.path(copy));
        fs::create_dir_all(&to).expect("a directory");
        for entry in fs::read_dir(&from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
            }
        }
        to
    }

    /// Writes a file with these contents.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, contents).expect("a file");
        path
    }

    /// `text` with this directory's path replaced, for tables of messages.
    pub fn hide_path(&self, text: &str) -> String {
        text.replace(&*self.directory.path().to_string_lossy(), "DIR")
    }
}

/// Replaces a text that occurs exactly once in a file.
#[track_caller]
pub fn replace_in(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("a text file");
    assert_eq!(
        text.matches(from).count(),
        1,
        "{from} in {}",
        path.display()
    );
    fs::write(path, text.replace(from, to)).expect("a file");
}

/// Changes a key of a JSON file; `null` removes it.
#[track_caller]
pub fn set_key(path: &Path, key: &str, value: Value) {
    let mut json = crate::read_json(path);
    let map = json.as_object_mut().expect("an object");
    match value {
        Value::Null => drop(map.shift_remove(key).expect("the key is there")),
        value => drop(map.insert(key.to_owned(), value)),
    }
    fs::write(path, json.to_string()).expect("a file");
}

/// The tensors of a safetensors file as bytes, which can be changed and written again.
pub struct TensorFile {
    /// Type, shape and little-endian values by key.
    pub tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

impl TensorFile {
    /// Reads a file.
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).expect("a file");
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        let tensors = file
            .iter()
            .map(|(key, view)| {
                (
                    key.to_owned(),
                    (view.dtype(), view.shape().to_vec(), view.data().to_vec()),
                )
            })
            .collect();
        Self { tensors }
    }

    /// Adds or replaces an f32 tensor.
    pub fn set(&mut self, key: &str, shape: &[usize], values: &[f32]) {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.tensors
            .insert(key.to_owned(), (Dtype::F32, shape.to_vec(), bytes));
    }

    /// Writes the tensors to `path`.
    pub fn write(&self, path: &Path) {
        let views = self.tensors.iter().map(|(key, (dtype, shape, bytes))| {
            (
                key.as_str(),
                TensorView::new(*dtype, shape.clone(), bytes).expect("bytes as the shape says"),
            )
        });
        let bytes = safetensors::serialize(views, None).expect("safetensors");
        fs::write(path, bytes).expect("a file");
    }
}
