//! Plugins in their own processes (`--plugin-isolation process`): actions that do no harm, messages
//! if there is no answer, results with the same bits as without, and the cost. `cargo test
//! --workspace --test plugins isolation -- --nocapture` prints the table of costs.
#![cfg(target_os = "linux")]

mod cost;
mod faults;
mod harmless;
mod same_bits;

use progtune_tests::{
    command_line::CommandLine,
    outside_plugins::{hostile, library_name},
    progtune,
};
use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A place for one run with the hostile plugin's build that does `marker`.
struct Place {
    folder: TempDir,
}

/// The output of a run.
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Place {
    fn new(marker: &str) -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("a directory"),
        };
        for name in ["plugins", "tmp", "work"] {
            fs::create_dir(place.path(name)).expect("a directory");
        }
        let library = place.path("plugins").join(library_name("x"));
        fs::write(library, hostile(marker)).expect("a file");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().canonicalize().expect("a path");
        folder.join(name)
    }

    fn command(&self, arguments: &[String]) -> Command {
        let mut command = progtune();
        command
            .args(arguments)
            .arg("--plugin-dir")
            .arg(self.path("plugins"))
            .current_dir(self.path("work"))
            .env("PROGTUNE_CACHE_DIR", self.path("cache"))
            .env("TMPDIR", self.path("tmp"));
        command
    }

    /// Plans two epochs, or as many as `words` say.
    fn plan(&self, words: &str) -> Said {
        let words = format!("plan --task sample --schedule hostile-00 {words}");
        self.run(
            &words
                .split_whitespace()
                .map(String::from)
                .collect::<Vec<_>>(),
        )
    }

    /// Trains a tiny model.
    fn train(&self, words: &str) -> Said {
        let line = CommandLine::talking_train("bert", &self.path("out"))
            .words("--max-train-samples 16 --max-eval-samples 8 --batch-size 8 --threads 1")
            .words(words);
        let arguments: Vec<String> = line
            .command()
            .get_args()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        self.run(&arguments)
    }

    fn run(&self, arguments: &[String]) -> Said {
        let output = self.command(arguments).output().expect("the binary starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            code: output.status.code(),
            out: text(&output.stdout),
            error: text(&output.stderr),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("out/log.txt")).expect("a log")
    }

    /// Asserts that no process of this place is left, and no temporary file.
    #[track_caller]
    fn assert_clean(&self, what: &str) {
        let begun = Instant::now();
        let mark = format!("TMPDIR={}", self.path("tmp").display()).into_bytes();
        let is_left = || {
            let processes = fs::read_dir("/proc").expect("processes").flatten();
            let mut environments =
                processes.filter_map(|process| fs::read(process.path().join("environ")).ok());
            environments.any(|all| all.split(|&byte| byte == 0).any(|entry| entry == mark))
        };
        while is_left() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{what}: a process is left"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let files: Vec<_> = fs::read_dir(self.path("tmp"))
            .expect("a directory")
            .flatten()
            .collect();
        assert!(files.is_empty(), "{what}: {files:?}");
        let strays: Vec<_> = fs::read_dir(self.path("work"))
            .expect("a directory")
            .flatten()
            .filter(|file| !file.file_name().to_string_lossy().starts_with("runs"))
            .collect();
        assert!(strays.is_empty(), "{what}: {strays:?}");
    }
}
