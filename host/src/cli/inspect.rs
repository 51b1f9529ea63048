//! The flags of `progtune data inspect`. Made by `cli::parse`, read by `config::InspectConfig`.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{hub::HubArgs, own::OwnDataArgs};

/// The commands for data.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum DataCommand {
    /// Show the contents of data files: columns, labels, lengths in tokens, duplicates, truncation
    Inspect(InspectArgs),
}

/// The arguments of `progtune data inspect`; a flag that is not given is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
pub struct InspectArgs {
    /// Files to inspect, like --train-file
    #[arg(value_name = "FILE", conflicts_with = "train_file")]
    #[serde(skip)]
    pub files: Vec<String>,
    /// The files.
    #[command(flatten)]
    #[serde(flatten)]
    pub own: OwnDataArgs,
    /// Checkpoint whose tokenizer is used: a directory, an id on the hub, or `embedded`
    #[arg(long, value_name = "DIR or ID", help_heading = "Model")]
    pub model: Option<String>,
    /// Maximum sequence length in tokens; longer sequences are truncated
    #[arg(long, value_name = "N", help_heading = "Model")]
    pub max_length: Option<String>,
    /// The hub.
    #[command(flatten)]
    #[serde(flatten)]
    pub hub: HubArgs,
}
