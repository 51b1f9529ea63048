//! TSV: the nine layouts, the quirks of the text format, the errors.

use super::*;

#[test]
fn sst2_keeps_the_space_at_the_end() {
    let found = train(
        "sst2",
        "tsv",
        b"sentence\tlabel\na fine film \t1\n  two  spaces\t0\n",
    );
    assert_eq!(
        found,
        [single("a fine film ", 1), single("  two  spaces", 0)]
    );
}

#[test]
fn cola_without_header_and_with() {
    let bare = b"gj04\t1\t\tBirds sing.\ngj04\t0\t*\tBirds sings.";
    let expected = [single("Birds sing.", 1), single("Birds sings.", 0)];
    assert_eq!(train("cola", "tsv", bare), expected);
    assert_eq!(
        train(
            "cola",
            "tsv",
            b"label\tsentence\n1\tBirds sing.\n0\tBirds sings.\n"
        ),
        expected
    );
    let dir = dir_with(&[("test.tsv", b"index\tsentence\n0\tBirds sing.\n")]);
    let test = rows("cola", dir.path(), SplitName::Test);
    assert_eq!(
        test,
        [Example {
            label: None,
            ..single("Birds sing.", 0)
        }]
    );
}

#[test]
fn mrpc_with_byte_order_mark_quotes_and_crlf() {
    let lf = "\u{FEFF}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t10\t11\t\"He said\tShe said \"no\"\"\n\
              0\t12\t13\tOne\tTwo\n";
    let expected = [
        pair("\"He said", "She said \"no\"\"", class(1)),
        pair("One", "Two", class(0)),
    ];
    assert_eq!(train("mrpc", "tsv", lf.as_bytes()), expected);
    assert_eq!(
        train("mrpc", "tsv", lf.replace('\n', "\r\n").as_bytes()),
        expected
    );
    // No line break after the last row, and blank lines after it.
    assert_eq!(train("mrpc", "tsv", lf.trim_end().as_bytes()), expected);
    assert_eq!(
        train("mrpc", "tsv", format!("{lf}\n\r\n").as_bytes()),
        expected
    );
}

#[test]
fn stsb_scores() {
    let file = b"index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n\
                 0\tg\tf\t2012\t1\tn\tn\tA cat.\tA \"dog.\t3.800\n1\tg\tf\t2012\t1\tn\tn\tA\tB\t0\n";
    let expected = [
        pair("A cat.", "A \"dog.", Some(Label::Score(3.8))),
        pair("A", "B", Some(Label::Score(0.0))),
    ];
    assert_eq!(train("stsb", "tsv", file), expected);
}

#[test]
fn qqp_qnli_rte_and_wnli() {
    let qqp = b"id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\tWhy?\tHow?\t1\n";
    assert_eq!(train("qqp", "tsv", qqp), [pair("Why?", "How?", class(1))]);
    let qnli = b"index\tquestion\tsentence\tlabel\n0\tWhy?\tSo.\tnot_entailment\n";
    assert_eq!(train("qnli", "tsv", qnli), [pair("Why?", "So.", class(1))]);
    let rte = b"index\tsentence1\tsentence2\tlabel\n0\tA\tB\tentailment\n";
    assert_eq!(train("rte", "tsv", rte), [pair("A", "B", class(0))]);
    let wnli = b"index\tsentence1\tsentence2\tlabel\n0\tA\tB\t1\n";
    assert_eq!(train("wnli", "tsv", wnli), [pair("A", "B", class(1))]);
}

