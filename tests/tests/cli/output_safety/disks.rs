//! Directories that disappear or cannot be written, and full disks.

use super::*;
use progtune_tests::{same_environment, skipped};

/// A run whose evaluation after the last step takes long.
fn long_evaluation(scratch: &Scratch, output: &Path) -> Command {
    let file = big(scratch, 40_000);
    CommandLine::new("train --validation-split 0.5 --max-train-samples 16 --epochs 1")
        .words("--progress json --peft lora")
        .path("--model", fixture("parity/bert"))
        .path("--train-file", &file)
        .path("--output", output)
        .command()
}

#[test]
fn a_run_ends_within_a_step_when_its_directory_is_gone() {
    let scratch = Scratch::new();
    for how in ["removed", "renamed", "replaced"] {
        let output = scratch.path(how);
        let mut running = Running::start(&mut endless(&output).command());
        running.wait_for("\"event\":\"start\"");
        wait_for_a_step(&mut running, &output);
        // In one operation: a directory that still receives files cannot be removed step by step.
        fs::rename(&output, scratch.path("gone")).unwrap();
        let steps = fs::read_to_string(scratch.path("gone/metrics.jsonl")).unwrap();
        match how {
            "removed" => fs::remove_dir_all(scratch.path("gone")).unwrap(),
            "replaced" => fs::create_dir(&output).unwrap(),
            _ => {}
        }
        let (status, said) = running.end();
        assert_eq!(status.code(), Some(3), "{how}: {said}");
        let last = said.lines().last().unwrap();
        assert!(
            last.contains("the output directory is gone") && last.contains("nothing was saved"),
            "{how}: {last}"
        );
        if how == "renamed" {
            let now = fs::read_to_string(scratch.path("gone/metrics.jsonl")).unwrap();
            let more = now.lines().count() - steps.lines().count();
            assert!(more <= 1, "{more} more steps");
        }
        let _ = fs::remove_dir_all(scratch.path("gone"));
        let left = match how {
            "replaced" => names(&output),
            _ => Vec::new(),
        };
        assert_eq!(left, [""; 0], "{how}");
    }
}

/// If the training is over, its result is still saved, with everything that was recorded.
#[test]
fn a_finished_result_is_saved_in_a_directory_that_is_made_again() {
    let scratch = Scratch::new();
    for how in ["removed", "replaced"] {
        let output = scratch.path(how);
        let mut running = Running::start(&mut long_evaluation(&scratch, &output));
        running.wait_for("\"phase\":\"compute\"");
        fs::rename(&output, scratch.path("gone")).unwrap();
        let before = fs::read_to_string(scratch.path("gone/metrics.jsonl")).unwrap();
        let place = match how {
            "replaced" => {
                scratch.write("replaced/thesis.tex", "years of work");
                scratch.path("replaced-saved-1")
            }
            _ => output.clone(),
        };
        fs::remove_dir_all(scratch.path("gone")).unwrap();
        let (status, said) = running.end();
        assert!(status.success(), "{how}: {said}");
        assert!(said.contains("the output directory is gone"), "{said}");
        let found = names(&place);
        for name in [
            "adapter_config.json",
            "adapter_model.safetensors",
            "all_results.json",
            "config.toml",
            "log.txt",
            "plan.json",
            "task.json",
        ] {
            assert!(found.contains(&name.into()), "{how}: {name} in {found:?}");
        }
        let metrics = fs::read_to_string(place.join("metrics.jsonl")).unwrap();
        assert!(metrics.starts_with(&before) && before.lines().count() == 2);
        assert_eq!(metrics.lines().count(), 3, "two steps and an evaluation");
        let log = fs::read_to_string(place.join("log.txt")).unwrap();
        assert!(log.contains("stage") && log.contains("evaluation"), "{log}");
        let results = progtune_tests::read_json(&place.join("all_results.json"));
        assert_eq!(results["output"], place.display().to_string());
        assert_eq!(leftovers(&place), [""; 0]);
        if how == "replaced" {
            assert_eq!(names(&output), ["thesis.tex"]);
        }
    }
}

