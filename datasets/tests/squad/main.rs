//! Questions about texts: every layout, and the message of every fault. Files are made up and
//! written here; `tests/tests/data/real_data.rs` reads the real ones.

mod faults;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use progtune_datasets::{
    Answer, AnswerRule, DataFile, Format, Header, OnBadRow, OwnRequest, ProblemType, Question,
    QuestionData, Questions, Reading, Sample, SplitName, Task, TextEncoding, load_questions,
    read_questions,
};

/// Two questions about a text that is not ASCII, in SQuAD v2.0's layout.
const OFFICIAL: &str = r#"{"version": "v2.0", "data": [{"title": "T", "paragraphs": [{
  "context": "Zoë – a cat – sat.",
  "qas": [
    {"id": "q1", "question": "  Who sat?", "is_impossible": false,
     "answers": [{"text": "Zoë", "answer_start": 0}, {"text": "a cat", "answer_start": 6}]},
    {"id": "q2", "question": "Who ran?", "is_impossible": true, "answers": [],
     "plausible_answers": [{"text": "a cat", "answer_start": 6}]}
  ]}]}]}"#;

const FLAT: [&str; 2] = [
    r#"{"id": "q1", "title": "T", "context": "Zoë – a cat – sat.", "question": "  Who sat?", "answers": {"text": ["Zoë", "a cat"], "answer_start": [0, 6]}}"#,
    r#"{"id": "q2", "title": "T", "context": "Zoë – a cat – sat.", "question": "Who ran?", "answers": {"text": [], "answer_start": []}}"#,
];

fn expected() -> Vec<Question> {
    let answer = |text: &str, start| Answer {
        text: text.to_owned(),
        start,
    };
    let question = |id: &str, question: &str, answers| Question {
        id: id.to_owned(),
        context: Arc::from("Zoë – a cat – sat."),
        question: question.to_owned(),
        answers: Some(answers),
    };
    vec![
        question(
            "q1",
            "  Who sat?",
            vec![answer("Zoë", 0), answer("a cat", 6)],
        ),
        question("q2", "Who ran?", vec![]),
    ]
}

fn file(path: PathBuf, format: Format) -> DataFile {
    DataFile {
        path,
        format,
        encoding: TextEncoding::default(),
        header: Header::default(),
        part: None,
    }
}

/// Reads a file with these contents; an error becomes its message without the directory.
fn read_as(
    contents: &[u8],
    format: Format,
    rule: AnswerRule,
    on_bad_row: OnBadRow,
) -> Result<Questions, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::fs::write(&path, contents).unwrap();
    let without_dir = |text: &str| text.replace(&format!("{}/", dir.path().display()), "");
    let read = read_questions(&[file(path, format)], rule, on_bad_row, None);
    let mut read = read.map_err(|error| without_dir(&error.to_string()))?;
    for reason in &mut read.skipped.reasons {
        *reason = without_dir(reason);
    }
    Ok(read)
}

fn read(contents: &str) -> Result<Questions, String> {
    read_as(
        contents.as_bytes(),
        Format::Jsonl,
        AnswerRule::OrNone,
        OnBadRow::Error,
    )
}

#[test]
fn every_layout_says_the_same() {
    let lines = FLAT.join("\n");
    let in_data = format!("{{\"version\": 2.0, \"data\": [{}]}}", FLAT.join(","));
    let list = format!("[\n{}\n]\n", FLAT.join(",\n"));
    let on_a_line = OFFICIAL.replace('\n', " ");
    let with_mark = format!("\u{feff}{OFFICIAL}");
    for text in [OFFICIAL, &lines, &in_data, &list, &on_a_line, &with_mark] {
        assert_eq!(read(text).unwrap().questions, expected(), "{text}");
    }
    let read = read_as(
        &parquet(),
        Format::Parquet,
        AnswerRule::OrNone,
        OnBadRow::Error,
    );
    assert_eq!(read.unwrap().questions, expected());
    // The text of a paragraph is held once.
    let questions = read_as(
        lines.as_bytes(),
        Format::Jsonl,
        AnswerRule::OrNone,
        OnBadRow::Error,
    );
    let questions = questions.unwrap().questions;
    assert!(Arc::ptr_eq(&questions[0].context, &questions[1].context));
}

