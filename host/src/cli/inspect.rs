//! The flags of `progtune data inspect`. Made by `cli::parse`, read by `config::InspectConfig`.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{hub::HubArgs, own::OwnDataArgs};

/// What to do about data.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum DataCommand {
    /// Show what is in data files: columns, labels, lengths in tokens, duplicates, what would be cut
    Inspect(InspectArgs),
}

/// The arguments of `progtune data inspect`; what is not given is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
pub struct InspectArgs {
    /// Files to look at, as --train-file
    #[arg(value_name = "FILE", conflicts_with = "train_file")]
    #[serde(skip)]
    pub files: Vec<String>,
    /// The files.
    #[command(flatten)]
    #[serde(flatten)]
    pub own: OwnDataArgs,
    /// Checkpoint whose tokenizer counts: a directory, an id on the hub, or `embedded`
    #[arg(long, value_name = "DIR or ID", help_heading = "Model")]
    pub model: Option<String>,
    /// Longest sequence in tokens; what is longer is cut
    #[arg(long, value_name = "N", help_heading = "Model")]
    pub max_length: Option<String>,
    /// The hub.
    #[command(flatten)]
    #[serde(flatten)]
    pub hub: HubArgs,
}
