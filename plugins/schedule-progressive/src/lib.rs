//! The schedule `progressive`, the paper's own (Progtuning, Eq. 3): S_t = P_t ∘ … ∘ P_T ∘ H. The
//! first epoch trains all blocks, and each later epoch drops the lowest remaining of the T parts:
//! k(t) = ⌈L·(T−t+1)/T⌉ top blocks.
//!
//! Loaded by the host; see `progtune-plugin-api` for the interface.

use progtune_plugin_api::{prelude::*, stage};

struct Progressive {
    run: RunRecord,
    embeddings: Embeddings,
}

impl Progressive {
    fn create(options: &Options, _: &HostRecord, run: &RunRecord) -> Result<Self, PluginError> {
        Ok(Self {
            run: run.clone(),
            embeddings: Embeddings::from_options(options, run)?,
        })
    }
}

impl Schedule for Progressive {
    fn plan(&self, decision: &DecisionRecord) -> Result<SchedulePlan, PluginError> {
        let t = stage::epoch(&self.run, decision)?;
        let k = stage::parts(&self.run, self.run.epochs - t + 1);
        Stage::top_blocks(&self.run, k, self.embeddings).plan(&self.run)
    }
}

export_plugin! {
    schedules: [
        {
            id: "progressive",
            summary: "starts with every block and drops the lowest part after each epoch (Progtuning)",
            options: [EMBEDDINGS_OPTION],
            create: Progressive::create,
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
        contract::schedule_plans(&PLUGIN, "progressive", &[], &run)
            .into_iter()
            .map(trained)
            .collect()
    }

    #[test]
    fn keeps_the_contract() {
        for embeddings in ["auto", "every-epoch", "first-part"] {
            let report =
                contract::assert_schedule(&PLUGIN, "progressive", &[("embeddings", embeddings)]);
            assert_eq!(report.refusals, 0);
        }
    }

    #[test]
    fn trains_the_blocks_of_the_equation() {
        assert_eq!(trained_blocks(12, 3), [12, 8, 4]);
        assert_eq!(trained_blocks(5, 3), [5, 4, 2]);
        assert_eq!(trained_blocks(2, 5), [2, 2, 2, 1, 1]);
    }
}
