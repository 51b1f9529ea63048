//! The beginning of a training run in its records and on the screen: `plan.json`, the plan as a
//! table, and the event `start`. Called by the recipe after everything has been read.

use super::{lr_restart, prepare::Prepared};
use crate::{
    fetch,
    prefix_cache::CacheForecast,
    progress::pace::{Pace, Workload},
    run_directory::RunDirectory,
    run_record::circumstances,
};
use progtune_engine::Result;
use progtune_engine::{
    made_by::plugins_json,
    model::{Device, Precision},
    optim::LrRestart,
    plan::{PlanNames, View, to_json},
};
use progtune_pipeline::{class_weights, token_store::Examples};
use progtune_process::{
    grouped,
    terminal::{events, note, note_for_people},
};
use serde_json::{Value, json};
use std::time::Instant;

/// Number of epochs up to which the plan is shown row by row at the start of a run. In a longer
/// plan, epochs with equal stages share a row.
const MOST_ROWS: usize = 12;

impl Prepared<'_> {
    /// Logs the run, whose `config.toml` is `record`, writes `run.json` and `plan.json`, and
    /// returns the contents of the latter.
    ///
    /// # Errors
    /// Fails if a file cannot be written.
    pub(super) fn record_plan(&self, record: &str, directory: &mut RunDirectory) -> Result<Value> {
        let config = record.replace('\n', "; ");
        tracing::info!(version = env!("CARGO_PKG_VERSION"), %config, "run");
        self.inputs.data.log_skipped();
        let model = self.inputs.model.source.name();
        let mut plan = to_json(&self.inputs.model_plan, &self.run_plan, &self.names(&model));
        if let Value::Object(plan) = &mut plan {
            plan.extend(lr_restart::to_json(&self.run_plan, self.lr_restart()));
        }
        plan["plugins"] = plugins_json(&self.schedule, self.inputs.model.method.as_ref());
        if let Some(fetched) = fetch::record(&self.inputs.local) {
            plan["hub"] = fetched;
        }
        directory.write_plan(&plan)?;
        let inputs = self.inputs;
        let origins = inputs.config.recorded_origins(&inputs.local, &self.decided);
        let source = &inputs.model.source;
        let run = circumstances(inputs.config, &inputs.local, &origins, source)?;
        directory.write_circumstances(run)?;
        Ok(plan)
    }

    /// Shows the plan and sends the event `start`.
    pub(super) fn announce(
        &self,
        plan: &Value,
        cached: Option<&CacheForecast>,
        directory: &RunDirectory,
        started: Instant,
    ) {
        self.inputs.data.announce();
        self.inputs.remarks.iter().for_each(|remark| note(remark));
        let secs = started.elapsed().as_secs_f64();
        self.show_table(cached);
        let (last, total) = (self.last_step(), self.total_steps());
        let steps = if last < total {
            format!("{} of {}", grouped(last), grouped(total))
        } else {
            grouped(last)
        };
        note_for_people(&format!(
            "{steps} steps over {} examples, learning rate {:e}; ready after {secs:.1} s",
            grouped(self.inputs.examples.len() as u64),
            self.decided.lr,
        ));
        if let Some(place) = self.place() {
            note_for_people(&place);
        }
        let sizes = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "command": "train",
            "output": directory.output(),
            "train_samples": self.inputs.examples.len(),
            "steps_per_epoch": self.order.steps_per_epoch(),
            "last_step": self.last_step(),
            "lr": self.decided.lr,
            "startup_secs": secs,
            "prefix_cache_bytes": cached.map_or(0, |cached| cached.bytes),
            "prefix_cache_starts": cached.map_or(&[][..], |cached| &cached.starts),
            "plan": plan,
        });
        events::emit("start", &sizes);
        let weighting = &self.model.loss_weighting;
        if let Some(weights) = class_weights::describe(weighting, self.inputs.task()) {
            note(&weights);
        }
        if let Some(settled) = &self.memory_note {
            tracing::debug!("{settled}");
            note(settled);
        }
    }

    /// The device and the precision, unless they are the CPU and f32.
    fn place(&self) -> Option<String> {
        let machine = &self.inputs.config.machine;
        let precision = machine.precision_name();
        match machine.device {
            Device::Cpu if precision == Precision::F32.to_string() => None,
            Device::Cpu => Some(format!("products in {precision}")),
            gpu => Some(format!(
                "computing on {gpu}, {}, with products in {precision}",
                self.model.card().unwrap_or_default()
            )),
        }
    }

    /// The expected pace of the run.
    pub(super) fn pace(&self, cached: Option<&CacheForecast>) -> Pace {
        let inputs = self.inputs;
        let tokens = |examples: &Examples| examples.summary().tokens;
        let evaluated = inputs.eval_splits.iter();
        let load = Workload {
            blocks: inputs.model_plan.blocks,
            is_full: inputs.model.method.is_none(),
            train_tokens: tokens(&inputs.examples),
            eval_tokens: evaluated.map(|split| tokens(&split.examples)).sum(),
            times: self.eval_times,
        };
        let starts = cached.map_or(&[][..], |cached| &cached.starts);
        Pace::new(load, &self.run_plan.first_stages(), starts)
    }

    fn show_table(&self, cached: Option<&CacheForecast>) {
        let model = self.inputs.model.source.name();
        let view = View {
            model_plan: &self.inputs.model_plan,
            run_plan: &self.run_plan,
            names: &self.names(&model),
            forecasts: &[],
            starts: cached.map_or(&[][..], |cached| &cached.starts),
        };
        let rows = (self.inputs.config.training.epochs > MOST_ROWS as u32).then_some(MOST_ROWS);
        let restarts = lr_restart::note(&self.run_plan, self.lr_restart());
        let table = view.to_table(rows) + &restarts;
        note_for_people(&format!("{}\n", table.trim_end()));
        if let Some(cached) = cached.filter(|cached| cached.starts.iter().any(|&start| start > 0)) {
            note_for_people(&format!("prefix cache: {}", cached.describe()));
        }
    }

    fn lr_restart(&self) -> LrRestart {
        self.inputs.config.optimizer.lr_restart
    }

    fn names<'a>(&'a self, model: &'a str) -> PlanNames<'a> {
        let schedule_and_method = &self.inputs.config.schedule_and_method;
        PlanNames {
            model,
            task: &self.inputs.task().name,
            schedule: &schedule_and_method.schedule,
            peft: schedule_and_method.peft.as_deref(),
        }
    }
}
