//! Files in the shapes of well-known public data sets, with invented texts: what the first command
//! of a newcomer finds, or which flags its message proposes.

use super::*;
use progtune_datasets::{Header, Labels, Sample, SampleRule};

const TEXTS: [&str; 4] = [
    "where is the parcel that I sent, please",
    "my new card has not come with the post",
    "how do I change the name on my account",
    "the lamp in the hall does not work today",
];

/// `n` rows; a row has its number, a text and the remainder of its number for labels.
fn rows(n: usize, row: impl Fn(usize, &str) -> String) -> String {
    (0..n).map(|at| row(at, TEXTS[at % 4]) + "\n").collect()
}

fn reading(text: &str, label: &str) -> Reading {
    Reading {
        text_column: Some(text.to_owned()),
        label_column: Some(label.to_owned()),
        ..Reading::default()
    }
}

fn columns(data: &OwnData) -> [String; 3] {
    let columns = &data.task.columns;
    let pair = columns.second.as_ref().map(|column| column.name.clone());
    [
        columns.first.name.clone(),
        pair.unwrap_or_default(),
        columns.label.name.clone(),
    ]
}

/// Banking77: a CSV file with quotes and many classes under usual names.
#[test]
fn many_intents_in_a_csv() {
    let file = "text,category\n".to_owned()
        + &rows(154, |at, text| {
            format!("\"{text} {at}\",intent_{}", at % 77)
        });
    let data = good("train.csv", file.as_bytes());
    assert_eq!(columns(&data), ["text", "", "category"]);
    assert_eq!(data.task.labels.len(), 77);
}

/// SICK: tab-separated, named `.txt`, with a score and a class.
#[test]
fn two_labels_are_both_proposed() {
    let file = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
        .to_owned()
        + &rows(12, |at, text| {
            let class = ["NEUTRAL", "ENTAILMENT", "CONTRADICTION"][at % 3];
            format!("{at}\t{text}\tA {text}\t{}.5\t{class}", at % 4)
        });
    bad(
        "SICK_train.txt",
        file.as_bytes(),
        &[
            "cannot tell which column is the label: several have a usual name",
            "for example `--label-column entailment_judgment` or `--label-column relatedness_score`",
        ],
    );
    let class = Reading {
        label_column: Some("entailment_judgment".to_owned()),
        ..Reading::default()
    };
    let data = read("SICK_train.txt", file.as_bytes(), class).unwrap();
    assert_eq!(
        columns(&data),
        ["sentence_A", "sentence_B", "entailment_judgment"]
    );
    assert_eq!(data.guessed, ["text", "pair"]);
}

/// SMS Spam: no extension, no header, the label first, unbalanced quotes.
#[test]
fn a_label_and_a_text_without_a_header() {
    let file = rows(12, |at, text| {
        format!("{}\t{text} \"{at}", ["ham", "spam", "ham"][at % 3])
    });
    bad(
        "SMSSpamCollection",
        file.as_bytes(),
        &[
            "SMSSpamCollection: the first row (`ham`, ",
            "`ham` occurs again below",
            "give the columns by number, for example `--text-column 2 --label-column 1`",
        ],
    );
    let data = read("SMSSpamCollection", file.as_bytes(), reading("2", "1")).unwrap();
    assert_eq!(data.train.len(), 12, "the first row is data");
    assert_eq!(
        data.train[0].text,
        "where is the parcel that I sent, please \"0"
    );
    assert_eq!(data.task.labels, ["ham", "spam"]);
    assert_eq!(columns(&data), ["2", "", "1"]);
}

