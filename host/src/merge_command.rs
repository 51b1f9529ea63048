//! `progtune merge`: writes a base model and an adapter as one plain Hugging Face checkpoint, which
//! needs neither the plugin nor progtune. Called by `main`.

use crate::{
    config::{AdaptedModel, AdapterChoice, MachineConfig, MergeConfig},
    fetch::{Fetcher, warn_of_another_base},
    model_tokenizer::open_tokenizer,
    report::commands::{input_name, quoted},
    result_record::{ResultRecord, learned_task},
    run_directory::is_passing,
    task_data::trainable_task,
    verify::{self, Expected, Loading},
};
use progtune_datasets::{OWN_TASK, Task};
use progtune_engine::{
    Assembly, Error, HeadKind, LearnedTask, ModelSource, Result,
    adapter::Adapter,
    export::save_checkpoint,
    merge::merge,
    model::{
        Device, Kernels, Model, ModelConfig, Precision,
        weights::{self, HeadPolicy},
    },
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
    refuse_plain(&config.adapter)?;
    let AdaptedModel {
        model, adapters, ..
    } = fetcher.models(&AdaptedModel {
        model: config.model.clone(),
        is_model_given: config.is_model_given,
        adapters: vec![AdapterChoice {
            name: config.adapter.to_string_lossy().into_owned(),
            directory: Some(config.adapter.clone()),
        }],
    })?;
    let directory = adapters.iter().find_map(|one| one.directory.as_deref());
    let directory = directory.unwrap_or(&config.adapter);
    let source = ModelSource::new(model.as_ref())?;
    let model_config = source.config()?;
    refuse_plain(directory)?;
    let adapter = Adapter::read(directory, &model_config)?;
    warn_of_another_base([directory].into_iter(), &source)?;
    let record = ResultRecord::read(directory)?;
    let asked = config.task.as_deref();
    let (task, learned) = &task_of(asked, (&record, &adapter), &model_config, &source)?;
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
        precision: Precision::F32,
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
    verified(merged, config)?;
    if terminal::show().quiet {
        return Ok(());
    }
    let output = config.output.display();
    // A record that cannot be read is no reason to fail after the work is done.
    let own = record.data().ok().flatten().and_then(|data| data.own);
    Ok(terminal::print(format!(
        "merged    {} and {} ({})\nsaved in  {output}\nuse it    progtune predict --model {} --input {}\n",
        source.name(),
        adapter.origin,
        adapter.method,
        quoted(&output.to_string()),
        input_name(own.as_ref()),
    ))?)
}

/// Loads the written model again, after `merged` has been released, and compares their logits. The
/// model in memory is first rounded to the written type, so that every bit must agree.
///
/// # Errors
/// Fails if the written model is not the merged one.
fn verified(merged: Model, config: &MergeConfig) -> Result<()> {
    config.dtype.round(&merged.parameters)?;
    let expected = Expected::of(&merged, None)?;
    drop(merged);
    let loading = Loading {
        base: None,
        plugins: &config.plugins,
        machine: MachineConfig {
            threads: config.threads,
            device: Device::Cpu,
            kernels: Kernels::Auto,
            precision: Precision::F32,
        },
    };
    let verified = verify::verify(&config.output, &expected, &loading);
    verified.map(drop).map_err(|what| {
        Error::Model(format!(
            "{what}; remove {} and merge again, with --dtype f32 if a value is infinite",
            config.output.display()
        ))
    })
}

/// The task of the adapter's head: the requested one, otherwise the one that is recorded beside it,
/// or that PEFT's configuration and the head imply. With it comes its description, if the merged
/// model needs one.
fn task_of(
    asked: Option<&str>,
    (record, adapter): (&ResultRecord, &Adapter),
    base: &ModelConfig,
    source: &ModelSource,
) -> Result<(Task, Option<LearnedTask>)> {
    match (asked.or(record.task_name()), record.learned()) {
        (None | Some(OWN_TASK), Some(learned)) => Ok((learned.task(), Some(learned.clone()))),
        (None | Some(OWN_TASK), None) if adapter.is_peft => {
            let name = source.name();
            let learned = learned_task(Some(record), Some(adapter), (base, &name), None)?;
            Ok((learned.task(), None))
        }
        (Some(name), learned) => {
            let task = trainable_task(name)?.clone();
            let known = learned.filter(|learned| learned.task() == task);
            let mut learned = known
                .cloned()
                .unwrap_or_else(|| LearnedTask::of_task(&task));
            learned.max_length = record.max_length;
            learned.doc_stride = record.doc_stride;
            Ok((task, Some(learned)))
        }
        (None, None) => Err(Error::Usage(format!(
            "{}: the adapter does not say which task its head is for; pass --task",
            adapter.origin
        ))),
    }
}

/// Rejects the whole models that full fine-tuning and BitFit write.
fn refuse_plain(adapter: &Path) -> Result<()> {
    let has = |name: &str| adapter.join(name).is_file();
    if has("config.json") && weights::FILES.into_iter().any(has) {
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
