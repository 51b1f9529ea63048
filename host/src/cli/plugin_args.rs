//! The flags by which every command finds plugins. Made by `cli::parse`, read by `config`. A field is named as its configuration
//! key.

use clap::Args;
use serde::Serialize;

/// Where plugins are looked for, and which builds are meant.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Plugins")]
pub struct PluginArgs {
    /// Use this plugin library before any other that offers the same ids; repeat it for more
    #[arg(long, value_name = "FILE")]
    pub plugin: Vec<String>,
    /// Look for plugins in this directory first; repeat it for more
    #[arg(long, value_name = "DIR")]
    pub plugin_dir: Vec<String>,
    /// Lock file, which pins plugins to builds
    #[arg(long, value_name = "FILE")]
    pub lock: Option<String>,
    /// Refuse plugins that the lock file does not pin
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub locked: Option<String>,
    /// Where plugins run: `process` gives each library a supervised process of its own, `none` loads it into progtune
    #[arg(long, value_name = "KIND")]
    pub plugin_isolation: Option<String>,
}
