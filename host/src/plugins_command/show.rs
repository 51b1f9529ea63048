//! `progtune plugins show ID`: the options and the file of a plugin, read without running it. If a
//! method has defaults for all its options, it is then loaded, and its changes to a model are
//! shown.

use super::entries_of;
use abi_stable::std_types::ROption;
use progtune_engine::{
    HeadKind, ModelSource, Result,
    model::description::{model_record, parameters},
    plugin::{Entry, EntryKind, Plugins},
};
use progtune_plugin_api::{
    contract::{self, Dimensions},
    manifest::ABI_MAJOR,
    options::OptionSchema,
    records::{MethodPlan, ModelRecord},
};
use progtune_process::{
    grouped,
    terminal::{print, wrapped},
};

/// The width of the lines about options.
const WIDTH: usize = 80;

/// Describes the schedules and methods of an id. `model` is the directory of the model for which a
/// method's graphs are shown.
///
/// # Errors
/// Fails if the id is unknown, the method fails, or the model cannot be read.
pub(super) fn run(plugins: &Plugins, id: &str, model: Option<&str>) -> Result<()> {
    let entries = entries_of(plugins, id)?;
    let mut text = String::new();
    for entry in &entries {
        text.push_str(&description(entry)?);
    }
    print(&text)?;
    let is_askable = |entry: &&Entry| {
        let mut options = entry.options.iter();
        entry.kind == EntryKind::Method && options.all(|option| option.default.is_some())
    };
    if entries.iter().any(is_askable) {
        let (name, record) = model_of(model)?;
        let plan = plugins.method(id, &[])?.plan(&record)?;
        print(insertion(&name, &plan))?;
    }
    Ok(())
}

fn description(entry: &Entry) -> Result<String> {
    let manifest = &entry.library.manifest;
    let mut text = format!("{} ({}): {}\n", entry.id, entry.kind, entry.summary);
    let abi = format!("interface {ABI_MAJOR}.{}", manifest.abi_minor);
    text.push_str(&format!(
        "  plugin   {} {}, {}, {abi}{}\n",
        manifest.name,
        manifest.version,
        manifest.license,
        if manifest.unwinds {
            ""
        } else {
            ", panic=abort: a panic in it ends the program"
        }
    ));
    text.push_str(&format!("  file     {}\n", entry.library.file.display()));
    text.push_str(&format!("  sha256   {}\n", entry.library.sha256()?));
    if entry.options.is_empty() {
        text.push_str("  no options\n");
    }
    for option in &entry.options {
        text.push_str(&option_text(
            &format!("{}-opt", super::flag(entry.kind)),
            option,
        ));
    }
    Ok(text)
}

/// An option with its flag, its help, the values it takes and its default.
fn option_text(flag: &str, option: &OptionSchema) -> String {
    let default = option.default.as_ref();
    let default = default.map_or("required".to_owned(), |value| format!("default {value}"));
    let (name, help, expects) = (&option.name, &option.help, option.expects());
    let line = format!("  {flag} {name}=…  {help} ({expects}; {default})");
    wrapped(&line, WIDTH) + "\n"
}

/// The name and the description of the user's model, or of a small BERT.
fn model_of(directory: Option<&str>) -> Result<(String, ModelRecord)> {
    let Some(directory) = directory else {
        let name = "a BERT of 2 blocks with hidden size 32".to_owned();
        return Ok((
            name,
            contract::model_record("bert", 2, Dimensions::of(32, 64)),
        ));
    };
    let source = match directory {
        "embedded" => ModelSource::Embedded,
        directory => ModelSource::new(Some(&directory.into()))?,
    };
    let (config, head) = (source.config()?, HeadKind::Sequence(2));
    let record = model_record(&config, &parameters(&config, head), head);
    Ok((source.name(), record))
}

/// A plan's changes to a model with default options: the counts, and the graphs of the first block.
fn insertion(model: &str, plan: &MethodPlan) -> String {
    let size = |shape: &[u64]| shape.iter().product::<u64>();
    let added: u64 = plan.parameters.iter().map(|new| size(&new.shape)).sum();
    let mut text = format!(
        "  with its defaults, in {model}: {} new parameters with {} values, {} unfrozen, {} rewrites{}\n",
        plan.parameters.len(),
        grouped(added),
        plan.unfreeze.len(),
        plan.rewrites.len(),
        if plan.identity_at_init {
            "; the model's initial output is unchanged"
        } else {
            ""
        }
    );
    if let ROption::RSome(lr) = plan.suggested_lr {
        text.push_str(&format!("  learning rate without --lr: {lr:e}\n"));
    }
    let is_first = |name: &str| name.contains("layer.0.") || !name.contains("layer.");
    for name in plan.unfreeze.iter().filter(|name| is_first(name)) {
        text.push_str(&format!("  trains {name}\n"));
    }
    for new in plan.parameters.iter().filter(|new| new.block <= 0) {
        let trained = if new.trainable { "trained" } else { "constant" };
        text.push_str(&format!(
            "  adds {} {:?}, {trained}\n",
            new.name,
            new.shape.as_slice()
        ));
    }
    for rewrite in plan
        .rewrites
        .iter()
        .filter(|rewrite| is_first(&rewrite.site))
    {
        text.push_str(&format!("  rewrites {} ({})\n", rewrite.site, rewrite.mode));
        for line in rewrite.graph.to_string().lines() {
            text.push_str(&format!("    {line}\n"));
        }
    }
    let further = plan
        .rewrites
        .iter()
        .filter(|rewrite| !is_first(&rewrite.site))
        .count();
    if further > 0 {
        text.push_str(&format!(
            "  {further} rewrites of later blocks are not shown\n"
        ));
    }
    text
}
