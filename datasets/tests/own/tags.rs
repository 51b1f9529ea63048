//! Tagged sentences: column files with their quirks, lists in JSONL and parquet, labels, repair,
//! and the message of every error.

use super::*;
use parquet::file::metadata::KeyValue;
use parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
use progtune_datasets::{
    Labels, Metric, OnBadRow, ProblemType, RepairTags, TaggedData, TaggedSentence,
};

const TAGS: ProblemType = ProblemType::TokenClassification;

pub(super) fn typed() -> Reading {
    Reading {
        problem_type: Some(TAGS),
        ..Reading::default()
    }
}

pub(super) fn load_tags(dir: &Path, request: &OwnRequest) -> Result<TaggedData, String> {
    TaggedData::load(request, None).map_err(|error| {
        error
            .to_string()
            .replace(&format!("{}/", dir.display()), "")
    })
}

fn read_tags(name: &str, contents: &[u8], reading: Reading) -> Result<TaggedData, String> {
    let dir = dir_with(&[(name, contents)]);
    load_tags(dir.path(), &train_on(dir.path(), &[name], reading))
}

#[track_caller]
fn good_tags(name: &str, contents: &[u8]) -> TaggedData {
    read_tags(name, contents, Reading::default()).unwrap_or_else(|message| panic!("{message}"))
}

/// Words with the names of their tags: `a/O b/B-x`.
fn shown(data: &TaggedData, sentence: &TaggedSentence) -> String {
    let tags = sentence.tags.as_ref().map(|tags| tags.iter());
    let words = sentence.words.iter();
    match tags {
        None => sentence.words.join(" "),
        Some(tags) => words
            .zip(tags)
            .map(|(word, &tag)| format!("{word}/{}", data.task.labels[tag as usize]))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

pub(super) fn all_shown(data: &TaggedData) -> Vec<String> {
    data.train.iter().map(|s| shown(data, s)).collect()
}

#[test]
fn a_word_a_line_and_an_empty_line_between_sentences() {
    for (name, file) in [
        ("tabs.conll", "a\tO\nb c\tB-x\n\nd\tI-x\n"),
        ("crlf.bio", "a\tO\r\nb c\tB-x\r\n\r\nd\tI-x\r\n"),
        // As in WNUT17: a tab on the empty lines, and U+FEFF as the last line.
        ("tab_lines.iob", "a\tO\nb c\tB-x\n\t\n\t\nd\tI-x\n\u{FEFF}"),
        (
            "documents.iob2",
            "-DOCSTART-\tO\n\na\tO\nb c\tB-x\n-DOCSTART-\tO\nd\tI-x",
        ),
        ("mark.conll", "\u{FEFF}a\tO\nb c\tB-x\n \u{FEFF} \nd\tI-x"),
    ] {
        let data = good_tags(name, file.as_bytes());
        assert_eq!(all_shown(&data), ["a/O b c/B-x", "d/I-x"], "{name}");
        assert_eq!(data.task.labels, ["B-x", "I-x", "O"]);
    }
    let data = good_tags("a.conll", b"a NN O\nb NNP B-x\n");
    assert_eq!(all_shown(&data), ["a/O b/B-x"]);
    assert_eq!(data.guessed, ["text", "label"]);
    assert_eq!(data.task.problem_type, TAGS);
    assert_eq!(data.task.metrics[0], Metric::F1);
    let middle = Reading {
        label_column: Some("2".into()),
        ..Reading::default()
    };
    let data = read_tags("a.conll", b"a NN O\nb NNP B-x\n", middle).unwrap();
    assert_eq!(data.task.labels, ["NN", "NNP"]);
    assert_eq!(data.task.metrics, [Metric::Accuracy], "no entities");
    // U+FEFF inside a word belongs to the word.
    let data = good_tags("a.conll", "a\u{FEFF}\tO\nb\tB-x\n".as_bytes());
    assert_eq!(data.train[0].words[0], "a\u{FEFF}");
}

#[test]
fn lists_of_words_and_tags() {
    let data = good_tags(
        "a.jsonl",
        br#"{"id": 1, "tokens": ["a", "b"], "ner_tags": ["O", "B-x"]}
{"tokens": ["c"], "ner_tags": ["O"], "pos_tags": ["NN"]}"#,
    );
    assert_eq!(all_shown(&data), ["a/O b/B-x", "c/O"]);
    // The fixture of Hugging Face's tests uses other names.
    let data = good_tags("a.json", br#"{"words": ["a", "b"], "ner": ["O", "B-x"]}"#);
    assert_eq!(all_shown(&data), ["a/O b/B-x"]);
    // Ids without names keep their numbers.
    let data = good_tags(
        "a.jsonl",
        br#"{"tokens": ["a", "b", "c"], "tags": [10, 0, 2]}"#,
    );
    assert_eq!(data.task.labels, ["0", "2", "10"]);
    let message = read_tags(
        "a.jsonl",
        br#"{"tokens": ["a"], "tags": ["O"], "labels": ["B"]}"#,
        Reading::default(),
    )
    .unwrap_err();
    assert_has(
        &message,
        &[
            "a.jsonl: cannot tell which column is the list of tags",
            "--label-column",
        ],
    );
}

/// A parquet file in the hub's layout: words, tag ids, and the tags' names in its metadata.
fn hub_parquet() -> Vec<u8> {
    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    let schema = "message schema {
        optional group tokens (LIST) { repeated group list { optional binary element (UTF8); } }
        optional group ner_tags (LIST) { repeated group list { optional int64 element; } }
    }";
    let schema = parquet::schema::parser::parse_message_type(schema).unwrap();
    let features = r#"{"info": {"features": {"tokens": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"},
        "ner_tags": {"feature": {"names": ["O", "B-x", "I-x", "B-never"], "_type": "ClassLabel"}, "_type": "Sequence"}}}}"#;
    let entry = KeyValue::new("huggingface".to_owned(), features.to_owned());
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(vec![entry]))
        .build();
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema.into(), properties.into()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let (defined, repeated) = ([3, 3, 3], [0, 1, 0]);
    let mut column = group.next_column().unwrap().unwrap();
    let words = ["a", "b", "c"].map(ByteArray::from);
    column
        .typed::<ByteArrayType>()
        .write_batch(&words, Some(&defined), Some(&repeated))
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<Int64Type>()
        .write_batch(&[0, 1, 0], Some(&defined), Some(&repeated))
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn the_hubs_parquet_names_its_tags() {
    let data = good_tags("a.parquet", &hub_parquet());
    assert_eq!(all_shown(&data), ["a/O b/B-x", "c/O"]);
    assert_eq!(data.task.labels, ["O", "B-x", "I-x", "B-never"]);
    let bytes = hub_parquet();
    for cut in (0..bytes.len()).step_by(7) {
        let message = read_tags("a.parquet", &bytes[..cut], Reading::default()).unwrap_err();
        assert_has(&message, &["a.parquet"]);
    }
    // With a wrong byte there is another result or an error, but never a panic.
    let dir = dir_with(&[("a.parquet", &bytes)]);
    let request = train_on(dir.path(), &["a.parquet"], typed());
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        std::fs::write(dir.path().join("a.parquet"), damaged).unwrap();
        if let Err(message) = load_tags(dir.path(), &request) {
            assert_has(&message, &["a.parquet"]);
        }
    }
}

