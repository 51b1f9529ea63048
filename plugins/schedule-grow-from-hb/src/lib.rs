//! The schedule `grow-from-hb`, the paper's "Progtuning from HB" (Eq. 5): S_t = P_{T−t+1} ∘ … ∘ P_T
//! ∘ H. The first epoch trains the highest of the T parts, and each later epoch one more part
//! below: k(t) = ⌈L·t/T⌉ top blocks.
//!
//! Loaded by the host; see `progtune-plugin-api` for the interface.

use progtune_plugin_api::{prelude::*, stage};
use std::ops::Range;

/// The top ⌈L·t/T⌉ blocks.
fn blocks(run: &RunRecord, t: u32) -> Range<u32> {
    stage::top(run, stage::parts(run, t))
}

export_plugin! {
    schedules: [
        {
            id: "grow-from-hb",
            summary: "starts with the highest part and adds the next lower one after each epoch",
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
            let report = contract::assert_schedule(&PLUGIN, "grow-from-hb", &options);
            assert_eq!(report.refusals, 0);
        }
    }

    #[test]
    fn trains_the_blocks_of_the_equation() {
        contract::assert_top_blocks(&PLUGIN, "grow-from-hb", 12, &[4, 8, 12]);
        contract::assert_top_blocks(&PLUGIN, "grow-from-hb", 5, &[2, 4, 5]);
        contract::assert_top_blocks(&PLUGIN, "grow-from-hb", 2, &[1, 1, 2, 2, 2]);
    }
}