/// AG News: a CSV file without a header whose text is in two columns.
#[test]
fn a_title_and_a_description_are_joined() {
    let row = |at: usize, text: &str| {
        format!(
            "\"{}\",\"Report number {at} about it\",\"{text}, \"\"{at}\"\"\"",
            at % 4 + 1
        )
    };
    let file = rows(12, row);
    bad(
        "train.csv",
        file.as_bytes(),
        &[
            "`1` is a number, as all values below it are",
            "for example `--text-column 2,3 --label-column 1` (which joins the two)",
            "`--text-column 2 --pair-column 3 --label-column 1` for pairs",
        ],
    );
    let joined = "Report number 0 about it where is the parcel that I sent, please, \"0\"";
    for text in ["2,3", "2+3"] {
        let data = read("train.csv", file.as_bytes(), reading(text, "1")).unwrap();
        assert_eq!(data.train[0].text, joined);
        assert_eq!(data.task.labels, ["1", "2", "3", "4"]);
        assert_eq!(columns(&data), ["2,3", "", "1"]);
    }
    let named = "Class Index,Title,Description\n".to_owned() + &file;
    bad(
        "train.csv",
        named.as_bytes(),
        &[
            "several hold texts",
            "for example `--text-column Title,Description`",
        ],
    );
    let text = Reading {
        text_column: Some("Title,Description".to_owned()),
        ..Reading::default()
    };
    let data = read("train.csv", named.as_bytes(), text).unwrap();
    assert_eq!(data.train[0].text, joined);
    assert_eq!(columns(&data), ["Title,Description", "", "Class Index"]);
    // Numbers are positions if the first row has names.
    let data = read("train.csv", named.as_bytes(), reading("3", "1")).unwrap();
    assert_eq!(columns(&data), ["Description", "", "Class Index"]);
    assert_eq!(data.train.len(), 12);
    let message = read("train.csv", named.as_bytes(), reading("Title,Text", "1")).unwrap_err();
    assert_has(&message, &["--text-column: expected a column named `Text`"]);
    let message = read("train.csv", file.as_bytes(), reading("1,2", "1")).unwrap_err();
    assert_has(&message, &["--text-column and --label-column are both `1`"]);
}

/// DBpedia with names: `content` is the text, and `title` is noticed.
#[test]
fn a_text_beside_its_title_is_noticed() {
    let file = "label,title,content\n".to_owned()
        + &rows(8, |at, text| {
            format!("{},Hall {at},{}", at % 2, text.replace(',', ""))
        });
    let dir = dir_with(&[("a.csv", file.as_bytes())]);
    let request = train_on(dir.path(), &["a.csv"], Reading::default());
    let files = progtune_datasets::OwnFiles::open(&request, None, None).unwrap();
    assert_eq!(files.task.columns.first.name, "content");
    assert_eq!(files.unread, ["title"]);
}

/// SNLI: JSON lines with parses beside the sentences, and rows without a gold label.
#[test]
fn rows_without_a_gold_label_are_left_out() {
    let row = |at: usize, text: &str| {
        let label = ["entailment", "neutral", "-", "contradiction"][at % 4];
        format!(
            "{{\"annotator_labels\": [\"neutral\"], \"captionID\": \"{at}.jpg\", \"gold_label\": \"{label}\", \
             \"sentence1\": \"{text}\", \"sentence1_parse\": \"(ROOT {text})\", \"sentence2\": \"{at} {text}\", \
             \"sentence2_parse\": \"(ROOT {text})\"}}"
        )
    };
    let data = good("snli_train.jsonl", rows(16, row).as_bytes());
    assert_eq!(columns(&data), ["sentence1", "sentence2", "gold_label"]);
    assert_eq!(data.task.labels, ["contradiction", "entailment", "neutral"]);
    assert_eq!((data.train.len(), data.skipped.n_rows), (12, 4));
    assert_has(
        &data.skipped.reasons[0],
        &["line 3: column `gold_label`: `-` means that the row has no gold label"],
    );
    // A model of an earlier version may know it as a class.
    let dir = dir_with(&[("a.jsonl", rows(16, row).as_bytes())]);
    let request = train_on(dir.path(), &["a.jsonl"], Reading::default());
    let known = Labels {
        names: ["-", "contradiction", "entailment", "neutral"]
            .map(str::to_owned)
            .to_vec(),
        problem_type: progtune_datasets::ProblemType::SingleLabelClassification,
    };
    assert_eq!(
        OwnData::load(&request, Some(&known)).unwrap().train.len(),
        16
    );
}

/// QQP: the columns of Quora's questions; in its original form every cell is quoted.
#[test]
fn pairs_of_questions() {
    let plain = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n".to_owned()
        + &rows(8, |at, text| {
            format!("{at}\t{at}\t{at}\t{text}?\tSo {text}?\t{}", at % 2)
        });
    let quoted: String = plain
        .lines()
        .map(|line| format!("\"{}\"\n", line.replace('\t', "\"\t\"")))
        .collect();
    for file in [plain, quoted] {
        let data = good("train.tsv", file.as_bytes());
        assert_eq!(columns(&data), ["question1", "question2", "is_duplicate"]);
        assert_eq!(data.task.labels, ["0", "1"]);
        assert_eq!(
            data.train[1].pair.as_deref(),
            Some("So my new card has not come with the post?")
        );
    }
}