/// Runs a script in which `$DISK` may be a mount point. Returns `None`, with a note, if this user
/// may not mount.
fn with_mounts(
    scratch: &Scratch,
    script: &str,
    line: &CommandLine,
) -> Option<(i32, String, String)> {
    let disk = scratch.path("disk");
    fs::create_dir_all(&disk).unwrap();
    let may = Command::new("unshare")
        .args(["-m", "sh", "-c", "mount -t tmpfs tmpfs \"$0\""])
        .arg(&disk)
        .output();
    if !may.as_ref().is_ok_and(|output| output.status.success()) {
        skipped::note("this user may mount no file system, and the test needs a small one");
        return None;
    }
    let command = line.command();
    let mut mounting = Command::new("unshare");
    mounting
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env("DISK", &disk);
    let output = same_environment(&mut mounting, &command).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    Some((code, text(&output.stdout), text(&output.stderr)))
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_before_the_work() {
    let scratch = Scratch::new();
    let script = "mount -t tmpfs tmpfs \"$DISK\"; mkdir \"$DISK/there\"; mount -o remount,ro \"$DISK\"; exec \"$@\"";
    for name in ["new/run", "there"] {
        let output = scratch.path("disk").join(name);
        let Some((code, _, said)) = with_mounts(&scratch, script, &short(&output)) else {
            return;
        };
        assert_eq!(code, 2, "{said}");
        assert!(
            said.contains("--output") && said.contains("Read-only file system"),
            "{said}"
        );
        let merge = CommandLine::new("merge --adapter none-such").path("--output", &output);
        let (code, _, said) = with_mounts(&scratch, script, &merge).unwrap();
        assert_eq!(code, 2, "{said}");
    }
}

/// Files that do not fit are not left in part, and an earlier result stays.
#[test]
fn a_full_disk_leaves_no_half_of_a_file() {
    let scratch = Scratch::new();
    let reference = scratch.path("reference");
    short(&reference).run();
    let size = fs::metadata(reference.join("model.safetensors"))
        .unwrap()
        .len()
        / 1024;
    let output = scratch.path("disk/run");
    let list = "code=$?; find \"$DISK\" -type f -printf '%P\\n'; exit $code";
    let small = format!(
        "mount -t tmpfs -o size={}k tmpfs \"$DISK\"; \"$@\"; {list}",
        size / 2
    );
    let Some((code, found, said)) = with_mounts(&scratch, &small, &short(&output)) else {
        return;
    };
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains("model.safetensors: cannot write: No space left on device"),
        "{said}"
    );
    assert!(
        !found.contains(".progtune") && !found.contains("model.safetensors"),
        "{found}"
    );
    assert!(found.contains("metrics.jsonl"), "the records stay: {found}");

    // There is room for one result, and a little more.
    let blocks = |bytes: &Vec<u8>| (bytes.len() as u64).div_ceil(4096) * 4;
    let room = tree(&reference).values().map(blocks).sum::<u64>() + size / 2;
    let twice = format!(
        "mount -t tmpfs -o size={room}k tmpfs \"$DISK\"; \"$@\" || exit 9; sha256sum \"$DISK\"/run/* >\"$DISK/sums\"; \
         \"$@\" --overwrite-output; code=$?; sha256sum --quiet -c \"$DISK/sums\" || exit 8; find \"$DISK\" -name \
         '.progtune*'; exit $code"
    );
    let (code, found, said) = with_mounts(&scratch, &twice, &short(&output)).unwrap();
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains("No space left on device") && said.contains("the earlier result in"),
        "{said}"
    );
    assert_eq!(found, "");
}

/// Tokens that do not fit on the cache's disk go elsewhere, and change no bit of the result.
#[test]
fn a_full_disk_for_tokens_does_not_end_the_run() {
    let scratch = Scratch::new();
    let file = big(&scratch, 150_000);
    let train = |name: &str, words: &str| {
        CommandLine::new("train --validation-split 0.01 --max-steps 1 --plugin-isolation none")
            .words(words)
            .path("--model", fixture("parity/bert"))
            .path("--train-file", &file)
            .path("--output", scratch.path(name))
    };
    train("expected", "--token-cache off --quiet").run();
    let result = |name: &str| fs::read(scratch.path(name).join("model.safetensors")).unwrap();
    let expected = result("expected");
    // The cache's directory is full before half of the tokens are written.
    let full = "mount -t tmpfs -o size=4m tmpfs \"$DISK\"; mkdir \"$DISK/tokenized\"; mkdir \"$DISK/tmp\"; \
                ln -s \"$PLUGINS\" \"$DISK/plugins\"; export PROGTUNE_CACHE_DIR=\"$DISK\";";
    let end = "\"$@\"; code=$?; find \"$DISK\" -name '.progtune*'; exit $code";
    let plugins = scratch.path("plugins");
    fs::create_dir(&plugins).unwrap();
    for (name, tmp, said) in [
        ("elsewhere", "", "they are written to"),
        (
            "in-memory",
            "TMPDIR=\"$DISK/tmp\"",
            "they stay in memory instead",
        ),
    ] {
        let script = format!("PLUGINS={}; {full} {tmp} {end}", plugins.display());
        let line = train(name, "--token-cache auto");
        let Some((code, found, stderr)) = with_mounts(&scratch, &script, &line) else {
            return;
        };
        assert_eq!(code, 0, "{name}: {stderr}");
        let warning = stderr
            .lines()
            .find(|line| line.contains("cannot write tokenised examples"));
        let warning = warning.unwrap_or_else(|| panic!("{name}: {stderr}"));
        assert!(
            warning.contains("No space left on device") && warning.contains(said),
            "{warning}"
        );
        assert!(result(name) == expected, "{name}: the same bits");
        assert!(!found.contains(".progtune"), "{name}: {found}");
    }
}
