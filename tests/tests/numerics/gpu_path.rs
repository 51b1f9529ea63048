//! The GPU path against the CPU's, with its kernels run on the CPU: logits, loss, gradients, norms
//! and updates of every method. What this cannot show is that a GPU computes the same.
//!
//! Reference: the fused path. Tolerances, as in `wide_model`: logits and loss 1e-4; each
//! parameter's gradient 1e-4 of the larger of its own norm and a thousandth of the global norm;
//! later losses 1e-3.

use candle_core::Tensor;
use progtune_engine::{
    Batch, HeadKind, Labels,
    model::{Kernels, Step},
    optim::{AdamW, Settings},
};
use progtune_kernels::cuda::Number;
use progtune_tests::{
    cases,
    cuda_on_cpu::CpuQueue,
    fixture, max_difference,
    model::{Setup, Wanted, parity_examples},
};

const SETTINGS: Settings = Settings {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.01,
    max_grad_norm: 1.0,
};

/// The results of one path.
struct Outcome {
    logits: Tensor,
    /// The first step's gradients, by name.
    gradients: Vec<(String, Tensor)>,
    /// The global norm of the first step.
    norm: f64,
    losses: Vec<f64>,
    /// The work of the device in the last step: launches, products, allocations, uploads,
    /// downloads.
    counts: [usize; 5],
}

/// A model, its method, and the data that it trains on.
#[derive(Clone, Copy)]
struct Case {
    model: &'static str,
    method: &'static str,
    options: &'static [(&'static str, &'static str)],
    head: HeadKind,
    /// The labels of sequence `i` of `n` tokens, if they are not those of the fixture.
    labels: Option<fn(&Batch) -> Labels>,
    /// The lowest block that is trained.
    from_block: usize,
}

const PLAIN: Case = Case {
    model: "bert",
    method: "",
    options: &[],
    head: HeadKind::Sequence(2),
    labels: None,
    from_block: 0,
};

fn build(case: Case, number: Option<Number>) -> (Setup, Option<std::sync::Arc<CpuQueue>>) {
    let mut setup = Wanted {
        model: &fixture("parity").join(case.model),
        method: case.method,
        options: case.options,
        adapter: None,
        head: case.head,
        kernels: Kernels::Fused,
        dropout: Some(0.1),
    }
    .build();
    if case.from_block == 0 {
        setup.train_all();
    } else {
        let infos = setup.model.parameters.infos();
        let is_above = |id: &usize| {
            infos[*id]
                .block
                .is_some_and(|block| block >= case.from_block)
        };
        let ids: Vec<usize> = (0..infos.len()).filter(is_above).collect();
        setup.model.parameters.set_trainable(&ids);
    }
    let queue = number.map(|number| {
        let (queue, lane) = CpuQueue::lane(number);
        setup.model.set_lane(lane);
        queue
    });
    (setup, queue)
}

fn train(case: Case, number: Option<Number>) -> Outcome {
    let (setup, queue) = build(case, number);
    let model = &setup.model;
    let examples = parity_examples(case.model, 6);
    let all: Vec<usize> = (0..examples.len()).collect();
    let mut batch = Batch::new(&examples, &all, model.config.first_position());
    if let Some(labels) = case.labels {
        batch.labels = labels(&batch);
    }
    let mut outcome = Outcome {
        logits: model.logits(&batch).unwrap(),
        gradients: Vec::new(),
        norm: 0.0,
        losses: Vec::new(),
        counts: [0; 5],
    };
    let mut gradients = model.gradients().unwrap();
    let mut optimizer = AdamW::new(SETTINGS);
    for number in 0..3 {
        if let Some(queue) = &queue {
            queue.take_counts();
        }
        let step = Step { seed: 5, number };
        let n = examples.len() as f64;
        let loss = model.train(&batch, step, n, &mut gradients);
        outcome.losses.push(loss.unwrap());
        gradients.check_reached(&model.parameters).unwrap();
        if number == 0 {
            let infos = model.parameters.infos().iter().enumerate();
            let found = infos.filter_map(|(id, info)| {
                let gradient = gradients.tensor(id, &model.parameters).unwrap()?;
                Some((info.name.clone(), gradient))
            });
            outcome.gradients = found.collect();
        }
        let norms = optimizer
            .norms(&model.parameters, &mut gradients, model.config.blocks())
            .unwrap();
        if number == 0 {
            outcome.norm = norms.global;
        }
        optimizer
            .step(
                &model.parameters,
                &mut gradients,
                Some(norms.global),
                1e-4,
                &|_| 1.0,
            )
            .unwrap();
        if let Some(queue) = &queue {
            outcome.counts = queue.take_counts();
        }
    }
    outcome
}

