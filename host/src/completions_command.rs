//! `progtune completions` and `progtune man`: completion scripts and manual pages, generated from
//! `cli` itself. Called by `main`. The archive of `cargo xtask dist` already contains both.

use crate::cli::{self, InstalledIds};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use progtune_engine::{
    Error, Result,
    plugin::{self, EntryKind, PluginSources},
};
use progtune_process::{
    files::{create_directory, write_atomically},
    terminal::print,
};
use std::path::Path;

/// Prints the completion script for a shell, with the ids of the plugins found.
///
/// # Errors
/// Fails like [`plugin::find_unlocked`].
pub fn run_completions(shell: Shell, places: &PluginSources) -> Result<()> {
    let plugins = plugin::find_unlocked(places)?;
    let ids = |kind: EntryKind| {
        let of_kind = plugins.entries().iter().filter(|entry| entry.kind == kind);
        let mut ids: Vec<String> = of_kind.map(|entry| entry.id.clone()).collect();
        // Two libraries may offer the same id.
        ids.dedup();
        ids
    };
    let installed = InstalledIds {
        schedules: ids(EntryKind::Schedule),
        methods: ids(EntryKind::Method),
    };
    let mut script = Vec::new();
    let mut command = cli::completed_command(&installed);
    clap_complete::generate(shell, &mut command, "progtune", &mut script);
    Ok(print(String::from_utf8_lossy(&script).into_owned())?)
}

/// Writes the manual pages: `progtune.1`, and one for each command below it, such as
/// `progtune-plan.1`.
///
/// # Errors
/// Fails if a page cannot be written.
pub fn run_man(pages: &Path) -> Result<()> {
    create_directory(pages)?;
    // `build` sets the name of each command's page.
    let mut command = cli::clap_command();
    command.build();
    let count = write_pages(&command, pages)?;
    let first = pages.join("progtune.1");
    Ok(print(format!(
        "Wrote {count} manual pages to {}; `man -l {}` shows the first.\n",
        pages.display(),
        first.display()
    ))?)
}

/// Writes the pages of a command and of all commands below it; returns their number.
fn write_pages(command: &Command, directory: &Path) -> Result<usize> {
    let man = Man::new(command.clone())
        .source(concat!("progtune ", env!("CARGO_PKG_VERSION")))
        .manual("progtune");
    let path = directory.join(man.get_filename());
    let mut page = Vec::new();
    man.render(&mut page).map_err(Error::io(&path, "write"))?;
    let page = keep_lines(&String::from_utf8_lossy(&page));
    write_atomically(&path, page.as_bytes())?;
    let below = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set());
    below
        .map(|below| write_pages(below, directory))
        .sum::<Result<usize>>()
        .map(|count| count + 1)
}

/// Excludes lines that begin with spaces, which are examples, from filling.
fn keep_lines(page: &str) -> String {
    let (mut kept, mut is_example) = (String::with_capacity(page.len()), false);
    for line in page.lines() {
        if line.starts_with("  ") != is_example {
            kept.push_str(if is_example { ".fi\n" } else { ".nf\n" });
            is_example = !is_example;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}
