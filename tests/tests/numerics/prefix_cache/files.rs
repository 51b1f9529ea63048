//! The cache on disk: an interrupted run, damaged entries, a full disk.

use super::*;
use progtune_tests::in_shell;

const FLAGS: &str = "--schedule grow-from-hb --epochs 3 --peft adapter --prefix-cache";

/// A run that diverges in its second step and leaves its cache.
fn cut_short(scratch: &Scratch) -> (CommandLine, std::path::PathBuf) {
    let run = scratch.path("run");
    let line = CommandLine::train("bert", &run).words(FLAGS).words("disk");
    line.clone().words("--lr 1e20").fail(5);
    (line, run.join("prefix-cache/rows.bin"))
}

#[test]
fn the_next_run_goes_on_with_what_a_broken_one_left() {
    let scratch = Scratch::new();
    let (line, file) = cut_short(&scratch);
    assert!(fs::metadata(&file).unwrap().len() > 64, "some entries");
    line.run();
    let (found, epochs) = outcome(&scratch.path("run"));
    let (expected, fresh) = train("bert", &format!("{FLAGS} off"));
    assert!(found == expected);
    assert!(fresh[0].is_null());
    let rate = column(&epochs, "hit_rate")[0];
    assert!(rate > 0.0 && rate < 1.0, "{rate}");
    assert!(epochs[0].get("damaged").is_none());
}

#[test]
fn damaged_entries_are_computed_again_with_a_warning() {
    let scratch = Scratch::new();
    let (line, file) = cut_short(&scratch);
    let mut bytes = fs::read(&file).unwrap();
    // The end of the file is the end of an entry. The byte belongs to its numbers, so its label is
    // still believed.
    let last = bytes.len() - 1;
    bytes[last] ^= 0x40;
    fs::write(&file, bytes).unwrap();
    line.run();
    let log = fs::read_to_string(scratch.path("run").join("log.txt")).unwrap();
    assert_eq!(
        log.matches("WARN progtune::prefix_cache").count(),
        1,
        "{log}"
    );
    assert!(log.contains("an entry on disk is damaged"), "{log}");
    let (found, epochs) = outcome(&scratch.path("run"));
    assert!(found == train("bert", &format!("{FLAGS} off")).0);
    assert_eq!(column(&epochs, "damaged"), [1.0, 1.0, 0.0]);
    assert_eq!(column(&epochs, "examples"), [39.0, 39.0, 0.0]);
}

#[test]
fn a_file_of_another_kind_is_replaced() {
    let scratch = Scratch::new();
    let (line, file) = cut_short(&scratch);
    fs::write(&file, "notes").unwrap();
    line.clone().run();
    let (found, _) = outcome(&scratch.path("run"));
    assert!(found == train("bert", &format!("{FLAGS} off")).0);

    let (line, file) = cut_short_again(&line, &scratch);
    line.words("--prefix-cache ram").run();
    assert!(!file.exists(), "a cache in RAM has no use for it");
    assert!(outcome(&scratch.path("run")).0 == found);
}

fn cut_short_again(line: &CommandLine, scratch: &Scratch) -> (CommandLine, std::path::PathBuf) {
    let line = line.clone().words("--overwrite-output");
    line.clone().words("--lr 1e20").fail(5);
    // The finished run meanwhile stays in its place.
    let file = scratch.path("run").join("new-run/prefix-cache/rows.bin");
    assert!(file.exists());
    let run = scratch.path("run");
    (
        CommandLine::train("bert", &run)
            .words("--overwrite-output")
            .words(&FLAGS.replace("--prefix-cache", "")),
        file,
    )
}

/// For the writer, a file that may not grow is equivalent to a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_turns_the_cache_off() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    // The result is smaller than that limit.
    let flags = "--schedule grow-from-hb --epochs 3 --peft lora --save-strategy no";
    // The plugins must be copied before files may not grow.
    let expected = train("bert", &format!("{flags} --prefix-cache off")).0;
    let named = CommandLine::talking_train("bert", &run)
        .words(flags)
        .words("--prefix-cache disk")
        .command();
    let output = in_shell("trap '' XFSZ; ulimit -f 64; exec \"$@\"", &named)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("warning: ").count(), 1, "{text}");
    assert!(text.contains("the run continues without it"), "{text}");
    let (found, epochs) = outcome(&run);
    assert!(found == expected);
    assert!(epochs.iter().all(Value::is_null), "{epochs:?}");
}
