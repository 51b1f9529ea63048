//! The arguments of the commands for authors of plugins: `progtune plugins new` and `plugins check`.

use super::PluginArgs;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The arguments of `progtune plugins new`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct NewArgs {
    /// Name of the crate and id of the schedule or method: lower-case letters, digits and -
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What it is: a schedule (which parameters each epoch trains) or a PEFT method (what is trained inside the model)
    #[arg(long, value_name = "KIND", value_enum)]
    pub kind: NewKind,
    /// Make the crate's directory in this one [default: .]
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// Take the crate progtune-plugin-api from this directory [default: the sources progtune was built from or came with,
    /// else their public repository]
    #[arg(long, value_name = "DIR")]
    pub plugin_api: Option<PathBuf>,
    /// Where other plugins are, whose ids are taken.
    #[command(flatten)]
    pub sources: PluginArgs,
}

/// What `progtune plugins new` makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NewKind {
    /// A schedule.
    Schedule,
    /// A PEFT method.
    #[value(alias = "method")]
    Peft,
}

/// The arguments of `progtune plugins check`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct CheckArgs {
    /// The built library
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Check this schedule or method alone [default: all of the library's]
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Option of the schedules, such as block=3; repeat it for more
    #[arg(long, value_name = "K=V")]
    pub schedule_opt: Vec<String>,
    /// Option of the methods, such as r=8; repeat it for more
    #[arg(long, value_name = "K=V")]
    pub peft_opt: Vec<String>,
    /// Print JSON [default: a table]
    #[arg(long)]
    pub json: bool,
    /// Where else to look.
    #[command(flatten)]
    pub sources: PluginArgs,
}
