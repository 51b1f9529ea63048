//! The flags of `train` and `plan`, in the groups of `--help`. Made by `cli::parse`, read by `config::RunConfig`.
//! A field's name is its configuration key; the defaults in the help come from `config_keys` (see `cli::help`).

use clap::Args;
use serde::Serialize;

use super::{answering::AnsweringArgs, hub::HubArgs, own::OwnDataArgs, plugin_args::PluginArgs};

/// The flags of `progtune train`; what is not given is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
pub struct TrainArgs {
    /// Model and data.
    #[command(flatten)]
    #[serde(flatten)]
    pub data: DataArgs,
    /// The hub.
    #[command(flatten)]
    #[serde(flatten)]
    pub hub: HubArgs,
    /// The user's own files.
    #[command(flatten)]
    #[serde(flatten)]
    pub own: OwnDataArgs,
    /// What training needs to know of them.
    #[command(flatten)]
    #[serde(flatten)]
    pub own_training: OwnTrainingArgs,
    /// Schedule and method.
    #[command(flatten)]
    #[serde(flatten)]
    pub schedule: ScheduleArgs,
    /// Optimisation.
    #[command(flatten)]
    #[serde(flatten)]
    pub optimisation: OptimisationArgs,
    /// Batches and length.
    #[command(flatten)]
    #[serde(flatten)]
    pub batches: BatchArgs,
    /// Questions about texts.
    #[command(flatten)]
    #[serde(flatten)]
    pub answering: AnsweringArgs,
    /// Memory.
    #[command(flatten)]
    #[serde(flatten)]
    pub memory: MemoryArgs,
    /// Output.
    #[command(flatten)]
    #[serde(flatten)]
    pub output: OutputArgs,
    /// Machine.
    #[command(flatten)]
    #[serde(flatten)]
    pub machine: MachineArgs,
}

/// The flags of `progtune plan`: those of training and two more.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct PlanArgs {
    /// The run to plan.
    #[command(flatten)]
    pub train: TrainArgs,
    /// Print the plan as JSON [default: a table]
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Write the plan as a picture, blocks by epochs, to this SVG file, too
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub svg: Option<std::path::PathBuf>,
    /// Predict time and peak memory of each epoch on this machine, from a calibration of some seconds [default: off]
    #[arg(long, help_heading = "Output")]
    pub predict: bool,
}

/// The model and what it learns from.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Model and data")]
pub struct DataArgs {
    /// Directory of a Hugging Face checkpoint, id of one on the hub (org/name), or `embedded` for the model inside the program
    #[arg(long, value_name = "DIR or ID")]
    pub model: Option<String>,
    /// Task to learn: sample or sample_pairs (generated: reviews; what follows from a sentence), a GLUE task such as mrpc,
    /// squad, squad_v2, or own, which --train-file implies, and --data by itself
    #[arg(long, value_name = "NAME")]
    pub task: Option<String>,
    /// Directory with the task's files (GLUE's TSV, SQuAD's JSON, or Hugging Face's parquet), or id of a data set on the hub
    /// (org/name@REV)
    #[arg(long, value_name = "DIR or ID")]
    pub data: Option<String>,
    /// Configuration of that data set, a folder of it
    #[arg(long, value_name = "NAME")]
    pub data_config: Option<String>,
    /// Metrics to report, such as accuracy,f1_macro; the first one is what schedules are told
    #[arg(long, value_name = "A,B")]
    pub metrics: Option<String>,
    /// Train on the first N rows only
    #[arg(long, value_name = "N")]
    pub max_train_samples: Option<String>,
    /// Evaluate on the first N rows only
    #[arg(long, value_name = "N")]
    pub max_eval_samples: Option<String>,
}

/// What training makes of the user's own files.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Own data")]
pub struct OwnTrainingArgs {
    /// Share of the training rows to keep for validation, the same of each class; instead of --validation-file
    #[arg(long, value_name = "X")]
    pub validation_split: Option<String>,
}

/// Which blocks are trained when, and which parameters inside them.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Schedule and method")]
pub struct ScheduleArgs {
    /// Schedule that chooses each epoch's blocks: full, progressive, grow-from-hb, wo-lb, single-block,
    /// top-k, gradual-unfreeze, lisa, auto-freeze, or a plugin's
    #[arg(long, value_name = "ID")]
    pub schedule: Option<String>,
    /// Option of the schedule, such as embeddings=first-part; repeat it for more
    #[arg(long, value_name = "K=V")]
    pub schedule_opt: Vec<String>,
    /// PEFT method that chooses the parameters: lora, dora, vera, kron-a, ia3, bitfit, adapter, pfeiffer, parallel,
    /// prefix, a plugin's, or none
    #[arg(long, value_name = "ID")]
    pub peft: Option<String>,
    /// Option of the method, such as r=8; repeat it for more
    #[arg(long, value_name = "K=V")]
    pub peft_opt: Vec<String>,
    /// Start from the adapter in this directory, or on the hub
    #[arg(long, value_name = "DIR or ID")]
    pub init_adapter: Option<String>,
    /// Train the pooler under a PEFT method that leaves it frozen, too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub train_pooler: Option<String>,
    /// Where the plugins are.
    #[command(flatten)]
    #[serde(flatten)]
    pub plugins: PluginArgs,
}

