//! Tests that cannot run here: each is reported, and listed in a file that `.ci/run` counts. Every
//! test that needs more than the repository uses it.

use crate::{profile_dir, root};
use std::{fs::OpenOptions, io::Write as _, path::PathBuf, thread};

/// The list of skipped tests, to which each test appends one line. `PROGTUNE_SKIPPED` names another
/// file.
pub fn list() -> PathBuf {
    std::env::var_os("PROGTUNE_SKIPPED").map_or_else(
        || {
            let target = profile_dir();
            let target = target.parent().expect("target/PROFILE");
            target.join("skipped-tests.txt")
        },
        PathBuf::from,
    )
}

/// Records that this test is skipped because `missing` is absent.
///
/// # Panics
/// If that cannot be recorded.
pub fn note(missing: &str) {
    let line = format!("SKIPPED: {}: {missing}\n", test_name());
    eprint!("{line}");
    let path = list();
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // In one write, because other tests append to the file too.
    file.write_all(line.as_bytes())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Same as [`note`], for missing data: with `PROGTUNE_REQUIRE_DATA=1` no test may be skipped for
/// that reason.
///
/// # Panics
/// If data is required. The message says how to get it.
#[track_caller]
pub fn for_want_of_data(missing: &str, how_to_get_it: &str) {
    assert!(
        std::env::var_os("PROGTUNE_REQUIRE_DATA").is_none_or(|value| value != "1"),
        "PROGTUNE_REQUIRE_DATA=1, and {missing}: {how_to_get_it}"
    );
    note(&format!("{missing} ({how_to_get_it})"));
}

/// The test that this thread runs, or the program if the thread has no test.
fn test_name() -> String {
    match thread::current().name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => {
            let program = std::env::current_exe().expect("the test's own path");
            let name = program.file_stem().unwrap_or_default();
            name.to_string_lossy().into_owned()
        }
    }
}

/// The data sets in the shared directory beside the repository (`PROGTUNE_SHARED`); `None` skips
/// the test.
pub fn shared_data() -> Option<PathBuf> {
    shared_directory("data")
}

/// A directory or file in the shared material beside the repository (`PROGTUNE_SHARED`); `None`
/// skips the test.
pub fn shared_directory(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PROGTUNE_SHARED")
        .map_or_else(|| root().join("../shared"), PathBuf::from)
        .join(name);
    if path.exists() {
        return Some(path);
    }
    for_want_of_data(
        &format!("{} is absent", path.display()),
        "set PROGTUNE_SHARED to the directory with the public data sets in data/",
    );
    None
}

/// The directory of the real MiniLM; `None` skips the test.
pub fn minilm() -> Option<PathBuf> {
    let path = std::env::var_os("PROGTUNE_MINILM")
        .map_or_else(|| root().join("target/minilm"), PathBuf::from);
    if path.join("model.safetensors").is_file() {
        return Some(path);
    }
    for_want_of_data(
        &format!("{} has no model.safetensors", path.display()),
        "run tools/fetch_minilm.sh target/minilm, or set PROGTUNE_MINILM",
    );
    None
}
