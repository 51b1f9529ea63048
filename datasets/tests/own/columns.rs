//! The choice of columns, whether named or guessed.

use super::*;

fn chosen(header: &str, reading: Reading) -> Result<(String, Option<String>, String), String> {
    let n = header.split(',').count();
    // Every cell is a distinct text, and the last one is a label.
    let row = |i: usize| {
        let mut cells: Vec<String> = (0..n).map(|at| format!("text {at}")).collect();
        cells[n - 1] = format!("label {i}");
        cells.join(",")
    };
    let file = format!("{header}\n{}\n{}\n", row(0), row(1));
    // Only the choice is tested: a text column in the label's place has a single label.
    match read("a.csv", file.as_bytes(), reading) {
        Ok(data) => {
            let columns = data.task.columns;
            Ok((
                columns.first.name,
                columns.second.map(|column| column.name),
                columns.label.name,
            ))
        }
        Err(message) => Err(message),
    }
}

fn named(text: Option<&str>, pair: Option<&str>, label: Option<&str>) -> Reading {
    let own = |name: Option<&str>| name.map(str::to_owned);
    Reading {
        text_column: own(text),
        pair_column: own(pair),
        label_column: own(label),
        ..Reading::default()
    }
}

#[test]
fn usual_names_are_recognised() {
    for (header, text, pair, label) in [
        (
            "idx,sentence1,sentence2,label",
            "sentence1",
            Some("sentence2"),
            "label",
        ),
        (
            "premise,hypothesis,gold_label",
            "premise",
            Some("hypothesis"),
            "gold_label",
        ),
        (
            "question,sentence,label",
            "question",
            Some("sentence"),
            "label",
        ),
        ("id,text,target", "text", None, "target"),
        ("sentence,score,label", "sentence", None, "label"),
        ("body,label", "body", None, "label"),
        ("text,kind", "text", None, "kind"),
    ] {
        let expected = (text.to_owned(), pair.map(str::to_owned), label.to_owned());
        assert_eq!(chosen(header, Reading::default()), Ok(expected), "{header}");
    }
}

#[test]
fn what_is_in_doubt_has_to_be_named() {
    for (header, parts) in [
        (
            "text,sentence,label",
            &[
                "the text: several have a usual name",
                "`text`, `sentence`",
                "--text-column",
            ][..],
        ),
        (
            "a,b,label",
            &["the text: several hold texts", "--text-column"],
        ),
        ("sentence1,sentence2,text,label", &["--pair-column"]),
        (
            "text,target,class",
            &["the label: several", "--label-column"],
        ),
        ("text,a,b", &["the label: none has", "--label-column"]),
        ("text", &["the label: no column is left"]),
    ] {
        let message = chosen(header, Reading::default()).unwrap_err();
        assert_has(&message, parts);
        assert_has(&message, &["a.csv: cannot tell which column is"]);
    }
}

#[test]
fn named_columns_are_taken() {
    let found = chosen("a,b,c", named(Some("b"), Some("a"), Some("c")));
    assert_eq!(found, Ok(("b".into(), Some("a".into()), "c".into())));
    // If a text is named, there is no pair unless it is named too.
    let found = chosen(
        "sentence1,sentence2,label",
        named(Some("sentence1"), None, None),
    );
    assert_eq!(found, Ok(("sentence1".into(), None, "label".into())));
    let message = chosen("a,labels,c", named(Some("a"), None, Some("labls"))).unwrap_err();
    assert_has(
        &message,
        &[
            "a.csv: --label-column: expected a column named `labls`",
            "did you mean 'labels'? Correct the name",
        ],
    );
    let message = chosen("a,c", named(Some("a"), Some("a"), Some("c"))).unwrap_err();
    assert_has(&message, &["--text-column and --pair-column are both `a`"]);
}

#[test]
fn every_file_has_the_columns_of_the_first() {
    let dir = dir_with(&[
        ("a.csv", b"text,label\nx,a\ny,b\n"),
        ("b.jsonl", b"{\"label\": \"a\", \"text\": \"z\"}\n"),
        ("c.tsv", b"txt\tlabel\nx\ta\n"),
    ]);
    let data = load(
        dir.path(),
        &train_on(dir.path(), &["a.csv", "b.jsonl"], Reading::default()),
    );
    assert_eq!(texts(&data.unwrap().train), ["x", "y", "z"]);
    let message = load(
        dir.path(),
        &train_on(dir.path(), &["a.csv", "c.tsv"], Reading::default()),
    )
    .unwrap_err();
    assert_has(
        &message,
        &[
            "c.tsv, line 1: expected a column named `text`",
            "did you mean 'txt'? Rename the column",
        ],
    );
}

/// Found by `hostile`: a column's name could control the terminal.
#[test]
fn control_characters_in_names_are_escaped() {
    bad(
        "a.csv",
        b"text,\x1b[31m\na,x\nb,x\n",
        &["column `\\u{1b}[31m`"],
    );
}
