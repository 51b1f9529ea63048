//! The table of bad input: each kind of damage, its message, and the rows that remain when bad rows
//! may be skipped.

use super::*;
use progtune_datasets::OnBadRow;

fn cases() -> Vec<Case<'static>> {
    let long = [
        b"text,label\na,x\n",
        vec![b'z'; 100 << 20].as_slice(),
        b",x\nb,y\n",
    ]
    .concat();
    let all: Option<&[&str]> = Some(&["a", "b"]);
    vec![
        ("wrong column", "f.csv", b"txet,labl\na,x\nb,y\n".to_vec(), &["f.csv: cannot tell which column is the text", "`txet`, `labl`", "--text-column"], None),
        ("label missing in one row", "f.csv", b"text,label\na,x\nq,\nb,y\n".to_vec(), &["f.csv, line 3: column `label`", "found \"\"", "add the label"], all),
        ("label missing in one object", "f.jsonl", b"{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"q\"}\n{\"text\":\"b\",\"label\":\"y\"}\n".to_vec(), &["f.jsonl, line 2: expected a column named `label`"], all),
        ("ragged TSV", "f.tsv", b"text\tlabel\na\tx\nq\tr\tx\nb\ty\n".to_vec(), &["f.tsv, line 3: expected 2 tab-separated cells as in the header, found 3", "repair"], all),
        ("ragged CSV", "f.csv", b"text,label\na,x\nq, r,x\nb,y\n".to_vec(), &["f.csv, line 3: expected 2 comma-separated cells", "found 3", "double quotes"], all),
        ("quote that never closes", "f.csv", b"text,label\na,x\n\"q,x\nb,y\n".to_vec(), &["f.csv, line 3: expected the double quote that opens a cell", "before the end of the file"], None),
        ("quote closed too early", "f.csv", b"text,label\na,x\n\"q\nr \"s\" t\",x\nb,y\n".to_vec(), &["f.csv, line 4: expected a comma", "opened on line 3", "double the quotes"], all),
        ("NUL byte", "f.csv", b"text,label\na,x\nq\0,x\nb,y\n".to_vec(), &["f.csv, line 3: expected text, found a NUL character at byte 16", "remove it"], all),
        ("invalid UTF-8", "f.csv", b"text,label\na,x\n\xFF,x\nb,y\n".to_vec(), &["f.csv, line 3: expected UTF-8 text, found the byte 0xFF at byte 15"], all),
        ("100 MB line", "f.csv", long, &["f.csv, line 3: expected a line of at most 16 MiB, found 104857603 bytes", "line breaks"], all),
        ("empty file", "f.csv", Vec::new(), &["f.csv: expected at least one row of data, found nothing on the first line"], None),
        ("header only", "f.csv", b"text,label\n".to_vec(), &["--train-file f.csv: expected at least one row of data, found none"], None),
        ("one class only", "f.csv", b"text,label\na,x\nb,x\n".to_vec(), &["f.csv: column `label`: expected at least two different labels, found `x` in all 2 rows"], None),
        ("mixed labels", "f.jsonl", b"{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\",\"label\":\"x\"}\n".to_vec(), &["the number 1 (f.jsonl, line 1) and the name \"x\" (f.jsonl, line 2)", "--problem-type"], None),
        ("label that is a list", "f.jsonl", b"{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"q\",\"label\":[1]}\n{\"text\":\"b\",\"label\":\"y\"}\n".to_vec(), &["f.jsonl, line 2: column `label`: expected a label's name, found the list [1]"], all),
        ("text that is a number", "f.jsonl", b"{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":3,\"label\":\"x\"}\n{\"text\":\"b\",\"label\":\"y\"}\n".to_vec(), &["f.jsonl, line 2: column `text`: expected a JSON string, found the number 3"], all),
        ("no JSON", "f.jsonl", b"{\"text\":\"a\",\"label\":\"x\"}\n{\"text\"\n{\"text\":\"b\",\"label\":\"y\"}\n".to_vec(), &["f.jsonl, line 2: expected one JSON object on the line"], all),
        ("truncated parquet", "f.parquet", b"PAR1\x15\x04\x15".to_vec(), &["f.parquet: expected a complete parquet file"], None),
        ("gzip cut short", "f.csv.gz", b"\x1F\x8B\x08\x00\x00\x00\x00\x00\x00\x03\x2B".to_vec(), &["f.csv.gz, line 1: expected a complete gzip file", "again"], None),
    ]
}

#[test]
fn each_is_told_by_file_and_row() {
    for (damage, name, contents, parts, good_rows) in cases() {
        let dir = dir_with(&[(name, &contents)]);
        let mut request = train_on(dir.path(), &[name], Reading::default());
        let message = load(dir.path(), &request).expect_err(damage);
        println!("{damage}: {message}");
        assert_has(&message, parts);
        request.reading.on_bad_row = OnBadRow::Skip;
        match (load(dir.path(), &request), good_rows) {
            (Ok(data), Some(rows)) => {
                assert_eq!(texts(&data.train), rows, "{damage}");
                assert_eq!(data.skipped.n_rows, 1, "{damage}");
                let reason =
                    data.skipped.reasons[0].replace(&format!("{}/", dir.path().display()), "");
                assert_eq!(reason, message, "{damage}");
            }
            (Err(again), None) => assert_eq!(again, message, "{damage}"),
            (Ok(_), None) => panic!("{damage}: read"),
            (Err(message), Some(_)) => panic!("{damage}: {message}"),
        }
    }
}

#[test]
fn all_rows_that_are_skipped_are_counted() {
    let file = format!("text,label\na,x\nb,y\n{}", "q,x,z\n".repeat(12_000));
    let reading = Reading {
        on_bad_row: OnBadRow::Skip,
        ..Reading::default()
    };
    let data = read("f.csv", file.as_bytes(), reading).unwrap();
    assert_eq!(data.train.len(), 2);
    assert_eq!(data.skipped.n_rows, 12_000);
    assert_eq!(data.skipped.reasons.len(), 10_000);
}
