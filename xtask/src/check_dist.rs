//! `cargo xtask check-dist`: unpacks the archive made by `dist` into an empty directory, and runs
//! the contents where nothing of this repository is visible. Called by `main` and `.ci/run`.

mod hidden;
mod trial;

use crate::arguments::{Arguments, Others};
use crate::dist::Workspace;
use flate2::read::GzDecoder;
use hidden::Hidden;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use trial::Trial;

const HELP: &str = "\
cargo xtask check-dist [--full] [ARCHIVE]
  --full   train the first command to its end [default: only some steps]
  ARCHIVE  archive to check [default: the one that `cargo xtask dist` makes]
";

/// Files that a complete archive must contain.
const EXPECTED: [&str; 9] = [
    "LICENSE",
    "NOTICE",
    "README.md",
    "licenses/index.txt",
    "plugin-api/Cargo.toml",
    "share/bash-completion/completions/progtune",
    "share/zsh/site-functions/_progtune",
    "share/fish/vendor_completions.d/progtune.fish",
    "share/man/man1/progtune.1",
];

/// Checks the archive and prints its contents with their sizes.
///
/// # Errors
/// The first fault found.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(arguments) = Arguments::read(HELP, Others::Words, words)? else {
        return Ok(());
    };
    let archive = match arguments.others() {
        [] => None,
        [archive] => Some(PathBuf::from(archive)),
        _ => return Err(format!("expected one archive\n{HELP}")),
    };
    let workspace = Workspace::read(root, &[])?;
    let archive = archive.unwrap_or_else(|| {
        let file = format!("dist/{}.tar.gz", workspace.archive_name());
        workspace.target_directory().join(file)
    });
    let place = tempfile::tempdir().map_err(|error| format!("a temporary directory: {error}"))?;
    let place = place
        .path()
        .canonicalize()
        .map_err(|error| format!("{}: {error}", place.path().display()))?;
    // Users may unpack it under a path with spaces.
    let unpacked = unpack(&archive, &place.join("a place with spaces"))?;
    let machine = machine_paths(root, &workspace);
    check_files(&unpacked, &machine)?;
    let libraries = workspace.libraries().len();
    let trial = Trial::new(&place, &unpacked, Hidden::choose(&machine, &place)?)?;
    println!(
        "check-dist: {} hidden by {}",
        list_paths(&trial.hidden.directories),
        trial.hidden.describe()
    );
    trial.lists_its_plugins(libraries)?;
    trial.checks_its_plugins()?;
    trial.starts_a_plugin()?;
    trial.trains(arguments.has("--full"))?;
    trial.uses_the_result()?;
    trial.hidden.check()?;
    print!("{}", sizes(&unpacked, &archive)?);
    println!("check-dist: {} is good", archive.display());
    Ok(())
}

/// Unpacks an archive and returns its top directory.
fn unpack(archive: &Path, place: &Path) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| {
        format!(
            "{}: {error}; `cargo xtask dist` makes it",
            archive.display()
        )
    };
    let file = File::open(archive).map_err(failed)?;
    fs::create_dir_all(place).map_err(failed)?;
    tar::Archive::new(GzDecoder::new(file))
        .unpack(place)
        .map_err(failed)?;
    let mut entries = fs::read_dir(place).map_err(failed)?.flatten();
    let top = entries.next().map(|entry| entry.path());
    top.ok_or_else(|| format!("{}: is empty", archive.display()))
}

/// The directories of this machine that must not appear in the archive: the repository, cargo's
/// build and download directories, the toolchain.
fn machine_paths(root: &Path, workspace: &Workspace) -> Vec<PathBuf> {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let paths = [
        Some(root.to_owned()),
        Some(workspace.target_directory()),
        cargo_home,
        Some(workspace.sysroot.clone()),
    ];
    paths
        .into_iter()
        .flatten()
        .filter(|path| path.is_dir())
        .collect()
}

/// The variable that lets files fail, which no program that is shipped knows.
const FAULTS: &str = "PROGTUNE_FAULT";

/// Checks that all files exist, and that none contains a path of this machine or was built to fail.
fn check_files(unpacked: &Path, machine: &[PathBuf]) -> Result<(), String> {
    for name in EXPECTED {
        if !unpacked.join(name).is_file() {
            return Err(format!("the archive has no {name}"));
        }
    }
    for file in files(unpacked)? {
        let bytes = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        if find(&bytes, FAULTS.as_bytes()).is_some() {
            let file = file.display();
            return Err(format!("{file}: was built with the feature `faults`"));
        }
        // A path with a single part, such as /src, also occurs inside other words.
        for path in machine.iter().filter(|path| path.components().count() > 2) {
            let sought = path.as_os_str().as_encoded_bytes();
            if let Some(at) = find(&bytes, sought) {
                let around = &bytes[at..bytes.len().min(at + sought.len() + 60)];
                return Err(format!(
                    "{}: has a path of this machine: {}",
                    file.display(),
                    String::from_utf8_lossy(around).escape_debug()
                ));
            }
        }
    }
    Ok(())
}

fn find(bytes: &[u8], sought: &[u8]) -> Option<usize> {
    let first = *sought.first()?;
    let mut starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
    starts
        .find(|(at, _)| bytes[*at..].starts_with(sought))
        .map(|(at, _)| at)
}

/// Every file below a directory, sorted by path.
fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            found.extend(files(&path)?)
        } else {
            found.push(path)
        }
    }
    found.sort();
    Ok(found)
}

fn list_paths(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}

/// A table of the sizes of the program, its plugins, the rest, and the archive.
fn sizes(unpacked: &Path, archive: &Path) -> Result<String, String> {
    let size = |path: &Path| {
        let metadata = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()));
        metadata.map(|metadata| metadata.len())
    };
    let sum = |paths: Vec<PathBuf>| {
        paths
            .iter()
            .map(|path| size(path))
            .sum::<Result<u64, String>>()
    };
    let mut rows = vec![(String::from("progtune"), size(&unpacked.join("progtune"))?)];
    for library in files(&unpacked.join("plugins"))? {
        let name = library
            .file_name()
            .unwrap_or_default()
            .display()
            .to_string();
        rows.push((format!("plugins/{name}"), size(&library)?));
    }
    for name in ["plugin-api", "licenses", "share"] {
        rows.push((format!("{name}/"), sum(files(&unpacked.join(name))?)?));
    }
    rows.push(("all files".into(), sum(files(unpacked)?)?));
    rows.push(("the archive".into(), size(archive)?));
    let width = rows
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    let lines = rows.iter().map(|(name, bytes)| {
        format!(
            "  {name:<width$} {bytes:>11} bytes {:>7.2} MB\n",
            *bytes as f64 / 1e6
        )
    });
    Ok(lines.collect())
}
