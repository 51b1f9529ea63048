//! Data that is not what the task needs.

use super::*;
use progtune_tests::scratch::replace_in;

const TRAIN: &str = "train.tsv";

/// Training on a copy of the MRPC fixture, changed by `damage`.
fn damaged(scratch: &Scratch, name: &str, damage: impl FnOnce(&Path)) -> CommandLine {
    let data = scratch.copy("data", name);
    damage(&data);
    CommandLine::train_on(&bert(), &data, &scratch.path("run"))
}

fn append(data: &Path, bytes: &[u8]) {
    let path = data.join(TRAIN);
    fs::write(&path, [fs::read(&path).unwrap().as_slice(), bytes].concat()).unwrap();
}

#[test]
fn bad_data_is_named_with_file_and_line() {
    let scratch = Scratch::new();
    let s = &scratch;
    let cases = vec![
        Case::new(
            "missing column",
            damaged(s, "column", |data| {
                replace_in(&data.join(TRAIN), "#2 String", "second")
            }),
            3,
            &[
                "DIR/column/train.tsv, line 1",
                "expected a column named `sentence2` or `#2 String`",
                "rename the column",
            ],
        ),
        Case::new(
            "label column missing",
            damaged(s, "labels", |data| {
                replace_in(&data.join(TRAIN), "Quality", "Kwality")
            }),
            3,
            &[
                "DIR/labels/train.tsv, line 1",
                "`label` or `Quality`",
                "the nearest is `Kwality`",
            ],
        ),
        Case::new(
            "label outside the set",
            damaged(s, "label", |data| append(data, b"2\t1\t2\ta\tb\n")),
            3,
            &[
                "DIR/label/train.tsv, line 29",
                "column `Quality`",
                "0 (not_equivalent), 1 (equivalent)",
                "found \"2\"",
            ],
        ),
        Case::new(
            "no label in a training row",
            damaged(s, "unlabelled", |data| append(data, b"\t1\t2\ta\tb\n")),
            3,
            &[
                "DIR/unlabelled/train.tsv, line 29",
                "column `Quality`",
                "found \"\"",
            ],
        ),
        Case::new(
            "row with a cell too few",
            damaged(s, "ragged", |data| append(data, b"1\t1\t2\ta b\n")),
            3,
            &[
                "DIR/ragged/train.tsv, line 29",
                "expected 5 tab-separated cells",
                "found 4",
                "repair or delete",
            ],
        ),
        Case::new(
            "empty training file",
            damaged(s, "empty", |data| fs::write(data.join(TRAIN), "").unwrap()),
            3,
            &[
                "DIR/empty/train.tsv",
                "expected at least one row",
                "fetch the file again",
            ],
        ),
        Case::new(
            "header alone",
            damaged(s, "header", |data| {
                fs::write(
                    data.join(TRAIN),
                    "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n",
                )
                .unwrap()
            }),
            3,
            &["DIR/header/train.tsv", "found a header only"],
        ),
        Case::new(
            "empty evaluation file",
            damaged(s, "empty-dev", |data| {
                fs::write(data.join("dev.tsv"), "").unwrap()
            }),
            3,
            &["DIR/empty-dev/dev.tsv", "expected at least one row"],
        ),
        Case::new(
            "byte that is not UTF-8",
            damaged(s, "latin", |data| append(data, b"1\t1\t2\tcaf\xe9\tb\n")),
            3,
            &[
                "DIR/latin/train.tsv, line 29",
                "expected UTF-8",
                "0xE9",
                "iconv",
            ],
        ),
        Case::new(
            "parquet that is none",
            damaged(s, "parquet", |data| {
                fs::remove_file(data.join(TRAIN)).unwrap();
                fs::write(data.join("train.parquet"), "PAR1").unwrap();
            }),
            3,
            &[
                "DIR/parquet/train.parquet",
                "expected a complete parquet file",
            ],
        ),
        Case::new(
            "no evaluation file",
            damaged(s, "no-dev", |data| {
                fs::remove_file(data.join("dev.tsv")).unwrap()
            }),
            3,
            &[
                "DIR/no-dev: no file for the split `validation`",
                "`dev.tsv`",
                "found `train.tsv`",
            ],
        ),
        Case::new(
            "data directory absent",
            CommandLine::train_on(&bert(), &s.path("absent"), &s.path("run")),
            3,
            &["DIR/absent does not exist", "`train.tsv`", "check the path"],
        ),
        Case::new(
            "data directory that is a file",
            CommandLine::train_on(&bert(), &s.path("label/train.tsv"), &s.path("run")),
            3,
            &["DIR/label/train.tsv is a file", "expected a directory"],
        ),
        Case::new(
            "files of another task",
            CommandLine::new("train --task sst2 --quiet")
                .path("--model", bert())
                .path("--data", fixture("parity/data"))
                .path("--output", s.path("run")),
            3,
            &[
                "train.tsv, line 1",
                "expected a column named `sentence`",
                "pass the task",
            ],
        ),
    ];
    check(s, cases);
    assert!(
        !s.path("run").exists(),
        "nothing is written before the data is read"
    );
}

#[test]
fn bad_scores_are_named() {
    let scratch = Scratch::new();
    for score in ["high", "NaN", ""] {
        let data = scratch.copy("data_stsb", "data");
        replace_in(&data.join(TRAIN), "2.905", score);
        let text = CommandLine::new("train --task stsb --quiet")
            .path("--model", fixture("parity/bert_regression"))
            .path("--data", &data)
            .path("--output", scratch.path("run"))
            .fail(3);
        assert!(
            text.contains("train.tsv, line 2") && text.contains(&format!("found \"{score}\"")),
            "{text}"
        );
    }
}

#[test]
fn bad_lines_to_predict_are_named() {
    let scratch = Scratch::new();
    let predict = |name: &str, text: &str| {
        let input = scratch.write(name, text);
        CommandLine::new("predict --task mrpc --quiet --max-length 64")
            .path("--model", bert())
            .path("--input", input)
    };
    let good = "{\"sentence1\": \"a\", \"sentence2\": \"b\"}\n";
    let after = |bad: &str| format!("{good}{bad}\n");
    check(
        &scratch,
        vec![
            Case::new(
                "a line that is no JSON",
                predict("syntax", &after("{\"sentence1\": ")),
                3,
                &["DIR/syntax, line 2", "expected one JSON object"],
            ),
            Case::new(
                "a line that is no object",
                predict("array", &after("[1]")),
                3,
                &["DIR/array, line 2", "array"],
            ),
            Case::new(
                "a line without a column",
                predict("column", &after("{\"sentence1\": \"a\"}")),
                3,
                &[
                    "DIR/column, line 2",
                    "`sentence2`",
                    "found the columns `sentence1`",
                ],
            ),
            Case::new(
                "a text that is a number",
                predict("type", &after("{\"sentence1\": 3, \"sentence2\": \"b\"}")),
                3,
                &["DIR/type, line 2", "`sentence1`", "the number 3"],
            ),
            Case::new(
                "a label outside the set",
                predict(
                    "label",
                    &after("{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": \"maybe\"}"),
                ),
                3,
                &["DIR/label, line 2", "`label`", "\"maybe\""],
            ),
            Case::new(
                "no line",
                predict("empty", "\n"),
                3,
                &["DIR/empty", "at least one row"],
            ),
            Case::new(
                "no such file",
                CommandLine::new("predict --task mrpc --quiet")
                    .path("--model", bert())
                    .path("--input", scratch.path("none")),
                3,
                &["DIR/none: cannot read it", "check that it is a file"],
            ),
        ],
    );
}
