//! The schedule `grow-from-hb`, the paper's "Progtuning from HB" (Eq. 5): S_t = P_{T−t+1} ∘ … ∘ P_T
//! ∘ H. The first epoch trains the highest of the T parts, and each later epoch one more part
//! below: k(t) = ⌈L·t/T⌉ top blocks.
//!
//! Loaded by the host; see `progtune-plugin-api` for the interface.

use progtune_plugin_api::{prelude::*, stage};

struct GrowFromHb {
    run: RunRecord,
    embeddings: Embeddings,
}

impl GrowFromHb {
    fn create(options: &Options, _: &HostRecord, run: &RunRecord) -> Result<Self, PluginError> {
        Ok(Self {
            run: run.clone(),
            embeddings: Embeddings::from_options(options, run)?,
        })
    }
}

impl Schedule for GrowFromHb {
    fn plan(&self, decision: &DecisionRecord) -> Result<SchedulePlan, PluginError> {
        let t = stage::epoch(&self.run, decision)?;
        let k = stage::parts(&self.run, t);
        Stage::top_blocks(&self.run, k, self.embeddings).plan(&self.run)
    }
}

export_plugin! {
    schedules: [
        {
            id: "grow-from-hb",
            summary: "starts with the highest part and adds the next lower one after each epoch",
            options: [EMBEDDINGS_OPTION],
            create: GrowFromHb::create,
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
        contract::schedule_plans(&PLUGIN, "grow-from-hb", &[], &run)
            .into_iter()
            .map(trained)
            .collect()
    }

    #[test]
    fn keeps_the_contract() {
        for embeddings in ["auto", "every-epoch", "first-part"] {
            let report =
                contract::assert_schedule(&PLUGIN, "grow-from-hb", &[("embeddings", embeddings)]);
            assert_eq!(report.refusals, 0);
        }
    }

    #[test]
    fn trains_the_blocks_of_the_equation() {
        assert_eq!(trained_blocks(12, 3), [4, 8, 12]);
        assert_eq!(trained_blocks(5, 3), [2, 4, 5]);
        assert_eq!(trained_blocks(2, 5), [1, 1, 2, 2, 2]);
    }
}
