//! The flags about the hub, the same for every command that reads models or data. Made by `cli::parse`, read by `config::HubConfig`. A
//! field's name is its configuration key.

use clap::Args;
use serde::Serialize;

/// How ids on the hub are looked up; a flag that is not given is `None`.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Hub")]
pub struct HubArgs {
    /// Revision of a --model on the hub: a branch, a tag or a commit; --model ID@REV says the same
    #[arg(long, value_name = "REV")]
    pub revision: Option<String>,
    /// Use only the cache and no network, like HF_HUB_OFFLINE=1
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub offline: Option<String>,
}
