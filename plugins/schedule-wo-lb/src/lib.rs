//! The schedule `wo-lb`, the paper's "Progtuning without low blocks" (Eq. 4): S_t = P_{t+1} ∘ … ∘
//! P_T ∘ H. It is like `progressive` with one part less in every epoch: k(t) = ⌈L·(T−t)/T⌉ top
//! blocks. The last epoch trains only the head (in full fine-tuning with the embeddings).
//!
//! Loaded by the host; see `progtune-plugin-api` for the interface.

use progtune_plugin_api::{prelude::*, stage};

struct WithoutLowBlocks {
    run: RunRecord,
    embeddings: Embeddings,
}

impl WithoutLowBlocks {
    fn create(options: &Options, _: &HostRecord, run: &RunRecord) -> Result<Self, PluginError> {
        Ok(Self {
            run: run.clone(),
            embeddings: Embeddings::from_options(options, run)?,
        })
    }
}

impl Schedule for WithoutLowBlocks {
    fn plan(&self, decision: &DecisionRecord) -> Result<SchedulePlan, PluginError> {
        let t = stage::epoch(&self.run, decision)?;
        let k = stage::parts(&self.run, self.run.epochs - t);
        Stage::top_blocks(&self.run, k, self.embeddings).plan(&self.run)
    }
}

export_plugin! {
    schedules: [
        {
            id: "wo-lb",
            summary: "like progressive with one part less in every epoch: the low blocks are never trained",
            options: [EMBEDDINGS_OPTION],
            create: WithoutLowBlocks::create,
        },
    ],
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_plugin_api::contract;
    use std::collections::BTreeSet;

    /// The number of trained blocks in each epoch, which are the top ones.
    fn trained_blocks(blocks: u32, epochs: u32) -> Vec<usize> {
        let run = contract::run_record(blocks, epochs, "", true);
        let trained = |plan: SchedulePlan| {
            let ids = plan.trainable.iter().filter_map(|&id| run.candidate(id));
            let trained: BTreeSet<u32> = ids.filter_map(|p| u32::try_from(p.block).ok()).collect();
            assert!(
                trained.iter().eq((blocks - trained.len() as u32..blocks)
                    .collect::<Vec<_>>()
                    .iter())
            );
            trained.len()
        };
        contract::schedule_plans(&PLUGIN, "wo-lb", &[], &run)
            .into_iter()
            .map(trained)
            .collect()
    }

    #[test]
    fn keeps_the_contract() {
        for embeddings in ["auto", "every-epoch", "first-part"] {
            let report = contract::assert_schedule(&PLUGIN, "wo-lb", &[("embeddings", embeddings)]);
            assert_eq!(report.refusals, 0);
        }
    }

    #[test]
    fn trains_the_blocks_of_the_equation() {
        assert_eq!(trained_blocks(12, 3), [8, 4, 0]);
        assert_eq!(trained_blocks(5, 3), [4, 2, 0]);
        assert_eq!(trained_blocks(2, 5), [2, 2, 1, 1, 0]);
    }
}
