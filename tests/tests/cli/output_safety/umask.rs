//! The umask determines who may read a result.

use super::*;
use progtune_tests::in_shell;
use std::os::unix::fs::PermissionsExt;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Runs a command with a umask.
#[track_caller]
fn run_under(umask: &str, line: &CommandLine) {
    let command = line.command();
    let output = in_shell(&format!("umask {umask}; exec \"$@\""), &command)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{umask}: {text}");
}

#[test]
fn files_and_directories_have_the_modes_that_the_umask_leaves() {
    for (umask, file, directory) in [
        ("077", 0o600, 0o700),
        ("027", 0o640, 0o750),
        ("002", 0o664, 0o775),
        ("022", 0o644, 0o755),
    ] {
        let scratch = Scratch::new();
        let [run, merged, lines] =
            ["runs/run", "merged/model", "lines.jsonl"].map(|name| scratch.path(name));
        let base = fixture("parity/bert");
        let train = short(&run).words("--peft lora");
        run_under(umask, &train);
        run_under(umask, &train.words("--overwrite-output"));
        let merge = CommandLine::new("merge --quiet --task mrpc")
            .path("--model", &base)
            .path("--adapter", &run)
            .path("--output", &merged);
        run_under(umask, &merge);
        let predict = CommandLine::new("predict --task mrpc --quiet --split validation")
            .path("--model", &merged)
            .path("--data", fixture("parity/data"))
            .path("--output", &lines);
        run_under(umask, &predict);
        let svg = scratch.path("plan.svg");
        run_under(umask, &CommandLine::new("plan").path("--svg", &svg));
        let mut seen = 0;
        for top in ["runs", "merged"] {
            assert_eq!(mode(&scratch.path(top)), directory, "{umask}: {top}");
            for name in names(&scratch.path(top)) {
                let path = scratch.path(top).join(&name);
                let expected = if path.is_dir() { directory } else { file };
                assert_eq!(mode(&path), expected, "{umask}: {name}");
                seen += 1;
            }
        }
        assert!(seen >= 14, "{seen}");
        assert_eq!((mode(&lines), mode(&svg)), (file, file), "{umask}");
    }
}

/// Texts can be reconstructed from their tokens, so token files are private to their owner,
/// whatever the umask.
#[test]
fn kept_tokens_are_private() {
    let scratch = Scratch::new();
    let rows: String = (0..20)
        .map(|row| format!("kebe {row},{}\n", row % 2))
        .collect();
    let csv = scratch.write("own.csv", format!("text,label\n{rows}"));
    let mut command = CommandLine::new("train --validation-split 0.5 --max-steps 1")
        .path("--model", fixture("parity/bert"))
        .path("--train-file", &csv)
        .path("--output", scratch.path("run"))
        .command();
    with_own_places(&scratch, &mut command);
    let text = command.output().unwrap();
    assert!(
        text.status.success(),
        "{}",
        String::from_utf8_lossy(&text.stderr)
    );
    let kept = scratch.path("cache/tokenized");
    assert_eq!(mode(&kept), 0o700);
    let files = names(&kept);
    assert!(files.len() >= 3, "two splits and a note: {files:?}");
    for name in files {
        assert_eq!(mode(&kept.join(&name)), 0o600, "{name}");
    }
}
