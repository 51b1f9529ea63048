//! Taggers on sentences that nobody has cut into words: from the command line, text files, columns
//! of texts and standard input. The tags are those of the same words in a column file.

use progtune_tests::{command_line::CommandLine, fixture, read_json, read_jsonl, scratch::Scratch};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Trains a tagger for a few steps; `end` is the mark at the end of each sentence.
fn trained(scratch: &Scratch, name: &str, sentence: &str) -> PathBuf {
    let data = scratch.write(&format!("{name}.conll"), sentence.repeat(24));
    let run = scratch.path(name);
    CommandLine::new("train --quiet --max-steps 6 --lr 3e-3 --max-length 32 --peft lora")
        .path("--model", fixture("parity/bert"))
        .path("--train-file", &data)
        .path("--validation-file", &data)
        .path("--output", &run)
        .run();
    run
}

const APART: &str = "kebe B-x\nzepi I-x\nthe O\n. O\n\nmoli B-y\n, O\nnatomo O\n\n";
const ATTACHED: &str = "kebe B-x\nzepi, I-x\nthe O\n\nmoli, B-y\nnatomo. O\n\n";

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn predict(run: &Path) -> CommandLine {
    CommandLine::new("predict --quiet").path("--adapter", run)
}

#[test]
fn a_sentence_is_cut_like_the_training_sentences() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "apart", APART);
    assert_eq!(
        read_json(&run.join("task.json"))["punctuation_is_apart"],
        true
    );
    let text = "(kebe zepi) the U.S. moli,  natomo.";
    let said = predict(&run).path("--text", text).run();
    let said = &lines(&said)[0];
    let words = [
        "(", "kebe", "zepi", ")", "the", "U.S.", "moli", ",", "natomo", ".",
    ];
    assert_eq!(said["tokens"], json!(words));
    assert_eq!(said["text"], text);
    assert_eq!(said["offsets"][8], json!([28, 34]));
    for entity in said["entities"].as_array().unwrap() {
        let at = |key: &str| usize::try_from(entity[key].as_u64().unwrap()).unwrap();
        let part: String = text
            .chars()
            .skip(at("start_char"))
            .take(at("end_char") - at("start_char"))
            .collect();
        assert_eq!(entity["text"], part);
    }
    // A file of words gives the same tags.
    let column = words.join("\n") + "\n";
    let words = scratch.write("words.conll", column);
    let of_words = predict(&run).path("--input", &words).run();
    let of_words = &lines(&of_words)[0];
    for key in ["tokens", "tags", "scores"] {
        assert_eq!(said[key], of_words[key], "{key}");
    }
    assert!(of_words.get("offsets").is_none());

    let other = trained(&scratch, "attached", ATTACHED);
    let said = predict(&other).path("--text", "kebe zepi, the moli.").run();
    assert_eq!(
        lines(&said)[0]["tokens"],
        json!(["kebe", "zepi,", "the", "moli."])
    );
}

#[test]
fn texts_are_read_from_every_file() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "run", APART);
    let expected = predict(&run)
        .path("--text", "kebe zepi, now.")
        .path("--text", "the moli")
        .run();
    let expected = lines(&expected);
    for (name, text) in [
        ("in.txt", "kebe zepi, now.\nthe moli\n"),
        ("in.csv", "id,text\n1,\"kebe zepi, now.\"\n2,the moli\n"),
        (
            "in.jsonl",
            "{\"text\": \"kebe zepi, now.\"}\n{\"text\": \"the moli\"}\n",
        ),
    ] {
        let input = scratch.write(name, text);
        let said = lines(&predict(&run).path("--input", &input).run());
        let without_id = |mut line: Value| {
            line.as_object_mut().unwrap().shift_remove("id");
            line
        };
        if name == "in.csv" {
            assert_eq!(said[1]["id"], "2", "an id is kept");
        }
        let said: Vec<Value> = said.into_iter().map(without_id).collect();
        assert_eq!(said, expected, "{name}");
    }
    // One word per line is a column file, whatever its name; lists of words have names of columns.
    let column = scratch.write("column.txt", "kebe\nzepi\n\nmoli\n");
    let said = lines(&predict(&run).path("--input", &column).run());
    assert_eq!(said[0]["tokens"], json!(["kebe", "zepi"]));
    assert_eq!(said.len(), 2);
    let lists = scratch.write(
        "lists.jsonl",
        "{\"id\": 5, \"tokens\": [\"kebe\", \"zepi\"]}\n",
    );
    let of_lists = lines(&predict(&run).path("--input", &lists).run());
    assert_eq!(
        (&of_lists[0]["id"], &of_lists[0]["tags"]),
        (&json!(5), &said[0]["tags"])
    );

    // A table has a row for each word.
    let output = scratch.path("out.csv");
    predict(&run)
        .path("--text", "the moli.")
        .path("--output", &output)
        .run();
    let csv = fs::read_to_string(&output).unwrap();
    assert!(
        csv.starts_with("sentence,word,tag,score,start,end\n1,the,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 4);
    let table = predict(&run)
        .path("--text", "the moli.")
        .words("--output-format table")
        .run();
    assert!(
        table.starts_with("text       entities\nthe moli.  "),
        "{table}"
    );
}

/// Evaluation and merging know the tags and the columns from the result alone.
#[test]
fn a_tagger_needs_no_task() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "run", APART);
    let evaluated = CommandLine::new("evaluate --quiet")
        .path("--adapter", &run)
        .run();
    let evaluated: Value = serde_json::from_str(&evaluated).unwrap();
    let results = read_json(&run.join("all_results.json"));
    for key in ["eval_loss", "eval_f1", "eval_accuracy"] {
        assert_eq!(evaluated[key], results[key], "{key}");
    }
    let merged = scratch.path("merged");
    CommandLine::new("merge --quiet")
        .path("--adapter", &run)
        .path("--output", &merged)
        .run();
    let output = scratch.path("out.jsonl");
    CommandLine::new("predict --quiet")
        .path("--model", &merged)
        .path("--text", "kebe zepi.")
        .path("--output", &output)
        .run();
    assert_eq!(
        read_jsonl(&output)[0]["tokens"],
        json!(["kebe", "zepi", "."])
    );
}
