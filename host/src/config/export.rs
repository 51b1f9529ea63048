//! `RunConfig` as a TOML file: the `config.toml` of a run directory. Written by `recipe`; given back with `--config` it
//! makes the same `RunConfig`.

use std::path::{Path, PathBuf};

use super::{EMBEDDED_MODEL, RunConfig};
use crate::batch_order::BatchLimit;
use crate::class_weights::ClassWeights;
use crate::config_keys::{KEYS, KeyDefault};
use crate::hub::NamedPath;
use crate::optim::Warmup;
use progtune_datasets::{Header, OnBadRow, OwnRequest};
use toml::Value;

/// What the file begins with, and by which it is known.
pub const FIRST_LINE: &str = "# The resolved configuration of a progtune run";

impl RunConfig {
    /// The configuration as TOML, a line for each key in the order of `--help`. What is unset is a comment that says
    /// how it is decided. A path that is not UTF-8 cannot be said in TOML and loses the bytes that are not; flags,
    /// variables and files never give one.
    pub fn to_toml(&self) -> String {
        let mut lines = format!("{FIRST_LINE}; `progtune --config FILE` runs it again.\n");
        let mut tables = String::new();
        for key in KEYS {
            match (self.value_of(key.name), key.default) {
                (Some(Value::Table(table)), _) if table.is_empty() => {}
                // Tables come last: in TOML every key after a table's header belongs to it.
                (Some(Value::Table(table)), _) => {
                    // Texts under names: always TOML.
                    let lines = toml::to_string(&table).unwrap_or_default();
                    tables.push_str(&format!("\n[{}]\n{lines}", key.name));
                }
                (Some(value), _) => lines.push_str(&format!("{} = {value}\n", key.name)),
                (None, KeyDefault::Computed(words)) if self.has(key.name) => {
                    lines.push_str(&format!("# {}: {words}\n", key.name));
                }
                (None, _) => {}
            }
        }
        lines + &tables
    }

    /// Whether the key is a field of a training run.
    fn has(&self, key: &str) -> bool {
        !matches!(key, "adapter" | "split" | "progress" | "color")
    }

    /// The field behind a key; `None` when it is unset or not a field of a training run.
    fn value_of(&self, key: &str) -> Option<Value> {
        let text = |text: &str| Some(Value::String(text.into()));
        let named = |path: &NamedPath| Value::String(path.typed());
        let path = |path: &Path| named(&NamedPath::new(path));
        let paths = |all: &[PathBuf]| Some(Value::Array(all.iter().map(|one| path(one)).collect()));
        let best_model_metric = self.training.best_model_metric.as_deref();
        let (adamw, prefix_cache) = (&self.optimizer.adamw, &self.caching.prefix_cache);
        match key {
            // What came from the hub is written as what it was, commit and all.
            "model" => Some(match &self.inputs.model {
                Some(model) => named(model),
                None => Value::String(EMBEDDED_MODEL.into()),
            }),
            "revision"
                if self
                    .inputs
                    .model
                    .as_ref()
                    .is_some_and(|model| model.pin().is_some()) =>
            {
                None
            }
            "revision" => self.hub.revision.as_deref().and_then(text),
            "offline" => Some(Value::Boolean(self.hub.offline)),
            "data_config" => self.hub.data_config.as_deref().and_then(text),
            "task" => text(&self.data.task),
            "data" => self.inputs.data.as_ref().map(named),
            "metrics" if self.data.metrics.is_empty() => None,
            "metrics" => {
                let names: Vec<&str> = self
                    .data
                    .metrics
                    .iter()
                    .map(|metric| metric.as_str())
                    .collect();
                text(&names.join(","))
            }
            "schedule" => text(&self.trainables.schedule),
            "schedule_opt" => Some(option_table(&self.trainables.schedule_opt)),
            "peft" => text(self.trainables.peft.as_deref().unwrap_or("none")),
            "peft_opt" => Some(option_table(&self.trainables.peft_opt)),
            "epochs" => Some(whole(self.training.epochs.into())),
            "batch_size" => examples_of(self.batching.train),
            "batch_tokens" => tokens_of(self.batching.train),
            "eval_batch_size" => examples_of(self.batching.eval),
            "eval_batch_tokens" => tokens_of(self.batching.eval),
            "gradient_accumulation_steps" => {
                Some(whole(self.batching.gradient_accumulation_steps as u64))
            }
            "lr" => self.optimizer.lr.map(Value::Float),
            "lr_scheduler" => text(&self.optimizer.lr_scheduler.to_string()),
            "weight_decay" => Some(Value::Float(adamw.weight_decay)),
            "warmup" => Some(match self.optimizer.warmup {
                Warmup::Ratio(ratio) => Value::Float(ratio),
                Warmup::Steps(steps) => whole(steps),
            }),
            "adam_beta1" => Some(Value::Float(adamw.beta1)),
            "adam_beta2" => Some(Value::Float(adamw.beta2)),
            "adam_epsilon" => Some(Value::Float(adamw.eps)),
            "max_length" => self.batching.max_length.map(|n| whole(n as u64)),
            "doc_stride" => Some(whole(self.data.answering.doc_stride as u64)),
            "n_best_size" => Some(whole(self.data.answering.n_best_size as u64)),
            "max_answer_length" => Some(whole(self.data.answering.max_answer_length as u64)),
            "null_threshold" => Some(Value::Float(self.data.answering.null_threshold.into())),
            "max_grad_norm" => Some(Value::Float(adamw.max_grad_norm)),
            "dropout" => self.training.dropout.map(Value::Float),
            "class_weights" => match self.loss.class_weights {
                ClassWeights::Even => None,
                _ => text(&self.loss.class_weights.to_string()),
            },
            "label_smoothing" => Some(Value::Float(self.loss.label_smoothing)),
            "load_best_model_at_end" => Some(Value::Boolean(best_model_metric.is_some())),
            // Naming a metric asks for the best model.
            "metric_for_best_model" => best_model_metric.and_then(text),
            "seed" => Some(whole(self.training.seed)),
            "no_shuffle" => Some(Value::Boolean(!self.batching.shuffle)),
            "no_group_by_length" => Some(Value::Boolean(!self.batching.group_by_length)),
            "max_train_samples" => self.data.max_train_samples.map(|n| whole(n as u64)),
            "max_eval_samples" => self.data.max_eval_samples.map(|n| whole(n as u64)),
            "max_steps" => self.training.max_steps.map(whole),
            "init_adapter" => self.inputs.init_adapter.as_ref().map(named),
            "train_pooler" => Some(Value::Boolean(self.trainables.train_pooler)),
            "plugin" => paths(&self.plugins.files),
            "plugin_dir" => paths(&self.plugins.directories),
            "lock" => self.plugins.lock.as_deref().map(path),
            "locked" => Some(Value::Boolean(self.plugins.locked)),
            "plugin_isolation" => text(&self.plugins.isolation.to_string()),
            "threads" => self.machine.threads.map(|n| whole(n as u64)),
            "device" => text(&self.machine.device.to_string()),
            "kernels" => text(&self.machine.kernels.to_string()),
            "output" => self.output.directory.as_deref().map(path),
            // It is said for one run, not for every one that is run from this file.
            "overwrite_output" => None,
            "logging_steps" => Some(whole(self.output.logging_steps as u64)),
            "frozen_dropout" => Some(Value::Boolean(self.training.frozen_dropout)),
            "token_cache" => text(&self.caching.token_cache.to_string()),
            "prefix_cache" => text(&prefix_cache.mode.to_string()),
            "prefix_cache_budget" => prefix_cache.budget.and_then(|n| text(&n.to_string())),
            "prefix_cache_dtype" => text(&prefix_cache.dtype.to_string()),
            "recompute" => Some(Value::Boolean(self.memory.recompute)),
            "memory_budget" => self.memory.budget.and_then(|size| text(&size.to_string())),
            "train_file" | "validation_file" | "test_file" if self.inputs.data.is_some() => None,
            other => self
                .inputs
                .own
                .as_ref()
                .and_then(|own| own_value(own, other)),
        }
    }
}

