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
    /// Kind of plugin: a schedule (decides which parameters each epoch trains) or a PEFT method (decides what is trained inside the model)
    #[arg(long, value_name = "KIND", value_enum)]
    pub kind: NewKind,
    /// Parent directory of the new crate [default: .]
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// Directory of the crate progtune-plugin-api [default: the sources progtune was built from or came with, else their
    /// public repository]
    #[arg(long, value_name = "DIR")]
    pub plugin_api: Option<PathBuf>,
    /// The directories of other plugins, whose ids are taken.
    #[command(flatten)]
    pub sources: PluginArgs,
}

/// The kinds of plugins that `progtune plugins new` makes.
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
    /// Check only this schedule or method [default: all in the library]
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Option for the schedules, such as block=3; repeatable
    #[arg(long, value_name = "K=V")]
    pub schedule_opt: Vec<String>,
    /// Option for the methods, such as r=8; repeatable
    #[arg(long, value_name = "K=V")]
    pub peft_opt: Vec<String>,
    /// Print JSON [default: a table]
    #[arg(long)]
    pub json: bool,
    /// Further plugin directories.
    #[command(flatten)]
    pub sources: PluginArgs,
}
