//! The cache with any sequence of trainable sets, known ahead or not. Training through it leaves
//! the same parameters as training without it, and every evaluation gives the same result.

use candle_core::{Device, Tensor};
use progtune::{
    evaluate::{logits, logits_from},
    prefix_cache::{self, CacheDtype, CachedRun, Mode, PrefixCache},
};
use progtune_engine::{
    Batch, HeadKind,
    model::{Kernels, Step},
    optim::{AdamW, Settings},
    plan::Stage,
};
use progtune_kernels::cuda::Number;
use progtune_pipeline::{batch_order::BatchLimit, token_store::Examples};
use progtune_plugin_api::records::Part;
use progtune_tests::{
    cuda_on_cpu::CpuQueue,
    fixture,
    model::{Setup, Wanted, parity_examples},
};

const SETTINGS: Settings = Settings {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.01,
    max_grad_norm: 1.0,
};
const BATCH: usize = 4;
const LIMIT: BatchLimit = BatchLimit::Examples(BATCH);

fn setup(model: &str, method: &str) -> Setup {
    let options: &[(&str, &str)] = match method {
        // Fewer than the inputs leave positions for.
        "prefix" => &[("num_virtual_tokens", "3")],
        _ => &[],
    };
    Wanted {
        model: &fixture("parity").join(model),
        method,
        options,
        adapter: None,
        head: HeadKind::Sequence(2),
        kernels: Kernels::Fused,
        dropout: Some(0.1),
    }
    .build()
}

/// The head and some blocks' candidates; with `embeddings`, also those of the embeddings.
fn stage(setup: &Setup, epoch: u32, blocks: &[usize], embeddings: bool) -> Stage {
    let infos = setup.model.parameters.infos();
    let trainable = setup.model_plan.candidates.iter().copied().filter(|&id| {
        let info = &infos[id];
        match info.block {
            Some(block) => blocks.contains(&block),
            None => embeddings || info.part != Part::EMBEDDINGS,
        }
    });
    Stage {
        epoch,
        trainable: trainable.collect(),
        ..Stage::default()
    }
}

/// Trains one epoch per stage; with `halves`, the next stage begins in the middle of an epoch.
/// Returns the bits of every parameter and of the logits after every epoch.
fn train(
    model: &str,
    method: &str,
    sets: &[(&[usize], bool)],
    halves: bool,
    cache: Option<(Mode, bool)>,
) -> Vec<Vec<u32>> {
    train_on(None, model, method, sets, halves, cache).bits
}

/// The outcome of a training.
struct Trained {
    bits: Vec<Vec<u32>>,
    /// The record of the cache for each epoch.
    usages: Vec<Option<String>>,
    /// The work of the last step on the GPU path: launches, products, allocations, uploads,
    /// downloads.
    counts: [usize; 5],
}

