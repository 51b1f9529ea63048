//! Parquet: types, nulls, shards, row groups, and files that are damaged or not parquet. The files
//! are written here, with the `parquet` crate's writer.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;

/// A column's values, one per row; a `None` in an optional column is a null.
enum Values<'a> {
    Text(&'a [&'a str]),
    Bytes(&'a [&'a [u8]]),
    Long(&'a [i64]),
    OptionalLong(&'a [Option<i64>]),
    Float(&'a [f32]),
    Double(&'a [f64]),
}

/// A snappy-compressed parquet file with the given fields and one row group per entry of `groups`.
fn parquet(fields: &str, groups: &[&[Values<'_>]]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(&format!("message schema {{ {fields} }}")).unwrap());
    let properties = Arc::new(
        WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .build(),
    );
    let mut file = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut file, schema, properties).unwrap();
    for columns in groups {
        let mut group = writer.next_row_group().unwrap();
        for values in *columns {
            let mut column = group.next_column().unwrap().unwrap();
            match values {
                Values::Text(values) => {
                    let values: Vec<ByteArray> = values.iter().map(|text| (*text).into()).collect();
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(&values, None, None)
                        .unwrap();
                }
                Values::Bytes(values) => {
                    let values: Vec<ByteArray> = values.iter().map(|v| v.to_vec().into()).collect();
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(&values, None, None)
                        .unwrap();
                }
                Values::Long(values) => {
                    column
                        .typed::<Int64Type>()
                        .write_batch(values, None, None)
                        .unwrap();
                }
                Values::OptionalLong(values) => {
                    let levels: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
                    let values: Vec<i64> = values.iter().flatten().copied().collect();
                    column
                        .typed::<Int64Type>()
                        .write_batch(&values, Some(&levels), None)
                        .unwrap();
                }
                Values::Float(values) => {
                    column
                        .typed::<FloatType>()
                        .write_batch(values, None, None)
                        .unwrap();
                }
                Values::Double(values) => {
                    column
                        .typed::<DoubleType>()
                        .write_batch(values, None, None)
                        .unwrap();
                }
            }
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
    file
}

const SINGLE: &str = "required binary sentence (UTF8); required int64 label;";
const PAIR: &str = "required binary sentence1 (UTF8); required binary sentence2 (UTF8);";

fn sst2(texts: &[&str], labels: &[i64]) -> Vec<u8> {
    parquet(SINGLE, &[&[Values::Text(texts), Values::Long(labels)]])
}

#[test]
fn texts_and_integer_labels() {
    let file = sst2(&["a fine film ", "\"\t\n"], &[1, 0]);
    assert_eq!(
        train("sst2", "parquet", &file),
        [single("a fine film ", 1), single("\"\t\n", 0)]
    );
}

#[test]
fn columns_are_found_by_name_in_any_order_and_others_are_left() {
    let file = parquet(
        "required int64 idx; required int64 label; required binary sentence2 (UTF8); required binary sentence1 (UTF8);",
        &[&[
            Values::Long(&[9]),
            Values::Long(&[0]),
            Values::Text(&["B"]),
            Values::Text(&["A"]),
        ]],
    );
    assert_eq!(train("rte", "parquet", &file), [pair("A", "B", class(0))]);
}

#[test]
fn test_splits_have_minus_one_null_or_no_label() {
    let minus = sst2(&["a", "b"], &[-1, 1]);
    let optional = "required binary sentence (UTF8); optional int64 label;";
    let null = parquet(
        optional,
        &[&[
            Values::Text(&["a", "b"]),
            Values::OptionalLong(&[None, Some(1)]),
        ]],
    );
    let none = parquet(
        "required binary sentence (UTF8);",
        &[&[Values::Text(&["a", "b"])]],
    );
    for (file, second) in [(&minus, class(1)), (&null, class(1)), (&none, None)] {
        let dir = dir_with(&[("test.parquet", file), ("train.parquet", file)]);
        let labels: Vec<_> = rows("sst2", dir.path(), SplitName::Test)
            .into_iter()
            .map(|row| row.label)
            .collect();
        assert_eq!(labels, [None, second]);
    }
    assert_has(
        &train_message("sst2", "parquet", &minus),
        &[
            "train.parquet, row 1: column `label`: expected 0 (negative)",
            "found -1, which means unlabelled",
        ],
    );
    assert_has(
        &train_message("sst2", "parquet", &null),
        &["row 1: column `label`", "found nothing, which"],
    );
    assert_has(
        &train_message("sst2", "parquet", &none),
        &["train.parquet: expected a column named `label`, found the column `sentence`"],
    );
}

#[test]
fn scores_as_float_or_double() {
    let texts = || [Values::Text(&["A", "C"]), Values::Text(&["B", "D"])];
    let [a, b] = texts();
    let float = parquet(
        &format!("{PAIR} required float label;"),
        &[&[a, b, Values::Float(&[3.8, 0.0])]],
    );
    let [a, b] = texts();
    let double = parquet(
        &format!("{PAIR} required double score;"),
        &[&[a, b, Values::Double(&[3.8, 0.0])]],
    );
    let score = |score| Some(Label::Score(score));
    for file in [float, double] {
        let expected = [pair("A", "B", score(3.8)), pair("C", "D", score(0.0))];
        assert_eq!(train("stsb", "parquet", &file), expected);
    }
    let [a, b] = texts();
    let file = parquet(
        &format!("{PAIR} required float label;"),
        &[&[a, b, Values::Float(&[1.0, f32::NAN])]],
    );
    assert_has(
        &train_message("stsb", "parquet", &file),
        &[
            "train.parquet, row 2: column `label`: expected a finite number as the score, found NaN;",
        ],
    );
}

#[test]
fn label_names_and_unannotated_strings() {
    let file = parquet(
        "required binary sentence; required binary label (UTF8);",
        &[&[Values::Text(&["a"]), Values::Text(&["positive"])]],
    );
    assert_eq!(train("sst2", "parquet", &file), [single("a", 1)]);
}

#[test]
fn shards_and_row_groups_in_order() {
    let first = parquet(
        SINGLE,
        &[
            &[Values::Text(&["a", "b"]), Values::Long(&[0, 1])],
            &[Values::Text(&["c"]), Values::Long(&[1])],
        ],
    );
    let second = sst2(&["d"], &[0]);
    let dir = dir_with(&[
        ("sst2/train-00001-of-00002.parquet", &second),
        ("sst2/train-00000-of-00002-0a1b.parquet", &first),
        ("sst2/validation-00000-of-00001.parquet", &second),
    ]);
    let all = [
        single("a", 0),
        single("b", 1),
        single("c", 1),
        single("d", 0),
    ];
    assert_eq!(rows("sst2", dir.path(), SplitName::Train), all);
    assert_eq!(rows("sst2", dir.path(), SplitName::Validation), all[3..]);
    for n in 0..=5 {
        let split = load_split(task("sst2"), dir.path(), SplitName::Train, Some(n)).unwrap();
        assert_eq!(split.examples, all[..n.min(4)]);
    }
}

#[test]
fn tsv_wins_over_parquet_and_parquet_over_jsonl() {
    let file = sst2(&["from parquet"], &[0]);
    let dir = dir_with(&[("train.parquet", &file), ("train.jsonl", b"{}")]);
    assert_eq!(
        rows("sst2", dir.path(), SplitName::Train),
        [single("from parquet", 0)]
    );
    std::fs::write(
        dir.path().join("train.tsv"),
        "sentence\tlabel\nfrom tsv\t1\n",
    )
    .unwrap();
    assert_eq!(
        rows("sst2", dir.path(), SplitName::Train),
        [single("from tsv", 1)]
    );
}

#[test]
fn errors_name_the_row() {
    let message = train_message("sst2", "parquet", &sst2(&["a", "b"], &[1, 2]));
    assert_has(
        &message,
        &[
            "train.parquet, row 2: column `label`: expected one of the labels 0 (negative), 1 (positive), found 2;",
        ],
    );
    let file = parquet(
        "required binary sentence; required int64 label;",
        &[&[Values::Bytes(&[b"ok", b"caf\xE9"]), Values::Long(&[1, 1])]],
    );
    assert_has(
        &train_message("sst2", "parquet", &file),
        &[
            "row 2: column `sentence`: expected a UTF-8 string, found bytes that are not UTF-8 from byte 3",
        ],
    );
    // The library itself checks a column that is annotated as UTF-8.
    let file = parquet(
        SINGLE,
        &[&[Values::Bytes(&[b"ok", b"caf\xE9"]), Values::Long(&[1, 1])]],
    );
    assert_has(
        &train_message("sst2", "parquet", &file),
        &["train.parquet, row "],
    );
    assert_has(
        &train_message("sst2", "parquet", &sst2(&[], &[])),
        &["train.parquet: expected at least one row of data, found no rows;"],
    );
}

#[test]
fn wrong_columns() {
    let file = parquet(
        "required binary text (UTF8); required int64 label;",
        &[&[Values::Text(&["a"]), Values::Long(&[1])]],
    );
    assert_has(
        &train_message("sst2", "parquet", &file),
        &["train.parquet: expected a column named `sentence`, found the columns `text`, `label`"],
    );
    let file = parquet(
        "required int64 sentence; required int64 label;",
        &[&[Values::Long(&[1]), Values::Long(&[1])]],
    );
    assert_has(
        &train_message("sst2", "parquet", &file),
        &[
            "train.parquet: column `sentence`: expected a UTF-8 string column, found the type INT64;",
        ],
    );
    let file = parquet(
        "required binary sentence (UTF8); required double label;",
        &[&[Values::Text(&["a"]), Values::Double(&[1.0])]],
    );
    assert_has(
        &train_message("sst2", "parquet", &file),
        &["train.parquet, row 1: column `label`: expected a label's name or integer id, found 1;"],
    );
    for fields in [
        "repeated binary sentence (UTF8); required int64 label;",
        "required group sentence { required binary a (UTF8); } required int64 label;",
        "required binary sentence (UTF8); required int64 label (TIMESTAMP_MILLIS);",
        "required binary sentence (UTF8); required int64 label; required int64 label;",
    ] {
        let message = train_message("sst2", "parquet", &parquet(fields, &[]));
        assert_has(&message, &["train.parquet: ", "expected "]);
    }
}

#[test]
fn files_that_are_not_parquet() {
    let whole = sst2(&["a", "b"], &[1, 0]);
    assert_has(
        &train_message(
            "sst2",
            "parquet",
            b"version https://git-lfs.github.com/spec/v1",
        ),
        &[
            "train.parquet: this is a pointer of Git LFS",
            "git lfs pull",
        ],
    );
    for file in [
        &b""[..],
        b"sentence\tlabel\na\t1\n",
        &whole[..whole.len() / 2],
    ] {
        let message = train_message("sst2", "parquet", file);
        assert_has(
            &message,
            &[
                "train.parquet: expected a complete parquet file",
                "found: ",
                "fetch the file again",
            ],
        );
    }
}

/// Truncations at every byte and many changed bytes of a file. Each must give rows or an error,
/// never a panic or an endless loop.
#[test]
fn damaged_files_are_errors() {
    let texts: Vec<String> = (0..40)
        .map(|i| format!("sentence number {}", i % 7))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let labels: Vec<i64> = (0..40).map(|i| i % 2).collect();
    let whole = sst2(&texts, &labels);
    let dir = dir_with(&[]);
    let path = dir.path().join("train.parquet");
    let mut n_errors = 0;
    let mut load = |file: &[u8]| {
        std::fs::write(&path, file).unwrap();
        n_errors +=
            usize::from(load_split(task("sst2"), dir.path(), SplitName::Train, None).is_err());
    };
    for end in 0..whole.len() {
        load(&whole[..end]);
    }
    for at in 0..whole.len() {
        for mask in [0x01, 0x80, 0xFF] {
            let mut file = whole.clone();
            file[at] ^= mask;
            load(&file);
        }
    }
    assert!(n_errors > whole.len(), "{n_errors} errors");
}
