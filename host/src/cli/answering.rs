//! The flags about questions over texts (SQuAD), the same for every command that reads data. Made by `cli::parse`, read by
//! `config::answering`. A field's name is its configuration key.

use clap::Args;
use serde::Serialize;

/// How questions about texts are read and answered; what is not given is `None`.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Questions about texts")]
pub struct AnsweringArgs {
    /// Tokens that the windows of a text share which is too long for --max-length
    #[arg(long, value_name = "N")]
    pub doc_stride: Option<String>,
    /// Answers kept of a question, and first and last tokens of a window that are tried
    #[arg(long, value_name = "N")]
    pub n_best_size: Option<String>,
    /// The most tokens of an answer
    #[arg(long, value_name = "N")]
    pub max_answer_length: Option<String>,
    /// Say that there is no answer when its score exceeds the best answer's by more than this (SQuAD v2.0)
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    pub null_threshold: Option<String>,
}
