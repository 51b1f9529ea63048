//! The flags about the user's own data files, the same for every command that reads data. Made by `cli::parse`, read
//! by `config::own`. A field's name is its configuration key.

use clap::Args;
use serde::Serialize;

/// The user's own files and how to read them; a flag that is not given is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Own data")]
pub struct OwnDataArgs {
    /// Training file: CSV, TSV, JSONL, JSON, parquet, Arrow or SQuAD's JSON, plain or .gz or .zst; a directory or a pattern such as 'a/*.csv' stands for all files in it; repeatable
    #[arg(long, value_name = "FILE")]
    pub train_file: Vec<String>,
    /// Validation file, likewise
    #[arg(long, value_name = "FILE")]
    pub validation_file: Vec<String>,
    /// Test file, likewise; training measures the result on it
    #[arg(long, value_name = "FILE")]
    pub test_file: Vec<String>,
    /// Format of these files: csv, tsv, jsonl, parquet, arrow, label-text (one `LABEL text` per line), lines (one text per line) or conll (one word and its tag per line)
    #[arg(long, value_name = "NAME")]
    pub file_format: Option<String>,
    /// Encoding of text files, such as windows-1252; UTF-16 is recognised
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<String>,
    /// Treat the first row of CSV and TSV files as data; columns are numbered from 1, or named by --columns
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub no_header: Option<String>,
    /// Column names for CSV and TSV files without a header, such as text,label; implies --no-header
    #[arg(long, value_name = "NAMES")]
    pub columns: Option<String>,
    /// Column of the text, or of a sentence's words
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// Column of the second text, for pairs
    #[arg(long, value_name = "NAME")]
    pub pair_column: Option<String>,
    /// Column of the label, or of the words' tags; in column files, columns are numbered from 1
    #[arg(long, value_name = "NAME")]
    pub label_column: Option<String>,
    /// Separator between the labels of a text with several, such as ','
    #[arg(long, value_name = "TEXT")]
    pub label_separator: Option<String>,
    /// Tag repair: off (tags stay as they are), bio (IOB1, BIOES and stray I- become BIO) or drop (stray I- become O)
    #[arg(long, value_name = "NAME")]
    pub repair_tags: Option<String>,
    /// Kind of prediction: single_label_classification, multi_label_classification, regression, token_classification or
    /// question_answering
    #[arg(long, value_name = "NAME")]
    pub problem_type: Option<String>,
    /// What to do with a bad row: error, or skip (leave it out and list it)
    #[arg(long, value_name = "NAME")]
    pub on_bad_row: Option<String>,
}