fn norm(tensor: &Tensor) -> f64 {
    let squares = tensor.sqr().unwrap().sum_all().unwrap();
    f64::from(squares.to_scalar::<f32>().unwrap()).sqrt()
}

/// Asserts that the GPU path agrees with the CPU's.
#[track_caller]
fn agree(case: Case) {
    let reference = train(case, None);
    for (number, tolerance) in [(Number::F32, 1e-4f64), (Number::Bf16, 6e-2)] {
        let found = train(case, Some(number));
        let difference = max_difference(&found.logits, &reference.logits);
        assert!(
            f64::from(difference) < tolerance.max(1e-4) * 3.0,
            "{number:?}: logits differ by {difference}"
        );
        assert_eq!(found.gradients.len(), reference.gradients.len());
        let mut worst = 0f64;
        for ((name, ours), (_, reference_of)) in found.gradients.iter().zip(&reference.gradients) {
            let scale = norm(reference_of).max(reference.norm / 1000.0);
            let difference = norm(&(ours - reference_of).unwrap()) / scale;
            worst = worst.max(difference);
            if number == Number::F32 {
                assert!(
                    difference < 1e-4,
                    "{name}: differs by {difference} of its scale"
                );
            }
        }
        let of_norm = (found.norm - reference.norm).abs() / reference.norm;
        assert!(
            of_norm < tolerance,
            "{number:?}: norms {} {}",
            found.norm,
            reference.norm
        );
        let losses = found.losses.iter().zip(&reference.losses);
        let largest = losses.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!(
            "{number:?}: logits {difference:.1e}, gradients {worst:.1e}, norm {of_norm:.1e}, losses {largest:.1e}; \
             launches, products, allocations, uploads, downloads {:?}",
            found.counts
        );
        assert!(
            largest < 10.0 * tolerance,
            "{:?} {:?}",
            found.losses,
            reference.losses
        );
    }
}

fn method(method: &'static str) {
    agree(Case { method, ..PLAIN });
}

cases! { method:
    full("");
    lora("lora");
    adapter("adapter");
    bitfit("bitfit");
    dora("dora");
    ia3("ia3");
    prefix("prefix");
    vera("vera");
    kron_a("kron-a");
}

#[test]
fn roberta() {
    agree(Case {
        model: "roberta",
        ..PLAIN
    });
}

#[test]
fn only_the_upper_blocks() {
    agree(Case {
        from_block: 3,
        ..PLAIN
    });
}

#[test]
fn regression() {
    agree(Case {
        model: "bert_regression",
        head: HeadKind::Sequence(1),
        ..PLAIN
    });
}

#[test]
fn tags_spans_and_sets() {
    let tags = |batch: &Batch| {
        let tag = |row: usize| (!row.is_multiple_of(3)).then_some(row as u32 % 5);
        Labels::Tags((0..batch.tokens()).map(tag).collect())
    };
    agree(Case {
        head: HeadKind::Token(5),
        labels: Some(tags),
        ..PLAIN
    });
    let spans = |batch: &Batch| {
        let each = batch.offsets.windows(2);
        Labels::Spans(each.map(|pair| [1, (pair[1] - pair[0]) - 2]).collect())
    };
    agree(Case {
        head: HeadKind::QuestionAnswering,
        labels: Some(spans),
        ..PLAIN
    });
    let sets = |batch: &Batch| {
        let set = |i: u32| {
            (0..4)
                .filter(|label| (label + i).is_multiple_of(2))
                .collect()
        };
        Labels::Sets((0..batch.sequences() as u32).map(set).collect())
    };
    agree(Case {
        head: HeadKind::Sequence(4),
        labels: Some(sets),
        ..PLAIN
    });
}
