//! Plugin faults that leave no answer: the run ends with one message and exit code 4, and nothing
//! is left of it. Each library behaves in its trial.

use super::Place;
use progtune_tests::{cases, messages};

/// Plans epochs with a library that does `marker` in one of them.
fn ends_with_a_message(marker: &str) {
    let place = Place::new(marker);
    let said = place.plan("--epochs 3");
    assert_eq!(said.code, Some(4), "{marker}: {}", said.error);
    assert!(said.error.len() < 2000, "{marker}: {}", said.error);
    messages::check(&said.error);
    place.assert_clean(marker);
}

cases! { ends_with_a_message:
    a_plan_that_exits("run-exits");
    a_plan_that_kills_itself("run-kills-itself");
    a_plan_that_crashes("run-crashes");
    a_plan_that_closes_descriptors("run-closes-descriptors");
    a_plan_that_writes_garbage("run-writes-garbage");
    a_plan_that_hangs("run-hangs");
    a_plan_that_allocates("run-allocates");
    a_plan_that_differs("run-plan-differs");
}

/// Without isolation, a plan that differs is noticed as well.
#[test]
fn plans_that_differ_are_refused_wherever_the_plugin_runs() {
    for isolation in ["process", "none"] {
        let flag = format!("--plugin-isolation {isolation} --epochs 2");
        let said = Place::new("run-plan-differs").plan(&flag);
        assert_eq!(said.code, Some(4), "{isolation}: {}", said.error);
        assert!(
            said.error.contains("the number of trained parameters is "),
            "{isolation}: {}",
            said.error
        );
        // The two answers to one question agree. The answers to the same question before the run
        // and in it do not.
        let place = Place::new("run-plan-differs-later");
        let said = place.train(&format!("--schedule hostile-00 {flag}"));
        assert_eq!(said.code, Some(4), "{isolation}: {}", said.error);
        assert!(
            said.error.contains("schedule 'hostile-00', plan for epoch 2: its answer for this decision (step 0 of the epoch) differs from its earlier one"),
            "{isolation}: {}",
            said.error
        );
        place.assert_clean(isolation);
    }
}

/// The effect of a crash on a run that hosts the plugin itself, which is the reason for isolation.
#[test]
fn without_isolation_an_exit_of_the_plugin_ends_the_run() {
    let place = Place::new("run-exits");
    let said = place.plan("--epochs 3 --plugin-isolation none");
    assert_eq!(said.code, Some(0), "{}", said.error);
    assert!(
        said.out.is_empty() && said.error.lines().count() <= 2,
        "{}",
        said.error
    );
}

/// A process that dies between two questions is replaced once.
#[test]
fn a_thread_that_crashes_twice_ends_the_run() {
    let place = Place::new("run-thread-crashes");
    // Both crashes come some milliseconds after an answer, which is well within this number of
    // epochs.
    let said = place.train("--schedule hostile-00 --epochs 100");
    assert_eq!(said.code, Some(4), "{}", said.error);
    assert!(
        said.error.contains("its process was killed by signal 11"),
        "{}",
        said.error
    );
    place.assert_clean("run-thread-crashes");
}
