//! An example of a third party's schedule: odd epochs train every other block from the top, and
//! even epochs the others.
//!
//! `tests/tests/plugins/plugins.rs` builds it outside the workspace and runs it by name.

use progtune_plugin_api::{prelude::*, stage};

struct Alternate {
    run: RunRecord,
    stride: u32,
    embeddings: Embeddings,
}

impl Alternate {
    fn create(options: &Options, host: &HostRecord, run: &RunRecord) -> Result<Self, PluginError> {
        let stride = u32::try_from(options.int("stride")?).unwrap_or(u32::MAX);
        if stride > run.blocks {
            let reason = format!(
                "expected at most {} (the model's blocks), found {stride}",
                run.blocks
            );
            return Err(PluginError::bad_option("stride", reason));
        }
        host.log(&format!("every {stride}. block of {}", run.blocks));
        Ok(Self {
            run: run.clone(),
            stride,
            embeddings: Embeddings::from_options(options, run)?,
        })
    }
}

impl Schedule for Alternate {
    fn plan(&self, decision: &DecisionRecord) -> Result<SchedulePlan, PluginError> {
        let turn = (stage::epoch(&self.run, decision)? - 1) % self.stride;
        let blocks = (0..self.run.blocks)
            .filter(|block| (self.run.blocks - 1 - block) % self.stride == turn);
        Stage::blocks(blocks, self.embeddings).plan(&self.run)
    }
}

export_plugin! {
    schedules: [
        {
            id: "alternate",
            summary: "every other block, in turns",
            options: [
                { name: "stride", kind: Int, default: 2, min: 1, help: "train every stride-th block" },
                EMBEDDINGS_OPTION,
            ],
            create: Alternate::create,
        },
    ],
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_plugin_api::contract;

    #[test]
    fn keeps_the_contract() {
        contract::assert_schedule(&PLUGIN, "alternate", &[("stride", "1")]);
        contract::assert_kept(&PLUGIN);
        contract::assert_schedule(&PLUGIN, "alternate", &[("stride", "3")]);
    }

    #[test]
    fn takes_turns() {
        let run = contract::run_record(4, 2, "bitfit", false);
        let notes: Vec<String> =
            contract::schedule_plans(&PLUGIN, "alternate", &[("stride", "2")], &run)
                .into_iter()
                .map(|plan| plan.note.into())
                .collect();
        assert_eq!(notes, ["1, 3 of 4 blocks, head", "0, 2 of 4 blocks, head"]);
    }
}