#[test]
fn what_is_asked_for() {
    let dir = dir_with(&[
        ("a.conll", b"a O\n"),
        ("a.txt", b"a O\n"),
        ("a.jsonl", br#"{"tokens": ["a"], "tags": ["O"]}"#),
        ("b.jsonl", br#"{"text": "a", "labels": ["O"]}"#),
        ("a.csv", b"text,label\na,b\n"),
    ]);
    let asked = |name: &str, problem_type| {
        let reading = Reading {
            problem_type,
            ..Reading::default()
        };
        TaggedData::is_asked_for(&train_on(dir.path(), &[name], reading))
    };
    for (name, expected) in [
        ("a.conll", true),
        ("a.txt", false),
        ("a.jsonl", true),
        ("b.jsonl", false),
        ("a.csv", false),
        ("none", false),
    ] {
        assert_eq!(asked(name, None), expected, "{name}");
        assert!(asked(name, Some(TAGS)));
        assert!(!asked(name, Some(ProblemType::Regression)));
    }
    // Another problem type for a column file.
    let request = train_on(dir.path(), &["a.conll"], Reading::default());
    assert_has(
        &load(dir.path(), &request).unwrap_err(),
        &["a.conll", "--problem-type token_classification"],
    );
    // Any name, and TSV as a column file.
    assert_eq!(
        read_tags("a.tsv", b"a\tO\nb\tB-x\n", typed())
            .unwrap()
            .train
            .len(),
        1
    );
    assert_eq!(
        read_tags("train", b"a O\nb B-x\n", typed())
            .unwrap()
            .train
            .len(),
        1
    );
    let message = read_tags("a.csv", b"a,O\nb,B-x\n", typed()).unwrap_err();
    assert_has(
        &message,
        &[
            "a.csv: expected sentences with a tag for each word",
            "found the format csv",
        ],
    );
}

#[test]
fn validation_and_test_have_the_tags_of_training() {
    let dir = dir_with(&[
        ("t.conll", b"a O\nb B-x\n"),
        ("v.conll", b"c O\n\nd O\ne B-y\n"),
        ("words.conll", b"c\nd\n\ne\n"),
    ]);
    let path = |name: &str| vec![dir.path().join(name).display().to_string()];
    let mut request = OwnRequest {
        train: path("t.conll"),
        validation: path("v.conll"),
        test: path("words.conll"),
        ..OwnRequest::default()
    };
    let message = load_tags(dir.path(), &request).unwrap_err();
    assert_has(
        &message,
        &["v.conll, line 4: column `2`: expected one of the labels 0 (B-x), 1 (O), found \"B-y\""],
    );
    request.reading.on_bad_row = OnBadRow::Skip;
    let data = load_tags(dir.path(), &request).unwrap();
    assert_eq!((data.validation.len(), data.skipped.n_rows), (1, 1));
    assert_eq!(data.test[0].words, ["c", "d"]);
    assert_eq!(data.test[0].tags, None);
    // A model's own tags, by name or by id.
    let known = Labels {
        problem_type: TAGS,
        names: ["O", "B-x"].map(str::to_owned).into(),
    };
    let jsonl = dir_with(&[("a.jsonl", br#"{"tokens": ["a", "b"], "tags": ["B-x", 0]}"#)]);
    let request = OwnRequest {
        test: vec![jsonl.path().join("a.jsonl").display().to_string()],
        ..OwnRequest::default()
    };
    let data = TaggedData::load(&request, Some(&known)).unwrap();
    assert_eq!(data.test[0].tags, Some(vec![1, 0]));
    let request = OwnRequest {
        ignore_labels: true,
        ..request
    };
    assert_eq!(
        TaggedData::load(&request, Some(&known)).unwrap().test[0].tags,
        None
    );
}

#[test]
fn a_share_is_held_out_with_the_rare_tags_in_both_parts() {
    let sentences: String = (0..100)
        .map(|i| {
            format!(
                "w{i} O\nx {}\n\n",
                if i % 10 == 0 { "B-rare" } else { "B-x" }
            )
        })
        .collect();
    let dir = dir_with(&[("t.conll", sentences.as_bytes())]);
    let mut request = train_on(dir.path(), &["t.conll"], Reading::default());
    request.validation_split = Some(0.2);
    request.seed = 3;
    let data = load_tags(dir.path(), &request).unwrap();
    assert_eq!((data.train.len(), data.validation.len()), (80, 20));
    let rare = data.task.labels.iter().position(|l| l == "B-rare").unwrap() as u32;
    let has = |s: &&TaggedSentence| s.tags.as_ref().unwrap().contains(&rare);
    assert_eq!(data.validation.iter().filter(has).count(), 2);
}

#[test]
fn tags_are_repaired_on_request() {
    let file = b"a I-x\nb I-x\nc O\n\nd I-y\ne E-y\nf S-x\n";
    let data = good_tags("a.conll", file);
    assert_eq!(data.task.labels, ["E-y", "I-x", "I-y", "O", "S-x"]);
    assert_eq!(data.findings.n_strays, 2);
    assert!(
        data.findings
            .first_stray
            .as_ref()
            .unwrap()
            .ends_with("a.conll, line 1)")
    );
    assert_eq!(data.findings.n_changed, 0);
    let with = |repair_tags| Reading {
        repair_tags: Some(repair_tags),
        ..Reading::default()
    };
    let data = read_tags("a.conll", file, with(RepairTags::Bio)).unwrap();
    assert_eq!(all_shown(&data), ["a/B-x b/I-x c/O", "d/B-y e/I-y f/B-x"]);
    assert_eq!(data.findings.n_changed, 4);
    let data = read_tags("a.conll", file, with(RepairTags::Drop)).unwrap();
    assert_eq!(all_shown(&data), ["a/O b/O c/O", "d/O e/O f/S-x"]);
}

#[test]
fn the_words_of_conll_u_are_its_second_column() {
    let file = "# sent_id = 1\n1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n1\tdo\tdo\tAUX\tVBP\t_\t0\troot\t_\t_\n\
                2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_\n";
    let reading = |column: &str| Reading {
        label_column: Some(column.into()),
        ..typed()
    };
    let data = read_tags("a.conllu", file.as_bytes(), reading("4")).unwrap();
    assert_eq!(all_shown(&data), ["do/AUX n't/PART"]);
    assert_eq!(data.guessed, ["text"]);
    let data = read_tags("a.conllu", file.as_bytes(), reading("8")).unwrap();
    assert_eq!(all_shown(&data), ["do/root n't/advmod"]);
    let message = read_tags("a.conllu", file.as_bytes(), typed()).unwrap_err();
    assert_has(
        &message,
        &[
            "a.conllu: cannot tell which column is the list of tags",
            "in column 4 (UPOS) and 5 (XPOS) and relations in column 8 (DEPREL)",
            "give --label-column",
        ],
    );
}
