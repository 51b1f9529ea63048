//! The schedule `top-k` trains the top k blocks in every epoch and keeps the others frozen
//! throughout. With k = 0 only the head is trained, which is probing. In full fine-tuning the
//! embeddings are trained too, unless `embeddings=first-part` freezes them.
//!
//! Lee, Tang & Lin 2019, "What Would Elsa Do? Freezing Layers During Transformer Fine-Tuning",
//! arXiv:1911.03090, find that the last quarter of the blocks gives nine tenths of the quality.
//! That is 3 of BERT-base's 12 blocks, the default. Loaded by the host; see `progtune-plugin-api`
//! for the interface.

use progtune_plugin_api::{prelude::*, stage};

fn create(options: &Options, run: &RunRecord) -> Result<impl Schedule + use<>, PluginError> {
    let chosen = options.int("k")?;
    match u32::try_from(chosen) {
        Ok(k) if k <= run.blocks => {
            BlocksByEpoch::new(options, run, move |run, _| stage::top(run, k))
        }
        _ => Err(PluginError::bad_option(
            "k",
            format!(
                "expected 0 to {} (the model's blocks), found {chosen}",
                run.blocks
            ),
        )),
    }
}

export_plugin! {
    schedules: [
        {
            id: "top-k",
            summary: "the top k blocks in every epoch",
            options: [
                { name: "k", kind: Int, default: 3, min: 0, help: "number of blocks to train, counted from the top; 0: only the head" },
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
        // Models with one or two blocks have fewer than three, so the plugin refuses properly.
        contract::assert_kept(&PLUGIN);
        for embeddings in ["auto", "every-epoch", "first-part"] {
            let options = [("k", "0"), ("embeddings", embeddings)];
            assert_eq!(
                contract::assert_schedule(&PLUGIN, "top-k", &options).refusals,
                0
            );
        }
    }

    #[test]
    fn trains_the_same_top_blocks_in_every_epoch() {
        let run = contract::run_record(5, 3, "", true);
        for k in 0..=5u32 {
            let option = k.to_string();
            for plan in contract::schedule_plans(&PLUGIN, "top-k", &[("k", &option)], &run) {
                let mut expected = [run.top_blocks(k), run.embeddings(), run.head()].concat();
                expected.sort_unstable();
                assert_eq!(plan.trainable.to_vec(), expected);
            }
        }
        let error = contract::create_schedule(&PLUGIN, "top-k", &[("k", "6")], &run)
            .err()
            .unwrap();
        assert_eq!(
            error.message.as_str(),
            "option 'k': expected 0 to 5 (the model's blocks), found 6"
        );
    }
}
