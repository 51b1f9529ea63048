//! The output that a person reads around a run: the picture at its start and the report at its end.

use super::printed_commands::command_after;
use super::*;
use std::collections::BTreeMap;

/// All displayed figures are in the records.
#[test]
fn the_report_says_what_the_records_have() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let report = CommandLine::talking_train("bert", &run)
        .words("--epochs 3 --schedule progressive --progress none")
        .run();
    let results = read_json(&run.join("all_results.json"));
    let facts: BTreeMap<&str, &str> = report
        .lines()
        .filter_map(|line| Some((line.get(..20)?.trim(), line.get(20..)?)))
        .collect();
    let number = |key: &str| results[key].as_f64().unwrap();
    assert!(facts["result"].contains(&format!("accuracy {:.4}", number("eval_accuracy"))));
    assert!(
        facts["updated parameters"].contains(&format!("({:.1} %", 100.0 * number("updated_share")))
    );
    assert!(facts["time"].starts_with(&format!("{:.1} s", number("train_runtime"))));
    assert_eq!(
        facts["peak memory"],
        format!("{:.0} MiB", number("peak_memory_bytes") / 1048576.0)
    );
    assert_eq!(facts["saved in"], run.display().to_string());
    let used = command_after(&report, "use it").replace("\\\n", "");
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words(&used),
        words(results["predict_command"].as_str().unwrap())
    );

    let epochs = results["epochs"].as_array().unwrap();
    let evaluations = metrics(&run).1;
    assert_eq!(epochs.len(), 3);
    let plan = read_json(&run.join("plan.json"));
    let mut sum = 0;
    for (at, epoch) in epochs.iter().enumerate() {
        let row = report
            .lines()
            .find(|line| line.starts_with(&format!("{:>5}  ", at + 1)))
            .unwrap_or_else(|| panic!("{report}"));
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[1], epoch["blocks"].as_str().unwrap());
        let updated = epoch["updated_parameters"].as_u64().unwrap();
        assert_eq!(cells[2].replace(',', ""), updated.to_string());
        assert_eq!(plan["epochs"][at]["updated_parameters"], updated);
        assert_eq!(epoch["eval_accuracy"], evaluations[at]["eval_accuracy"]);
        assert_eq!(
            cells[4],
            format!("{:.4}", epoch["eval_accuracy"].as_f64().unwrap())
        );
        sum += updated;
    }
    assert_eq!(results["total_updated_parameters"], sum);
}

/// The facts of a report: lines with a name before column 20.
fn facts(report: &str) -> BTreeMap<&str, String> {
    let mut facts: BTreeMap<&str, String> = BTreeMap::new();
    let mut last = "";
    for line in report.lines() {
        let (Some(name), Some(value)) = (line.get(..20), line.get(20..)) else {
            continue;
        };
        match name.trim() {
            "" => *facts.entry(last).or_default() += &format!(" {}", value.trim()),
            name => {
                last = name;
                facts.insert(name, value.to_owned());
            }
        }
    }
    facts
}

/// A part of a run updates a part of the plan's parameters, which says nothing about the schedule.
#[test]
fn a_run_that_is_cut_short_reports_its_plan() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let (report, stderr) = CommandLine::talking_train("bert", &run)
        .words("--epochs 3 --schedule progressive --max-steps 2")
        .output();
    let results = read_json(&run.join("all_results.json"));
    let plan = read_json(&run.join("plan.json"));
    let facts = facts(&report);
    assert_eq!(facts["steps"], "2 of 12 planned (16.7 %)");
    assert!(
        stderr.contains("\n2 of 12 steps over 27 examples"),
        "{stderr}"
    );
    let planned = plan["total_updated_parameters"].as_u64().unwrap();
    let full = plan["full_schedule_updated_parameters"].as_u64().unwrap();
    let shown = facts["updated parameters"].replace(',', "");
    let share = 100.0 * planned as f64 / full as f64;
    let expected = format!("planned {planned} ({share:.1} % of every block in every epoch)");
    assert_eq!(shown, expected);
    // The row of the epoch has the parameters of the whole epoch.
    let first = plan["epochs"][0]["updated_parameters"].as_u64().unwrap();
    let row = report
        .lines()
        .find(|line| line.starts_with("    1  "))
        .unwrap();
    assert!(
        row.replace(',', "").contains(&format!("  {first}  ")),
        "{report}"
    );
    assert_eq!(results["planned_updated_parameters"], planned);
    assert_eq!(
        results["planned_updated_share"],
        planned as f64 / full as f64
    );
    assert_eq!(
        (&results["train_steps"], &results["planned_steps"]),
        (&2.into(), &12.into())
    );
    assert_eq!(
        results["total_updated_parameters"],
        (first as f64 * 0.5).round() as u64
    );
    assert_eq!(results["updated_share"], 1.0);
}