#[test]
fn mnli_train_and_both_dev_files() {
    let parses = "sentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse\tsentence1\tsentence2";
    let header = "index\tpromptID\tpairID\tgenre";
    let train = format!(
        "{header}\t{parses}\tlabel1\tgold_label\n0\t1\t1n\tfiction\t(\t(\t(\t(\tA\tB\tneutral\tneutral\n"
    );
    let dev = format!(
        "{header}\t{parses}\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n\
         0\t1\t1n\tfiction\t(\t(\t(\t(\tC\tD\tneutral\tneutral\tentailment\tneutral\tneutral\tcontradiction\n"
    );
    let test = format!("{header}\t{parses}\n0\t1\t1n\tfiction\t(\t(\t(\t(\tE\tF\n");
    let dir = dir_with(&[
        ("train.tsv", train.as_bytes()),
        ("dev_matched.tsv", dev.as_bytes()),
        (
            "dev_mismatched.tsv",
            dev.replace("\tC\t", "\tc\t").as_bytes(),
        ),
        ("test_matched.tsv", test.as_bytes()),
    ]);
    let rows = |split| rows("mnli", dir.path(), split);
    assert_eq!(rows(SplitName::Train), [pair("A", "B", class(1))]);
    assert_eq!(
        rows(SplitName::ValidationMatched),
        [pair("C", "D", class(2))]
    );
    assert_eq!(
        rows(SplitName::ValidationMismatched),
        [pair("c", "D", class(2))]
    );
    assert_eq!(rows(SplitName::TestMatched), [pair("E", "F", None)]);
}

#[test]
fn hugging_faces_column_names_work_in_tsv_too() {
    let found = train("mnli", "tsv", b"premise\thypothesis\tlabel\nA\tB\t2\n");
    assert_eq!(found, [pair("A", "B", class(2))]);
}

#[test]
fn a_test_file_with_labels_is_read_with_them() {
    let dir = dir_with(&[(
        "test.tsv",
        b"Quality\t#1 String\t#2 String\n1\tA\tB\n\tC\tD\n-1\tE\tF\n",
    )]);
    let expected = [
        pair("A", "B", class(1)),
        pair("C", "D", None),
        pair("E", "F", None),
    ];
    assert_eq!(rows("mrpc", dir.path(), SplitName::Test), expected);
}

#[test]
fn only_lf_ends_a_line_and_text_is_kept() {
    let text = "a\u{2028}b\u{85}c\rd \u{FEFF}e\u{A0}";
    let file = format!("sentence\tlabel\n{text}\t1\n\t0\n");
    assert_eq!(
        train("sst2", "tsv", file.as_bytes()),
        [single(text, 1), single("", 0)]
    );
}

#[test]
fn a_limit_takes_the_first_rows_and_looks_no_further() {
    let dir = dir_with(&[("train.tsv", b"sentence\tlabel\na\t1\nb\t0\nbroken\n")]);
    let load = |n| load_split(task("sst2"), dir.path(), SplitName::Train, Some(n));
    assert_eq!(load(2).unwrap().examples, [single("a", 1), single("b", 0)]);
    assert_eq!(load(0).unwrap().examples, []);
    assert!(load(3).is_err());
    let cola = dir_with(&[("train.tsv", b"s\t1\t\ta\ns\t0\t\tb\n")]);
    for n in 0..4 {
        let split = load_split(task("cola"), cola.path(), SplitName::Train, Some(n)).unwrap();
        assert_eq!(split.examples.len(), n.min(2));
    }
}

#[test]
fn empty_files() {
    for contents in ["", "\n", "\u{FEFF}", "\r\n\r\n"] {
        let message = train_message("sst2", "tsv", contents.as_bytes());
        assert_has(
            &message,
            &["train.tsv: expected at least one row of data, found nothing on the first line;"],
        );
    }
    let message = train_message("sst2", "tsv", b"sentence\tlabel\n\n");
    assert_has(&message, &["found a header only; fetch the file again"]);
}

#[test]
fn a_missing_column_is_answered_with_those_there_are() {
    let message = train_message("sst2", "tsv", b"sentense\tlabel\na\t1\n");
    assert_eq!(
        message,
        "train.tsv, line 1: expected a column named `sentence`, found the columns `sentense`, `label`; did you mean \
         'sentense'? Rename the column, or pass the task that this file belongs to"
    );
    let message = train_message("mrpc", "tsv", b"Quality\t#1 String\tsentence\n1\ta\tb\n");
    assert_has(
        &message,
        &["expected a column named `sentence2` or `#2 String`, found"],
    );
    // Only test files may lack the label.
    let message = train_message("rte", "tsv", b"sentence1\tsentence2\na\tb\n");
    assert_has(&message, &["expected a column named `label`, found"]);
}

