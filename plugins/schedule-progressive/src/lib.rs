//! The schedule `progressive`, the paper's own (Progtuning, Eq. 3): S_t = P_t ∘ … ∘ P_T ∘ H. The
//! first epoch trains all blocks, and each later epoch drops the lowest remaining of the T parts:
//! k(t) = ⌈L·(T−t+1)/T⌉ top blocks.
//!
//! Loaded by the host; see `progtune-plugin-api` for the interface.

use progtune_plugin_api::{prelude::*, stage};
use std::ops::Range;

/// The top ⌈L·(T−t+1)/T⌉ blocks.
fn blocks(run: &RunRecord, t: u32) -> Range<u32> {
    stage::top(run, stage::parts(run, run.epochs - t + 1))
}

export_plugin! {
    schedules: [
        {
            id: "progressive",
            summary: "starts with every block and drops the lowest part after each epoch (Progtuning)",
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
            let report = contract::assert_schedule(&PLUGIN, "progressive", &options);
            assert_eq!(report.refusals, 0);
        }
    }

    #[test]
    fn trains_the_blocks_of_the_equation() {
        contract::assert_top_blocks(&PLUGIN, "progressive", 12, &[12, 8, 4]);
        contract::assert_top_blocks(&PLUGIN, "progressive", 5, &[5, 4, 2]);
        contract::assert_top_blocks(&PLUGIN, "progressive", 2, &[2, 2, 2, 1, 1]);
    }
}
