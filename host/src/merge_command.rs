//! `progtune merge`: writes a base model and an adapter as one plain Hugging Face checkpoint, which
//! needs neither the plugin nor progtune. Called by `main`.

use crate::{
    config::MergeConfig,
    fetch::{Fetcher, ModelFiles},
    recipe::prepare::open_tokenizer,
    report::commands::quoted,
    run_directory::is_passing,
    task_data::trainable_task,
};
use progtune_datasets::{OWN_TASK, Task};
use progtune_engine::{
    adapter::Adapter,
    assemble::Assembly,
    error::{Error, Result},
    export::save_checkpoint,
    learned_task::LearnedTask,
    merge::merge,
    model::{
        config::ModelConfig,
        description::HeadKind,
        device::{Device, Kernels},
        weights::HeadPolicy,
    },
    model_source::ModelSource,
    plugin,
};
use progtune_process::{
    files::lock::DirectoryLock,
    interrupt::{self, Course},
    terminal,
};
use std::path::Path;

/// Writes the merged model.
///
/// # Errors
/// Fails if weights cannot express the adapter's method; the error names the site and the reason.
/// Also fails if the output is in use, or model and adapter do not fit together.
pub fn run_merge(config: &MergeConfig) -> Result<()> {
    refuse_used(&config.output)?;
    let _lock = DirectoryLock::take(&config.output, "--output")?;
    refuse_used(&config.output)?;
    let fetcher = Fetcher::new(&config.hub);
    let model = fetcher.model(config.model.as_ref(), ModelFiles::All)?;
    let directory = fetcher.adapter(&config.adapter)?;
    let source = ModelSource::new(model.as_ref())?;
    let model_config = source.config()?;
    refuse_plain(&directory)?;
    let adapter = Adapter::read(&directory, &model_config)?;
    let asked = config.task.as_deref();
    let (task, learned) = &task_of(
        asked,
        (directory.as_path(), &adapter),
        &model_config,
        &source,
    )?;
    let head = HeadKind::of(task);
    let plugins = plugin::find(&config.plugins)?;
    let model_plan = adapter.model_plan(&plugins, &model_config, head)?;
    // The saved tokenizer files do not depend on the length.
    let tokenizer = open_tokenizer(&source, &model_config, model_config.max_tokens())?;
    let tokenizer = tokenizer.for_task(task.problem_type);
    let model = Assembly {
        source: &source,
        config: model_config,
        head,
        labels: &task.labels,
        model_plan: &model_plan,
        adapter: Some(&adapter),
        policy: HeadPolicy::Require,
        head_bias: None,
        seed: 0,
        device: Device::Cpu,
        kernels: Kernels::Auto,
    }
    .build()?;
    let merged = merge(&model, head, &model_plan.rewrites, &adapter.method)?;
    drop(model);
    interrupt::check()?;
    interrupt::set_course(Course::Saving);
    save_checkpoint(&config.output, &merged, task, config.dtype)?;
    tokenizer.save(&config.output)?;
    if let Some(learned) = learned {
        learned.save(&config.output)?;
    }
    if terminal::show().quiet {
        return Ok(());
    }
    let output = config.output.display();
    Ok(terminal::print(format!(
        "merged    {} and {} ({})\nsaved in  {output}\nuse it    progtune predict --model {} --task {} --input \
         FILE.jsonl\n",
        source.name(),
        adapter.origin,
        adapter.method,
        quoted(&output.to_string()),
        task.name,
    ))?)
}

/// The task of the adapter's head, in order of preference. First the requested task; then own data,
/// with its description, if the adapter was trained on it. Otherwise the task that the adapter
/// names, or the one that PEFT's configuration and the head imply.
fn task_of(
    asked: Option<&str>,
    (directory, adapter): (&Path, &Adapter),
    base: &ModelConfig,
    source: &ModelSource,
) -> Result<(Task, Option<LearnedTask>)> {
    let task = asked.or(adapter.task.as_deref());
    let learned = LearnedTask::find([directory].into_iter())?;
    match (task, learned) {
        (None | Some(OWN_TASK), Some(learned)) => Ok((learned.task(), Some(learned))),
        (None | Some(OWN_TASK), None) if adapter.is_peft => {
            let learned = adapter.learned_task(base, &source.name())?;
            Ok((learned.task(), None))
        }
        (Some(name), _) => Ok((trainable_task(name)?.clone(), None)),
        (None, None) => Err(Error::Usage(format!(
            "{}: the adapter does not say which task its head is for; pass --task",
            adapter.origin
        ))),
    }
}

/// Rejects the whole models that full fine-tuning and BitFit write.
fn refuse_plain(adapter: &Path) -> Result<()> {
    let has = |name: &str| adapter.join(name).is_file();
    if has("model.safetensors") && has("config.json") {
        Err(Error::Model(format!(
            "--adapter {}: this is already a plain checkpoint, so there is nothing to merge; pass it as --model",
            adapter.display()
        )))
    } else {
        Ok(())
    }
}

/// Rejects a directory with files in it, which may be a model, perhaps the base model itself.
fn refuse_used(output: &Path) -> Result<()> {
    let usage = |what: &str| {
        Error::Usage(format!(
            "--output {}: expected a new or empty directory, {what}; choose another path",
            output.display()
        ))
    };
    if output.is_file() {
        return Err(usage("found a file"));
    }
    let is_used = |entries: std::fs::ReadDir| {
        let names = entries.flatten().map(|entry| entry.file_name());
        names
            .filter(|name| !is_passing(&name.to_string_lossy()))
            .count()
            > 0
    };
    match std::fs::read_dir(output).map(is_used) {
        Ok(true) => Err(usage("found files in it")),
        _ => Ok(()),
    }
}