/// The same on the GPU path, with activations of this type.
fn train_on(
    number: Option<Number>,
    model: &str,
    method: &str,
    sets: &[(&[usize], bool)],
    halves: bool,
    cache: Option<(Mode, bool)>,
) -> Trained {
    let mut setup = setup(model, method);
    let queue = number.map(|number| {
        let (queue, lane) = CpuQueue::lane(number);
        setup.model.set_lane(lane);
        queue
    });
    let examples = parity_examples(model, 14);
    let split = |part: &[_]| Examples::from(part.to_vec());
    let (training, evaluation) = (&split(&examples[..9]), &split(&examples[9..]));
    let stages: Vec<Stage> = (1..)
        .zip(sets)
        .map(|(epoch, (blocks, embeddings))| stage(&setup, epoch, blocks, *embeddings))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let (mode, ahead) = cache.unwrap_or((Mode::Off, false));
    let mut cache = PrefixCache::new(&CachedRun {
        settings: prefix_cache::Settings {
            mode,
            dtype: CacheDtype::F32,
            budget: None,
        },
        model: &setup.model,
        stages: ahead.then_some(stages.as_slice()),
        epochs: stages.len() as u32,
        splits: &[training, evaluation],
        directory: directory.path(),
    });
    let mut optimizer = AdamW::new(SETTINGS);
    let mut number = 0;
    let (mut bits, mut usages, mut counts) = (Vec::new(), Vec::new(), [0; 5]);
    for (epoch, stage) in (1..).zip(&stages) {
        begin(&mut setup, &mut optimizer, &mut cache, epoch, stage);
        for (step, indices) in order(epoch, training.len()).chunks(BATCH).enumerate() {
            if halves && step == 1 {
                let next = &stages[epoch as usize % stages.len()];
                begin(&mut setup, &mut optimizer, &mut cache, epoch, next);
            }
            number += 1;
            if let Some(queue) = &queue {
                queue.take_counts();
            }
            one_step(
                &setup,
                &mut optimizer,
                &mut cache,
                training,
                indices,
                number,
            );
            if let Some(queue) = &queue {
                counts = queue.take_counts();
            }
        }
        let through = logits_from(&setup.model, evaluation, LIMIT, &mut |batch| {
            cache.start(&setup.model, 1, evaluation, batch)
        });
        let rows = through.unwrap();
        assert_eq!(rows, logits(&setup.model, evaluation, LIMIT).unwrap());
        bits.push(rows.concat().iter().map(|x| x.to_bits()).collect());
        usages.push(cache.end_epoch().map(|usage| usage.line()));
    }
    cache.finish();
    for tensor in setup.snapshot() {
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        bits.push(values.into_iter().map(f32::to_bits).collect());
    }
    Trained {
        bits,
        usages,
        counts,
    }
}

/// The order of `n` examples in an epoch, which differs from those of other epochs.
fn order(epoch: u32, n: usize) -> Vec<usize> {
    let order = (0..n).map(|i| (i * (1 + epoch as usize) + i / 3) % n);
    let mut order: Vec<usize> = order.chain(0..n).collect();
    let mut seen = vec![false; n];
    order.retain(|&i| !std::mem::replace(&mut seen[i], true));
    order
}

fn begin(
    setup: &mut Setup,
    optimizer: &mut AdamW,
    cache: &mut PrefixCache,
    epoch: u32,
    stage: &Stage,
) {
    setup.model.parameters.set_trainable(&stage.trainable);
    optimizer.retain_trainable(&setup.model.parameters);
    cache.begin_stage(&setup.model, epoch).unwrap();
}

fn one_step(
    setup: &Setup,
    optimizer: &mut AdamW,
    cache: &mut PrefixCache,
    examples: &Examples,
    indices: &[usize],
    number: u64,
) {
    let model = &setup.model;
    let first = model.config.first_position();
    let batch = examples.batch(indices, first).unwrap();
    let mut gradients = model.gradients().unwrap();
    let start = cache.start(model, 0, examples, &batch).unwrap();
    let step = Step { seed: 1, number };
    model
        .accumulate(&batch, start, step, indices.len() as f64, &mut gradients)
        .unwrap();
    let figures = optimizer
        .measure(&model.parameters, &mut gradients, model.config.blocks())
        .unwrap();
    let norm = figures.map(|figures| figures.norms.global);
    optimizer
        .step(&model.parameters, &mut gradients, norm, 3e-3, &|_| 1.0)
        .unwrap();
}

#[test]
fn no_sequence_of_stages_makes_the_cache_lie() {
    let up: &[(&[usize], bool)] = &[
        (&[1, 2, 3], false),
        (&[2, 3], false),
        (&[3], false),
        (&[], false),
    ];
    let down: &[(&[usize], bool)] = &[
        (&[3], false),
        (&[3], false),
        (&[2], false),
        (&[1], false),
        (&[0], false),
    ];
    // Down and up again: the block that was trained in between is below the boundary that returns.
    let back: &[(&[usize], bool)] = &[
        (&[3], false),
        (&[1, 3], false),
        (&[3], false),
        (&[3], false),
        (&[], false),
        (&[], false),
    ];
    let with_embeddings: &[(&[usize], bool)] =
        &[(&[2], false), (&[2], true), (&[2], false), (&[2], false)];
    for (model, method, sets) in [
        ("bert", "lora", up),
        ("bert", "adapter", down),
        ("bert", "", back),
        ("bert", "", with_embeddings),
        ("roberta", "bitfit", back),
        ("bert", "dora", up),
        ("bert", "ia3", down),
        ("roberta", "prefix", back),
    ] {
        for halves in [false, true] {
            let expected = train(model, method, sets, halves, None);
            for mode in [Mode::Ram, Mode::Disk] {
                for ahead in [false, true] {
                    // Stages that change within an epoch are never known ahead.
                    if !(ahead && halves) {
                        assert!(
                            train(model, method, sets, halves, Some((mode, ahead))) == expected,
                            "{model} {method}: {mode}, stages {sets:?}, in halves {halves}, known ahead {ahead}"
                        );
                    }
                }
            }
        }
    }
}

