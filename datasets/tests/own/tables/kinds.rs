//! JSON documents, damaged files, and unsupported kinds of files.

use super::*;

const ROWS: &str =
    r#"{"text": "a", "label": "x"}, {"text": "b\n[", "label": "y"}, {"text": "c", "label": "x"}"#;

#[test]
fn json_documents_are_rows() {
    let indented = ROWS.replace(", {", ",\n  {").replace(": ", " :\n ");
    for file in [
        format!("[{ROWS}]"),
        format!("\u{FEFF}[\n  {indented}\n]\n"),
        format!("{{\"data\": [{ROWS}]}}"),
        format!("{{\n \"version\": {{\"data\": 1}},\n \"data\": [{indented}],\n \"n\": 3}}"),
        ROWS.replace("}, ", "}\n"),
        indented.replace("},\n", "}\n"),
        r#"{"text": ["a", "b\n[", "c"], "label": ["x", "y", "x"]}"#.to_owned(),
    ] {
        let data = good("a.json", file.as_bytes());
        assert_eq!(texts(&data.train), ["a", "b\n[", "c"], "{file}");
        assert_eq!(data.task.labels, ["x", "y"]);
    }
}

#[test]
fn what_is_wrong_in_a_document_has_its_row() {
    for (file, parts) in [
        (
            r#"[{"text": "a", "label": NaN}, {"text": "b", "label": 1}, {"text": "c", "label": 0}]"#,
            &["row 1: column `label`", "found nothing"][..],
        ),
        (
            r#"[{"text": NaN, "label": 1}, {"text": "b", "label": 0}]"#,
            &["row 1: column `text`", "null"],
        ),
        (
            "{\"text\": NaN, \"label\": 1}\n{\"text\": \"b\", \"label\": 0}\n",
            &["line 1: column `text`"],
        ),
        (
            "[{\"text\": \"a\", \"label\": 0},\n{\"text\": b, \"label\": 1}]",
            &["row 2", "line 2", "syntax error"],
        ),
        (
            r#"[{"text": "a", "label": 0}, 7, {"text": "b", "label": 1}]"#,
            &["row 2", "found the number 7"],
        ),
        (
            "[{\"text\": \"a\", \"label\": 0},\n{\"text\": \"b\"",
            &["line 2", "found the end of the file"],
        ),
        (
            r#"[{"text": "a", "label": 0} {"text": "b"}]"#,
            &["a comma or the end of the array"],
        ),
        (
            r#"[{"text": "a", "label": 0}, {"text": "b", "label": 1}] x"#,
            &["the end of the file after", "`x`"],
        ),
        (
            r#"{"text": ["a", "b"], "label": [0]}"#,
            &["`label` ends after 1 values and `text` does not"],
        ),
        (
            r#"{"text": {"0": "a"}, "label": {"0": 1}}"#,
            &["`text`, `label`", "orient=\"records\""],
        ),
        ("[]", &["expected at least one row"]),
    ] {
        bad("a.json", file.as_bytes(), parts);
    }
    let mixed = r#"[{"text": "a", "label": 0}, {"text": Infinity}, {"text": "b", "label": 1, "x": [NaN, -Infinity]}]"#;
    let skip = Reading {
        on_bad_row: progtune_datasets::OnBadRow::Skip,
        ..Reading::default()
    };
    let data = read("a.json", mixed.as_bytes(), skip).unwrap();
    assert_eq!(
        (texts(&data.train), data.skipped.n_rows),
        (vec!["a", "b"], 1)
    );
}

