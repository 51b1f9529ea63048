//! `progtune plan`: what a run would train, without weights, tokenizer or data. Called by `main`.

use crate::{
    adapter::Adapter,
    config::RunConfig,
    error::Result,
    model_source::ModelSource,
    plan::{Blueprint, PlanNames, head_of_task, to_json, to_table},
    plugin::Plugins,
    recipe::load_method,
    terminal,
};

/// Prints the plan as a table or as JSON.
pub fn run_plan(config: &RunConfig, json: bool) -> Result<()> {
    let plugins = Plugins::discover(&config.plugin_dir)?;
    let source = ModelSource::new(config.model.as_deref())?;
    let model_config = source.config()?;
    let adapter = config
        .init_adapter
        .as_deref()
        .map(|directory| Adapter::read(directory, model_config.architecture))
        .transpose()?;
    let method = load_method(&plugins, config, adapter.as_ref())?;
    let head = head_of_task(&config.task)?;
    let blueprint = Blueprint::new(&model_config, head, method.as_ref(), config.train_pooler)?;
    let run = blueprint.run_record(
        config.epochs,
        0,
        config.seed,
        config.peft.as_deref().unwrap_or_default(),
    );
    let schedule = plugins.schedule(&config.schedule, &config.schedule_opt, run)?;
    let stages = blueprint.stages(&schedule, config.epochs, 0)?;
    let name = source.name();
    let names = PlanNames {
        model: &name,
        task: &config.task,
        schedule: &config.schedule,
        peft: config.peft.as_deref(),
    };
    let text = match json {
        true => format!("{:#}\n", to_json(&blueprint, &stages, &names)),
        false => to_table(&blueprint, &stages, &names),
    };
    terminal::print(&text)
}
