//! Tests of AutoFreeze's rule on histories written by hand, and over a whole simulated run.

use super::*;
use progtune_plugin_api::contract;

/// A run with 4 blocks and 3 epochs of 10 steps. Each of the five intervals per epoch has 2 steps.
fn schedule(options: &[(&str, &str)]) -> progtune_plugin_api::root::ScheduleObject {
    let run = contract::run_record(4, 3, "", true);
    contract::create_schedule(&PLUGIN, "auto-freeze", options, &run).unwrap()
}

fn record(step: u64, values: &[f64]) -> SignalRecord {
    SignalRecord {
        name: SIGNAL.into(),
        epoch: 1 + ((step - 1) / 10) as u32,
        step,
        values: values.into(),
        ext: Default::default(),
    }
}

fn decision(step: u64, history: &[SignalRecord]) -> DecisionRecord {
    DecisionRecord {
        step_in_epoch: step % 10,
        global_step: step,
        history: history.iter().cloned().collect(),
        ..DecisionRecord::epoch(1 + (step / 10) as u32)
    }
}

/// The lowest block that is trained after this history.
fn lowest(options: &[(&str, &str)], step: u64, history: &[SignalRecord]) -> i32 {
    let run = contract::run_record(4, 3, "", true);
    let plan = schedule(options)
        .plan(&decision(step, history))
        .into_result()
        .unwrap();
    let blocks = plan
        .trainable
        .iter()
        .filter_map(|&id| run.candidate(id))
        .map(|p| p.block);
    blocks.filter(|&block| block >= 0).min().unwrap()
}

#[test]
fn keeps_the_contract() {
    contract::assert_kept(&PLUGIN);
    for (percentile, intervals) in [("0", "1"), ("100", "10"), ("75", "3")] {
        for embeddings in ["auto", "every-epoch", "first-part"] {
            let options = [
                ("percentile", percentile),
                ("intervals", intervals),
                ("embeddings", embeddings),
            ];
            let report = contract::assert_schedule(&PLUGIN, "auto-freeze", &options);
            assert_eq!(report.refusals, 0);
        }
    }
}

#[test]
fn asks_for_the_gradient_norms_five_times_an_epoch() {
    let traits = schedule(&[]).traits().into_result().unwrap();
    assert_eq!(traits.signals.len(), 1);
    assert_eq!(traits.signals[0].as_str(), "block_grad_norm");
    assert_eq!(traits.interval_steps, 2);
    let once = schedule(&[("intervals", "1")]).traits().into_result();
    assert_eq!(once.unwrap().interval_steps, 10);
}

#[test]
fn nothing_is_frozen_before_two_intervals_are_there_to_compare() {
    assert_eq!(lowest(&[], 0, &[]), 0);
    let history = [record(1, &[1.0; 4]), record(2, &[1.0; 4])];
    assert_eq!(lowest(&[], 2, &history), 0);
}

/// For η = 0.1, 0.2, 0.5, 0.4 the median is 0.3, so blocks 0 and 1 are below it.
#[test]
fn freezes_the_prefix_below_the_percentile() {
    let before = [1.0, 2.0, 3.0, 4.0];
    let after = [1.1, 1.6, 4.5, 5.6];
    let history: Vec<SignalRecord> = [(1, before), (2, before), (3, after), (4, after)]
        .map(|(step, values)| record(step, &values))
        .to_vec();
    assert_eq!(lowest(&[], 4, &history), 2);
    // For 0.1, 0.2, 0.4, 0.5 the percentile is 0.175 at 25 % and 0.5 at 100 %.
    assert_eq!(lowest(&[("percentile", "25")], 4, &history), 1);
    assert_eq!(lowest(&[("percentile", "100")], 4, &history), 2);
    assert_eq!(lowest(&[("percentile", "0")], 4, &history), 0);
}

/// A calm block above a restless one stays trained, because only a prefix is frozen. The norms of
/// an interval are averaged.
#[test]
fn a_restless_block_keeps_all_above_it() {
    let history: Vec<SignalRecord> = [
        (1, [1.0, 1.0, 1.0, 1.0]),
        (2, [1.0, 3.0, 1.0, 3.0]),
        (3, [3.0, 2.0, 1.0, 2.0]),
        (4, [3.0, 2.0, 1.0, 2.0]),
    ]
    .map(|(step, values)| record(step, &values))
    .to_vec();
    assert_eq!(lowest(&[], 4, &history), 0, "η = 2, 0, 0, 0");
}

/// Frozen blocks no longer have a norm and stay frozen; the last block is never frozen.
#[test]
fn frozen_blocks_stay_frozen_and_one_block_is_left() {
    let mut history: Vec<SignalRecord> = Vec::new();
    let mut frozen = Vec::new();
    let mut first = 0;
    for step in 0..30u64 {
        if step % 2 == 0 {
            let now = lowest(&[("percentile", "60")], step, &history);
            assert!(now >= first, "step {step}: block {first} was frozen");
            first = now;
            frozen.push(now);
        }
        // The lower a block, the less it changes from one interval to the next.
        let interval = (step / 2) as f64;
        let norm = |block: i32| {
            if block < first {
                f64::NAN
            } else {
                1.0 + interval * f64::from(block + 1) * 0.1
            }
        };
        history.push(record(step + 1, &[0, 1, 2, 3].map(norm)));
    }
    assert_eq!(frozen[..2], [0, 0]);
    assert_eq!(*frozen.last().unwrap(), 3, "{frozen:?}");
}

/// Intervals end inside an epoch and at its end, even if the epoch is not a whole number of
/// intervals.
#[test]
fn the_last_interval_of_an_epoch_may_be_shorter() {
    let run = RunRecord {
        steps_per_epoch: 11,
        ..contract::run_record(4, 3, "", true)
    };
    let schedule = AutoFreeze {
        run,
        percentile: 50.0,
        interval: 3,
        embeddings: Embeddings::FirstPart,
    };
    let ends: Vec<u64> = std::iter::successors(Some(22), |&step| schedule.previous(step)).collect();
    assert_eq!(ends, [22, 20, 17, 14, 11, 9, 6, 3, 0]);
}

/// numpy.percentile([0.1, 0.2, 0.4, 0.5], p) for p = 0, 25, 50, 100.
#[test]
fn percentiles_are_numpys() {
    let numbers = [0.5, 0.1, 0.4, 0.2];
    for (percent, expected) in [(0.0, 0.1), (25.0, 0.175), (50.0, 0.3), (100.0, 0.5)] {
        let found = percentile(numbers.into_iter(), percent);
        assert!((found - expected).abs() < 1e-12, "{percent}: {found}");
    }
}
