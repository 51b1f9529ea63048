//! The flags of `evaluate`, `predict` and `merge`. Made by `cli::parse`, read by `config::EvaluateConfig`,
//! `config::PredictConfig` and `config::MergeConfig`. A field's name is its configuration key.

use clap::Args;
use serde::Serialize;

use super::{
    answering::AnsweringArgs, hub::HubArgs, own::OwnDataArgs, plugin_args::PluginArgs,
    training::MachineArgs,
};

/// The flags of `progtune evaluate`; a flag that is not given is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
pub struct EvaluateArgs {
    /// The model and how it reads.
    #[command(flatten)]
    #[serde(flatten)]
    pub model: ModelArgs,
    /// The examples.
    #[command(flatten)]
    #[serde(flatten)]
    pub examples: ExampleArgs,
    /// Machine.
    #[command(flatten)]
    #[serde(flatten)]
    pub machine: MachineArgs,
}

/// The flags of `progtune predict`; a flag that is not given is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
pub struct PredictArgs {
    /// The model and how it reads.
    #[command(flatten)]
    #[serde(flatten)]
    pub model: ModelArgs,
    /// The examples.
    #[command(flatten)]
    #[serde(flatten)]
    pub examples: ExampleArgs,
    /// Input file with the task's columns: JSONL; for own data any of its formats, for questions about texts also SQuAD's
    /// JSON [default: the --split of --data]
    #[arg(long, value_name = "FILE", help_heading = "Model and data", conflicts_with_all = ["data", "split"])]
    #[serde(skip)]
    pub input: Option<String>,
    /// JSONL file to write: for each example a line with `logits` and `label`, the `tags` and `entities` of a sentence, or
    /// the `answer` to a question (for several adapters, each under its name) [default: standard output]
    // Not the key `output`, which is training's run directory.
    #[arg(long = "output", value_name = "FILE.jsonl", help_heading = "Output")]
    #[serde(skip)]
    pub predictions: Option<String>,
    /// Machine.
    #[command(flatten)]
    #[serde(flatten)]
    pub machine: MachineArgs,
}

/// The flags for the examples that `evaluate` and `predict` read, and for the files of answers that they write.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
pub struct ExampleArgs {
    /// Directory with the task's files, or id of a data set on the hub
    #[arg(long, value_name = "DIR or ID", help_heading = "Model and data")]
    pub data: Option<String>,
    /// Configuration of that data set (one of its folders)
    #[arg(long, value_name = "NAME", help_heading = "Model and data")]
    pub data_config: Option<String>,
    /// Split of the data: validation, test or train
    #[arg(long, value_name = "NAME", help_heading = "Model and data")]
    pub split: Option<String>,
    /// The user's own files.
    #[command(flatten)]
    #[serde(flatten)]
    pub own: OwnDataArgs,
    /// Questions about texts.
    #[command(flatten)]
    #[serde(flatten)]
    pub answering: AnsweringArgs,
    /// Directory for predictions.json, nbest_predictions.json and (SQuAD v2.0) null_odds.json; several adapters get a
    /// directory each [default: not written]
    #[arg(long, value_name = "DIR", help_heading = "Questions about texts")]
    #[serde(skip)]
    pub answers: Option<String>,
}

/// The flags of `progtune merge`; a flag that is not given is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
pub struct MergeArgs {
    /// Base model of --adapter: a directory, an id on the hub, or `embedded`
    #[arg(long, value_name = "DIR or ID", help_heading = "Model and data")]
    pub model: Option<String>,
    /// Adapter to merge into the weights of the model
    #[arg(long, value_name = "DIR or ID", help_heading = "Model and data")]
    pub adapter: Vec<String>,
    /// Task of the adapter's head [default: the task recorded in its directory]
    #[arg(long = "task", value_name = "NAME", help_heading = "Model and data")]
    #[serde(rename = "task")]
    pub head_task: Option<String>,
    /// Directory for the merged model; new or empty
    // Not the key `output`, which is training's run directory.
    #[arg(
        long = "output",
        value_name = "DIR",
        help_heading = "Output",
        required = true
    )]
    #[serde(skip)]
    pub merged: String,
    /// Data type of the saved weights: f32, f16 or bf16 [default: f32]
    #[arg(long, value_name = "TYPE", help_heading = "Output")]
    #[serde(skip)]
    pub dtype: Option<String>,
    /// The hub.
    #[command(flatten)]
    #[serde(flatten)]
    pub hub: HubArgs,
    /// The plugin directories.
    #[command(flatten)]
    #[serde(flatten)]
    pub plugins: PluginArgs,
    /// Threads
    #[arg(long, value_name = "N", help_heading = "Machine")]
    pub threads: Option<String>,
}

/// A trained model and how it reads its input.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize)]
#[command(next_help_heading = "Model and data")]
pub struct ModelArgs {
    /// Directory of a checkpoint (a run's, or the base model of --adapter), id of one on the hub, or `embedded`
    #[arg(long, value_name = "DIR or ID")]
    pub model: Option<String>,
    /// Adapter to apply to the model, also from the hub; repeatable for several over one loaded model, `none` is the model without one
    #[arg(long, value_name = "DIR or NAME=DIR")]
    pub adapter: Vec<String>,
    /// Task: sample or sample_pairs (generated), a GLUE task such as mrpc, squad, squad_v2, or own (implied by files);
    /// the default for an adapter is its own task
    #[arg(long, value_name = "NAME")]
    pub task: Option<String>,
    /// Metrics to report, such as accuracy,f1_macro
    #[arg(long, value_name = "A,B")]
    pub metrics: Option<String>,
    /// Use only the first N rows
    #[arg(long, value_name = "N")]
    pub max_eval_samples: Option<String>,
    /// Examples per batch
    #[arg(long, value_name = "N", help_heading = "Batches and length")]
    pub eval_batch_size: Option<String>,
    /// Maximum tokens per batch, instead of a number of examples
    #[arg(long, value_name = "N", help_heading = "Batches and length")]
    pub eval_batch_tokens: Option<String>,
    /// Maximum sequence length in tokens; longer sequences are truncated
    #[arg(long, value_name = "N", help_heading = "Batches and length")]
    pub max_length: Option<String>,
    /// The hub.
    #[command(flatten)]
    #[serde(flatten)]
    pub hub: HubArgs,
    /// The plugin directories.
    #[command(flatten)]
    #[serde(flatten)]
    pub plugins: PluginArgs,
}
