//! JSONL as a data set and as the input of `predict`.

use super::*;
use progtune_datasets::read_jsonl;

/// Parses a line that follows four blank ones.
fn parse(name: &str, line: &str) -> Result<Example, String> {
    let dir = dir_with(&[("in.jsonl", format!("\n\n\n\n{line}\n").as_bytes())]);
    let here = format!("{}/", dir.path().display());
    match read_jsonl(task(name), &dir.path().join("in.jsonl")) {
        Ok(mut rows) => Ok(rows.remove(0)),
        Err(error) => Err(error.to_string().replace(&here, "")),
    }
}

#[test]
fn each_tasks_keys() {
    let unlabelled = |line, name| parse(name, line);
    assert_eq!(
        unlabelled(r#"{"sentence": "A "}"#, "sst2"),
        Ok(Example {
            label: None,
            ..single("A ", 0)
        })
    );
    let expected = Ok(pair("A", "B", None));
    assert_eq!(
        unlabelled(r#"{"sentence1": "A", "sentence2": "B", "idx": 3}"#, "mrpc"),
        expected
    );
    assert_eq!(
        unlabelled(r#"{"question1": "A", "question2": "B"}"#, "qqp"),
        expected
    );
    assert_eq!(
        unlabelled(r#"{"question": "A", "sentence": "B"}"#, "qnli"),
        expected
    );
    assert_eq!(
        unlabelled(r#"{"premise": "A", "hypothesis": "B"}"#, "mnli"),
        expected
    );
    assert_eq!(
        unlabelled(r##"{"#1 String": "A", "#2 String": "B"}"##, "mrpc"),
        expected
    );
    assert_eq!(
        unlabelled(r#"{"sentence": "\u00e9\ud83d\ude00\t"}"#, "sample")
            .unwrap()
            .text,
        "é😀\t"
    );
}

#[test]
fn labels_by_id_name_and_score() {
    let label = |name, json: &str| {
        parse(
            name,
            &format!(r#"{{"sentence1": "A", "sentence2": "B", "label": {json}}}"#),
        )
        .map(|row| row.label)
    };
    for json in ["1", "\"1\"", "\"not_entailment\""] {
        assert_eq!(label("rte", json), Ok(class(1)));
    }
    for json in ["null", "-1", "\"\""] {
        assert_eq!(label("rte", json), Ok(None));
    }
    for (json, score) in [("2.5", 2.5), ("4", 4.0), ("\"0.2\"", 0.2)] {
        assert_eq!(label("stsb", json), Ok(Some(Label::Score(score))));
    }
    assert_has(
        &label("rte", "7").unwrap_err(),
        &[
            "in.jsonl, line 5: column `label`",
            "0 (entailment)",
            "found 7;",
        ],
    );
    assert_has(
        &label("rte", "1.0").unwrap_err(),
        &["expected a label's name or integer id, found 1"],
    );
    assert_has(
        &label("rte", "true").unwrap_err(),
        &["found the boolean true;"],
    );
    assert_has(
        &label("stsb", "[3]").unwrap_err(),
        &["expected a number, found the list [3];"],
    );
    assert_has(
        &label("stsb", "1e60").unwrap_err(),
        &["expected a finite number as the score, found 1"],
    );
    assert_has(
        &label("rte", "18446744073709551615").unwrap_err(),
        &["line 5"],
    );
}

/// Brackets without end are an array of rows without end.
#[test]
fn brackets_without_end() {
    let message = parse("sst2", &"[".repeat(100_000)).unwrap_err();
    assert_has(
        &message,
        &["expected the end of a value, found the end of the file"],
    );
}

#[test]
fn lines_that_are_wrong() {
    for line in ["{", "{'a': 1}", r#"{"sentence": "\ud800"}"#, "NaN", "{} {}"] {
        let message = parse("sst2", line).unwrap_err();
        assert_has(
            &message,
            &[
                "in.jsonl, line 5: expected one JSON object on the line, found a syntax error at column",
            ],
        );
        assert!(!message.contains("at line 1"), "{message}");
    }
    for (line, found) in [
        ("[1]", "the array [1]"),
        ("\"a\"", "the string \"a\""),
        ("null", "null"),
    ] {
        let message = parse("sst2", line).unwrap_err();
        assert_has(
            &message,
            &[
                "in.jsonl, line 5: expected a JSON object with the task's columns as keys, found",
                found,
            ],
        );
    }
    let message = parse("sst2", r#"{"sentence": 3}"#).unwrap_err();
    assert_has(
        &message,
        &["line 5: column `sentence`: expected a JSON string, found the number 3; convert"],
    );
    let message = parse("mnli", r#"{"premise": "A", "hypotesis": "B"}"#).unwrap_err();
    assert_has(
        &message,
        &[
            "line 5: expected a column named `hypothesis` or `sentence2`",
            "`premise`, `hypotesis`; did you mean 'hypotesis'? Rename",
        ],
    );
    assert_has(&parse("sst2", "{}").unwrap_err(), &["found no columns;"]);
}

#[test]
fn files() {
    let contents = "\u{FEFF}{\"sentence\": \"A\", \"label\": 1}\r\n\r\n  \n{\"sentence\": \"B\"}";
    let dir = dir_with(&[("in.jsonl", contents.as_bytes())]);
    let read = read_jsonl(task("sst2"), &dir.path().join("in.jsonl")).unwrap();
    assert_eq!(
        read,
        [
            single("A", 1),
            Example {
                label: None,
                ..single("B", 0)
            }
        ]
    );

    assert_has(
        &train_message("sst2", "jsonl", b" \n\n"),
        &[
            "train.jsonl: expected at least one row",
            "no line with text",
        ],
    );
    assert_has(
        &train_message("sst2", "jsonl", b"{\"sentence\": \"A\"}"),
        &["train.jsonl, line 1: expected a column named `label`"],
    );
    assert_has(
        &train_message("sst2", "jsonl", b"\n{\"sentence\": \"caf\xE9\"}"),
        &["line 2: expected UTF-8 text, found the byte 0xE9 at byte 18"],
    );
    let absent = read_jsonl(task("sst2"), &dir.path().join("absent.jsonl"))
        .unwrap_err()
        .to_string();
    assert_has(&absent, &["absent.jsonl: cannot read it: No such file"]);
}

#[test]
fn a_pretty_printed_file_is_read_as_the_rows_it_has() {
    let file = b"[\n  {\"sentence\": \"A\",\n \"label\": 1}\n]\n";
    assert_eq!(train("sst2", "jsonl", file), [single("A", 1)]);
    let message = train_message("sst2", "jsonl", b"[\n  {\"sentence\": \"A\"}\n]\n");
    assert_has(
        &message,
        &["train.jsonl, row 1: expected a column named `label`"],
    );
}
