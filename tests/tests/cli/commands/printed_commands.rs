//! The commands at the end of a run's report, run here as a shell would run them.

use super::*;
use std::process::Command;

/// The command in the report that follows these words, joined if it was broken into several lines.
#[track_caller]
pub(super) fn command_after(report: &str, words: &str) -> String {
    let start = format!("{words}:\n");
    let (_, rest) = report
        .split_once(&start)
        .unwrap_or_else(|| panic!("{words} in {report}"));
    let mut command = String::new();
    for line in rest.lines() {
        command.push_str(line);
        command.push('\n');
        if !line.ends_with('\\') {
            break;
        }
    }
    command
}

/// Runs a line as if typed into a shell in a directory, with the built binary on the path.
#[track_caller]
fn in_shell(directory: &Path, line: &str) -> String {
    let model = progtune();
    let program = Path::new(model.get_program()).parent().unwrap().to_owned();
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(line).current_dir(directory);
    let output = progtune_tests::same_environment(&mut shell, &model)
        .env("PATH", format!("{}:{path}", program.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Trains, then runs the command that uses the result on `input`. Returns the report and the lines
/// that the command printed.
#[track_caller]
fn trained_and_used(directory: &Path, flags: &str, input: &str) -> (String, Vec<Value>) {
    let report = in_shell(directory, &format!("progtune {flags} --progress none"));
    assert!(
        report
            .lines()
            .all(|line| line.chars().count() <= 80 || line.contains('/')),
        "{report}"
    );
    let used = command_after(&report, "use it");
    let name = used.split_whitespace().last().unwrap();
    fs::write(directory.join(name), input).unwrap();
    let printed = in_shell(directory, &used);
    let lines = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {printed}")));
    (report, lines.collect())
}

const SHORT: &str = "--max-steps 2 --max-train-samples 16 --max-eval-samples 8";

#[test]
fn the_command_for_the_embedded_model_needs_nothing_else() {
    let scratch = Scratch::new();
    let directory = scratch.path("");
    let input = "{\"sentence\": \"a lovely film\"}\n";
    let flags = format!("--schedule progressive --peft lora {SHORT}");
    let (report, lines) = trained_and_used(&directory, &flags, input);
    assert!(
        report.contains("  progtune predict --adapter runs/sample-progressive-lora-seed42 \\\n    --input FILE.jsonl\n"),
        "{report}"
    );
    assert_eq!(lines.len(), 1);
    assert!(lines[0]["label"].is_string(), "{lines:?}");
    // The next step is a command too, for the user's own file.
    let rows = (0..20).map(|i| format!("text {i},{}\n", ["no", "yes"][i % 2]));
    let csv: String = ["text,label\n".to_owned()]
        .into_iter()
        .chain(rows)
        .collect();
    scratch.write("FILE.csv", csv);
    let next = command_after(&report, "the same on your own data");
    in_shell(&directory, &format!("{} --max-steps 1", next.trim_end()));
    assert!(
        directory
            .join("runs/own-progressive-lora-seed42/all_results.json")
            .exists()
    );
}

#[test]
fn the_commands_of_other_results_work_as_they_are_printed() {
    let scratch = Scratch::new();
    let directory = scratch.path("a folder");
    fs::create_dir_all(&directory).unwrap();
    scratch.copy("bert", "a folder/my model");
    scratch.copy("data", "a folder/glue data");
    let base = "--model 'my model' --epochs 2 --max-length 64";
    let pair = "{\"sentence1\": \"Kebe zepi.\", \"sentence2\": \"moli\"}\n";
    let mrpc = format!("{base} --task mrpc --data 'glue data' {SHORT}");

    let flags = format!("{mrpc} --peft lora --output 'my runs/a'");
    let (report, lines) = trained_and_used(&directory, &flags, pair);
    assert_eq!(lines.len(), 1, "an adapter: {report}");
    in_shell(
        &directory,
        &command_after(&report, "as one plain checkpoint"),
    );
    assert!(
        directory
            .join("my runs/a-merged/model.safetensors")
            .exists()
    );

    let (report, lines) = trained_and_used(&directory, &format!("{mrpc} --output \"it's\""), pair);
    assert_eq!(lines.len(), 1, "a checkpoint: {report}");
    let measured: Value =
        serde_json::from_str(&in_shell(&directory, &command_after(&report, "measure it"))).unwrap();
    assert_eq!(measured["eval_samples"], 12);

    let rows = (0..24).map(|i| format!("word {},{}\n", i % 5, ["no", "yes"][i % 2]));
    let csv: String = ["text,label\n".to_owned()]
        .into_iter()
        .chain(rows)
        .collect();
    fs::write(directory.join("all.csv"), &csv).unwrap();
    for peft in ["none", "lora", "adapter", "prefix"] {
        let flags = format!(
            "{base} --train-file all.csv --validation-split 0.2 --max-steps 2 --peft {peft} --output own-{peft}"
        );
        let (report, lines) = trained_and_used(&directory, &flags, "text\na word\nanother\n");
        assert!(
            command_after(&report, "use it").contains("FILE.csv"),
            "{report}"
        );
        assert_eq!(lines.len(), 2, "{peft}");
        assert!(
            report.starts_with("class "),
            "what each class is worth: {report}"
        );
        if peft == "lora" {
            in_shell(
                &directory,
                &command_after(&report, "as one plain checkpoint"),
            );
        } else {
            fs::write(directory.join("FILE.csv"), &csv).unwrap();
            in_shell(&directory, &command_after(&report, "measure it"));
        }
    }
}

/// Training files of each kind: name, rows, flags, an input to predict, and a key of the
/// prediction.
fn kinds_of_tasks() -> [(
    &'static str,
    String,
    &'static str,
    &'static str,
    &'static str,
); 7] {
    let many = |row: &dyn Fn(usize) -> String| -> String { (0..24).map(row).collect() };
    let word = |i: usize| ["kebe", "zepi", "moli"][i % 3];
    let yes = |i: usize| ["no", "yes"][i % 2];
    [
        (
            "pairs.csv",
            format!(
                "premise,hypothesis,label\n{}",
                many(&|i| format!("{},a {},{}\n", word(i), word(i + 1), yes(i)))
            ),
            "",
            "premise,hypothesis\nkebe,zepi\n",
            "label",
        ),
        (
            "sets.jsonl",
            many(&|i| {
                format!(
                    "{{\"text\": \"{}\", \"labels\": [\"{}\", \"all\"]}}\n",
                    word(i),
                    yes(i)
                )
            }),
            "",
            "{\"text\": \"kebe\"}\n",
            "probabilities",
        ),
        (
            "numbers.tsv",
            format!(
                "text\tscore\n{}",
                many(&|i| format!("{}\t{}.5\n", word(i), i % 3))
            ),
            "",
            "text\nkebe\n",
            "label",
        ),
        (
            "tags.conll",
            many(&|i| format!("{} B-x\nthe O\n\n", word(i))),
            "",
            "kebe\nthe\n",
            "entities",
        ),
        (
            "questions.json",
            many(&|i| {
                format!(
                    "{{\"id\": \"{i}\", \"question\": \"kebe?\", \"context\": \"the {0} end {i}\", \"answers\": {{\"text\": [\"{0}\"], \
                 \"answer_start\": [4]}}}}\n",
                    word(i)
                )
            }),
            "--doc-stride 4",
            "{\"question\": \"kebe?\", \"context\": \"the moli end\"}\n",
            "answer",
        ),
        (
            "rows.data",
            many(&|i| format!("{} {} end\n", yes(i), word(i))),
            "--file-format label-text --label-column label",
            "the kebe end\n",
            "label",
        ),
        (
            "headless.csv",
            many(&|i| format!("{},{}\n", word(i), yes(i))),
            "--columns text,label",
            "kebe\n",
            "label",
        ),
    ]
}

/// Each kind of task with its own input: pairs, several labels, numbers, tags, files without a
/// header or a telling name.
#[test]
fn the_commands_work_for_every_kind_of_task() {
    let scratch = Scratch::new();
    let directory = scratch.path("");
    scratch.copy("bert", "model");
    for (name, rows, flags, input, key) in kinds_of_tasks() {
        fs::write(directory.join(name), rows).unwrap();
        let flags = format!(
            "--model model --train-file {name} --validation-split 0.25 --max-steps 2 --max-length 24 --peft lora --output \
             {name}-run {flags}"
        );
        let (report, lines) = trained_and_used(&directory, &flags, input);
        assert!(
            lines.len() == 1 && lines[0].get(key).is_some(),
            "{name}: {lines:?}"
        );
        in_shell(
            &directory,
            &command_after(&report, "as one plain checkpoint"),
        );
    }
}

#[test]
fn answers_are_had_by_the_printed_command() {
    let scratch = Scratch::new();
    let directory = scratch.path("");
    scratch.copy("bert", "model");
    let question = |i: usize| {
        let words = ["kebe", "zepi", "moli", "natomo"];
        let (answer, start) = (words[i % 4], 4);
        serde_json::json!({
            "id": format!("q{i}"), "title": "", "question": "kebe zepi?",
            "context": format!("the {answer} end"),
            "answers": { "text": [answer], "answer_start": [start] },
        })
    };
    let lines: String = (0..12).map(|i| format!("{}\n", question(i))).collect();
    scratch.write("data/train.json", &lines);
    scratch.write("data/dev.json", &lines);
    for peft in ["none", "lora"] {
        let flags = format!(
            "--model model --task squad --data data --max-length 48 --doc-stride 8 --max-steps 2 --peft {peft} --output {peft}"
        );
        let input = "{\"question\": \"kebe?\", \"context\": \"the zepi end\"}\n";
        let (report, lines) = trained_and_used(&directory, &flags, input);
        assert!(lines[0]["answer"].is_string(), "{report}{lines:?}");
    }
}
