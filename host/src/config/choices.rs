//! The names that a value can be, where there is a list of them. Read by `cli::completions`, for shells; what is accepted is
//! decided where a value is read, from the same lists.

use super::{
    Split,
    own::{ON_BAD_ROW, PROBLEM_TYPES},
    show::PROGRESS,
};
use crate::{
    export::WeightDtype,
    model::device::Kernels,
    optim::LrScheduler,
    plugin::Isolation,
    prefix_cache::{CacheDtype, Mode},
    terminal::colour::ColourChoice,
    token_cache::TokenCacheUse,
};
use progtune_datasets::{Format, Metric, OWN_TASK, RepairTags, Task};

/// The names that the key's value can be, or, of `task`, `device` and the like, the ones that are always there. Empty where
/// there are none: numbers, paths, names of the user's own; and for switches, which need no value.
pub(crate) fn choices(key: &str) -> Vec<&'static str> {
    fn names<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
        table.iter().map(|(name, _)| *name).collect()
    }
    let metrics = Metric::ALL.into_iter().map(Metric::as_str);
    match key {
        "class_weights" => vec!["balanced"],
        "color" => names(ColourChoice::NAMES),
        "device" => vec!["cpu", "cuda"],
        "dtype" => names(WeightDtype::NAMES),
        "file_format" => names(Format::NAMES),
        "kernels" => names(Kernels::NAMES),
        "lr_scheduler" => names(LrScheduler::NAMES),
        "metric_for_best_model" => ["loss"].into_iter().chain(metrics).collect(),
        "metrics" => metrics.collect(),
        "on_bad_row" => names(ON_BAD_ROW),
        "plugin_isolation" => names(Isolation::NAMES),
        "prefix_cache" => names(Mode::NAMES),
        "prefix_cache_dtype" => names(CacheDtype::NAMES),
        "problem_type" => names(PROBLEM_TYPES),
        "progress" => names(PROGRESS),
        "repair_tags" => names(RepairTags::NAMES),
        "split" => names(Split::NAMES),
        "task" => Task::all()
            .iter()
            .map(|task| task.name.as_str())
            .chain([OWN_TASK])
            .collect(),
        "token_cache" => names(TokenCacheUse::NAMES),
        _ => vec![],
    }
}
