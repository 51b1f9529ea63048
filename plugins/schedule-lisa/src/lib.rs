//! The schedule `lisa`, layerwise importance sampled AdamW. Every `interval_steps` optimizer steps
//! it draws `blocks` of the L blocks with equal probability and trains these. The head, and in full
//! fine-tuning the embeddings, are always trained.
//!
//! Pan et al. 2024, arXiv:2403.17919, algorithm 1 (γ is `blocks`, K is `interval_steps`). The
//! defaults, 2 blocks and 20 steps, are those of the authors' implementation in LMFlow. A block
//! that is drawn again starts with new AdamW moments and its own step count, because the host keeps
//! state only for trained parameters. Loaded by the host; see `progtune-plugin-api` for the
//! interface.

use progtune_plugin_api::{prelude::*, stage};

struct Lisa {
    run: RunRecord,
    blocks: u32,
    interval_steps: u64,
    embeddings: Embeddings,
}

impl Lisa {
    fn create(options: &Options, _: &HostRecord, run: &RunRecord) -> Result<Self, PluginError> {
        let blocks = options.int("blocks")?.try_into().unwrap_or(u32::MAX);
        Ok(Self {
            run: run.clone(),
            blocks: blocks.min(run.blocks),
            interval_steps: options.size("interval_steps")?,
            embeddings: Embeddings::from_options(options, run)?,
        })
    }

    /// The blocks of one draw without replacement: the first steps of a Fisher–Yates shuffle. The
    /// draw is a function of the run's seed, the epoch and the number of the draw within it.
    fn draw(&self, epoch: u32, number: u64) -> Vec<u32> {
        let mut random = SplitMix(self.run.seed ^ mix(mix(u64::from(epoch)) ^ number));
        let mut blocks: Vec<u32> = (0..self.run.blocks).collect();
        for chosen in 0..self.blocks as usize {
            let left = (blocks.len() - chosen) as u64;
            blocks.swap(chosen, chosen + random.below(left) as usize);
        }
        blocks.truncate(self.blocks as usize);
        blocks
    }
}

impl Schedule for Lisa {
    fn traits(&self) -> ScheduleTraits {
        ScheduleTraits {
            interval_steps: self.interval_steps,
            ..ScheduleTraits::default()
        }
    }

    fn plan(&self, decision: &DecisionRecord) -> Result<SchedulePlan, PluginError> {
        let epoch = stage::epoch(&self.run, decision)?;
        // Without an interval there is one draw per epoch.
        let number = decision.step_in_epoch.checked_div(self.interval_steps);
        Stage::blocks(self.draw(epoch, number.unwrap_or(0)), self.embeddings).plan(&self.run)
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `n`: the upper half of a 128-bit product, which is even enough for any n
    /// below 2³².
    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

export_plugin! {
    schedules: [
        {
            id: "lisa",
            summary: "a few random blocks, redrawn every few steps, with head and embeddings (LISA)",
            options: [
                { name: "blocks", kind: Int, default: 2, min: 1, help: "number of blocks trained at a time (all if the model has no more)" },
                { name: "interval_steps", kind: Int, default: 20, min: 0, help: "number of optimizer steps between draws; each epoch begins with a draw; 0: only then" },
                EMBEDDINGS_OPTION,
            ],
            create: Lisa::create,
        },
    ],
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_plugin_api::contract;
    use std::collections::BTreeSet;

    fn lisa(run: &RunRecord, blocks: u32, interval_steps: u64) -> Lisa {
        Lisa {
            run: run.clone(),
            blocks,
            interval_steps,
            embeddings: Embeddings::EveryEpoch,
        }
    }

    #[test]
    fn keeps_the_contract() {
        contract::assert_kept(&PLUGIN);
        for (blocks, interval) in [("1", "0"), ("3", "7"), ("100", "1")] {
            for embeddings in ["auto", "every-epoch", "first-part"] {
                let options = [
                    ("blocks", blocks),
                    ("interval_steps", interval),
                    ("embeddings", embeddings),
                ];
                let report = contract::assert_schedule(&PLUGIN, "lisa", &options);
                assert_eq!(report.refusals, 0);
            }
        }
    }

    /// Algorithm 1: always the head and the embeddings, and γ distinct blocks.
    #[test]
    fn trains_head_embeddings_and_gamma_blocks() {
        let run = contract::run_record(12, 30, "", true);
        for plan in contract::schedule_plans(&PLUGIN, "lisa", &[("blocks", "4")], &run) {
            let trained: BTreeSet<i32> = plan
                .trainable
                .iter()
                .filter_map(|&id| run.candidate(id))
                .map(|p| p.block)
                .filter(|&block| block >= 0)
                .collect();
            assert_eq!(trained.len(), 4);
            let always = [run.embeddings(), run.head()].concat();
            assert!(always.iter().all(|id| plan.trainable.contains(id)));
            let each = run.blocks(0..1).len();
            assert_eq!(plan.trainable.len(), always.len() + 4 * each);
        }
    }

    /// Every block is drawn γ/L of the time. With 2 of 12 in 6000 draws that is 1000 times each,
    /// with a standard deviation of √(6000·1/6·5/6) ≈ 29.
    #[test]
    fn draws_are_even() {
        let run = contract::run_record(12, 30, "", true);
        let schedule = lisa(&run, 2, 1);
        let mut counts = [0u32; 12];
        for epoch in 1..=30 {
            for number in 0..200 {
                for block in schedule.draw(epoch, number) {
                    counts[block as usize] += 1;
                }
            }
        }
        assert_eq!(counts.iter().sum::<u32>(), 12_000);
        for count in counts {
            assert!(count.abs_diff(1000) < 145, "{counts:?}");
        }
    }

    #[test]
    fn a_draw_holds_for_an_interval_and_depends_on_the_seed() {
        let run = contract::run_record(12, 3, "", true);
        let other = RunRecord {
            seed: 43,
            ..run.clone()
        };
        let blocks = |run: &RunRecord, interval, epoch, step_in_epoch| {
            let decision = DecisionRecord {
                step_in_epoch,
                ..DecisionRecord::epoch(epoch)
            };
            lisa(run, 2, interval).plan(&decision).unwrap().trainable
        };
        assert_eq!(blocks(&run, 5, 1, 5), blocks(&run, 5, 1, 9));
        let distinct = |run: &RunRecord, interval| {
            let mut seen: Vec<Vec<u32>> = Vec::new();
            for epoch in 1..=3 {
                for step in 0..10 {
                    seen.push(blocks(run, interval, epoch, step).to_vec());
                }
            }
            seen.dedup();
            seen.len()
        };
        assert_eq!(distinct(&run, 0), 3, "one draw per epoch");
        assert!(distinct(&run, 5) > 3);
        let all = |run| -> Vec<_> { (0..8).map(|step| blocks(run, 1, 1, step)).collect() };
        assert_ne!(all(&run), all(&other));
        assert_eq!(
            lisa(&run, 2, 0).traits().interval_steps,
            0,
            "the start of each epoch only"
        );
    }
}