#[test]
fn a_column_twice() {
    let message = train_message("sst2", "tsv", b"sentence\tlabel\tlabel\na\t1\t0\n");
    assert_has(
        &message,
        &["train.tsv, line 1: expected one column named `label`, found 2; rename or delete"],
    );
}

#[test]
fn ragged_rows() {
    let header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\tWhy?\tHow?\t1\n";
    let message = train_message("qqp", "tsv", format!("{header}1\t2\t3\tWhy?\n").as_bytes());
    assert_has(
        &message,
        &["train.tsv, line 3: expected 6 tab-separated cells as in the header, found 4; repair or"],
    );
    let message = train_message(
        "qqp",
        "tsv",
        format!("{header}1\t2\t3\tW\thy\tHow?\t1\n").as_bytes(),
    );
    assert_has(&message, &["line 3", "found 7"]);
    // A blank line inside the file.
    let message = train_message(
        "qqp",
        "tsv",
        format!("{header}\n1\t2\t3\tWhy?\tHow?\t1\n").as_bytes(),
    );
    assert_has(&message, &["line 3", "found 0"]);
    let message = train_message("cola", "tsv", b"s\t1\t\ta\ns\t1\ta\n");
    assert_has(
        &message,
        &["line 2: expected 4 tab-separated cells as in the task's layout for files without"],
    );
}

#[test]
fn labels_that_are_none() {
    let message = train_message("sst2", "tsv", b"sentence\tlabel\na\t1\nb\t2\n");
    assert_has(
        &message,
        &[
            "train.tsv, line 3: column `label`: expected one of the labels 0 (negative), 1 (positive), found \"2\";",
        ],
    );
    let message = train_message(
        "mnli",
        "tsv",
        b"sentence1\tsentence2\tgold_label\na\tb\t-\n",
    );
    assert_has(
        &message,
        &["column `gold_label`", "2 (contradiction), found \"-\""],
    );
    for cell in ["", "-1"] {
        let file = format!("sentence\tlabel\na\t{cell}\n");
        let message = train_message("sst2", "tsv", file.as_bytes());
        assert_has(
            &message,
            &[
                "line 2: column `label`: expected 0 (negative), 1 (positive) in every row",
                "unlabelled",
            ],
        );
    }
    let message = train_message("stsb", "tsv", b"sentence1\tsentence2\tscore\na\tb\tnan\n");
    assert_has(
        &message,
        &["line 2: column `score`: expected a finite number as the score, found \"nan\"; correct"],
    );
    let message = train_message("stsb", "tsv", b"sentence1\tsentence2\tscore\na\tb\t3,8\n");
    assert_has(&message, &["found \"3,8\""]);
}

#[test]
fn bytes_that_are_not_utf8() {
    let message = train_message(
        "sst2",
        "tsv",
        b"\xEF\xBB\xBFsentence\tlabel\na caf\xE9\t1\n",
    );
    assert_has(
        &message,
        &[
            "train.tsv, line 2: expected UTF-8 text, found the byte 0xE9 at byte 23 of the file (counted from 0); convert",
        ],
    );
    // Valid UTF-16 (which is supported), UTF-16 cut inside a character, and a UTF-8 character cut
    // by the end of the file.
    assert_has(
        &train_message("sst2", "tsv", b"\xFF\xFEs\0e\0"),
        &["line 1: expected a column named `sentence`", "`se`"],
    );
    assert_has(
        &train_message("sst2", "tsv", b"\xFF\xFEs\0e\0n"),
        &["line 1: expected UTF-16LE text"],
    );
    assert_has(
        &train_message("sst2", "tsv", b"sentence\tlabel\nx\t1\xE2\x82"),
        &["line 2", "0xE2 at byte 18 "],
    );
}
