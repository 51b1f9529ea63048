//! Reads the real data sets in the shared data folder (`PROGTUNE_SHARED`) and checks the figures in
//! its README. Without the folder each test is skipped, because the data may not be shipped with
//! the project.

use std::path::{Path, PathBuf};

use progtune_datasets::{
    AnswerRule, DataFile, Example, Format, Header, Label, OnBadRow, OwnData, OwnRequest,
    ProblemType, Question, Reading, SplitName, TaggedData, TaggedSentence, Task, TextEncoding,
    has_split, load_questions, load_split, read_jsonl, read_questions,
};
use progtune_tests::shared_directory;

/// `NAME` among the shared data sets.
fn shared(name: &str) -> Option<PathBuf> {
    shared_directory(&format!("data/{name}"))
}

fn task(name: &str) -> &'static Task {
    Task::by_name(name).unwrap()
}

#[track_caller]
fn load(name: &str, dir: &Path, split: SplitName) -> Vec<Example> {
    load_split(task(name), dir, split, None)
        .unwrap_or_else(|error| panic!("{error}"))
        .examples
}

/// The number of rows per class, starting with class 0.
fn counts(rows: &[Example]) -> Vec<usize> {
    let mut counts = Vec::new();
    for row in rows {
        let Some(Label::Class(id)) = row.label else {
            panic!("no class in {row:?}")
        };
        let id = id as usize;
        counts.resize(counts.len().max(id + 1), 0);
        counts[id] += 1;
    }
    counts
}

/// Loads the three splits. Checks their sizes, that pairs are pairs, and that only the test split
/// is unlabelled.
fn check(name: &str, folder: &str, sizes: [usize; 3]) -> Option<[Vec<Example>; 3]> {
    let dir = shared(folder)?;
    let splits = [SplitName::Train, SplitName::Validation, SplitName::Test]
        .map(|split| load(name, &dir, split));
    assert_eq!(splits.each_ref().map(Vec::len), sizes, "{name}");
    for row in splits.iter().flatten() {
        assert_eq!(row.pair.is_some(), task(name).columns.second.is_some());
    }
    let regression = task(name).problem_type == ProblemType::Regression;
    for row in splits[..2].iter().flatten() {
        assert_eq!(matches!(row.label, Some(Label::Score(_))), regression);
    }
    assert!(splits[2].iter().all(|row| row.label.is_none()));
    eprintln!("{name}: {sizes:?} rows");
    Some(splits)
}

#[test]
fn sst2() {
    let Some([train, validation, test]) = check("sst2", "SST-2", [67349, 872, 1821]) else {
        return;
    };
    assert_eq!(counts(&train), [29780, 37569]);
    assert_eq!(counts(&validation), [428, 444]);
    assert!(train.iter().all(|row| row.text.ends_with(' ')));
    assert!(!test[0].text.ends_with(' '));
}

#[test]
fn cola() {
    let Some([train, validation, _]) = check("cola", "CoLA", [8551, 1043, 1063]) else {
        return;
    };
    assert_eq!(counts(&train), [2528, 6023]);
    assert_eq!(counts(&validation), [322, 721]);
}

#[test]
fn mrpc() {
    let Some([train, validation, test]) = check("mrpc", "MRPC", [3668, 408, 1725]) else {
        return;
    };
    assert_eq!(counts(&train), [1194, 2474]);
    assert_eq!(counts(&validation), [129, 279]);
    let has_quote = |row: &&Example| row.text.matches('"').count() % 2 == 1;
    assert_eq!(train.iter().filter(has_quote).count(), 126); // A CSV reader would fail at these.

    // The labelled test file of Microsoft's original download, under the name that the reader looks
    // for.
    let dir = tempfile::tempdir().unwrap();
    let Some(original) = shared("MRPC/msr_paraphrase_test.txt") else {
        return;
    };
    std::fs::copy(original, dir.path().join("test.tsv")).unwrap();
    let labelled = load("mrpc", dir.path(), SplitName::Test);
    assert_eq!(counts(&labelled), [578, 1147]);
    assert_eq!(labelled.len(), test.len());
}

