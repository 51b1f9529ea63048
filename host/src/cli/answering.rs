//! The flags about questions over texts (SQuAD), the same for every command that reads data. Made by `cli::parse`, read by
//! `config::answering`. A field's name is its configuration key.

use clap::Args;
use serde::Serialize;

/// How questions about texts are read and answered; a flag that is not given is `None`.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Questions about texts")]
pub struct AnsweringArgs {
    /// Overlap in tokens of neighbouring windows, for texts longer than --max-length
    #[arg(long, value_name = "N")]
    pub doc_stride: Option<String>,
    /// Number of candidate answers per question, and of start and end tokens per window
    #[arg(long, value_name = "N")]
    pub n_best_size: Option<String>,
    /// Maximum answer length in tokens
    #[arg(long, value_name = "N")]
    pub max_answer_length: Option<String>,
    /// Predict no answer if its score exceeds the best answer's by more than this (SQuAD v2.0)
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    pub null_threshold: Option<String>,
}
