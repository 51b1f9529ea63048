//! Every configuration key: its default, an example and the commands that read it. The one place for defaults: the
//! bottom layer of the configuration, the `[default: …]` of `--help` and the comments of a run's `config.toml` are
//! all made from this table. Read by `config` and by `cli::help`.

use progtune_plugin_api::names::did_you_mean;

/// What a key is worth when nobody sets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KeyDefault {
    /// A value in the form a flag would have.
    Value(&'static str),
    /// Unset, and decided later: how, in words.
    Computed(&'static str),
}

/// The commands that read a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `train`, `plan`, `evaluate` and `predict`.
    All,
    /// `train` and `plan`.
    Training,
    /// `evaluate` and `predict`.
    Inference,
    /// Every command: how it is shown, which is no part of what it does.
    Display,
}

/// A key of configuration files; its flag has dashes for underscores, its environment variable is
/// `PROGTUNE_` and the key in capitals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// The name, in snake case.
    pub name: &'static str,
    /// What it is worth when nobody sets it.
    pub default: KeyDefault,
    /// A value in the form a flag would have, for messages.
    pub example: &'static str,
    /// The commands that read it.
    pub scope: Scope,
}

impl Key {
    /// The flag: `--batch-size`.
    pub fn flag(&self) -> String {
        flag_of(self.name)
    }

    /// The environment variable: `PROGTUNE_BATCH_SIZE`.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_uppercase())
    }

    /// The default as `--help` prints it.
    pub fn default_text(&self) -> &'static str {
        match self.default {
            KeyDefault::Value(text) | KeyDefault::Computed(text) => text,
        }
    }
}

