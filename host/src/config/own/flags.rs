//! The flags about the user's own data files, the same for every command that reads data.

use std::path::PathBuf;

use progtune_datasets::{Format, OnBadRow, ProblemType, RepairTags, TextEncoding};

use crate::flags::{Flag, Form, Scope, Takes};

pub(crate) static TRAIN_FILE: Flag<Vec<PathBuf>> = files(
    "train_file",
    "Training file: CSV, TSV, JSONL, JSON, parquet, Arrow or SQuAD's JSON, plain, .gz or .zst; a directory of files or of class \
     folders; a pattern such as 'a/*.csv'; repeatable",
    "data/train.csv",
)
.usual();

pub(crate) static VALIDATION_FILE: Flag<Vec<PathBuf>> = files(
    "validation_file",
    "Validation file, likewise",
    "data/dev.csv",
);

pub(crate) static TEST_FILE: Flag<Vec<PathBuf>> = files(
    "test_file",
    "Test file, likewise; training measures the result on it",
    "data/test.csv",
);

pub(crate) static FILE_FORMAT: Flag<Format> = own(
    "file_format",
    "NAME",
    "Format of these files: csv, tsv, jsonl, parquet, arrow, label-text (one `LABEL text` per line), lines (one text per line), \
     text-file (one text per file) or conll (one word and its tag per line)",
)
.computed("as the names or the contents say")
.example("csv")
.form(Form::OneOfOrNone(Format::NAMES));

pub(crate) static ENCODING: Flag<TextEncoding> = own(
    "encoding",
    "NAME",
    "Encoding of text files, such as windows-1252; UTF-16 is recognised",
)
.computed("utf-8, or UTF-16 where a file begins so")
.example("windows-1252")
.form(Form::Parsed(
    "the name of an encoding, such as utf-8, utf-16, windows-1252 or shift_jis",
    TextEncoding::by_name,
));

pub(crate) static NO_HEADER: Flag<bool> = Flag::switch(
    "no_header",
    "Treat the first row of CSV and TSV files as data; columns are numbered from 1, or named by --columns",
)
.computed("false")
.example("true")
.scope(Scope::All);

pub(crate) static COLUMNS: Flag<Vec<String>> = own(
    "columns",
    "NAMES",
    "Column names for CSV and TSV files without a header, such as text,label; implies --no-header",
)
.computed("none: the first row has them")
.example("text,label")
.form(Form::Parsed(
    "different names with commas between them, such as `text,label`",
    different_names,
));

pub(crate) static TEXT_COLUMN: Flag<String> = own(
    "text_column",
    "NAME",
    "Column of the text, or of a sentence's words: its name, its number in CSV or TSV, or its path in JSON (data.text); several with \
     commas between them are joined",
)
.computed("the one with a usual name, or the only one with texts")
.example("sentence");

pub(crate) static PAIR_COLUMN: Flag<String> = own(
    "pair_column",
    "NAME",
    "Column of the second text, for pairs, likewise",
)
.computed("none, or the second of two usual names")
.example("sentence2");

pub(crate) static LABEL_COLUMN: Flag<String> = own(
    "label_column",
    "NAME",
    "Column of the label, or of the words' tags: its name, its number in files with columns, or its path in JSON",
)
.computed("label, or the one with a usual name")
.example("label");

pub(crate) static LABEL_SEPARATOR: Flag<String> = own(
    "label_separator",
    "TEXT",
    "Separator between the labels of a text with several, such as ','",
)
.computed("none: a list, or one label a row")
.example(";");

pub(crate) static REPAIR_TAGS: Flag<RepairTags> = own(
    "repair_tags",
    "NAME",
    "Tag repair: off (tags stay as they are), bio (IOB1, BIOES and stray I- become BIO) or drop (stray I- become O)",
)
.computed("off")
.example("bio")
.form(Form::OneOfOrNone(RepairTags::NAMES));

pub(crate) static PROBLEM_TYPE: Flag<ProblemType> = own(
    "problem_type",
    "NAME",
    "Kind of prediction: single_label_classification, multi_label_classification, regression, token_classification or \
     question_answering",
)
.computed(
    "regression for numbers that are not whole, several labels for lists, tags for column files, else classes",
)
.example("regression")
.form(Form::OneOfOrNone(&[
    (
        "single_label_classification",
        ProblemType::SingleLabelClassification,
    ),
    (
        "multi_label_classification",
        ProblemType::MultiLabelClassification,
    ),
    ("regression", ProblemType::Regression),
    ("question_answering", ProblemType::QuestionAnswering),
    ("token_classification", ProblemType::TokenClassification),
]));

pub(crate) static ON_BAD_ROW: Flag<OnBadRow> = own(
    "on_bad_row",
    "NAME",
    "Reaction to a bad row: error, or skip (leave the row out and list it)",
)
.computed("error")
.example("skip")
.form(Form::OneOfOrNone(&[
    ("error", OnBadRow::Error),
    ("skip", OnBadRow::Skip),
]));

pub(crate) static VALIDATION_SPLIT: Flag<f64> = Flag::key(
    "validation_split",
    "X",
    "Share of the training rows to hold out for validation, stratified by class; instead of --validation-file",
)
.computed("none: --validation-file has the rows")
.example("0.1")
.usual()
.form(Form::Parsed("a share above 0 and below 1", |text| {
    text.parse().ok().filter(|&x| x > 0.0 && x < 1.0)
}));

/// A flag about own files, for every command that reads data.
const fn own<T>(name: &'static str, value: &'static str, help: &'static str) -> Flag<T> {
    Flag::key(name, value, help).scope(Scope::All)
}

const fn files(
    name: &'static str,
    help: &'static str,
    example: &'static str,
) -> Flag<Vec<PathBuf>> {
    own(name, "FILE", help)
        .computed("none")
        .example(example)
        .takes(Takes::Values)
}

fn different_names(text: &str) -> Option<Vec<String>> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    let is_new = |(at, name): (usize, &String)| !names[..at].contains(name);
    let are_good = names.iter().enumerate().all(is_new) && !names.contains(&String::new());
    are_good.then_some(names)
}
