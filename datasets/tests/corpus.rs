//! The readers against the files of `corpus/`: intact, damaged, and as noise. Each must give rows
//! or an error, never panic, and never use more memory than a limit enforced by the operating
//! system.
//!
//! A file that once broke a reader belongs in `corpus/`. `bomb.jsonl.zst` is a line of three
//! hundred million letters (`zstd -19`); the parquet files are those that the tests `own` and
//! `squad` write.

use std::path::{Path, PathBuf};
use std::process::Command;

use progtune_datasets::{
    AnswerRule, DataFile, Format, Header, OnBadRow, OwnData, OwnRequest, QuestionData, Reading,
    RepairTags, TaggedData, TextEncoding, read_questions,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// The files of the corpus by name.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 10);
    let named = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read(path).unwrap())
    };
    files.into_iter().map(named).collect()
}

/// Reads these bytes in every possible way.
fn read_in_every_way(bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::fs::write(&path, bytes).unwrap();
    for (_, format) in Format::NAMES {
        for on_bad_row in [OnBadRow::Error, OnBadRow::Skip] {
            for text_column in [None, Some("text".to_owned())] {
                read_rows(OwnRequest {
                    train: vec![path.display().to_string()],
                    reading: Reading {
                        format: Some(*format),
                        on_bad_row,
                        text_column,
                        ..Reading::default()
                    },
                    ..OwnRequest::default()
                });
            }
        }
    }
    for format in [Format::Jsonl, Format::Parquet] {
        for on_bad_row in [OnBadRow::Error, OnBadRow::Skip] {
            read_as_questions(&path, format, on_bad_row);
        }
    }
}

/// As rows with a class or a number, as tagged sentences (also with repaired tags), and as rows
/// with several labels.
fn read_rows(mut request: OwnRequest) {
    match OwnData::load(&request, None) {
        Ok(data) => assert!(!data.train.is_empty()),
        Err(error) => is_one_message(&error),
    }
    TaggedData::is_asked_for(&request);
    // An error is as good as a result; the test is that there is either.
    let _ = QuestionData::are_meant(&request);
    for repair in [None, Some(RepairTags::Bio), Some(RepairTags::Drop)] {
        request.reading.repair_tags = repair;
        match TaggedData::load(&request, None) {
            Ok(data) => {
                for sentence in &data.train {
                    let n_tags = sentence.tags.as_ref().map(Vec::len);
                    assert_eq!(n_tags, Some(sentence.words.len()));
                    assert!(!sentence.words.is_empty());
                }
            }
            Err(error) => is_one_message(&error),
        }
    }
    request.reading.label_separator = Some(" ".into());
    if let Err(error) = OwnData::load(&request, None) {
        is_one_message(&error);
    }
}

fn read_as_questions(path: &Path, format: Format, on_bad_row: OnBadRow) {
    let file = DataFile {
        path: path.to_owned(),
        format,
        encoding: TextEncoding::default(),
        header: Header::default(),
        part: None,
    };
    match read_questions(&[file], AnswerRule::OrNone, on_bad_row, None) {
        Ok(read) => {
            assert!(!read.questions.is_empty());
            for question in &read.questions {
                for answer in question.answers.iter().flatten() {
                    let there: String = question.context.chars().skip(answer.start).collect();
                    assert!(there.starts_with(&answer.text));
                }
            }
        }
        Err(error) => is_one_message(&error),
    }
}

/// Text from a file reaches a terminal through messages only as plain text.
fn is_one_message(error: &dyn std::error::Error) {
    let message = error.to_string();
    assert!(!message.is_empty() && !message.contains(|c: char| c.is_control()));
}

/// A file of the corpus with some bytes changed and possibly truncated.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let files: Vec<Vec<u8>> = corpus()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("bomb"))
        .map(|(_, bytes)| bytes)
        .collect();
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let cut = (any::<prop::sample::Index>(), any::<bool>());
    (prop::sample::select(files), changes, cut).prop_map(|(mut bytes, changes, (cut, is_cut))| {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    })
}

/// The variable that marks the memory-limited child process in which the tests below run.
const IN_CHILD: &str = "PROGTUNE_CORPUS_CHILD";
/// The limit on the address space in KiB: the largest JSON document (256 MiB) as its buffer grows,
/// and the needs of a starting process.
const LIMIT_KIB: u32 = 1 << 20;

/// A test of this file in a process with limited memory.
fn limited(test: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -v {LIMIT_KIB} && exec \"$0\" \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--test-threads", "1"])
        .env(IN_CHILD, "1");
    command
}

/// Runs a test of this file again, in a process with limited memory; `true` inside that process.
fn with_limited_memory(test: &str) -> bool {
    if std::env::var_os(IN_CHILD).is_some() {
        return true;
    }
    let output = limited(test).output().unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{complained}"
    );
    false
}

#[test]
fn the_corpus_as_it_is() {
    if with_limited_memory("the_corpus_as_it_is") {
        for (_, bytes) in corpus() {
            read_in_every_way(&bytes);
        }
    }
}

#[test]
fn the_limit_is_one() {
    // Without this, the other tests would prove nothing about memory.
    if std::env::var_os(IN_CHILD).is_none() {
        let output = limited("the_limit_is_one").output().unwrap();
        assert!(!output.status.success());
        return;
    }
    let too_much = vec![1_u8; LIMIT_KIB as usize * 1024];
    assert!(too_much.iter().all(|&byte| byte == 1));
}

#[test]
fn damaged_files() {
    if with_limited_memory("damaged_files") {
        read_all(damaged());
    }
}

#[test]
fn arbitrary_bytes() {
    if with_limited_memory("arbitrary_bytes") {
        read_all(prop::collection::vec(any::<u8>(), 0..200));
    }
}

/// Reads three hundred files of a kind. If one breaks a reader, the smallest such file is shown.
fn read_all(files: impl Strategy<Value = Vec<u8>>) {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(300));
    let outcome = runner.run(&files, |bytes| {
        read_in_every_way(&bytes);
        Ok(())
    });
    outcome.unwrap();
}