#[test]
fn mrpc_with_crlf() {
    let Some(folder) = shared("MRPC/crlf") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(
        folder.join("msr-para-train.tsv"),
        dir.path().join("train.tsv"),
    )
    .unwrap();
    std::fs::copy(
        folder.join("msr-para-test.tsv"),
        dir.path().join("test.tsv"),
    )
    .unwrap();
    let train = load("mrpc", dir.path(), SplitName::Train);
    let test = load("mrpc", dir.path(), SplitName::Test);
    assert_eq!(
        (counts(&train), counts(&test)),
        (vec![1323, 2753], vec![578, 1147])
    );
    let has_cr =
        |row: &Example| row.text.contains('\r') || row.pair.iter().any(|s| s.contains('\r'));
    assert!(!train.iter().chain(&test).any(has_cr));
}

#[test]
fn rte_tsv_is_parquet_row_by_row() {
    let Some(tsv) = check("rte", "RTE", [2490, 277, 3000]) else {
        return;
    };
    assert_eq!(counts(&tsv[0]), [1249, 1241]);
    let Some(parquet) = check("rte", "RTE/hf_parquet", [2490, 277, 3000]) else {
        return;
    };
    for (tsv, parquet) in tsv.iter().zip(&parquet) {
        for (number, (tsv, parquet)) in tsv.iter().zip(parquet).enumerate() {
            assert_eq!(tsv, parquet, "row {}", number + 1);
        }
    }
}

#[test]
fn stsb() {
    let Some(splits) = check("stsb", "STS-B", [5749, 1500, 1379]) else {
        return;
    };
    for row in splits[..2].iter().flatten() {
        assert!(matches!(row.label, Some(Label::Score(score)) if (0.0..=5.0).contains(&score)));
    }
}

#[test]
fn qnli_dev_and_test() {
    let Some(dir) = shared("QNLI") else { return };
    let validation = load("qnli", &dir, SplitName::Validation);
    let test = load("qnli", &dir, SplitName::Test);
    assert_eq!((validation.len(), test.len()), (5463, 5463));
    assert_eq!(counts(&validation), [2702, 2761]);
    assert!(test.iter().all(|row| row.label.is_none()));
    let error = load_split(task("qnli"), &dir, SplitName::Train, None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("looked for `train.tsv`") && error.contains("`dev.tsv`"),
        "{error}"
    );
}

#[test]
fn wnli() {
    let Some([train, validation, _]) = check("wnli", "WNLI", [635, 71, 146]) else {
        return;
    };
    assert_eq!(counts(&train), [323, 312]);
    assert_eq!(counts(&validation), [40, 31]);
}

#[test]
fn mnli_jsonl() {
    let Some(dir) = shared("MNLI") else { return };
    let mnli = task("mnli");
    let rows = load("mnli", &dir, SplitName::ValidationMatched);
    assert_eq!(rows.len(), 9815);
    assert_eq!(counts(&rows), [3479, 3123, 3213]);
    assert!(!has_split(mnli, &dir, SplitName::ValidationMismatched).unwrap());
    assert_eq!(read_jsonl(mnli, &dir.join("dev.jsonl")).unwrap(), rows);
    assert!(rows.iter().all(|row| !row.text.contains("\\u")));
}

/// The layouts in Hugging Face's own test fixtures.
#[test]
fn fixtures() {
    for (name, folder) in [("mrpc", "hf_fixtures/MRPC"), ("stsb", "hf_fixtures/STS-B")] {
        let Some(dir) = shared(folder) else { return };
        for split in [SplitName::Train, SplitName::Validation] {
            assert!(!load(name, &dir, split).is_empty());
        }
    }
}

