//! Tests that cannot run here: each is shown, and listed in a file that `.ci/run` counts. Used by every test that needs more than
//! the repository.

use crate::{profile_dir, root};
use std::{fs::OpenOptions, io::Write as _, path::PathBuf, thread};

/// The list of skipped tests: one line each, added to what is there. `PROGTUNE_SKIPPED` names another file.
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

/// Notes that this test is skipped because `missing` is not there.
///
/// # Panics
/// When it cannot be noted.
pub fn note(missing: &str) {
    let line = format!("SKIPPED: {}: {missing}\n", test_name());
    eprint!("{line}");
    let path = list();
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // In one write, since other tests add theirs.
    file.write_all(line.as_bytes())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// As [`note`], where data is missing: with `PROGTUNE_REQUIRE_DATA=1` no test may be skipped for that.
///
/// # Panics
/// When data is required; the message says how to get it.
#[track_caller]
pub fn for_want_of_data(missing: &str, how_to_get_it: &str) {
    assert!(
        std::env::var_os("PROGTUNE_REQUIRE_DATA").is_none_or(|value| value != "1"),
        "PROGTUNE_REQUIRE_DATA=1, and {missing}: {how_to_get_it}"
    );
    note(&format!("{missing} ({how_to_get_it})"));
}

/// The test of this thread, or the program where a test has none.
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

/// The data sets of the shared directory beside the repository (`PROGTUNE_SHARED`); `None` skips the test.
pub fn shared_data() -> Option<PathBuf> {
    shared_directory("data")
}

/// A directory or file of the shared material beside the repository (`PROGTUNE_SHARED`); `None` skips the test.
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
