//! Each format with its quirks, compression and encodings.

use super::*;
use progtune_datasets::{Format, TextEncoding};
use proptest::prelude::*;
use std::io::Write;

const CSV: &[u8] = b"text,label\ngood,pos\nbad,neg\n";

fn reading(format: Format, label: Option<&str>) -> Reading {
    Reading {
        format: Some(format),
        label_column: label.map(str::to_owned),
        ..Reading::default()
    }
}

#[test]
fn csv_quotes_as_rfc_4180() {
    let file = b"\xEF\xBB\xBF\"text\",label\r\n\"two\r\nlines, a comma and \"\"quotes\"\"\",a\r\n\r\n5\" disk,b\r\n\"\",a\n";
    let data = good("a.csv", file);
    assert_eq!(
        texts(&data.train),
        ["two\r\nlines, a comma and \"quotes\"", "5\" disk", ""]
    );
}

#[test]
fn tsv_quotes_nothing() {
    let data = good("a.tsv", b"text\tlabel\n\"open\ta\nsays \"\"\tb\n\n");
    assert_eq!(texts(&data.train), ["\"open", "says \"\""]);
}

#[test]
fn jsonl_has_keys() {
    let data = good(
        "a.jsonl",
        b"{\"text\": \"a\", \"label\": true}\n\n{\"label\": false, \"text\": \"b\", \"idx\": 3}\r\n",
    );
    assert_eq!(data.train, [example("a", None, 1), example("b", None, 0)]);
    assert_eq!(data.task.labels, ["false", "true"]);
}

#[test]
fn label_text_has_a_label_first() {
    let file = b"DESC:manner How did it ?\nNUM:count How many ?\n\nDESC:def What is it ?\n";
    let data = read("x.train", file, reading(Format::LabelText, None)).unwrap();
    assert_eq!(data.task.labels, ["DESC:def", "DESC:manner", "NUM:count"]);
    let coarse = reading(Format::LabelText, Some("coarse_label"));
    let data = read("x.train", file, coarse).unwrap();
    assert_eq!(data.task.labels, ["DESC", "NUM"]);
    assert_eq!(data.train[1], example("How many ?", None, 1));
}

#[test]
fn lines_have_their_label_in_the_files_name() {
    let dir = dir_with(&[("m/r.pos", b"fine\ngreat\n"), ("m/r.neg", b"awful\n")]);
    let request = train_on(
        dir.path(),
        &["m/r.*"],
        reading(Format::Lines, Some("extension")),
    );
    let data = load(dir.path(), &request).unwrap();
    assert_eq!(data.task.labels, ["neg", "pos"]);
    let expected = [("awful", 0), ("fine", 1), ("great", 1)];
    assert_eq!(
        data.train,
        expected.map(|(text, class)| example(text, None, class))
    );
    let request = train_on(dir.path(), &["m"], reading(Format::Lines, Some("file")));
    let labels = load(dir.path(), &request).unwrap().task.labels;
    assert_eq!(labels, ["r.neg", "r.pos"]);
}

#[test]
fn gzip_and_zstd_are_seen_by_their_first_bytes() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    };
    let plain = good("a.csv", CSV).train;
    let (start, end) = CSV.split_at(15);
    for (name, contents) in [
        ("a.csv.gz", gzip(CSV)),
        ("a.csv.zst", zstd(CSV)),
        ("a.csv", gzip(CSV)),
        ("members.csv.gz", [gzip(start), gzip(end)].concat()),
        ("frames.csv.zst", [zstd(start), zstd(end)].concat()),
    ] {
        assert_eq!(good(name, &contents).train, plain, "{name}");
    }
    for (name, whole, what) in [
        ("a.csv.gz", gzip(&CSV.repeat(50)), "gzip"),
        ("a.csv.zst", zstd(&CSV.repeat(50)), "zstd"),
    ] {
        for cut in [8, whole.len() / 2, whole.len() - 1] {
            bad(
                name,
                &whole[..cut],
                &[
                    name,
                    "line ",
                    &format!("expected a complete {what} file"),
                    "again",
                ],
            );
        }
    }
}

#[test]
fn other_encodings_on_request() {
    let file = b"text,label\ncaf\xE9,a\n\x93so\x94,b\n";
    let windows = Reading {
        encoding: TextEncoding::by_name("windows-1252").unwrap(),
        ..Reading::default()
    };
    let data = read("a.csv", file, windows).unwrap();
    assert_eq!(texts(&data.train), ["café", "\u{201C}so\u{201D}"]);
    bad(
        "a.csv",
        file,
        &[
            "a.csv, line 2: expected UTF-8 text",
            "0xE9 at byte 14",
            "--encoding",
        ],
    );
    let japanese = Reading {
        encoding: TextEncoding::by_name("shift_jis").unwrap(),
        ..Reading::default()
    };
    let data = read("a.csv", b"text,label\n\x83\x65,a\nb,b\n", japanese.clone()).unwrap();
    assert_eq!(texts(&data.train), ["テ", "b"]);
    let message = read("a.csv", b"text,label\n\x83\n,a\nb,b\n", japanese).unwrap_err();
    assert_has(
        &message,
        &["a.csv, line 2: expected text in the encoding shift_jis"],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Files written by the `csv` crate are read back unchanged.
    #[test]
    fn csv_agrees_with_the_csv_crate(rows in prop::collection::vec(("[ -~\n\"',é]{0,12}", "[ab]"), 2..8)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["text", "label"]).unwrap();
        writer.write_record(["", "a"]).unwrap();
        writer.write_record(["", "b"]).unwrap();
        for (text, label) in &rows {
            writer.write_record([text, label]).unwrap();
        }
        let data = read("a.csv", &writer.into_inner().unwrap(), Reading::default());
        let data = data.map_err(TestCaseError::fail)?;
        let expected: Vec<&str> = rows.iter().map(|(text, _)| text.as_str()).collect();
        prop_assert_eq!(&texts(&data.train)[2..], expected.as_slice());
    }
}