/// The optimizer and its course.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Optimisation")]
pub struct OptimisationArgs {
    /// Passes over the training set
    #[arg(long, value_name = "T")]
    pub epochs: Option<String>,
    /// Stop after N steps; schedule and learning rate stay those of --epochs
    #[arg(long, value_name = "N")]
    pub max_steps: Option<String>,
    /// Peak learning rate of AdamW
    #[arg(long, value_name = "LR")]
    pub lr: Option<String>,
    /// Learning rate after warm-up: linear (falls to zero at the last step) or constant
    #[arg(long, value_name = "NAME")]
    pub lr_scheduler: Option<String>,
    /// Warm-up: below 1 a share of all steps, from 1 a number of steps
    #[arg(long, value_name = "X")]
    pub warmup: Option<String>,
    /// Weight decay; biases and LayerNorm have none
    #[arg(long, value_name = "X")]
    pub weight_decay: Option<String>,
    /// AdamW's beta 1
    #[arg(long, value_name = "X")]
    pub adam_beta1: Option<String>,
    /// AdamW's beta 2
    #[arg(long, value_name = "X")]
    pub adam_beta2: Option<String>,
    /// AdamW's epsilon
    #[arg(long, value_name = "X")]
    pub adam_epsilon: Option<String>,
    /// Clip the gradients to this norm; 0 is no clipping
    #[arg(long, value_name = "X")]
    pub max_grad_norm: Option<String>,
    /// Dropout in place of the model's hidden, attention and classifier dropout
    #[arg(long, value_name = "P")]
    pub dropout: Option<String>,
    /// Apply dropout below the lowest trained parameter as well (frozen blocks and embeddings there)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub frozen_dropout: Option<String>,
    /// How much classes count in the loss: balanced (by the inverse of their share), or a number a label
    #[arg(long, value_name = "W")]
    pub class_weights: Option<String>,
    /// Share of a label's target to spread evenly over all labels
    #[arg(long, value_name = "X", alias = "label-smoothing-factor")]
    pub label_smoothing: Option<String>,
    /// Keep the model of the best epoch as the result, not that of the last
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub load_best_model_at_end: Option<String>,
    /// What tells the best epoch: loss or a metric of the task; implies --load-best-model-at-end
    #[arg(long, value_name = "NAME")]
    pub metric_for_best_model: Option<String>,
    /// Seed of everything random
    #[arg(long, value_name = "N")]
    pub seed: Option<String>,
}

/// What a batch is made of.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Batches and length")]
pub struct BatchArgs {
    /// Examples in a training batch
    #[arg(long, value_name = "N")]
    pub batch_size: Option<String>,
    /// Tokens in a training batch at most, in place of a number of examples
    #[arg(long, value_name = "N")]
    pub batch_tokens: Option<String>,
    /// Examples in an evaluation batch
    #[arg(long, value_name = "N")]
    pub eval_batch_size: Option<String>,
    /// Tokens in an evaluation batch at most, in place of a number of examples
    #[arg(long, value_name = "N")]
    pub eval_batch_tokens: Option<String>,
    /// Batches in a step; the step's gradient is the mean over all their examples
    #[arg(long, value_name = "N")]
    pub gradient_accumulation_steps: Option<String>,
    /// Longest sequence in tokens; what is longer is cut
    #[arg(long, value_name = "N")]
    pub max_length: Option<String>,
    /// Read the training set in its own order
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub no_shuffle: Option<String>,
    /// Shuffle without putting sequences of similar length together
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub no_group_by_length: Option<String>,
}

/// How much memory training takes.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Memory")]
pub struct MemoryArgs {
    /// Keep only the inputs of blocks and compute the rest again in the backward: less memory, more time, same result
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub recompute: Option<String>,
    /// Predict the peak of memory first: recompute if that makes the run fit into SIZE (2GiB, 900MB), else refuse
    #[arg(long, value_name = "SIZE")]
    pub memory_budget: Option<String>,
}

/// What a run leaves behind.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Directory for the result and the record of the run
    #[arg(long, value_name = "DIR")]
    pub output: Option<String>,
    /// Replace a finished run in that directory
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub overwrite_output: Option<String>,
    /// Steps between progress lines where there is no progress bar
    #[arg(long, value_name = "N")]
    pub logging_steps: Option<String>,
}

/// What the work runs on.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Keep the output of frozen blocks for the next epoch: auto, off, ram, or disk (in the run directory)
    #[arg(long, value_name = "WHERE")]
    pub prefix_cache: Option<String>,
    /// The most the prefix cache may take, such as 512MB or 2GiB; what does not fit is computed again
    #[arg(long, value_name = "SIZE")]
    pub prefix_cache_budget: Option<String>,
    /// Precision of the prefix cache: f32 (changes no result) or f16 (half the space)
    #[arg(long, value_name = "NAME")]
    pub prefix_cache_dtype: Option<String>,
    /// Threads to use
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
    /// Where to compute: cpu, cuda or cuda:N (in a build with the cuda feature)
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Form of the operations: fused (CPU only), composed, or auto for the faster one of the device
    #[arg(long, value_name = "NAME")]
    pub kernels: Option<String>,
    /// Tokenised data on disk: auto (read it, else write it), overwrite (write it anew) or off
    #[arg(long, value_name = "NAME")]
    pub token_cache: Option<String>,
}