/// Training on MRPC data with a labelled test split, and the lines of this split.
fn with_test_data(scratch: &Scratch) -> (CommandLine, Vec<String>) {
    let data = scratch.copy("data", "data");
    let line = |i: usize| {
        let (text, label) = [("kebe zepi", 0), ("moli natomo", 1)][i % 2];
        serde_json::json!({"sentence1": text, "sentence2": "gugifu", "label": label}).to_string()
    };
    let lines: Vec<String> = (0..10).map(line).collect();
    scratch.write("data/test.jsonl", lines.join("\n"));
    let train = CommandLine::new("train --task mrpc --max-length 64 --epochs 2")
        .path("--model", fixture("parity/bert"))
        .path("--data", &data);
    (train, lines)
}

/// Every chosen metric has a column, and labelled test data has figures of its own.
#[test]
fn the_report_has_every_metric_and_the_test_data() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let report = with_test_data(&scratch)
        .0
        .words("--metrics f1_macro,f1_weighted,matthews,accuracy,auroc")
        .path("--output", &run)
        .run();
    let results = read_json(&run.join("all_results.json"));
    assert_eq!(results["test_samples"], 10);
    let shown = |name: &str| {
        let value = results[format!("test_{name}")].as_f64();
        format!(
            "{name} {}",
            value.map_or("undefined".into(), |v| format!("{v:.4}"))
        )
    };
    let facts = facts(&report);
    for name in [
        "f1_macro",
        "f1_weighted",
        "matthews_correlation",
        "accuracy",
        "auroc",
    ] {
        assert!(facts["test"].contains(&shown(name)), "{report}");
        let mut titles = report.lines().filter(|line| line.starts_with("epoch  "));
        assert!(
            titles.any(|line| line.contains(&format!(" {name}"))),
            "{name}: {report}"
        );
    }
    assert!(
        facts["time"].contains(" test, ") && facts["time"].ends_with(" in all"),
        "{report}"
    );
    assert!(
        report
            .lines()
            .all(|line| line.chars().count() <= 80 || line.contains('/'))
    );
}

/// A limit holds for the test data as well. Unlabelled or unreadable data costs no run.
#[test]
fn test_data_of_a_named_task_may_be_limited_or_unusable() {
    let scratch = Scratch::new();
    let (train, lines) = with_test_data(&scratch);
    let limited = scratch.path("limited");
    let limit = "--max-steps 1 --max-eval-samples 4";
    train.clone().words(limit).path("--output", &limited).run();
    assert_eq!(
        read_json(&limited.join("all_results.json"))["test_samples"],
        4
    );
    for (name, text) in [
        (
            "unlabelled",
            "{\"sentence1\": \"a\", \"sentence2\": \"b\"}\n".to_owned(),
        ),
        ("broken", format!("{}\n{{\"sentence1\": 1}}\n", lines[0])),
        ("empty", String::new()),
    ] {
        scratch.write("data/test.jsonl", text);
        let run = scratch.path(name);
        let (_, stderr) = train
            .clone()
            .words("--max-steps 1")
            .path("--output", &run)
            .output();
        assert!(
            read_json(&run.join("all_results.json"))
                .get("test_loss")
                .is_none(),
            "{name}"
        );
        let is_warned = stderr.contains("the run continues without figures for the test split");
        assert_eq!(is_warned, name == "broken", "{name}: {stderr}");
    }
}

/// The picture at the start is the plan's, with the prefix cache's savings.
#[test]
fn a_run_begins_with_its_picture() {
    let scratch = Scratch::new();
    let flags = "--epochs 4 --schedule progressive --peft lora";
    let begun = |flags: &str| {
        CommandLine::talking_train("bert", &scratch.path("run"))
            .words("--max-steps 1 --overwrite-output")
            .words(flags)
            .output()
            .1
    };
    // One step would end the run in its first epoch, so nothing is kept for the next.
    let stderr = begun(flags);
    let rows = |text: &str| -> Vec<String> {
        let rows = text
            .lines()
            .filter(|line| line.contains('■') && !line.contains("trained"));
        rows.map(str::to_owned).collect()
    };
    let planned = CommandLine::new("plan --task mrpc --max-length 64")
        .words(flags)
        .path("--model", fixture("parity/bert"))
        .run();
    assert_eq!(rows(&stderr), rows(&planned));
    let run = scratch.path("whole");
    let (_, stderr) = CommandLine::talking_train("bert", &run)
        .words(flags)
        .output();
    let squares: Vec<String> = rows(&stderr)
        .iter()
        .map(|row| {
            row.split_whitespace()
                .skip(1)
                .take(2)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    assert_eq!(
        squares,
        ["· ■■■■■", "· ·■■■■", "░ ░·■■■", "░ ░░·■■"],
        "{stderr}"
    );
    assert!(
        stderr.contains("░ frozen, read from the prefix cache"),
        "{stderr}"
    );
    assert!(stderr.contains("\nprefix cache: "), "{stderr}");

    // With many epochs some share rows, and the middle of many rows is left out.
    let full = begun("--epochs 20");
    assert_eq!(rows(&full).len(), 1, "{full}");
    assert!(full.contains("\n 1-20  ■ ■■■■■ 0-4"), "{full}");
    let many = begun("--epochs 40 --schedule lisa");
    assert!(rows(&many).len() <= 11, "{many}");
}
