//! The invariant that everything depends on: each trainable parameter gets a gradient, and no
//! frozen one changes by a bit. It is tested for every model × method × schedule and epoch, and for
//! both compute paths.

use candle_core::{DType, Tensor};
use progtune_engine::{
    Batch, HeadKind,
    model::{Gradients, Kernels, Step},
    optim::{AdamW, Settings},
};
use progtune_tests::{
    fixture,
    model::{Setup, Wanted, parity_examples},
};
use std::collections::BTreeSet;

const SCHEDULES: [&str; 9] = [
    "full",
    "progressive",
    "grow-from-hb",
    "wo-lb",
    "single-block",
    "top-k",
    "gradual-unfreeze",
    "lisa",
    "auto-freeze",
];
const METHODS: [(&str, &[(&str, &str)]); 17] = [
    ("", &[]),
    ("lora", &[]),
    (
        "lora",
        &[("target_modules", "dense,key"), ("lora_dropout", "0.1")],
    ),
    ("bitfit", &[]),
    ("adapter", &[]),
    ("adapter", &[("preset", "houlsby")]),
    ("dora", &[]),
    (
        "dora",
        &[("target_modules", "dense,key"), ("lora_dropout", "0.1")],
    ),
    ("ia3", &[]),
    (
        "ia3",
        &[
            ("target_modules", "query,intermediate.dense"),
            ("feedforward_modules", "query,intermediate.dense"),
        ],
    ),
    ("vera", &[("r", "6")]),
    ("vera", &[("target_modules", "dense,key"), ("r", "6")]),
    ("kron-a", &[("target_modules", "dense,key")]),
    ("pfeiffer", &[]),
    ("parallel", &[("reduction_factor", "4")]),
    ("prefix", &[("num_virtual_tokens", "3")]),
    (
        "prefix",
        &[("num_virtual_tokens", "3"), ("prefix_projection", "true")],
    ),
];
const SETTINGS: Settings = Settings {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.01,
    max_grad_norm: 1.0,
};

fn same_bits(a: &Tensor, b: &Tensor) -> bool {
    let bits = |t: &Tensor| -> Vec<u32> {
        t.flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap()
            .into_iter()
            .map(f32::to_bits)
            .collect()
    };
    a.dtype() == DType::F32 && bits(a) == bits(b)
}

/// Softmax ignores a shift, so the key bias has no gradient by nature.
fn is_zero_by_nature(name: &str) -> bool {
    name.ends_with("attention.self.key.bias")
}

/// Asserts that exactly the parameters with a gradient have moved. Returns the numbers of trained
/// and frozen parameters.
fn check_moved(
    setup: &Setup,
    before: &[Tensor],
    reached: &[bool],
    gradients: &Gradients,
    what: &str,
) -> (usize, usize) {
    let after = setup.snapshot();
    let (mut trained, mut frozen) = (0, 0);
    for (id, info) in setup.model.parameters.infos().iter().enumerate() {
        if setup.model.parameters.is_trainable(id) {
            trained += 1;
            assert!(
                reached[id] || is_zero_by_nature(&info.name),
                "{what}: {} is trainable and got no gradient",
                info.name
            );
            let moved = !same_bits(&before[id], &after[id]);
            assert!(
                moved || is_zero_by_nature(&info.name),
                "{what}: {} is trainable and did not move",
                info.name
            );
        } else {
            frozen += 1;
            assert!(
                same_bits(&before[id], &after[id]),
                "{what}: {} is frozen and changed",
                info.name
            );
            assert!(
                gradients
                    .tensor(id, &setup.model.parameters)
                    .unwrap()
                    .is_none(),
                "{what}: {}",
                info.name
            );
        }
    }
    (trained, frozen)
}

/// Trains two steps of a stage and checks every parameter. Returns the numbers of trained and
/// frozen parameters.
fn check_stage(
    setup: &mut Setup,
    trainable: &[usize],
    batch: &Batch,
    what: &str,
) -> (usize, usize) {
    setup.model.parameters.set_trainable(trainable);
    let before = setup.snapshot();
    let model = &setup.model;
    let mut gradients = Gradients::new(&model.parameters);
    let mut optimizer = AdamW::new(SETTINGS);
    let mut reached = vec![false; model.parameters.len()];
    for number in 0..2 {
        model
            .train(
                batch,
                Step { seed: 3, number },
                batch.sequences() as f64,
                &mut gradients,
            )
            .unwrap();
        gradients.check_reached(&model.parameters).unwrap();
        for &id in trainable {
            let gradient = gradients.tensor(id, &model.parameters).unwrap().unwrap();
            let size = gradient
                .abs()
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap();
            assert!(
                size.is_finite(),
                "{what}: {}",
                model.parameters.infos()[id].name
            );
            reached[id] |= size > 0.0;
        }
        let norms = optimizer
            .norms(&model.parameters, &mut gradients, model.config.blocks())
            .unwrap();
        optimizer
            .step(
                &model.parameters,
                &mut gradients,
                Some(norms.global),
                1e-3,
                &|_| 1.0,
            )
            .unwrap();
    }
    let (trained, frozen) = check_moved(setup, &before, &reached, &gradients, what);
    assert_eq!(
        optimizer.n_states(),
        trained,
        "{what}: state for what is trained only"
    );
    (trained, frozen)
}

