//! The flags by which every command finds plugins. Made by `cli::parse`, read by `config`. A field is named as its configuration
//! key.

use clap::Args;
use serde::Serialize;

/// The plugin directories, and the builds that are accepted.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Plugins")]
pub struct PluginArgs {
    /// Plugin library to use before any other that offers the same ids; repeatable
    #[arg(long, value_name = "FILE")]
    pub plugin: Vec<String>,
    /// Directory to search for plugins first; repeatable
    #[arg(long, value_name = "DIR")]
    pub plugin_dir: Vec<String>,
    /// Lock file that pins plugins to builds
    #[arg(long, value_name = "FILE")]
    pub lock: Option<String>,
    /// Refuse plugins that the lock file does not pin
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub locked: Option<String>,
    /// Isolation of plugins: `process` runs each library in a supervised process of its own, `none` loads it into progtune
    #[arg(long, value_name = "KIND")]
    pub plugin_isolation: Option<String>,
}
