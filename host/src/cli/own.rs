//! The flags about the user's own data files, the same for every command that reads data. Made by `cli::parse`, read
//! by `config::own`. A field's name is its configuration key.

use clap::Args;
use serde::Serialize;

/// The user's own files and how to read them; what is not given is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Own data")]
pub struct OwnDataArgs {
    /// Training file: CSV, TSV, JSONL or parquet, plain or .gz or .zst; a directory or 'a/*.csv' is all files in it; repeat it for more
    #[arg(long, value_name = "FILE")]
    pub train_file: Vec<String>,
    /// Validation file, likewise
    #[arg(long, value_name = "FILE")]
    pub validation_file: Vec<String>,
    /// Test file, likewise; training measures the result on it
    #[arg(long, value_name = "FILE")]
    pub test_file: Vec<String>,
    /// Format of these files: csv, tsv, jsonl, parquet, label-text (`LABEL text` a line), lines (a text a line) or conll (a word and its tag a line)
    #[arg(long, value_name = "NAME")]
    pub file_format: Option<String>,
    /// Encoding of text files, such as windows-1252
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<String>,
    /// Column of the text, or of a sentence's words
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// Column of the second text, for pairs
    #[arg(long, value_name = "NAME")]
    pub pair_column: Option<String>,
    /// Column of the label, or of the tags of the words; in column files columns have numbers, from 1
    #[arg(long, value_name = "NAME")]
    pub label_column: Option<String>,
    /// What lies between the labels of a text that has several, such as ','
    #[arg(long, value_name = "TEXT")]
    pub label_separator: Option<String>,
    /// About tags: off (as they are), bio (IOB1, BIOES and stray I- become BIO) or drop (stray I- become O)
    #[arg(long, value_name = "NAME")]
    pub repair_tags: Option<String>,
    /// What is predicted: single_label_classification, multi_label_classification, regression or token_classification
    #[arg(long, value_name = "NAME")]
    pub problem_type: Option<String>,
    /// At a row that is wrong: error, or skip (leave it out, and list it)
    #[arg(long, value_name = "NAME")]
    pub on_bad_row: Option<String>,
}