/// The flag of a field or key name: `batch_size` is `--batch-size`.
pub(crate) fn flag_of(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

/// What the environment variables of progtune begin with.
pub const VARIABLE_PREFIX: &str = "PROGTUNE_";

/// Variables with that prefix which are not keys: the configuration file (as `--config`), the plugin search path, the
/// log filter and where caches lie, and where tests and developer tools find shared data, the real MiniLM and a Python.
pub const OTHER_VARIABLES: &[&str] = &[
    "PROGTUNE_CONFIG",
    "PROGTUNE_PLUGIN_PATH",
    "PROGTUNE_LOG",
    "PROGTUNE_CACHE_DIR",
    "PROGTUNE_SHARED",
    "PROGTUNE_MINILM",
    "PROGTUNE_PYTHON",
];

const fn value(name: &'static str, default: &'static str, scope: Scope) -> Key {
    Key {
        name,
        default: KeyDefault::Value(default),
        example: default,
        scope,
    }
}

const fn computed(
    name: &'static str,
    default: &'static str,
    example: &'static str,
    scope: Scope,
) -> Key {
    Key {
        name,
        default: KeyDefault::Computed(default),
        example,
        scope,
    }
}

/// All keys, in the order of `--help` and of a run's `config.toml`.
pub const KEYS: &[Key] = &[
    computed("model", "embedded", "models/bert-base-uncased", Scope::All),
    computed("revision", "main", "main", Scope::All),
    value("offline", "false", Scope::All),
    computed("adapter", "none", "runs/my-run", Scope::Inference),
    value("task", "sample", Scope::All),
    computed(
        "data",
        "none: the task's data set on the hub",
        "glue/mrpc",
        Scope::All,
    ),
    computed(
        "data_config",
        "the task's, else the only one or `default`",
        "plain_text",
        Scope::All,
    ),
    computed(
        "split",
        "validation for evaluate, test for predict; of own files the one there is",
        "validation",
        Scope::Inference,
    ),
    computed("metrics", "the task's", "accuracy,f1_macro", Scope::All),
    computed(
        "max_train_samples",
        "none: all rows",
        "1000",
        Scope::Training,
    ),
    computed("max_eval_samples", "none: all rows", "200", Scope::All),
    computed("train_file", "none", "data/train.csv", Scope::All),
    computed("validation_file", "none", "data/dev.csv", Scope::All),
    computed("test_file", "none", "data/test.csv", Scope::All),
    computed("file_format", "as the names say", "csv", Scope::All),
    computed(
        "encoding",
        "utf-8, or UTF-16 where a file begins so",
        "windows-1252",
        Scope::All,
    ),
    computed("no_header", "false", "true", Scope::All),
    computed(
        "columns",
        "none: the first row has them",
        "text,label",
        Scope::All,
    ),
    computed(
        "text_column",
        "the one with a usual name, or the only one with texts",
        "sentence",
        Scope::All,
    ),
    computed(
        "pair_column",
        "none, or the second of two usual names",
        "sentence2",
        Scope::All,
    ),
    computed(
        "label_column",
        "label, or the one with a usual name",
        "label",
        Scope::All,
    ),
    computed(
        "label_separator",
        "none: a list, or one label a row",
        ";",
        Scope::All,
    ),
    computed("repair_tags", "off", "bio", Scope::All),
    computed(
        "problem_type",
        "regression for numbers that are not whole, several labels for lists, tags for column files, else classes",
        "regression",
        Scope::All,
    ),
    computed("on_bad_row", "error", "skip", Scope::All),
    computed(
        "validation_split",
        "none: --validation-file has the rows",
        "0.1",
        Scope::Training,
    ),
    value("schedule", "full", Scope::Training),
    computed(
        "schedule_opt",
        "the schedule's own, see `progtune plugins show ID`",
        "block=3",
        Scope::Training,
    ),
    computed("peft", "none: full fine-tuning", "lora", Scope::Training),
    computed(
        "peft_opt",
        "the method's own, see `progtune plugins show ID`",
        "r=8",
        Scope::Training,
    ),
    computed(
        "init_adapter",
        "none: the method's own start",
        "runs/mnli-lora",
        Scope::Training,
    ),
    value("train_pooler", "false", Scope::Training),
    computed("plugin", "none", "target/release/libmine.so", Scope::All),
    computed(
        "plugin_dir",
        "the search path only: PROGTUNE_PLUGIN_PATH, the user's data folder, beside the program",
        "plugins",
        Scope::All,
    ),
    computed(
        "lock",
        "progtune.lock in the current directory, if it is there",
        "progtune.lock",
        Scope::All,
    ),
    value("locked", "false", Scope::All),
    value("plugin_isolation", "process", Scope::All),
    value("epochs", "3", Scope::Training),
    computed(
        "max_steps",
        "none: all steps of all epochs",
        "100",
        Scope::Training,
    ),
    computed(
        "lr",
        "the method's suggestion: 5e-5 full fine-tuning, 5e-4 lora, 1e-3 bitfit, 1e-4 adapter, …",
        "5e-4",
        Scope::Training,
    ),
    value("lr_scheduler", "linear", Scope::Training),
    Key {
        name: "warmup",
        default: KeyDefault::Value("0"),
        example: "0.06",
        scope: Scope::Training,
    },
    value("weight_decay", "0.0", Scope::Training),
    value("adam_beta1", "0.9", Scope::Training),
    value("adam_beta2", "0.999", Scope::Training),
    value("adam_epsilon", "1e-8", Scope::Training),
    value("max_grad_norm", "1.0", Scope::Training),
    computed(
        "dropout",
        "the model's own config.json",
        "0.1",
        Scope::Training,
    ),
    value("frozen_dropout", "false", Scope::Training),
    computed("class_weights", "none", "balanced", Scope::Training),
    Key {
        name: "label_smoothing",
        default: KeyDefault::Value("0"),
        example: "0.1",
        scope: Scope::Training,
    },
    value("load_best_model_at_end", "false", Scope::Training),
    computed("metric_for_best_model", "loss", "accuracy", Scope::Training),
    value("seed", "42", Scope::Training),
    value("batch_size", "8", Scope::Training),
    computed(
        "batch_tokens",
        "none: --batch-size counts examples",
        "2048",
        Scope::Training,
    ),
    value("eval_batch_size", "8", Scope::All),
    computed(
        "eval_batch_tokens",
        "none: --eval-batch-size counts examples",
        "4096",
        Scope::All,
    ),
    value("gradient_accumulation_steps", "1", Scope::Training),
    computed(
        "max_length",
        "128; for questions about texts 384",
        "128",
        Scope::All,
    ),
    value("doc_stride", "128", Scope::All),
    value("n_best_size", "20", Scope::All),
    value("max_answer_length", "30", Scope::All),
    value("null_threshold", "0.0", Scope::All),
    value("no_shuffle", "false", Scope::Training),
    value("no_group_by_length", "false", Scope::Training),
    value("recompute", "false", Scope::Training),
    computed(
        "memory_budget",
        "none: whatever it takes",
        "2GiB",
        Scope::Training,
    ),
    computed(
        "output",
        "runs/<task>-<schedule>-<method>-seed<seed>",
        "runs/my-run",
        Scope::Training,
    ),
    value("overwrite_output", "false", Scope::Training),
    value("logging_steps", "50", Scope::Training),
    value("prefix_cache", "auto", Scope::Training),
    computed(
        "prefix_cache_budget",
        "a quarter of the available memory; on disk half of what is free",
        "2GiB",
        Scope::Training,
    ),
    value("prefix_cache_dtype", "f32", Scope::Training),
    computed("threads", "all cores", "2", Scope::All),
    value("device", "cpu", Scope::All),
    value("kernels", "auto", Scope::All),
    value("token_cache", "auto", Scope::All),
    value("progress", "auto", Scope::Display),
    value("color", "auto", Scope::Display),
];

/// The key with this name.
pub fn find_key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// What to do about a name that there is not: the nearest ones, else `otherwise`.
pub(crate) fn advice<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
    otherwise: &str,
) -> String {
    match did_you_mean(name, candidates).strip_prefix("; ") {
        Some(near) => near.to_owned(),
        None => otherwise.to_owned(),
    }
}
