//! The schedule `wo-lb`, the paper's "Progtuning without low blocks" (Eq. 4): S_t = P_{t+1} ∘ … ∘
//! P_T ∘ H. It is like `progressive` with one part less in every epoch: k(t) = ⌈L·(T−t)/T⌉ top
//! blocks. The last epoch trains only the head (in full fine-tuning with the embeddings).
//!
//! Loaded by the host; see `progtune-plugin-api` for the interface.

use progtune_plugin_api::{prelude::*, stage};
use std::ops::Range;

/// The top ⌈L·(T−t)/T⌉ blocks.
fn blocks(run: &RunRecord, t: u32) -> Range<u32> {
    stage::top(run, stage::parts(run, run.epochs - t))
}

export_plugin! {
    schedules: [
        {
            id: "wo-lb",
            summary: "like progressive with one part less in every epoch: the low blocks are never trained",
            options: [EMBEDDINGS_OPTION],
            create: |options, _, run| BlocksByEpoch::new(options, run, blocks),
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
            let options = [("embeddings", embeddings)];
            let report = contract::assert_schedule(&PLUGIN, "wo-lb", &options);
            assert_eq!(report.refusals, 0);
        }
    }

    #[test]
    fn trains_the_blocks_of_the_equation() {
        contract::assert_top_blocks(&PLUGIN, "wo-lb", 12, &[8, 4, 0]);
        contract::assert_top_blocks(&PLUGIN, "wo-lb", 5, &[4, 2, 0]);
        contract::assert_top_blocks(&PLUGIN, "wo-lb", 2, &[2, 2, 1, 1, 0]);
    }
}
