//! Runs whose data has many classes: whatever their number and names, the output stays short and
//! within 80 columns.

use super::*;

/// Intents of customers, as in BANKING77, with long names that differ at their ends.
fn intents(scratch: &Scratch, n_classes: usize) -> std::path::PathBuf {
    let words = ["kebe", "zepi", "moli", "natomo", "gugifu"];
    let mut text = String::from("text,label\n");
    for row in 0..4 * n_classes {
        let class = row % n_classes;
        let (a, b) = (words[class % 5], words[class / 5 % 5]);
        text += &format!("{a} {b} {row},a_question_about_something_that_went_wrong_{class:02}\n");
    }
    scratch.write("intents.csv", text)
}

fn train(scratch: &Scratch, n_classes: usize, words: &str) -> (String, String, std::path::PathBuf) {
    let file = intents(scratch, n_classes);
    let run = scratch.path(&format!("run{n_classes}"));
    let (report, stderr) = CommandLine::new("train --validation-split 0.25 --max-length 16")
        .words(words)
        .path("--model", fixture("parity/bert"))
        .path("--train-file", &file)
        .path("--output", &run)
        .output();
    (report, stderr, run)
}

#[test]
fn many_classes_take_a_few_lines() {
    let scratch = Scratch::new();
    let words = "--max-steps 4 --class-weights balanced --progress plain";
    let (report, stderr, run) = train(&scratch, 77, words);
    // Labels and weights are counted, and named as far as a line goes.
    for start in [
        "77 labels: a_question_about_",
        "77 class weights: a_question_about_",
    ] {
        let line = stderr.lines().find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("{start}: {stderr}"));
        assert!(
            line.ends_with(", …") && line.chars().count() <= 80,
            "{line}"
        );
    }
    let title = report.lines().next().unwrap();
    assert_eq!(
        title,
        "10 of 77 classes with the lowest f1 (all: all_results.json)"
    );
    let (_, pairs) = report
        .split_once("confusions\n")
        .unwrap_or_else(|| panic!("{report}"));
    let pairs: Vec<&str> = pairs
        .lines()
        .skip(1)
        .take_while(|line| line.contains(" -> "))
        .collect();
    assert!(!pairs.is_empty() && pairs.len() <= 10, "{report}");
    let results = read_json(&run.join("all_results.json"));
    let matrix = results["eval_confusion_matrix"].as_array().unwrap();
    assert_eq!(matrix.len(), 77);
    let largest = (0..77).flat_map(|row| {
        let cells = matrix[row].as_array().unwrap().iter().enumerate();
        cells
            .filter(move |(column, _)| *column != row)
            .map(|(_, n)| n.as_u64().unwrap())
    });
    let largest = largest.max().unwrap();
    assert!(pairs[0].contains(&format!("  {largest} of ")), "{report}");
    for line in report.lines().filter(|line| !line.contains('/')) {
        assert!(line.chars().count() <= 80, "{line}");
    }

    // The log has no matrix, and the records have a line for each row.
    let log = fs::read_to_string(run.join("log.txt")).unwrap();
    assert!(log.contains("eval_accuracy"), "{log}");
    assert!(!log.contains("confusion_matrix") && !log.contains("per_class"));
    assert!(log.lines().all(|line| line.len() < 4000), "{log}");
    let text = fs::read_to_string(run.join("all_results.json")).unwrap();
    assert!(text.lines().count() < 300, "{text}");
    let evaluated = CommandLine::new("evaluate --quiet --max-length 16")
        .path("--model", &run)
        .path("--test-file", scratch.path("intents.csv"))
        .run();
    assert!(evaluated.lines().count() < 200, "{evaluated}");
    let evaluated: Value = serde_json::from_str(&evaluated).unwrap();
    assert_eq!(evaluated["eval_per_class"].as_object().unwrap().len(), 77);
}

#[test]
fn a_few_classes_have_a_whole_matrix() {
    let scratch = Scratch::new();
    let (report, stderr, run) = train(&scratch, 3, "--max-steps 2 --progress plain");
    assert!(stderr.contains("\n3 labels: a_question_about_"), "{stderr}");
    let (_, matrix) = report
        .split_once("expected \\ predicted")
        .unwrap_or_else(|| panic!("{report}"));
    let rows: Vec<Vec<u64>> = matrix
        .lines()
        .skip(1)
        .take(3)
        .map(|line| {
            line.split_whitespace()
                .skip(1)
                .map(|n| n.parse().unwrap())
                .collect()
        })
        .collect();
    let results = read_json(&run.join("all_results.json"));
    assert_eq!(serde_json::json!(rows), results["eval_confusion_matrix"]);
    assert!(report.starts_with("class "), "{report}");
}
