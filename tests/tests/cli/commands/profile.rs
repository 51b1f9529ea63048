//! `--profile`: the timeline of a run, and the table of where the time of its steps goes.

use super::*;

#[test]
fn a_profile_shows_every_part_of_a_step() {
    let scratch = Scratch::new();
    let trace = scratch.path("trace.json");
    let (_, said) = CommandLine::talking_train("bert", &scratch.path("run"))
        .words("--max-steps 3 --threads 2 --progress plain")
        .path("--profile", &trace)
        .output();
    for line in [
        "3 steps of ",
        "  block forward  ",
        "  block backward  ",
        "  weight gradients  ",
        "  all                          100.0 %",
        "while work is divided, 2 threads are busy for ",
        "open it at https://ui.perfetto.dev",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let trace = read_json(&trace);
    let events = trace["traceEvents"].as_array().unwrap();
    let of = |name: &str| -> Vec<&Value> {
        let events = events.iter();
        events.filter(|event| event["name"] == name).collect()
    };
    assert_eq!(of("step").len(), 3);
    let blocks = of("block backward");
    let numbers = blocks.iter().map(|event| event["args"]["number"].as_u64());
    let numbers: Vec<u64> = numbers.take(5).map(Option::unwrap).collect();
    assert_eq!(numbers, [4, 3, 2, 1, 0], "from the top down");
    let first = of("step")[0];
    let end = |event: &Value| event["ts"].as_f64().unwrap() + event["dur"].as_f64().unwrap();
    assert!(end(blocks[0]) <= end(first), "inside its step");
    assert_eq!(blocks[0]["tid"], first["tid"]);
    assert!(of("backward").iter().all(|task| task["cat"] == "task"));
}

#[test]
fn a_profile_that_cannot_be_written_is_refused_before_training() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::train("bert", &run)
        .path("--profile", scratch.path("absent/trace.json"))
        .fail(3);
    assert!(!run.exists());
}