fn check(kernels: Kernels, epochs: u32) {
    for (name, outputs) in [("bert", 2), ("roberta", 2), ("bert_regression", 1)] {
        let path = fixture("parity").join(name);
        let examples = parity_examples(name, 6);
        let (mut stages_seen, mut trained, mut frozen) = (0, 0, 0);
        for (method, options) in METHODS {
            let wanted = Wanted {
                model: &path,
                method,
                options,
                adapter: None,
                head: HeadKind::Sequence(outputs),
                kernels,
                dropout: Some(0.1),
            };
            let mut setup = wanted.build();
            let first = setup.model.config.first_position();
            let batch = Batch::new(&examples, &[0, 1, 2, 3, 4, 5], first);
            // Schedules share stages, and a stage is identified by its set.
            let mut checked = BTreeSet::new();
            for schedule in SCHEDULES {
                for stage in setup.stages(schedule, epochs) {
                    if !checked.insert(stage.trainable.clone()) {
                        continue;
                    }
                    let what = format!(
                        "{name} {method} {options:?} {schedule} epoch {}",
                        stage.epoch
                    );
                    let ids = &stage.trainable;
                    assert_eq!(
                        stage.frozen_blocks(setup.model.config.blocks()),
                        setup.model.frozen_blocks(|id| ids.contains(&id)),
                        "{what}: what a plan says is frozen"
                    );
                    let seen = check_stage(&mut setup, &stage.trainable, &batch, &what);
                    (stages_seen, trained, frozen) =
                        (stages_seen + 1, trained + seen.0, frozen + seen.1);
                }
            }
        }
        println!(
            "{name}, {kernels}: {stages_seen} different stages, {trained} trained and {frozen} frozen parameters checked"
        );
    }
}

#[test]
fn trainable_parameters_get_gradients_and_frozen_ones_keep_their_bits() {
    check(Kernels::Fused, 3);
}

#[test]
fn the_same_holds_on_the_composed_path() {
    check(Kernels::Composed, 2);
}

/// A parameter that leaves the trainable set takes its state with it. One that returns starts at
/// its first step.
#[test]
fn optimizer_state_leaves_and_starts_fresh() {
    let path = fixture("parity").join("bert");
    let examples = parity_examples("bert", 4);
    let wanted = Wanted {
        model: &path,
        method: "",
        options: &[],
        adapter: None,
        head: HeadKind::Sequence(2),
        kernels: Kernels::Fused,
        dropout: Some(0.0),
    };
    let mut setup = wanted.build();
    let batch = Batch::new(&examples, &[0, 1, 2, 3], 0);
    let id = setup
        .model
        .parameters
        .id("encoder.layer.0.output.dense.bias")
        .unwrap();
    let all = setup.model_plan.candidates.clone();
    let without: Vec<usize> = all.iter().copied().filter(|&other| other != id).collect();
    let mut optimizer = AdamW::new(SETTINGS);
    for (number, set) in [&all, &without, &all].into_iter().enumerate() {
        setup.model.parameters.set_trainable(set);
        optimizer.retain_trainable(&setup.model.parameters);
        assert_eq!(
            optimizer.n_states(),
            if number == 0 { 0 } else { without.len() }
        );
        let mut gradients = Gradients::new(&setup.model.parameters);
        let before = setup.snapshot();
        setup
            .model
            .train(
                &batch,
                Step {
                    seed: 0,
                    number: number as u64,
                },
                4.0,
                &mut gradients,
            )
            .unwrap();
        let norms = optimizer
            .norms(&setup.model.parameters, &mut gradients, 5)
            .unwrap();
        optimizer
            .step(
                &setup.model.parameters,
                &mut gradients,
                Some(norms.global),
                1e-3,
                &|_| 1.0,
            )
            .unwrap();
        assert_eq!(optimizer.n_states(), set.len());
        // At a parameter's own first step AdamW moves every number with a gradient by the learning
        // rate.
        let moved = (&setup.snapshot()[id] - &before[id])
            .unwrap()
            .abs()
            .unwrap();
        let largest = moved.max_all().unwrap().to_scalar::<f32>().unwrap();
        match number {
            1 => assert_eq!(largest, 0.0),
            _ => assert!((largest - 1e-3).abs() < 1e-5, "moved by {largest}"),
        }
    }
}
