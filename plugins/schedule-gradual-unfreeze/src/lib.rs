//! The schedule `gradual-unfreeze`, from ULMFiT, starts with the head and the top block and
//! unfreezes one more block from the top after each epoch. Epoch t trains the top `start` +
//! `blocks`·⌊(t−1)/`every`⌋ blocks, and the embeddings with the lowest block.
//!
//! Howard & Ruder 2018, arXiv:1801.06146, section 3.3, "Gradual unfreezing". Their discriminative
//! fine-tuning gives each layer its own learning rate, η^(l−1) = η^l / 2.6. Here `lr_decay` is the
//! ratio between a block's rate and that of the block below it; the top block has the run's rate.
//! It is 1 by default, so that this schedule differs from the others only in the trained
//! parameters; the paper uses `lr_decay=2.6`. Loaded by the host; see `progtune-plugin-api` for the
//! interface.

use progtune_plugin_api::{
    manifest::{DefaultSpec, OptionSpec},
    open::Attribute,
    prelude::*,
    stage,
};

/// ULMFiT unfreezes its lowest layer, the embeddings, last.
const EMBEDDINGS: OptionSpec = OptionSpec {
    default: DefaultSpec::Str("first-part"),
    ..EMBEDDINGS_OPTION
};

struct GradualUnfreeze {
    run: RunRecord,
    start: u32,
    blocks: u32,
    every: u32,
    lr_decay: f64,
    embeddings: Embeddings,
}

impl GradualUnfreeze {
    fn create(options: &Options, _: &HostRecord, run: &RunRecord) -> Result<Self, PluginError> {
        let count = |name| Ok::<_, PluginError>(options.int(name)?.try_into().unwrap_or(u32::MAX));
        let start = count("start")?;
        if start > run.blocks {
            let reason = format!(
                "expected 0 to {} (the model's blocks), found {start}",
                run.blocks
            );
            return Err(PluginError::bad_option("start", reason));
        }
        Ok(Self {
            run: run.clone(),
            start,
            blocks: count("blocks")?,
            every: count("every")?,
            lr_decay: options.float("lr_decay")?,
            embeddings: Embeddings::from_options(options, run)?,
        })
    }

    /// The number of blocks that epoch t trains.
    fn trained(&self, t: u32) -> u32 {
        let more = self.blocks.saturating_mul((t - 1) / self.every);
        self.start.saturating_add(more).min(self.run.blocks)
    }

    /// The factor on the learning rate of a part that lies `depth` blocks below the top one.
    fn scale(&self, depth: u32) -> f64 {
        self.lr_decay.powf(-f64::from(depth))
    }
}

impl Schedule for GradualUnfreeze {
    fn plan(&self, decision: &DecisionRecord) -> Result<SchedulePlan, PluginError> {
        let t = stage::epoch(&self.run, decision)?;
        let stage = Stage::top_blocks(&self.run, self.trained(t), self.embeddings);
        let plan = stage.plan(&self.run)?;
        if self.lr_decay == 1.0 {
            return Ok(plan);
        }
        let blocks = self.run.blocks;
        let mut plan = plan.with_lr_scales((0..blocks).map(|b| self.scale(blocks - 1 - b)));
        plan.ext
            .push(Attribute::new("lr_scale.embeddings", self.scale(blocks)));
        Ok(plan)
    }
}

export_plugin! {
    schedules: [
        {
            id: "gradual-unfreeze",
            summary: "starts with the top block and unfreezes one more after each epoch (ULMFiT)",
            options: [
                { name: "start", kind: Int, default: 1, min: 0, help: "number of top blocks that the first epoch trains; 0: only the head" },
                { name: "blocks", kind: Int, default: 1, min: 1, help: "number of blocks to unfreeze at a time" },
                { name: "every", kind: Int, default: 1, min: 1, help: "number of epochs between unfreezing" },
                {
                    name: "lr_decay", kind: Float, default: 1, min: 1, max: 100,
                    help: "learning rate of a block divided by that of the block below it; ULMFiT uses 2.6"
                },
                EMBEDDINGS,
            ],
            create: GradualUnfreeze::create,
        },
    ],
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_plugin_api::contract;
    use std::collections::BTreeSet;

    fn plans(run: &RunRecord, options: &[(&str, &str)]) -> Vec<SchedulePlan> {
        contract::schedule_plans(&PLUGIN, "gradual-unfreeze", options, run)
    }

    #[test]
    fn keeps_the_contract() {
        contract::assert_kept(&PLUGIN);
        for embeddings in ["auto", "every-epoch", "first-part"] {
            let options = [
                ("lr_decay", "2.6"),
                ("start", "0"),
                ("blocks", "2"),
                ("every", "3"),
                ("embeddings", embeddings),
            ];
            let report = contract::assert_schedule(&PLUGIN, "gradual-unfreeze", &options);
            assert_eq!(report.refusals, 0);
        }
    }

    /// "We first unfreeze the last layer and fine-tune all unfrozen layers for one epoch. We then
    /// unfreeze the next lower frozen layer and repeat."
    #[test]
    fn unfreezes_one_block_an_epoch_from_the_top() {
        let run = contract::run_record(4, 6, "", true);
        let notes: Vec<String> = plans(&run, &[])
            .into_iter()
            .map(|plan| plan.note.into())
            .collect();
        let all = "0-3 of 4 blocks, embeddings, head";
        assert_eq!(
            notes,
            [
                "3 of 4 blocks, head",
                "2-3 of 4 blocks, head",
                "1-3 of 4 blocks, head",
                all,
                all,
                all
            ]
        );
    }

    #[test]
    fn options_set_the_start_the_number_and_the_pace() {
        let run = contract::run_record(6, 7, "", true);
        let trained = |options: &[(&str, &str)]| -> Vec<usize> {
            let in_blocks = |plan: &SchedulePlan| {
                let blocks: BTreeSet<i32> = plan
                    .trainable
                    .iter()
                    .filter_map(|&id| run.candidate(id))
                    .map(|p| p.block)
                    .filter(|&block| block >= 0)
                    .collect();
                blocks.len()
            };
            plans(&run, options).iter().map(in_blocks).collect()
        };
        assert_eq!(trained(&[("start", "0")]), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(trained(&[("blocks", "2")]), [1, 3, 5, 6, 6, 6, 6]);
        assert_eq!(trained(&[("every", "3")]), [1, 1, 1, 2, 2, 2, 3]);
        let error = contract::create_schedule(&PLUGIN, "gradual-unfreeze", &[("start", "7")], &run)
            .err()
            .unwrap();
        assert_eq!(
            error.message.as_str(),
            "option 'start': expected 0 to 6 (the model's blocks), found 7"
        );
    }

    /// η^(l−1) = η^l / 2.6, from the top block down to the embeddings.
    #[test]
    fn learning_rates_are_discriminative() {
        let run = contract::run_record(3, 3, "", true);
        assert!(
            plans(&run, &[])
                .iter()
                .all(|plan| plan.lr_scales.is_empty())
        );
        for plan in plans(&run, &[("lr_decay", "2.6")]) {
            let scales = plan.lr_scales.to_vec();
            assert_eq!(scales.len(), 3);
            assert_eq!(scales[2], 1.0);
            let Value::Float(embeddings) = plan.ext[0].value else {
                panic!("a number: {:?}", plan.ext)
            };
            for (above, below) in [
                (scales[2], scales[1]),
                (scales[1], scales[0]),
                (scales[0], embeddings),
            ] {
                assert!((above / below - 2.6).abs() < 1e-12);
            }
        }
    }
}
