//! The cost of separate processes, when a plugin is loaded and at a decision point. The times are
//! printed but not judged, because they depend on the machine.

use progtune_engine::plugin::{Cache, Isolation, LoadedMethod, OFFER, Plugins, Probe, Settings};
use progtune_plugin_api::{
    contract::{Dimensions, model_record, run_record},
    records::{DecisionRecord, SignalRecord},
};
use progtune_tests::{profile_dir, progtune};
use std::time::Instant;

const STARTS: usize = 15;
const DECISIONS: usize = 300;

fn plugins(isolation: Isolation, cache: &std::path::Path) -> Plugins {
    let probe = Probe::with(progtune().get_program());
    Plugins::discover(Settings {
        directories: vec![profile_dir()],
        probe: Some(probe),
        isolation,
        cache: Cache::at(cache),
        ..Settings::new(OFFER)
    })
    .expect("the built plugins")
}

/// The median time of repeated work, in milliseconds. Each result is dropped between the
/// measurements.
fn median<T>(times: usize, mut work: impl FnMut() -> T) -> f64 {
    let mut taken: Vec<f64> = (0..times)
        .map(|_| {
            let begun = Instant::now();
            let made = work();
            let secs = begun.elapsed().as_secs_f64();
            drop(made);
            secs * 1e3
        })
        .collect();
    taken.sort_by(f64::total_cmp);
    taken[times / 2]
}

/// The observations from every step in a run of this length.
fn history(steps: u64) -> Vec<SignalRecord> {
    (0..steps)
        .map(|step| SignalRecord {
            name: "block_grad_norm".into(),
            epoch: 1,
            step,
            values: (0..12).map(|block| f64::from(block) + 0.1).collect(),
            ext: Default::default(),
        })
        .collect()
}

#[test]
fn what_isolation_costs_is_measured() {
    let folder = tempfile::tempdir().expect("a directory");
    let model = model_record("bert", 12, Dimensions::BERT_BASE);
    println!(
        "| isolation | schedule ready | method's plan, BERT base | decision | decision after 1000 observations |\n|---|---|---|---|---|"
    );
    for isolation in [Isolation::None, Isolation::Process] {
        let plugins = plugins(isolation, folder.path());
        let run = || run_record(12, 3, "", true);
        let schedule = || plugins.schedule("lisa", &[], run()).expect("the schedule");
        let method = || plugins.method("lora", &[]).expect("the method");
        let plan = |method: &LoadedMethod| method.plan(&model).expect("its plan");
        // From here on it has been tried, copied and recorded.
        drop(schedule());
        assert_eq!(plan(&method()).rewrites.len(), 24);
        let ready = median(STARTS, schedule);
        let lora = method();
        let planned = median(STARTS, || plan(&lora));
        let lisa = schedule();
        let mut step = 0;
        let decision = median(DECISIONS, || {
            step += 1;
            let point = DecisionRecord {
                global_step: step,
                step_in_epoch: step,
                ..DecisionRecord::epoch(1)
            };
            assert!(!lisa.plan(&point).expect("a plan").trainable.is_empty());
        });
        let follower = plugins
            .schedule("auto-freeze", &[], run())
            .expect("the schedule");
        let mut point = DecisionRecord {
            history: history(1000).into(),
            ..DecisionRecord::epoch(2)
        };
        let followed = median(DECISIONS, || {
            follower.plan(&point).expect("a plan");
            let step = point.history.len() as u64;
            point.history.push(SignalRecord {
                step,
                ..point.history[0].clone()
            });
        });
        println!(
            "| {isolation} | {ready:.2} ms | {planned:.2} ms | {decision:.3} ms | {followed:.3} ms |"
        );
    }
}
