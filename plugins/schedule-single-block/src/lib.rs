//! The schedule `single-block` trains the head, one block and (in full fine-tuning) the embeddings
//! in every epoch. It reproduces the paper's Fig. 1, in which each block in turn is trained by
//! itself to measure its contribution.
//!
//! Loaded by the host; see `progtune-plugin-api` for the interface.

use progtune_plugin_api::prelude::*;

fn create(options: &Options, run: &RunRecord) -> Result<impl Schedule + use<>, PluginError> {
    let chosen = options.int("block")?;
    let counted = if chosen < 0 {
        i64::from(run.blocks) + chosen
    } else {
        chosen
    };
    match u32::try_from(counted) {
        Ok(block) if block < run.blocks => BlocksByEpoch::new(options, run, move |_, _| [block]),
        _ => Err(PluginError::bad_option(
            "block",
            format!(
                "expected 0 to {} (the model has {} blocks), found {chosen}",
                run.blocks.saturating_sub(1),
                run.blocks
            ),
        )),
    }
}

export_plugin! {
    schedules: [
        {
            id: "single-block",
            summary: "one chosen block in every epoch, with head and embeddings",
            options: [
                {
                    name: "block", kind: Int, default: -1, min: -1,
                    help: "block to train, counted from 0 at the input; -1: the top one"
                },
                EMBEDDINGS_OPTION,
            ],
            create: |options, _, run| create(options, run),
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
            let report =
                contract::assert_schedule(&PLUGIN, "single-block", &[("embeddings", embeddings)]);
            assert_eq!(report.refusals, 0);
        }
        // Block 3 does not exist if L is 1, 2 or 3, so the plugin refuses properly.
        assert!(contract::assert_schedule(&PLUGIN, "single-block", &[("block", "3")]).refusals > 0);
    }

    #[test]
    fn trains_the_chosen_block() {
        let run = contract::run_record(4, 2, "", true);
        for (option, block) in [("-1", 3), ("0", 0), ("2", 2)] {
            for plan in
                contract::schedule_plans(&PLUGIN, "single-block", &[("block", option)], &run)
            {
                let expected = [run.blocks(block..=block), run.embeddings(), run.head()]
                    .concat()
                    .len();
                assert_eq!(plan.trainable.len(), expected);
            }
        }
        let error = contract::create_schedule(&PLUGIN, "single-block", &[("block", "4")], &run)
            .err()
            .unwrap();
        assert_eq!(
            error.message.as_str(),
            "option 'block': expected 0 to 3 (the model has 4 blocks), found 4"
        );
    }
}
