//! Running a program where some directories cannot be seen, so that it is sure to need nothing in them. Called by `check_dist`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Puts an empty file system over each directory before `--`, then runs what comes after.
const COVER: &str = "\
while [ \"$1\" != -- ]; do mount -t tmpfs none \"$1\" || exit 125; shift; done
shift
exec \"$@\"";

/// Directories that are hidden, and how.
pub(super) struct Hidden {
    /// None of them lies in another.
    pub(super) directories: Vec<PathBuf>,
    way: Way,
}

enum Way {
    /// In a mount namespace of its own with empty directories over them.
    Covered,
    /// By looking afterwards at every path that was opened, which are in the files of this directory.
    Watched(PathBuf),
}

impl Hidden {
    /// Chooses a way that this machine permits; `place` is a directory that stays visible.
    ///
    /// # Errors
    /// When there is none, or `place` lies in a directory to hide.
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
            return Err("neither `unshare -rm` works here, to hide the repository, nor is there strace, to watch what is opened".into());
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
            Way::Watched(_) => "no means: strace watches that nothing in them is opened",
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
                // A file a process: `-ff` puts its number behind the name.
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

    /// That nothing hidden was opened by what has run.
    ///
    /// # Errors
    /// The call that did.
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
                    return Err(format!("what is to be hidden was looked for: {line}"));
                }
            }
        }
        Ok(())
    }
}
