//! Builds the crates in `outside-plugins` as their authors would, outside the workspace, and
//! derives other libraries from them by changing bytes. The tests of plugins use it.

use crate::profile_dir;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

/// The file name for a library.
pub fn library_name(library: &str) -> String {
    format!(
        "{}{library}{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    )
}

/// The library of `outside-plugins/NAME`, built once per process.
pub fn outside_plugin(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built
        .entry(name.to_owned())
        .or_insert_with(|| {
            let manifest = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("outside-plugins")
                .join(name)
                .join("Cargo.toml");
            build(&manifest, name, &[])
        })
        .clone()
}

/// Builds a crate that is one library, offline, in release mode. `rustc` holds further compiler
/// arguments for the crate itself.
pub fn build(manifest: &Path, library: &str, rustc: &[&str]) -> PathBuf {
    let target = profile_dir()
        .parent()
        .expect("target/PROFILE")
        .join("outside");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args([
        "rustc",
        "--offline",
        "--release",
        "--quiet",
        "--manifest-path",
    ]);
    command.arg(manifest).arg("--target-dir").arg(&target);
    if !rustc.is_empty() {
        command.arg("--").args(rustc);
    }
    let output = command.output().expect("cargo starts");
    assert!(
        output.status.success(),
        "{}: {}",
        manifest.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    target.join("release").join(library_name(library))
}

/// The same bytes with every `from` replaced by a `to` of the same length. At least one must occur.
#[track_caller]
pub fn patched(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let mut found = 0;
    let mut at = 0;
    while let Some(next) = bytes[at..]
        .windows(from.len())
        .position(|part| part == from)
    {
        bytes[at + next..at + next + to.len()].copy_from_slice(to);
        at += next + to.len();
        found += 1;
    }
    assert!(
        found > 0,
        "{} is not in the library",
        String::from_utf8_lossy(from)
    );
    bytes
}

/// The build of `outside-plugins/hostile` that does `what` (see its source); `nothing` behaves
/// correctly.
pub fn hostile(what: &str) -> Vec<u8> {
    let bytes = std::fs::read(outside_plugin("hostile")).expect("the library");
    marked(&bytes, what)
}

/// A build of `outside-plugins/hostile` with another marker.
#[track_caller]
pub fn marked(bytes: &[u8], what: &str) -> Vec<u8> {
    let marker = |what: &str| format!("{:<40}", format!("hostile-marker:{what}")).into_bytes();
    patched(bytes, &marker("nothing"), &marker(what))
}