/// Two files for other tasks that are not UTF-8, and one in another layout.
#[test]
fn foreign_files_are_errors() {
    let (Some(mr), Some(trec), Some(wnut)) = (
        shared("MR/rt-polarity.neg"),
        shared("TREC/TREC.train"),
        shared("WNUT17/wnut17train.conll"),
    ) else {
        return;
    };
    for (file, part) in [
        (mr, "expected a column named `sentence`"),
        (trec, "`sentence`"),
        (wnut, "`sentence`"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(&file, dir.path().join("train.tsv")).unwrap();
        std::fs::copy(&file, dir.path().join("train.parquet")).unwrap();
        let error = load_split(task("sst2"), dir.path(), SplitName::Train, None).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

/// Reads files from the shared folder as the user's own data.
fn own(train: &[&str], test: &[&str], reading: Reading) -> Option<OwnData> {
    let paths = |names: &[&str]| -> Option<Vec<String>> {
        names
            .iter()
            .map(|name| Some(shared(name)?.display().to_string()))
            .collect()
    };
    let request = OwnRequest {
        train: paths(train)?,
        test: paths(test)?,
        reading,
        ..OwnRequest::default()
    };
    Some(OwnData::load(&request, None).unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn trec() {
    let reading = Reading {
        format: Some(Format::LabelText),
        encoding: TextEncoding::by_name("windows-1252").unwrap(),
        label_column: Some("coarse_label".into()),
        ..Reading::default()
    };
    let skip = Reading {
        encoding: TextEncoding::default(),
        on_bad_row: OnBadRow::Skip,
        ..reading.clone()
    };
    let files = (&["TREC/TREC.train"][..], &["TREC/TREC.test"][..]);
    let Some(data) = own(files.0, files.1, reading) else {
        return;
    };
    assert_eq!((data.train.len(), data.test.len()), (5452, 500));
    assert_eq!(
        data.task.labels,
        ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"]
    );
    assert_eq!(counts(&data.train).iter().sum::<usize>(), 5452);
    // It contains one byte that is not UTF-8.
    let data = own(files.0, files.1, skip).unwrap();
    assert_eq!((data.train.len(), data.skipped.n_rows), (5451, 1));
    eprintln!("TREC: {}", data.skipped.reasons[0]);
}

#[test]
fn mr() {
    let reading = Reading {
        format: Some(Format::Lines),
        encoding: TextEncoding::by_name("windows-1252").unwrap(),
        label_column: Some("extension".into()),
        ..Reading::default()
    };
    let files = ["MR/rt-polarity.pos", "MR/rt-polarity.neg"];
    let Some(data) = own(&files, &[], reading) else {
        return;
    };
    assert_eq!(counts(&data.train), [5331, 5331]);
    assert_eq!(data.task.labels, ["neg", "pos"]);
}

#[test]
fn glue_files_are_own_data_as_well() {
    for (file, n_rows, labels) in [
        ("SST-2/train.tsv", 67349, &["0", "1"][..]),
        ("RTE/train.tsv", 2490, &["entailment", "not_entailment"]),
        // According to the ClassLabel in the file's metadata.
        (
            "RTE/hf_parquet/train.parquet",
            2490,
            &["entailment", "not_entailment"],
        ),
        (
            "MNLI/dev.jsonl",
            9815,
            &["contradiction", "entailment", "neutral"],
        ),
        ("QNLI/dev.tsv", 5463, &["entailment", "not_entailment"]),
        ("WNLI/train.tsv", 635, &["0", "1"]),
        ("STS-B/train.tsv", 5749, &[]),
    ] {
        let Some(data) = own(&[file], &[], Reading::default()) else {
            return;
        };
        assert_eq!(data.train.len(), n_rows, "{file}");
        assert_eq!(data.task.labels, labels, "{file}");
        assert_eq!(
            data.train[0].pair.is_some(),
            !file.starts_with("SST"),
            "{file}"
        );
    }
}

/// The number of questions, and the number of questions without an answer.
fn asked(questions: &[Question]) -> (usize, usize) {
    let impossible = questions.iter().filter(|question| question.is_impossible());
    (questions.len(), impossible.count())
}

#[test]
fn squad() {
    for (name, folder, sizes) in [
        ("squad", "SQuAD/split", [(8123, 0), (2447, 0)]),
        ("squad_v2", "SQuAD/v2-style", [(8123, 2663), (2447, 794)]),
    ] {
        let Some(dir) = shared(folder) else { return };
        let splits = [SplitName::Train, SplitName::Validation].map(|split| {
            let read = load_questions(task(name), &dir, split, None);
            asked(&read.unwrap_or_else(|error| panic!("{error}")).questions)
        });
        assert_eq!(splits, sizes, "{folder}");
    }
    let Some(dir) = shared("SQuAD") else { return };
    let dev = load_questions(task("squad"), &dir, SplitName::Validation, None).unwrap();
    assert_eq!(asked(&dev.questions), (10570, 0));
    let mut contexts: Vec<&str> = dev.questions.iter().map(|q| &*q.context).collect();
    contexts.dedup();
    let not_ascii = contexts
        .iter()
        .filter(|context| !context.is_ascii())
        .count();
    assert_eq!(not_ascii, 674);
}

#[test]
fn xquad_and_the_flat_layout() {
    for (name, sizes) in [
        ("XQuAD/xquad.en.json", (1190, 0)),
        ("hf_fixtures/SQUAD/sample.json", (14, 6)),
    ] {
        let Some(path) = shared(name) else { return };
        let file = DataFile {
            path,
            format: Format::Jsonl,
            encoding: TextEncoding::default(),
            header: Header::default(),
            part: None,
        };
        let read = read_questions(&[file], AnswerRule::OrNone, OnBadRow::Error, None);
        assert_eq!(asked(&read.unwrap().questions), sizes, "{name}");
    }
}

fn tagged(train: PathBuf, others: [Vec<PathBuf>; 2]) -> TaggedData {
    let paths = |paths: &[PathBuf]| -> Vec<String> {
        paths
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    };
    let [validation, test] = others.each_ref().map(|files| paths(files));
    let request = OwnRequest {
        train: paths(&[train]),
        validation,
        test,
        reading: Reading {
            problem_type: Some(ProblemType::TokenClassification),
            ..Reading::default()
        },
        ..OwnRequest::default()
    };
    TaggedData::load(&request, None).unwrap_or_else(|error| panic!("{error}"))
}

/// The train file separates sentences with a tab. The dev file ends in a line of U+FEFF and
/// contains it inside a word.
#[test]
fn wnut17() {
    let Some(folder) = shared("WNUT17") else {
        return;
    };
    let file = |name: &str| folder.join(name);
    let data = tagged(
        file("wnut17train.conll"),
        [
            vec![file("emerging.dev.conll")],
            vec![file("emerging.test.annotated"), file("emerging.test")],
        ],
    );
    assert_eq!(
        [data.train.len(), data.validation.len(), data.test.len()],
        [3394, 1009, 2 * 1287]
    );
    assert_eq!(data.task.labels.len(), 13);
    assert_eq!(data.task.labels.last().map(String::as_str), Some("O"));
    let n_words = |sentences: &[TaggedSentence]| -> usize {
        sentences.iter().map(|sentence| sentence.words.len()).sum()
    };
    assert_eq!(
        [
            n_words(&data.train),
            n_words(&data.validation),
            n_words(&data.test)
        ],
        [62730, 15733, 2 * 23394]
    );
    let b_person = data
        .task
        .labels
        .iter()
        .position(|label| label == "B-person")
        .unwrap() as u32;
    let tags = data
        .train
        .iter()
        .flat_map(|sentence| sentence.tags.iter().flatten());
    assert_eq!(tags.filter(|&&tag| tag == b_person).count(), 660);
    let untagged = data.test.iter().filter(|sentence| sentence.tags.is_none());
    assert_eq!(untagged.count(), 1287, "those of the file without tags");
    let marked = data.validation.iter().flat_map(|sentence| &sentence.words);
    assert_eq!(marked.filter(|word| word.contains('\u{FEFF}')).count(), 1);
    // An I-creative-work after an I-person.
    assert_eq!(data.findings.n_strays, 1);
    let first = data.findings.first_stray.unwrap();
    assert!(first.ends_with("emerging.dev.conll, line 1674)"), "{first}");
}

#[test]
fn hugging_faces_own_sample_of_tags() {
    let Some(file) = shared("hf_fixtures/conll/sample.json") else {
        return;
    };
    let data = tagged(file, [vec![], vec![]]);
    assert_eq!(data.task.columns.label.name, "ner");
    assert_eq!(data.train.len(), 10);
}
