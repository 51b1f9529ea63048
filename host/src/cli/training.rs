//! The flags of `train` and `plan`, in the groups of `--help`. Made by `cli::parse`, read by `config::RunConfig`.
//! A field's name is its configuration key; the defaults in the help come from `config_keys` (see `cli::help`).

use clap::Args;
use serde::Serialize;

use super::{answering::AnsweringArgs, hub::HubArgs, own::OwnDataArgs, plugin_args::PluginArgs};

/// The flags of `progtune train`; a flag that is not given is `None` or empty.
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
    /// How training uses them.
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
    /// SVG file for a picture of the plan, blocks by epochs
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub svg: Option<std::path::PathBuf>,
    /// Predict time and peak memory per epoch on this machine, after a calibration of a few seconds [default: off]
    #[arg(long, help_heading = "Output")]
    pub predict: bool,
}

/// The model and its training data.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Model and data")]
pub struct DataArgs {
    /// Directory of a Hugging Face checkpoint, id of one on the hub (org/name), or `embedded` for the model inside the program
    #[arg(long, value_name = "DIR or ID")]
    pub model: Option<String>,
    /// Task: sample or sample_pairs (generated: reviews; entailment), a GLUE task such as mrpc, squad, squad_v2, or own
    /// (implied by --train-file, and by --data without --task)
    #[arg(long, value_name = "NAME")]
    pub task: Option<String>,
    /// Directory with the task's files (GLUE's TSV, SQuAD's JSON, or Hugging Face's parquet), or id of a data set on the hub
    /// (org/name@REV)
    #[arg(long, value_name = "DIR or ID")]
    pub data: Option<String>,
    /// Configuration of that data set (one of its folders)
    #[arg(long, value_name = "NAME")]
    pub data_config: Option<String>,
    /// Metrics to report, such as accuracy,f1_macro; schedules receive the first one
    #[arg(long, value_name = "A,B")]
    pub metrics: Option<String>,
    /// Train on only the first N rows
    #[arg(long, value_name = "N")]
    pub max_train_samples: Option<String>,
    /// Evaluate on only the first N rows
    #[arg(long, value_name = "N")]
    pub max_eval_samples: Option<String>,
}

/// How training uses the user's own files.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Own data")]
pub struct OwnTrainingArgs {
    /// Share of the training rows to hold out for validation, stratified by class; instead of --validation-file
    #[arg(long, value_name = "X")]
    pub validation_split: Option<String>,
}

/// The blocks that are trained in each epoch, and the parameters inside them.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Schedule and method")]
pub struct ScheduleArgs {
    /// Schedule that chooses each epoch's blocks: full, progressive, grow-from-hb, wo-lb, single-block,
    /// top-k, gradual-unfreeze, lisa, auto-freeze, or a plugin's
    #[arg(long, value_name = "ID")]
    pub schedule: Option<String>,
    /// Option for the schedule, such as embeddings=first-part; repeatable
    #[arg(long, value_name = "K=V")]
    pub schedule_opt: Vec<String>,
    /// PEFT method that chooses the parameters: lora, dora, vera, kron-a, ia3, bitfit, adapter, pfeiffer, parallel,
    /// prefix, a plugin's, or none
    #[arg(long, value_name = "ID")]
    pub peft: Option<String>,
    /// Option for the method, such as r=8; repeatable
    #[arg(long, value_name = "K=V")]
    pub peft_opt: Vec<String>,
    /// Adapter to start from: a directory, or an id on the hub
    #[arg(long, value_name = "DIR or ID")]
    pub init_adapter: Option<String>,
    /// Train the pooler even if the PEFT method leaves it frozen
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub train_pooler: Option<String>,
    /// The plugin directories.
    #[command(flatten)]
    #[serde(flatten)]
    pub plugins: PluginArgs,
}

