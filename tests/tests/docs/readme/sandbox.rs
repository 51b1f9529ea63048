//! The sandbox for a document's commands. It has a directory with what the text takes for granted,
//! a local hub, and a `PATH` with only two programs, so that any other command fails.

use super::{supplies, writes};
use progtune_tests::{hub_server::HubServer, profile_dir};
use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// Short runs, unless the output is to be shown: a few rows from every data set.
const SHORT: &[(&str, &str)] = &[
    ("PROGTUNE_MAX_TRAIN_SAMPLES", "16"),
    ("PROGTUNE_MAX_EVAL_SAMPLES", "8"),
];

/// Runs the built program for `cargo run --release --`. In a crate that `plugins new` has created,
/// cargo is the real one, without network and with the tests' shared target directory. Everything
/// else fails.
const CARGO: &str = r#"#!/bin/bash
if [ "$1 $2 $3" = "run --release --" ]; then shift 3; exec PROGTUNE "$@"; fi
if [ ! -f Cargo.toml ]; then echo "tests/tests/docs/readme/sandbox.rs: what is \`cargo $*\`?"; exit 1; fi
export PATH="TOOLS" HOME="USER" CARGO_NET_OFFLINE=true
[ -e target ] || ln -s "OUTSIDE" target
exec cargo "$@"
"#;

/// The sandbox for one document.
pub(super) struct Sandbox {
    directory: TempDir,
    hub: HubServer,
    /// The directory where the next command starts.
    here: PathBuf,
}

/// The result of a command.
pub(super) struct Printed {
    /// Whether the exit code was 0.
    pub succeeded: bool,
    /// Standard output and standard error together, as on a terminal.
    pub text: String,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// Creates a sandbox.
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let here = directory.path().join("here");
        fs::create_dir(&here).expect("a directory");
        supplies::files(&here);
        let programs = directory.path().join("programs");
        fs::create_dir(&programs).expect("a directory");
        let progtune = if writes() {
            progtune_tests::root().join("target/release/progtune")
        } else {
            profile_dir().join("progtune")
        };
        assert!(progtune.is_file(), "{} is not built", progtune.display());
        symlink(&progtune, programs.join("progtune")).expect("a link");
        let outside = profile_dir().with_file_name("outside");
        let variable = |name: &str| env::var(name).unwrap_or_default();
        let cargo = CARGO
            .replace("PROGTUNE", &programs.join("progtune").display().to_string())
            .replace("OUTSIDE", &outside.display().to_string())
            .replace("TOOLS", &variable("PATH"))
            .replace("USER", &variable("HOME"));
        fs::create_dir_all(&outside).expect("a directory");
        let file = programs.join("cargo");
        fs::write(&file, cargo).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("permissions");
        Self {
            hub: HubServer::new(supplies::repos(writes())),
            directory,
            here,
        }
    }

    /// A file that commands have created in the first directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("here").join(name)
    }

    /// Writes a file, relative to where the next command starts.
    pub(super) fn write(&self, file: &str, contents: &str) {
        fs::write(self.here.join(file), contents).unwrap_or_else(|e| panic!("{file}: {e}"));
    }

    /// Runs a command as written. The next one starts in the directory where it ends.
    pub(super) fn run(&mut self, command: &str) -> Printed {
        let place = self.directory.path().join("place");
        let script = format!(
            "exec 2>&1\n{command}\nstatus=$?\npwd > '{}'\nexit $status\n",
            place.display()
        );
        let home = self.directory.path().join("home");
        let mut bash = Command::new("/bin/bash");
        bash.args(["-c", &script])
            .current_dir(&self.here)
            .env_clear()
            .env("PATH", self.directory.path().join("programs"))
            .env("HOME", &home)
            .env("XDG_DATA_HOME", home.join("data"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("HF_HOME", home.join("hf"))
            .env("HF_ENDPOINT", self.hub.endpoint());
        for name in ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
            bash.envs(env::var_os(name).map(|value| (name, value)));
        }
        if !writes() {
            bash.envs(SHORT.iter().copied());
        }
        let output = bash.output().expect("bash starts");
        if let Ok(place) = fs::read_to_string(&place) {
            self.here = Path::new(place.trim_end()).to_owned();
        }
        Printed {
            succeeded: output.status.success(),
            text: String::from_utf8(output.stdout).expect("UTF-8"),
        }
    }
}