/// CLINC150: one JSON document with lists of rows, which are lists themselves.
#[test]
fn lists_of_pairs_by_split() {
    let list = |n: usize| {
        let row = |at: usize| format!("[\"{} {at}\", \"intent_{}\"]", TEXTS[at % 4], at % 2);
        (0..n).map(row).collect::<Vec<_>>().join(", ")
    };
    let file = format!(
        "{{\"oos_val\": [{}], \"val\": [{}], \"train\": [{}]}}",
        list(2),
        list(4),
        list(8)
    );
    bad(
        "data_full.json",
        file.as_bytes(),
        &[
            "found lists of rows under the keys `oos_val`, `val`, `train`",
            "choose one of them after `#`: --train-file ",
            "data_full.json#train --validation-file ",
            "data_full.json#val",
        ],
    );
    let dir = dir_with(&[("data_full.json", file.as_bytes())]);
    let mut request = train_on(dir.path(), &["data_full.json#train"], Reading::default());
    request.validation = vec![format!("{}/data_full.json#val", dir.path().display())];
    let data = load(dir.path(), &request).unwrap();
    assert_eq!((data.train.len(), data.validation.len()), (8, 4));
    assert_eq!(columns(&data), ["1", "", "2"]);
    assert_eq!(data.task.labels, ["intent_0", "intent_1"]);
    let request = train_on(dir.path(), &["data_full.json#trian"], Reading::default());
    assert_has(
        &load(dir.path(), &request).unwrap_err(),
        &["data_full.json: expected a list of rows under the key `trian`"],
    );
    let dir = dir_with(&[("a.csv", b"text,label\na,x\nb,y\n")]);
    let request = train_on(dir.path(), &["a.csv#train"], Reading::default());
    assert_has(
        &load(dir.path(), &request).unwrap_err(),
        &["`#train` names a part"],
    );
}

/// SUBJ: a file for each class whose name tells it, which only the user can know.
#[test]
fn a_file_for_each_class() {
    let lines: String = (0..12)
        .map(|at| format!("{at} {}\n", TEXTS[at % 4]))
        .collect();
    bad(
        "plot.tok.gt9.5000",
        lines.as_bytes(),
        &[
            "its lines look like texts",
            "`--file-format lines --label-column file`",
        ],
    );
    let labelled = rows(24, |at, text| format!("{} {text}", at % 2));
    bad(
        "subj.all",
        labelled.as_bytes(),
        &["its lines look like `LABEL text`: try `--file-format label-text`"],
    );
}

/// aclImdb: a folder for each class with a file for each text, and one of texts without a class.
#[test]
fn a_folder_for_each_class() {
    let dir = dir_with(&[
        ("train/neg/0_1.txt", b"It was long.<br />\nVery long.\n"),
        ("train/neg/1_2.txt", b"Not good."),
        ("train/pos/0_9.txt", b"Good."),
        ("train/unsup/0_0.txt", b"Unknown."),
        ("train/labeledBow.feat", b"9 0:1"),
        ("train/.DS_Store", b"\0\0\0\x01"),
    ]);
    let request = train_on(dir.path(), &["train"], Reading::default());
    let data = load(dir.path(), &request).unwrap();
    assert_eq!(columns(&data), ["text", "", "folder"]);
    assert_eq!(data.task.labels, ["neg", "pos"]);
    assert_eq!(
        texts(&data.train),
        ["It was long.<br />\nVery long.", "Not good.", "Good."]
    );
    let files = progtune_datasets::OwnFiles::open(&request, None, None).unwrap();
    assert!(
        files
            .without_class
            .is_some_and(|folder| folder.ends_with("train/unsup"))
    );
    let above = train_on(dir.path(), &["."], Reading::default());
    assert_has(
        &load(dir.path(), &above).unwrap_err(),
        &[
            "or folders of texts, one for each class",
            "there are such folders in it: give --train-file",
        ],
    );
}

