//! The cache is shared with Python's `huggingface_hub`: it reads without network what progtune
//! writes, and the reverse.

use super::*;
use progtune_tests::skipped;

/// A Python that has `huggingface_hub`, or a note that the test is skipped.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("PROGTUNE_PYTHON").map(PathBuf::from);
    if python.is_none() {
        skipped::note(
            "PROGTUNE_PYTHON names no Python with huggingface_hub (cargo xtask check-peft does)",
        );
    }
    python
}

impl Place {
    /// The output of a script in this place's environment.
    #[track_caller]
    fn script(&self, python: &Path, home: &str, offline: bool, script: &str) -> String {
        let mut command = Command::new(python);
        command
            .args(["-c", script])
            .env("HF_HOME", self.scratch.path(home))
            .env("HF_ENDPOINT", self.server.endpoint())
            .env("HF_HUB_OFFLINE", if offline { "1" } else { "0" })
            .env("HF_HUB_DISABLE_XET", "1")
            .env_remove("HF_TOKEN");
        outcome(&mut command).good().stdout
    }
}

#[test]
fn python_reads_what_progtune_writes_and_the_reverse() {
    let Some(python) = python() else { return };
    let place = Place::new();
    outcome(&mut place.train("--model org/tiny --task mrpc")).good();
    let read = "from huggingface_hub import snapshot_download as get\n\
                print(get('org/tiny', local_files_only=True))\n\
                print(get('nyu-mll/glue', repo_type='dataset', local_files_only=True))";
    let printed = place.script(&python, "hf", true, read);
    let mut lines = printed.lines();
    for (folder, commit) in [
        ("models--org--tiny", commit("1a")),
        ("datasets--nyu-mll--glue", commit("2b")),
    ] {
        let end = format!("{folder}/snapshots/{commit}");
        let line = lines.next().unwrap_or_default();
        assert!(line.ends_with(&end), "{line}");
    }
    let load = "from transformers import AutoModelForSequenceClassification as M, AutoTokenizer as T\n\
                print(M.from_pretrained('org/tiny').num_parameters(), len(T.from_pretrained('org/tiny')))";
    let printed = place.script(&python, "hf", true, load);
    assert_eq!(printed.split_whitespace().nth(1), Some("120"), "{printed}");

    // The other direction, in another home directory.
    let write = "from huggingface_hub import snapshot_download as get\n\
                 get('org/tiny')\n\
                 get('nyu-mll/glue', repo_type='dataset', allow_patterns=['mrpc/*'])";
    place.script(&python, "theirs", false, write);
    place.server.requests();
    let mut train = place.train("--model org/tiny --task mrpc --offline --overwrite-output");
    train.env("HF_HOME", place.scratch.path("theirs"));
    outcome(&mut train).good();
    assert_eq!(place.server.requests(), []);
}
