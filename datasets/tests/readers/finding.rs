//! The search for files: names, folders, order of preference, shards, and the message when there
//! are none.

use super::*;
use progtune_datasets::{has_split, sample, sample_pairs};

const TSV: &[u8] = b"sentence\tlabel\nfrom tsv\t1\n";
const JSONL: &[u8] = b"{\"sentence\": \"from jsonl\", \"label\": 0}\n";

#[test]
fn dev_and_validation_are_the_same_split() {
    for name in [
        "dev.tsv",
        "validation.tsv",
        "sst2/dev.tsv",
        "SST-2/dev.tsv",
        "SST-2/validation.tsv",
    ] {
        let dir = dir_with(&[(name, TSV)]);
        assert_eq!(
            rows("sst2", dir.path(), SplitName::Validation),
            [single("from tsv", 1)],
            "{name}"
        );
    }
}

#[test]
fn tsv_wins_over_jsonl_and_the_directory_over_its_folders() {
    let dir = dir_with(&[("dev.jsonl", JSONL), ("validation.tsv", TSV)]);
    assert_eq!(
        rows("sst2", dir.path(), SplitName::Validation),
        [single("from tsv", 1)]
    );
    let dir = dir_with(&[("dev.jsonl", JSONL), ("sst2/dev.tsv", TSV)]);
    assert_eq!(
        rows("sst2", dir.path(), SplitName::Validation),
        [single("from jsonl", 0)]
    );
}

#[test]
fn a_plain_dev_file_is_mnlis_matched_half() {
    let row = b"{\"premise\": \"A\", \"hypothesis\": \"B\", \"label\": \"neutral\"}\n";
    let dir = dir_with(&[("dev.jsonl", row)]);
    let has = |split| has_split(task("mnli"), dir.path(), split).unwrap();
    assert!(has(SplitName::ValidationMatched) && !has(SplitName::ValidationMismatched));
    let found = rows("mnli", dir.path(), SplitName::ValidationMatched);
    assert_eq!(found, [pair("A", "B", class(1))]);
}

#[test]
fn a_file_that_is_absent_is_answered_with_the_names_looked_for() {
    let dir = dir_with(&[("train.tsv", TSV), ("notes.txt", b"")]);
    let message = message("sst2", dir.path(), SplitName::Validation);
    assert_eq!(
        message,
        "DIR: no file for the split `validation` of task `sst2`: looked for `dev.tsv`, `validation.tsv`, `dev.parquet`, \
         `dev-00000-of-00001.parquet`, `validation.parquet`, `validation-00000-of-00001.parquet`, `dev.jsonl`, \
         `validation.jsonl`, `sst2/ with one of these`, `SST-2/ with one of these`; found `notes.txt`, `train.tsv`; rename \
         a file to one of these names, or pass the directory that contains one"
    );
}

#[test]
fn a_directory_that_is_absent_or_a_file() {
    let dir = dir_with(&[("train.tsv", TSV)]);
    let absent = message("sst2", &dir.path().join("none"), SplitName::Train);
    assert_has(
        &absent,
        &[
            "does not exist: expected a directory that contains one of `train.tsv`, `train.parquet`",
            "check",
        ],
    );
    let file = message("sst2", &dir.path().join("train.tsv"), SplitName::Train);
    assert_has(&file, &["is a file: expected a directory"]);
    assert!(has_split(task("sst2"), &dir.path().join("none"), SplitName::Train).is_err());
}

#[test]
fn a_folder_in_a_files_place() {
    let dir = dir_with(&[("train.tsv/inside", b"")]);
    assert_has(
        &message("sst2", dir.path(), SplitName::Train),
        &["train.tsv: cannot read it: "],
    );
    let dir = dir_with(&[("train.parquet/inside", b"")]);
    assert_has(
        &message("sst2", dir.path(), SplitName::Train),
        &["train.parquet"],
    );
}

#[test]
fn incomplete_shards() {
    for names in [
        &["train-00000-of-00002.parquet"][..],
        &["train-00001-of-00002.parquet"],
        &[
            "train-00000-of-00002.parquet",
            "train-00001-of-00003.parquet",
        ],
        &["train-00000-of-00000.parquet"],
        &[
            "train-00000-of-00001-abc.parquet",
            "train-00000-of-00001-def.parquet",
        ],
        &["train-00000-of-99999999999999999.parquet"],
    ] {
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, &b""[..])).collect();
        let dir = dir_with(&files);
        let message = message("sst2", dir.path(), SplitName::Train);
        assert_has(
            &message,
            &[
                "DIR: the parquet shards of `train` are incomplete or mixed: expected each of 0 to",
                names[0],
                "fetch",
            ],
        );
    }
    // Files that are not shards at all.
    let dir = dir_with(&[
        ("train-x-of-y.parquet", b""),
        ("train-of-.parquet", b""),
        ("train-0.parquet", b""),
    ]);
    assert_has(
        &message("sst2", dir.path(), SplitName::Train),
        &["no file for the split `train`"],
    );
}

#[test]
fn splits_a_task_does_not_have() {
    let dir = dir_with(&[]);
    assert_eq!(
        message("mnli", dir.path(), SplitName::Validation),
        "task `mnli` has no split `validation`: ask for one of `train`, `validation_matched`, `validation_mismatched`, \
         `test_matched`, `test_mismatched`"
    );
    assert_has(
        &message("sample", dir.path(), SplitName::Test),
        &["task `sample` has no split `test`"],
    );
}

#[test]
fn generated_tasks_need_no_directory() {
    let nowhere = Path::new("there is no such directory");
    for (name, n_train, n_validation, has_pairs) in [
        ("sample", sample::N_TRAIN, sample::N_VALIDATION, false),
        (
            "sample_pairs",
            sample_pairs::N_TRAIN,
            sample_pairs::N_VALIDATION,
            true,
        ),
    ] {
        let train = rows(name, nowhere, SplitName::Train);
        assert!(has_split(task(name), nowhere, SplitName::Train).unwrap());
        assert_eq!(train.len(), n_train);
        assert_eq!(
            rows(name, nowhere, SplitName::Validation).len(),
            n_validation
        );
        assert!(train.iter().all(|row| row.pair.is_some() == has_pairs));
        let three = load_split(task(name), nowhere, SplitName::Train, Some(3)).unwrap();
        assert_eq!(three.examples, train[..3]);
        assert_eq!(three.name.as_str(), "train");
        assert_has(
            &message(name, nowhere, SplitName::Test),
            &[&format!("task `{name}` has no split `test`")],
        );
    }
}