/// A parquet file as `datasets` writes it: a struct of two lists, all optional.
fn parquet() -> Vec<u8> {
    let schema = parse_message_type(
        "message schema {
            optional binary id (UTF8); optional binary context (UTF8); optional binary question (UTF8);
            optional group answers {
                optional group text (LIST) { repeated group list { optional binary element (UTF8); } }
                optional group answer_start (LIST) { repeated group list { optional int32 element; } }
            }
        }",
    );
    let mut bytes = Vec::new();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer =
        SerializedFileWriter::new(&mut bytes, Arc::new(schema.unwrap()), properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let context = "Zoë – a cat – sat.";
    for texts in [["q1", "q2"], [context, context], ["  Who sat?", "Who ran?"]] {
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = texts.iter().map(|text| (*text).into()).collect();
        let write = column
            .typed::<ByteArrayType>()
            .write_batch(&values, Some(&[1, 1]), None);
        write.unwrap();
        column.close().unwrap();
    }
    // Two elements in the first row, an empty list in the second.
    let (definition, repetition) = ([4, 4, 2], [0, 1, 0]);
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<ByteArray> = vec!["Zoë".into(), "a cat".into()];
    let texts = column.typed::<ByteArrayType>();
    texts
        .write_batch(&values, Some(&definition), Some(&repetition))
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let starts = column.typed::<Int32Type>();
    starts
        .write_batch(&[0, 6], Some(&definition), Some(&repetition))
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn a_named_tasks_files_are_found_and_v1_needs_answers() {
    let v1 = OFFICIAL.replace(", \"is_impossible\": false", "");
    let answered = v1
        .split(",\n    {\"id\": \"q2\"")
        .next()
        .unwrap()
        .to_owned()
        + "]}]}]}";
    for (task, name, contents) in [
        ("squad", "train-v1.1.json", &answered),
        ("squad", "train.json", &answered),
        ("squad_v2", "train-v2.0.json", &OFFICIAL.to_owned()),
        ("squad_v2", "squad_v2/train.jsonl", &FLAT.join("\n")),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, contents).unwrap();
        let task = Task::by_name(task).unwrap();
        let read = load_questions(task, dir.path(), SplitName::Train, None).unwrap();
        assert!(!read.questions.is_empty(), "{name}");
        let first =
            load_questions(task, dir.path(), SplitName::Train, Some(Sample::first(1))).unwrap();
        assert_eq!(first.questions, read.questions[..1]);
        assert!(load_questions(task, dir.path(), SplitName::Test, None).is_err());
        let missing = load_questions(task, dir.path(), SplitName::Validation, None);
        assert!(missing.unwrap_err().to_string().contains("`dev.json`"));
    }
    let plain = tempfile::tempdir().unwrap();
    std::fs::write(plain.path().join("train.json"), OFFICIAL).unwrap();
    let squad = Task::by_name("squad").unwrap();
    let error = load_questions(squad, plain.path(), SplitName::Train, None).unwrap_err();
    let message = error.to_string();
    assert!(
        message.ends_with(
            "train.json, question `q2` (data[0].paragraphs[0].qas[1]): expected an answer, found no answer; add one, or \
             pass --task squad_v2, which allows questions without an answer"
        ),
        "{message}"
    );
}

#[test]
fn a_file_that_is_no_questions_is_told_at_once() {
    for (contents, message) in [
        (
            "",
            "f, line 1: expected a JSON document with `data`, or one JSON object per line, found a syntax error",
        ),
        ("{\"data\": [", "f, line 1: expected a JSON document"),
        (&OFFICIAL[..200], "found a syntax error at column"),
        ("7", "f: expected the key `data` with a list of articles"),
        ("{\"data\": 7}", "found `data` is the number 7"),
        (
            "{\n\"questions\": []\n}",
            "found the key `questions`; check that the file contains questions",
        ),
        (
            "{\"data\": []}",
            "f: expected at least one question, found none",
        ),
        (
            "{\"data\": [{\"paragraphs\": 3}]}",
            "f, data[0]: key `paragraphs`: expected a list, found the number 3",
        ),
        (
            "{\"data\": [{\"paragraphs\": [{\"qas\": [{\"id\": \"a\"}]}]}]}",
            "f, data[0].paragraphs[0].qas[0]: expected the key `context`, found the key `qas`",
        ),
        (
            "{\"data\": [3]}",
            "f, data[0]: expected a JSON object, found the number 3",
        ),
        ("text,label\na,b\n", "found a syntax error"),
        (
            "{\"id\": \"a\"}\n",
            "f, line 1, question `a`: expected the key `context`, found the key `id`",
        ),
    ] {
        let found = read(contents).unwrap_err();
        assert!(found.contains(message), "{contents}: {found}");
    }
}

