//! Plugin actions in its process that do not affect the run: it ends as it does with a well-behaved
//! plugin.

use super::{Place, Said};
use std::{fs, os::unix::fs::PermissionsExt};

/// The model that a run computes, bit by bit.
fn model(place: &Place) -> Vec<u8> {
    fs::read(place.path("out/model.safetensors")).expect("a model")
}

/// The length of a run that outlasts a background crash many times over. Each epoch takes some
/// milliseconds, also on a busy machine.
const EPOCHS: u32 = 100;

fn trained(marker: &str, words: &str) -> (Place, Said) {
    let place = Place::new(marker);
    let said = place.train(&format!("--epochs {EPOCHS} {words}"));
    assert_eq!(said.code, Some(0), "{marker}: {}", said.error);
    (place, said)
}

#[test]
fn chdir_umask_printing_and_hidden_processes_change_nothing() {
    let (good, _) = trained("nothing", "--schedule hostile-00");
    let (place, said) = trained("run-in-its-place", "--schedule hostile-00");
    assert_eq!(model(&place), model(&good));
    // The plugin's output is in the log, without control characters, and nowhere else.
    for text in [&said.out, &said.error] {
        assert!(
            !text.contains("printed") && !text.contains("complained"),
            "{text}"
        );
    }
    let log = place.log();
    assert!(
        log.contains("printed: printed") && log.contains("printed: complained 0"),
        "{log}"
    );
    assert!(!log.contains('\u{1b}'), "{log}");
    // Files have the run's own permissions.
    let mode = |place: &Place| {
        let file = fs::metadata(place.path("out/model.safetensors")).expect("a model");
        file.permissions().mode()
    };
    assert_eq!(mode(&place), mode(&good));
    place.assert_clean("run-in-its-place");
    good.assert_clean("nothing");
}

/// A schedule that follows a signal dies after a decision, and the new process receives all earlier
/// observations.
#[test]
fn a_process_that_dies_between_two_questions_is_replaced() {
    let (good, _) = trained("nothing", "--schedule hostile-00");
    let (place, said) = trained("run-follows-signals", "--schedule hostile-00");
    assert!(
        said.error.contains(
            "its process was killed by signal 11 (SIGSEGV, a wild pointer or an endless recursion) between two questions; a \
             new process takes its place"
        ),
        "{}",
        said.error
    );
    assert_eq!(model(&place), model(&good));
    place.assert_clean("run-follows-signals");
}

/// A method is not needed after it has planned.
#[test]
fn a_method_that_crashes_after_its_plan_is_not_missed() {
    let words = "--schedule full --peft nothing-00";
    let (place, said) = trained("run-method-thread-crashes", words);
    assert!(!said.error.contains("killed by signal"), "{}", said.error);
    place.assert_clean("run-method-thread-crashes");
}
