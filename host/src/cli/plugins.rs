//! `progtune plugins …`. Made by `cli::parse`, read by `plugins_command`.

use super::{CheckArgs, NewArgs, PluginArgs};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The commands for plugins.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum PluginsCommand {
    /// List all schedules and methods without running their code
    List(ListArgs),
    /// Describe a schedule or method: its options, its file, and the parameters that a method inserts into a model
    Show(ShowArgs),
    /// Explain which library an id resolves to: the searched directories, the pins, the libraries passed over
    Why(WhyArgs),
    /// Pin plugins to their current builds in progtune.lock
    Lock(LockArgs),
    /// Copy plugin libraries into the user's plugin directory, after trying each in a child process
    Install(InstallArgs),
    /// Remove a plugin library from the user's plugin directory
    Remove(RemoveArgs),
    /// Write the crate of a new plugin, which builds, passes its tests and runs
    New(NewArgs),
    /// Check a built library: the contract, and a method's graphs against a reference
    Check(CheckArgs),
}

impl PluginsCommand {
    /// The directories that the command searches.
    pub fn sources(&self) -> &PluginArgs {
        match self {
            Self::List(args) => &args.sources,
            Self::Show(args) => &args.sources,
            Self::Why(args) => &args.sources,
            Self::Lock(args) => &args.sources,
            Self::Install(args) => &args.sources,
            Self::Remove(args) => &args.sources,
            Self::New(args) => &args.sources,
            Self::Check(args) => &args.sources,
        }
    }
}

/// The arguments of `progtune plugins list`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct ListArgs {
    /// The plugin directories.
    #[command(flatten)]
    pub sources: PluginArgs,
    /// Print JSON [default: a table]
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `progtune plugins show`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct ShowArgs {
    /// Id of the schedule or method, as `plugins list` prints it
    #[arg(value_name = "ID")]
    pub id: String,
    /// The plugin directories.
    #[command(flatten)]
    pub sources: PluginArgs,
    /// Show the parameters that a method inserts into this model; only its config.json is read [default: a small BERT]
    #[arg(long, value_name = "DIR")]
    pub model: Option<String>,
}

/// The arguments of `progtune plugins why`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct WhyArgs {
    /// Id of the schedule or method
    #[arg(value_name = "ID")]
    pub id: String,
    /// The plugin directories.
    #[command(flatten)]
    pub sources: PluginArgs,
}

/// The arguments of `progtune plugins lock`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct LockArgs {
    /// Ids to pin in the existing file [default: everything found, in a new file]
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// The plugin directories.
    #[command(flatten)]
    pub sources: PluginArgs,
}

/// The arguments of `progtune plugins install`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct InstallArgs {
    /// The libraries
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Install them even if another plugin offers one of their ids [default: off]
    #[arg(long)]
    pub force: bool,
    /// Further plugin directories.
    #[command(flatten)]
    pub sources: PluginArgs,
}

/// The arguments of `progtune plugins remove`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct RemoveArgs {
    /// Id of a schedule or method that the library offers
    #[arg(value_name = "ID")]
    pub id: String,
    /// Further plugin directories.
    #[command(flatten)]
    pub sources: PluginArgs,
}
