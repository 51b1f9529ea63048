//! Runs a program while some directories are hidden, which proves that it needs nothing in them.
//! Called by `check_dist`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounts an empty file system over each directory before `--`, then runs the command after it.
const COVER: &str = "\
while [ \"$1\" != -- ]; do mount -t tmpfs none \"$1\" || exit 125; shift; done
shift
exec \"$@\"";

/// The hidden directories, and the method of hiding.
pub(super) struct Hidden {
    /// No directory lies in another.
    pub(super) directories: Vec<PathBuf>,
    way: Way,
}

enum Way {
    /// In a separate mount namespace, with empty directories over them.
    Covered,
    /// By checking afterwards every path that was opened, as logged in the files of this directory.
    Watched(PathBuf),
}

impl Hidden {
    /// Chooses a method that this machine permits; `place` is a directory that stays visible.
    ///
    /// # Errors
    /// If there is none, or `place` lies in a directory to hide.
    pub(super) fn choose(directories: &[PathBuf], place: &Path) -> Result<Self, String> {
        if let Some(directory) = directories
            .iter()
            .find(|directory| place.starts_with(directory))
        {
            return Err(format!(
                "{} lies in {}, which is to be hidden; set TMPDIR to a directory elsewhere",
                place.display(),
                directory.display()
            ));
        }
        let mut outer: Vec<PathBuf> = Vec::new();
        let mut sorted = directories.to_vec();
        sorted.sort();
        for directory in sorted {
            if !outer.iter().any(|other| directory.starts_with(other)) {
                outer.push(directory);
            }
        }
        let covered = Self {
            directories: outer.clone(),
            way: Way::Covered,
        };
        let mut list = covered.command(OsStr::new("ls"));
        let listed = list.arg("-A").args(&outer[..1]).output();
        if listed.is_ok_and(|output| output.status.success() && output.stdout.is_empty()) {
            return Ok(covered);
        }
        let strace = Command::new("strace").arg("-V").output();
        if !strace.is_ok_and(|output| output.status.success()) {
            return Err("cannot hide the repository: `unshare -rm` does not work here, and strace, which would log opened files, is missing".into());
        }
        let logs = place.join("opened");
        fs::create_dir(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
        Ok(Self {
            directories: outer,
            way: Way::Watched(logs),
        })
    }

    pub(super) fn describe(&self) -> &str {
        match self.way {
            Way::Covered => "empty file systems over them (unshare -rm)",
            Way::Watched(_) => "no means: strace checks that nothing in them is opened",
        }
    }

    /// The start of a command that runs `program`.
    pub(super) fn command(&self, program: &OsStr) -> Command {
        match &self.way {
            Way::Covered => {
                let mut command = Command::new("unshare");
                command.args(["-rm", "sh", "-c", COVER, "sh"]);
                command.args(&self.directories).arg("--").arg(program);
                command
            }
            Way::Watched(logs) => {
                let mut command = Command::new("strace");
                // There is one file per process: `-ff` appends its number to the name.
                let log = logs.join("log");
                command
                    .args(["-ff", "-qq", "-e", "trace=file", "-o"])
                    .arg(log)
                    .arg("--")
                    .arg(program);
                command
            }
        }
    }

    /// Checks that the commands run so far opened nothing hidden.
    ///
    /// # Errors
    /// The system call that did.
    pub(super) fn check(&self) -> Result<(), String> {
        let Way::Watched(logs) = &self.way else {
            return Ok(());
        };
        let failed = |error: std::io::Error| format!("{}: {error}", logs.display());
        for log in fs::read_dir(logs).map_err(failed)? {
            let bytes = fs::read(log.map_err(failed)?.path()).map_err(failed)?;
            for line in String::from_utf8_lossy(&bytes).lines() {
                let opened =
                    |directory: &PathBuf| line.contains(&format!("\"{}", directory.display()));
                if self.directories.iter().any(opened) {
                    return Err(format!("a hidden directory was accessed: {line}"));
                }
            }
        }
        Ok(())
    }
}