/// Randomises parameters that start at zero, and so would hide faults in the others.
fn make_random(setup: &Setup, name: &str) {
    let parameters = &setup.model.parameters;
    for (id, info) in parameters.infos().iter().enumerate() {
        if info.name.contains(name) {
            let values: Vec<f32> = (0..info.size()).map(|i| (i as f32).sin() / 8.0).collect();
            let value = Tensor::from_vec(values, info.shape.as_slice(), &Device::Cpu).unwrap();
            parameters.set(id, &value).unwrap();
        }
    }
}

/// The assumption that the cache depends on.
#[test]
fn the_rows_of_an_example_are_the_same_bits_in_any_company() {
    for (model, method) in [
        ("bert", ""),
        ("bert", "lora"),
        ("roberta", "adapter"),
        ("roberta", "dora"),
        ("bert", "ia3"),
        ("bert", "kron-a"),
        ("bert", "prefix"),
    ] {
        let setup = setup(model, method);
        for name in ["lora_B", "ia3_l", "lokr_w1"] {
            make_random(&setup, name);
        }
        let examples = parity_examples(model, 14);
        let blocks = setup.model.config.blocks();
        let rows = |indices: &[usize], boundary| -> Vec<f32> {
            let batch = Batch::new(&examples, indices, setup.model.config.first_position());
            let rows = setup.model.prefix(&batch, None, boundary).unwrap();
            rows.with_numbers(<[f32]>::to_vec).unwrap()
        };
        let all: Vec<usize> = (0..14).collect();
        for boundary in 1..=blocks {
            let together = rows(&all, boundary);
            let mut alone = Vec::new();
            for index in 0..14 {
                alone.extend(rows(&[index], boundary));
            }
            let different = together
                .iter()
                .zip(&alone)
                .filter(|(a, b)| a.to_bits() != b.to_bits())
                .count();
            assert_eq!(
                different,
                0,
                "{model} {method}: of {} numbers below block {boundary}",
                alone.len()
            );
        }
    }
}

/// On the GPU path the rows never leave the device: a step that starts from the cache copies their
/// places there besides what every step copies, and nothing back.
#[test]
fn rows_stay_on_the_gpu() {
    let sets: &[(&[usize], bool)] = &[
        (&[0, 1, 2, 3], false),
        (&[2, 3], false),
        (&[3], false),
        (&[3], false),
    ];
    for number in [Number::F32, Number::Bf16] {
        for method in ["lora", "bitfit"] {
            let train = |cache| train_on(Some(number), "bert", method, sets, false, cache);
            let without = train(None);
            for ahead in [true, false] {
                let with = train(Some((Mode::Auto, ahead)));
                assert_eq!(with.bits, without.bits, "{number:?} {method} {ahead}");
                let places = with.usages.iter().flatten();
                let n = places.filter(|line| line.contains("on the GPU")).count();
                assert!(n >= 2, "{:?}", with.usages);
                let [launches, _, _, uploads, downloads] = with.counts;
                assert!(launches < without.counts[0], "{launches}");
                let most = without.counts[3] + 1;
                assert_eq!((uploads, downloads), (most, 0), "{number:?} {method}");
            }
            assert_eq!(without.counts[4], 0, "downloads of a step without a cache");
        }
    }
}