/// Several labels in one text, as pandas writes them.
#[test]
fn several_labels_in_one_text_are_noticed() {
    let label = |at: usize| ["sport", "politics", "sport|politics", "sport|art", "art"][at % 5];
    let file =
        "text,label\n".to_owned() + &rows(20, |at, text| format!("\"{text} {at}\",{}", label(at)));
    let dir = dir_with(&[("a.csv", file.as_bytes())]);
    let mut request = train_on(dir.path(), &["a.csv"], Reading::default());
    let open =
        |request: &OwnRequest| progtune_datasets::OwnFiles::open(request, None, None).unwrap();
    assert_eq!(open(&request).facts.separator, Some('|'));
    request.reading.label_separator = Some("|".to_owned());
    let files = open(&request);
    assert_eq!(files.task.labels, ["art", "politics", "sport"]);
    assert_eq!(files.facts.separator, None);
    // Names of classes with a separator inside are no sets.
    let plain = "text,label\n".to_owned()
        + &rows(20, |at, text| {
            format!(
                "\"{text}\",\"{}\"",
                ["Sales, Europe", "Support, Asia"][at % 2]
            )
        });
    let dir = dir_with(&[("a.csv", plain.as_bytes())]);
    let request = train_on(dir.path(), &["a.csv"], Reading::default());
    assert_eq!(open(&request).facts.separator, None);
    // Too many combinations to be classes: the message says what they are.
    let many = "text,label\n".to_owned()
        + &rows(300, |at, text| {
            format!("\"{text}\",\"a{}|b{}|c{}\"", at % 7, at % 11, at % 13)
        });
    bad(
        "a.csv",
        many.as_bytes(),
        &["several labels separated by `|`: give --label-separator '|'"],
    );
    let ids = "text,label\n".to_owned() + &rows(300, |at, text| format!("\"{text}\",row{at}"));
    bad(
        "a.csv",
        ids.as_bytes(),
        &["every value is different probably holds ids or texts"],
    );
}

/// Nested JSON by path.
#[test]
fn nested_objects_have_paths() {
    let file = rows(4, |at, text| {
        format!(
            "{{\"data\": {{\"text\": \"{text}\", \"meta\": {{\"class\": \"c{}\"}}}}, \"id\": {at}}}",
            at % 2
        )
    });
    let data = read(
        "a.jsonl",
        file.as_bytes(),
        reading("data.text", "data.meta.class"),
    )
    .unwrap();
    assert_eq!(data.train[1].text, TEXTS[1]);
    assert_eq!(data.task.labels, ["c0", "c1"]);
    bad(
        "a.jsonl",
        file.as_bytes(),
        &["`data.text`", "`data.meta.class`"],
    );
}

/// A file sorted by class: a sample has both classes, and the first rows only one.
#[test]
fn a_sorted_file_is_sampled_by_class() {
    let file = "text,label\n".to_owned()
        + &rows(100, |at, text| {
            format!("\"{text} {at}\",{}", ["neg", "pos"][at / 50])
        });
    let dir = dir_with(&[("a.csv", file.as_bytes())]);
    let mut request = train_on(dir.path(), &["a.csv"], Reading::default());
    let taken = |request: &OwnRequest, split, rule| -> [usize; 2] {
        let files = progtune_datasets::OwnFiles::open(request, None, None).unwrap();
        assert!(files.facts.counts[0].are_grouped());
        assert_eq!(files.header, Header::FirstRow);
        let sample = Sample {
            n_rows: 20,
            rule,
            seed: 42,
        };
        let rows = files
            .rows(split, Some(sample))
            .collect::<Result<Vec<_>, _>>();
        let rows = rows.unwrap();
        let of = |class| {
            rows.iter()
                .filter(|row| row.label == Some(Label::Class(class)))
                .count()
        };
        [of(0), of(1)]
    };
    let train = SplitName::Train;
    assert_eq!(taken(&request, train, SampleRule::Stratified), [10, 10]);
    assert_eq!(taken(&request, train, SampleRule::First), [20, 0]);
    let [a, b] = taken(&request, train, SampleRule::Random);
    assert!(a + b == 20 && a > 2 && b > 2);
    // The held-out rows and the others are sampled separately.
    request.validation_split = Some(0.5);
    assert_eq!(taken(&request, train, SampleRule::Stratified), [10, 10]);
    assert_eq!(
        taken(&request, SplitName::Validation, SampleRule::Stratified),
        [10, 10]
    );
}
