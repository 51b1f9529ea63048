//! The resolved configuration of `merge`. Resolved by `main`, read by that command.

use std::path::PathBuf;

use super::{
    AdapterChoice, ConfigError, HubConfig, Sources,
    inference::{ADAPTER, read_task},
    inputs::{MODEL, read_model},
    layers,
    machine::THREADS,
    plugins,
};
use crate::flags::{Arguments, Flag, Offers, Scope, advice};
use progtune_engine::{export::WeightDtype, plugin::PluginSources};
use progtune_hub::NamedPath;

pub(crate) static HEAD_TASK: Flag<String> =
    Flag::argument("head_task", "NAME", "Task of the adapter's head")
        .long("task")
        .sets("task")
        .computed("the task recorded in its directory");

/// Distinct from the key `output`, which is training's run directory.
pub(crate) static MERGED: Flag<String> = Flag::argument(
    "merged",
    "DIR",
    "Directory for the merged model; new or empty",
)
.long("output")
.adjust(|arg| arg.required(true));

pub(crate) static DTYPE: Flag<String> = Flag::argument(
    "dtype",
    "TYPE",
    "Data type of the saved weights: f32, f16 or bf16",
)
.computed("f32")
.offers(Offers::Some(|| {
    WeightDtype::NAMES.iter().map(|(name, _)| *name).collect()
}));

/// The configuration of `progtune merge`.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeConfig {
    /// Directory or id of the base model; `None` for the embedded model.
    pub model: Option<NamedPath>,
    /// Whether the base model was named. If not, it is the one that the adapter records.
    pub(crate) is_model_given: bool,
    /// The lookup of ids.
    pub hub: HubConfig,
    /// The adapter: a directory or an id.
    pub adapter: PathBuf,
    /// The task of the adapter's head; `None` uses the one that its directory names.
    pub task: Option<String>,
    /// Directory for the merged model.
    pub output: PathBuf,
    /// The data type of the merged weights.
    pub dtype: WeightDtype,
    /// The search path for plugins, and the pinned builds.
    pub plugins: PluginSources,
    /// Threads, from 1 to 1024; `None` uses one per core.
    pub threads: Option<usize>,
}

impl MergeConfig {
    /// Resolves the configuration of `progtune merge`.
    ///
    /// # Errors
    /// Fails like [`RunConfig::resolve_train`](super::RunConfig::resolve_train), or if there is not
    /// exactly one adapter.
    pub fn resolve(arguments: &Arguments, sources: &Sources) -> Result<Self, ConfigError> {
        let settings = layers::merge(arguments, sources, Scope::Inference)?;
        let mut adapters = AdapterChoice::read(&settings)?;
        let adapter = match (adapters.pop(), adapters.is_empty()) {
            (Some(AdapterChoice { directory, .. }), true) => directory,
            _ => {
                let found = "more than one";
                return Err(settings.bad(
                    &ADAPTER,
                    "one adapter, because one model is written",
                    found,
                ));
            }
        };
        let given = arguments.one(&DTYPE);
        let given = given.as_deref().unwrap_or("f32");
        let dtype = WeightDtype::NAMES.iter().find(|(name, _)| *name == given);
        Ok(Self {
            model: read_model(&settings)?,
            is_model_given: settings.is_set(&MODEL),
            hub: HubConfig::read(&settings)?,
            adapter: adapter.ok_or_else(|| ConfigError::Missing {
                key: "--adapter".into(),
                reason: "merge needs an adapter".into(),
                advice: "pass its directory, or its id on the hub".into(),
            })?,
            task: read_task(&settings)?.0,
            output: arguments.one(&MERGED).unwrap_or_default().into(),
            dtype: dtype
                .map(|&(_, dtype)| dtype)
                .ok_or_else(|| ConfigError::BadValue {
                    key: "dtype".into(),
                    origin: "flag --dtype".into(),
                    expected: "one of f32, f16, bf16".into(),
                    found: format!("`{given}`"),
                    advice: advice(
                        given,
                        WeightDtype::NAMES.iter().map(|(name, _)| *name),
                        "give something like --dtype f32",
                    ),
                })?,
            plugins: plugins::read(&settings)?,
            threads: settings.find(&THREADS)?,
        })
    }
}