#[test]
fn a_damaged_file_and_one_in_another_format_are_told_at_once() {
    let found = read_as(
        b"\xFF{}",
        Format::Jsonl,
        AnswerRule::OrNone,
        OnBadRow::Error,
    )
    .unwrap_err();
    assert!(
        found.contains("expected UTF-8 text, found the byte 0xFF at byte 0"),
        "{found}"
    );
    let found = read_as(b"a,b", Format::Csv, AnswerRule::OrNone, OnBadRow::Error).unwrap_err();
    assert!(
        found.contains("found the format csv; convert the file"),
        "{found}"
    );
    let found = read_as(
        &parquet()[..300],
        Format::Parquet,
        AnswerRule::OrNone,
        OnBadRow::Error,
    );
    assert!(
        found
            .unwrap_err()
            .contains("expected a complete parquet file")
    );
    let cut = b"\x1F\x8B\x08\x00\x00\x00\x00\x00\x00\x03\x2B\x49\xAD";
    let found = read_as(cut, Format::Jsonl, AnswerRule::OrNone, OnBadRow::Error).unwrap_err();
    assert!(found.contains("expected a complete gzip file"), "{found}");
}

#[test]
fn prediction_needs_a_question_and_a_text_alone() {
    let line = r#"{"question": "Who?", "context": "Zoë."}"#;
    let read = read_as(
        line.as_bytes(),
        Format::Jsonl,
        AnswerRule::Optional,
        OnBadRow::Error,
    );
    let questions = read.unwrap().questions;
    assert_eq!(
        (questions[0].id.as_str(), &questions[0].answers),
        ("1", &None)
    );
}

#[test]
fn own_files_with_questions_are_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let request = |name: &str, contents: &[u8], reading: Reading| {
        let path = dir.path().join(name);
        std::fs::write(&path, contents).unwrap();
        OwnRequest {
            train: vec![path.display().to_string()],
            reading,
            ..OwnRequest::default()
        }
    };
    let lines = FLAT.join("\n");
    let rows = br#"{"text": "a", "label": 1}"#;
    for (name, contents, reading, are) in [
        ("a.json", OFFICIAL.as_bytes(), Reading::default(), true),
        ("a.jsonl", lines.as_bytes(), Reading::default(), true),
        ("a.parquet", &parquet(), Reading::default(), true),
        ("b.jsonl", rows, Reading::default(), false),
        (
            "b.csv",
            b"question,context,answers\na,b,c\n",
            Reading::default(),
            false,
        ),
        (
            "c.jsonl",
            lines.as_bytes(),
            Reading {
                problem_type: Some(ProblemType::SingleLabelClassification),
                ..Reading::default()
            },
            false,
        ),
    ] {
        let request = request(name, contents, reading);
        assert_eq!(QuestionData::are_meant(&request).unwrap(), are, "{name}");
    }
    let read = QuestionData::own(
        &request("d.json", OFFICIAL.as_bytes(), Reading::default()),
        None,
    );
    let read = read.unwrap();
    assert!(read.task.has_unanswerable);
    assert_eq!(read.train, expected());
}

#[test]
fn a_path_that_is_no_file_is_an_error() {
    let missing = file(Path::new("no/such.json").to_owned(), Format::Jsonl);
    let error = read_questions(&[missing], AnswerRule::OrNone, OnBadRow::Skip, None);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("no/such.json: cannot read it")
    );
}