fn examples_of(limit: BatchLimit) -> Option<Value> {
    match limit {
        BatchLimit::Examples(n) => Some(whole(n as u64)),
        BatchLimit::Tokens(_) => None,
    }
}

fn tokens_of(limit: BatchLimit) -> Option<Value> {
    match limit {
        BatchLimit::Examples(_) => None,
        BatchLimit::Tokens(n) => Some(whole(n as u64)),
    }
}

/// The value of a key about own data.
fn own_value(own: &OwnRequest, key: &str) -> Option<Value> {
    let text = |text: &str| Value::String(text.into());
    let reading = &own.reading;
    let files = |files: &[String]| {
        let files: Vec<Value> = files.iter().map(|file| text(file)).collect();
        (!files.is_empty()).then_some(Value::Array(files))
    };
    match key {
        "train_file" => files(&own.train),
        "validation_file" => files(&own.validation),
        "test_file" => files(&own.test),
        "file_format" => reading.format.map(|format| text(format.as_str())),
        "encoding" => Some(text(&reading.encoding.name())),
        "no_header" => Some(Value::Boolean(reading.header != Header::FirstRow)),
        "columns" => match &reading.header {
            Header::FirstRow => None,
            Header::Absent(names) | Header::Learned(names) => {
                (!names.is_empty()).then(|| text(&names.join(",")))
            }
        },
        "text_column" => reading.text_column.as_deref().map(text),
        "pair_column" => reading.pair_column.as_deref().map(text),
        "label_separator" => reading.label_separator.as_deref().map(text),
        "repair_tags" => reading.repair_tags.map(|repair| text(repair.as_str())),
        "label_column" => reading.label_column.as_deref().map(text),
        "on_bad_row" => Some(text(match reading.on_bad_row {
            OnBadRow::Error => "error",
            OnBadRow::Skip => "skip",
        })),
        "validation_split" => own.validation_split.map(Value::Float),
        "problem_type" => reading.problem_type.map(|problem| text(problem.as_str())),
        _ => None,
    }
}

/// A whole number; TOML's end at 2^63, so a larger one is written as text, which is read just as well.
fn whole(n: u64) -> Value {
    i64::try_from(n).map_or_else(|_| Value::String(n.to_string()), Value::Integer)
}

fn option_table(options: &[(String, String)]) -> Value {
    Value::Table(
        options
            .iter()
            .map(|(name, value)| (name.clone(), Value::String(value.clone())))
            .collect(),
    )
}