#[test]
fn other_files_are_named() {
    let zip = |inside: &str| {
        [
            b"PK\x03\x04\x14\0\0\0\x08\0",
            inside.as_bytes(),
            b"\0\x01\x02",
        ]
        .concat()
    };
    for (file, parts) in [
        (
            zip("xl/workbook.xml"),
            &["an Excel workbook (.xlsx)", "as CSV"][..],
        ),
        (
            zip("mimetypeapplication/vnd.oasis.opendocument.spreadsheet"),
            &["OpenDocument", "CSV"],
        ),
        (zip("train.csv"), &["a zip archive", "unzip"]),
        (
            b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\0\0".to_vec(),
            &["(.xls)", "read_excel"],
        ),
        (
            b"SQLite format 3\0\x10\0".to_vec(),
            &["an SQLite database", "sqlite3 -header -csv"],
        ),
        (
            b"\x80\x04\x95\x10\0\0\0\0".to_vec(),
            &["a Python pickle", "if you trust it"],
        ),
        (
            b"FEA1\0\0\0\0".to_vec(),
            &["feather file of version 1", "to_feather"],
        ),
        (b"ORC\x08\x03\x00".to_vec(), &["an ORC file", "read_orc"]),
        (b"Obj\x01\x04\x16avro".to_vec(), &["an Avro file", "tojson"]),
        (b"BZh91AY&SY\x01\x02".to_vec(), &["bzip2", "bunzip2"]),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec(),
            &["Git LFS", "git lfs pull"],
        ),
    ] {
        for name in ["a.csv", "a.jsonl", "a.parquet", "a.arrow", "a.xlsx"] {
            bad(name, &file, &[name, "this is", "does not read"]);
            bad(name, &file, parts);
        }
    }
    // Texts that begin like one of these files are texts.
    assert_eq!(good("a.csv", b"ORC,label\na,x\nb,y\n").train.len(), 2);
}

/// Truncations at every byte and changes of every byte of columnar files, including those in zstd.
/// Each must give rows or an error, never a panic or an endless loop.
#[test]
fn damaged_files_are_errors() {
    for (name, whole) in [
        ("a.parquet", &include_bytes!("zstd.parquet")[..]),
        ("a.parquet", include_bytes!("classes.parquet")),
        ("a.feather", include_bytes!("zstd.feather")),
        ("a.arrow", include_bytes!("classes.arrow")),
    ] {
        let mut n_errors = 0;
        let mut load =
            |file: &[u8]| n_errors += usize::from(read(name, file, Reading::default()).is_err());
        assert!(read(name, whole, Reading::default()).is_ok(), "{name}");
        for end in 0..whole.len() {
            load(&whole[..end]);
        }
        for at in 0..whole.len() {
            for mask in [0x01, 0xFF] {
                let mut file = whole.to_vec();
                file[at] ^= mask;
                load(&file);
            }
        }
        assert!(n_errors > whole.len() / 2, "{name}: {n_errors} errors");
    }
}

/// The rows of an Arrow file equal those of the parquet file with the same table, including class
/// names.
#[test]
fn arrow_files_are_read_as_parquet_files() {
    for (arrow, parquet) in [
        (
            &include_bytes!("zstd.feather")[..],
            &include_bytes!("zstd.parquet")[..],
        ),
        (
            include_bytes!("classes.arrow"),
            include_bytes!("classes.parquet"),
        ),
    ] {
        let (found, expected) = (good("a.arrow", arrow), good("a.parquet", parquet));
        assert_eq!(found.train, expected.train);
        assert_eq!(found.task.labels, expected.task.labels);
    }
}

/// File names that contradict the contents.
#[test]
fn columnar_files_under_wrong_names() {
    let arrow = &include_bytes!("classes.arrow")[..];
    let feather = &include_bytes!("zstd.feather")[..];
    let parquet = &include_bytes!("classes.parquet")[..];
    for name in ["a.csv", "a.tsv", "a.jsonl", "a.parquet"] {
        bad(name, arrow, &["an Arrow stream", "--file-format arrow"]);
        bad(name, feather, &["an Arrow file", "--file-format arrow"]);
    }
    for name in ["a.csv", "a.tsv", "a.jsonl", "a.arrow"] {
        bad(name, parquet, &["a parquet file", "--file-format parquet"]);
    }
    let text = b"text,label\na,x\nb,y\n";
    bad("a.arrow", text, &["expected a complete Arrow file"]);
    bad("a.parquet", text, &["expected a complete parquet file"]);
}
