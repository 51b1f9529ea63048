//! `progtune plugins …`. Made by `cli::parse`, read by `plugins_command`.

use super::{CheckArgs, NewArgs, PluginArgs};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What to do about plugins.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum PluginsCommand {
    /// List every schedule and method, without running any of their code
    List(ListArgs),
    /// Describe a schedule or method: its options and its file, and what a method would insert into a model
    Show(ShowArgs),
    /// Tell which library an id means and why: where it was looked for, what is pinned, what was not used
    Why(WhyArgs),
    /// Pin plugins to their present builds in progtune.lock
    Lock(LockArgs),
    /// Copy plugin libraries into the user's plugin directory, once a child process has tried each
    Install(InstallArgs),
    /// Remove a plugin library from the user's plugin directory
    Remove(RemoveArgs),
    /// Write the crate of a new plugin, which builds, passes its tests and runs
    New(NewArgs),
    /// Check a built library: the contract, and a method's graphs against a reference
    Check(CheckArgs),
}

impl PluginsCommand {
    /// Where the command looks.
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
    /// Where to look.
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
    /// Where to look.
    #[command(flatten)]
    pub sources: PluginArgs,
    /// Show what a method inserts into this model, of which only config.json is read [default: a small BERT]
    #[arg(long, value_name = "DIR")]
    pub model: Option<String>,
}

/// The arguments of `progtune plugins why`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct WhyArgs {
    /// Id of the schedule or method
    #[arg(value_name = "ID")]
    pub id: String,
    /// Where to look.
    #[command(flatten)]
    pub sources: PluginArgs,
}

/// The arguments of `progtune plugins lock`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct LockArgs {
    /// Ids to pin in the file as it is [default: everything that is found, in a new file]
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Where to look.
    #[command(flatten)]
    pub sources: PluginArgs,
}

/// The arguments of `progtune plugins install`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct InstallArgs {
    /// The libraries
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Install them also when another plugin offers one of their ids [default: off]
    #[arg(long)]
    pub force: bool,
    /// Where else to look.
    #[command(flatten)]
    pub sources: PluginArgs,
}

/// The arguments of `progtune plugins remove`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct RemoveArgs {
    /// Id of a schedule or method that the library offers
    #[arg(value_name = "ID")]
    pub id: String,
    /// Where else to look.
    #[command(flatten)]
    pub sources: PluginArgs,
}
