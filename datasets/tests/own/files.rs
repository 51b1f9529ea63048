//! The choice of files.

use super::*;

const A: &[u8] = b"text,label\na,x\n";
const B: &[u8] = b"text,label\nb,y\n";

#[test]
fn files_directories_and_patterns() {
    let dir = dir_with(&[
        ("d/b.csv", B),
        ("d/a.csv", A),
        ("d/notes.txt", b"?"),
        ("odd[1].csv", b"text,label\no,x\n"),
    ]);
    for names in [
        &["d"][..],
        &["d/*.csv"],
        &["d/a.csv", "d/b.csv"],
        &["d/[ab].csv"],
    ] {
        let data = load(dir.path(), &train_on(dir.path(), names, Reading::default())).unwrap();
        assert_eq!(texts(&data.train), ["a", "b"], "{names:?}");
    }
    let names = ["odd[1].csv", "d/b.csv"];
    let data = load(
        dir.path(),
        &train_on(dir.path(), &names, Reading::default()),
    )
    .unwrap();
    assert_eq!(texts(&data.train), ["o", "b"]);
}

#[test]
fn what_stands_for_no_file() {
    let dir = dir_with(&[("train.csv", A), ("empty/notes.txt", b""), ("x.train", b"")]);
    for (name, parts) in [
        (
            "trian.csv",
            &[
                "--train-file",
                "found no such file; did you mean 'train.csv'? Check the path",
            ][..],
        ),
        (
            "*.parquet",
            &[
                "*.parquet: expected a file, a directory or a pattern",
                "found no such file",
            ],
        ),
        (
            "[.csv",
            &["expected a pattern, found an error at character"],
        ),
        (
            "empty",
            &[
                "--train-file",
                "empty: expected files named .csv",
                "found `notes.txt`",
            ],
        ),
        (
            "x.train",
            &[
                "x.train: expected a name that ends in .csv",
                "--file-format",
                "label-text",
            ],
        ),
    ] {
        let message = load(
            dir.path(),
            &train_on(dir.path(), &[name], Reading::default()),
        )
        .unwrap_err();
        assert_has(&message, parts);
    }
    assert!(OwnData::load(&OwnRequest::default(), None).is_err());
}
