//! The schedule `full` trains every candidate parameter in every epoch, k(t) = L. It is the
//! baseline for the other schedules.
//!
//! Loaded by the host; see `progtune-plugin-api` for the interface.

use progtune_plugin_api::prelude::*;

export_plugin! {
    schedules: [
        {
            id: "full",
            summary: "every block in every epoch (ordinary fine-tuning)",
            options: [EMBEDDINGS_OPTION],
            create: |options, _, run| BlocksByEpoch::new(options, run, |run, _| 0..run.blocks),
        },
    ],
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_plugin_api::contract;

    #[test]
    fn keeps_the_contract() {
        for embeddings in ["auto", "every-epoch", "first-part"] {
            let report = contract::assert_schedule(&PLUGIN, "full", &[("embeddings", embeddings)]);
            assert_eq!(report.refusals, 0);
        }
    }

    #[test]
    fn trains_every_candidate() {
        let run = contract::run_record(5, 3, "", true);
        for plan in contract::schedule_plans(&PLUGIN, "full", &[], &run) {
            assert_eq!(plan.trainable.len(), run.candidates.len());
        }
    }
}