/// The optimizer and its course.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Optimisation")]
pub struct OptimisationArgs {
    /// Number of passes over the training set
    #[arg(long, value_name = "T")]
    pub epochs: Option<String>,
    /// Stop after N steps; the schedule and the learning rate still follow --epochs
    #[arg(long, value_name = "N")]
    pub max_steps: Option<String>,
    /// Peak learning rate of AdamW
    #[arg(long, value_name = "LR")]
    pub lr: Option<String>,
    /// Learning-rate schedule after warm-up: linear (to zero at the last step) or constant
    #[arg(long, value_name = "NAME")]
    pub lr_scheduler: Option<String>,
    /// Warm-up: a share of all steps if below 1, else a number of steps
    #[arg(long, value_name = "X")]
    pub warmup: Option<String>,
    /// Weight decay, except for biases and LayerNorm
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
    /// Maximum gradient norm; 0 turns clipping off
    #[arg(long, value_name = "X")]
    pub max_grad_norm: Option<String>,
    /// Dropout probability, instead of the model's hidden, attention and classifier dropout
    #[arg(long, value_name = "P")]
    pub dropout: Option<String>,
    /// Apply dropout also below the lowest trained parameter (in frozen blocks and embeddings)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub frozen_dropout: Option<String>,
    /// Class weights: balanced (inverse to each class's share), or one number per label
    #[arg(long, value_name = "W")]
    pub class_weights: Option<String>,
    /// Label smoothing: share of each target that is spread over all labels
    #[arg(long, value_name = "X", alias = "label-smoothing-factor")]
    pub label_smoothing: Option<String>,
    /// Keep the model of the best epoch instead of the last
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub load_best_model_at_end: Option<String>,
    /// Metric that selects the best epoch: loss or a metric of the task; implies --load-best-model-at-end
    #[arg(long, value_name = "NAME")]
    pub metric_for_best_model: Option<String>,
    /// Random seed
    #[arg(long, value_name = "N")]
    pub seed: Option<String>,
}

/// Batches and sequence length.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Batches and length")]
pub struct BatchArgs {
    /// Examples per training batch
    #[arg(long, value_name = "N")]
    pub batch_size: Option<String>,
    /// Maximum tokens per training batch, instead of a number of examples
    #[arg(long, value_name = "N")]
    pub batch_tokens: Option<String>,
    /// Examples per evaluation batch
    #[arg(long, value_name = "N")]
    pub eval_batch_size: Option<String>,
    /// Maximum tokens per evaluation batch, instead of a number of examples
    #[arg(long, value_name = "N")]
    pub eval_batch_tokens: Option<String>,
    /// Batches per optimizer step; the gradient is the mean over all their examples
    #[arg(long, value_name = "N")]
    pub gradient_accumulation_steps: Option<String>,
    /// Maximum sequence length in tokens; longer sequences are truncated
    #[arg(long, value_name = "N")]
    pub max_length: Option<String>,
    /// Keep the order of the training set
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub no_shuffle: Option<String>,
    /// Shuffle without grouping sequences of similar length
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub no_group_by_length: Option<String>,
}

/// Memory use of training.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Memory")]
pub struct MemoryArgs {
    /// Gradient checkpointing: keep only the blocks' inputs and recompute the rest in the backward pass; less memory, more time, same result
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub recompute: Option<String>,
    /// Memory limit, such as 2GiB or 900MB: recompute if needed, refuse if the run still does not fit
    #[arg(long, value_name = "SIZE")]
    pub memory_budget: Option<String>,
}

/// The results of a run.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Directory for the result and the records of the run
    #[arg(long, value_name = "DIR")]
    pub output: Option<String>,
    /// Replace the finished run in that directory
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub overwrite_output: Option<String>,
    /// Steps between progress lines, when there is no progress bar
    #[arg(long, value_name = "N")]
    pub logging_steps: Option<String>,
}

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Prefix cache, which keeps the output of frozen blocks for the next epoch: auto, off, ram, or disk (in the run directory)
    #[arg(long, value_name = "WHERE")]
    pub prefix_cache: Option<String>,
    /// Size limit of the prefix cache, such as 512MB or 2GiB; the rest is recomputed
    #[arg(long, value_name = "SIZE")]
    pub prefix_cache_budget: Option<String>,
    /// Data type of the prefix cache: f32 (changes no result) or f16 (half the space)
    #[arg(long, value_name = "NAME")]
    pub prefix_cache_dtype: Option<String>,
    /// Number of threads
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
    /// Device: cpu, cuda or cuda:N (in a build with the cuda feature)
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Kernels: fused (CPU only), composed, or auto for the faster ones on the device
    #[arg(long, value_name = "NAME")]
    pub kernels: Option<String>,
    /// Cache of tokenised data on disk: auto (read it, else write it), overwrite (replace it) or off
    #[arg(long, value_name = "NAME")]
    pub token_cache: Option<String>,
}
