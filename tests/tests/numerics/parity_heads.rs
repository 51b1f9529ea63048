//! Heads for tags, answers or sets of labels, and weighted losses, against PyTorch + Transformers,
//! for both compute paths: logits, loss, gradients.
//!
//! Reference: `tests/fixtures/parity/*/heads.safetensors` (from `parity_heads.py`). Tolerances as
//! in `parity_gradients`.

use candle_core::{DType, Tensor};
use progtune::evaluate::{evaluate, logits};
use progtune_datasets::{Column, Columns, Labels, ProblemType, SplitName, Task};
use progtune_engine::{
    Batch, EncodedExample, HeadKind, Target,
    model::{Gradients, Kernels, LossWeighting, Start, Step, weights::canonical_name},
};
use progtune_pipeline::{EvalSplit, batch_order::BatchLimit};
use progtune_tests::{
    fixture, max_difference,
    model::{Setup, Wanted, parity_examples},
    read_safetensors,
    scratch::{Scratch, TensorFile},
};
use std::{collections::HashMap, path::Path};

const STEP: Step = Step { seed: 0, number: 0 };

/// The same value as in `parity_heads.py`.
const SMOOTHING: f32 = 0.1;

type Tensors = HashMap<String, Tensor>;

/// A case in the fixture: its name, the case whose head it uses, the head, and the class weights.
type Case = (&'static str, &'static str, HeadKind, Option<&'static str>);

const CASES: [Case; 6] = [
    ("tags", "tags", HeadKind::Token(5), None),
    (
        "tags_weighted",
        "tags",
        HeadKind::Token(5),
        Some("tag_weights"),
    ),
    ("spans", "spans", HeadKind::QuestionAnswering, None),
    ("sets", "sets", HeadKind::Sequence(4), None),
    (
        "sets_weighted",
        "sets",
        HeadKind::Sequence(4),
        Some("positive_weights"),
    ),
    (
        "classes_weighted",
        "classes_weighted",
        HeadKind::Sequence(2),
        Some("label_weights"),
    ),
];

/// The first eight training examples with the fixture's targets.
fn examples(model: &str, case: &str, expected: &Tensors) -> Vec<EncodedExample> {
    let rows = |name: &str| {
        expected[name]
            .to_dtype(DType::F32)
            .unwrap()
            .to_vec2::<f32>()
    };
    let mut examples = parity_examples(model, 8);
    for (at, example) in examples.iter_mut().enumerate() {
        let target = match case {
            "tags" => {
                let tags = rows("tags").unwrap().swap_remove(at);
                let tags = &tags[..example.input_ids.len()];
                let tag = |&tag: &f32| (tag >= 0.0).then_some(tag as u32);
                Target::Tags(tags.iter().map(tag).collect())
            }
            "spans" => {
                let span = &rows("spans").unwrap()[at];
                Target::Span([span[0] as u32, span[1] as u32])
            }
            "sets" => {
                let set = &rows("sets").unwrap()[at];
                let holds = |&label: &u32| set[label as usize] > 0.0;
                Target::Classes((0..4).filter(holds).collect())
            }
            _ => Target::Class(expected["labels"].to_vec1::<i64>().unwrap()[at] as u32),
        };
        example.target = Some(target);
    }
    examples
}

/// The tiny model with a case's head.
fn setup(
    model: &str,
    (_, head, kind, _): Case,
    kernels: Kernels,
    dropout: f64,
    expected: &Tensors,
) -> Setup {
    let scratch = Scratch::new();
    let path = scratch.copy(model, "model");
    let file = path.join("model.safetensors");
    let mut tensors = TensorFile::read(&file);
    let prefix = format!("{head}.head.");
    tensors
        .tensors
        .retain(|key, _| !key.starts_with("classifier."));
    for (key, value) in expected {
        if let Some(name) = key.strip_prefix(&prefix) {
            let values = value.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            tensors.set(name, value.dims(), &values);
        }
    }
    tensors.write(&file);
    let mut setup = Wanted {
        model: &path,
        method: "",
        options: &[],
        adapter: None,
        head: kind,
        kernels,
        dropout: Some(dropout),
    }
    .build();
    setup.train_all();
    setup
}

fn weighting(weights: Option<&str>, case: &str, expected: &Tensors) -> LossWeighting {
    match weights {
        None => LossWeighting::default(),
        Some(name) => LossWeighting {
            class_weights: expected[name].to_vec1().unwrap(),
            label_smoothing: if case.starts_with("sets") {
                0.0
            } else {
                SMOOTHING
            },
        },
    }
}

fn norm(t: &Tensor) -> f64 {
    let sum = t.sqr().unwrap().sum_all().unwrap();
    f64::from(sum.to_scalar::<f32>().unwrap()).sqrt()
}

fn heads(model: &str) -> Tensors {
    read_safetensors(&fixture("parity").join(model).join("heads.safetensors"))
}

#[test]
fn logits_loss_and_gradients_equal_pytorchs() {
    for name in ["bert", "roberta"] {
        let expected = heads(name);
        for case in CASES {
            let (case_name, head, _, weights) = case;
            for kernels in [Kernels::Fused, Kernels::Composed] {
                let about = format!("{name} {case_name} {kernels}");
                let mut setup = setup(name, case, kernels, 0.0, &expected);
                setup.model.loss_weighting = weighting(weights, case_name, &expected);
                let model = &setup.model;
                let examples = examples(name, head, &expected);
                let batch = Batch::new(
                    &examples,
                    &[0, 1, 2, 3, 4, 5, 6, 7],
                    model.config.first_position(),
                );
                let wanted = &expected[&format!("{case_name}.logits")];
                let difference = max_difference(&model.logits(&batch).unwrap(), wanted);
                assert!(difference < 1e-5, "{about}: logits differ by {difference}");

                let mut gradients = Gradients::new(&model.parameters);
                let weight = model.loss_weighting.weight_of(&batch.labels);
                let loss = model.train(&batch, STEP, weight, &mut gradients).unwrap();
                let wanted = expected[&format!("{case_name}.loss")]
                    .to_vec1::<f32>()
                    .unwrap()[0];
                assert!(
                    (loss - f64::from(wanted)).abs() < 1e-5,
                    "{about}: loss {loss}, PyTorch's {wanted}"
                );
                gradients.check_reached(&model.parameters).unwrap();
                let prefix = format!("{case_name}.grad.");
                let references: Vec<(String, &Tensor)> = expected
                    .iter()
                    .filter_map(|(key, value)| {
                        let key = key.strip_prefix(&prefix)?;
                        Some((canonical_name(key, model.config.architecture), value))
                    })
                    .collect();
                assert!(references.len() > 40, "{about}: {}", references.len());
                let global = references
                    .iter()
                    .map(|(_, g)| norm(g).powi(2))
                    .sum::<f64>()
                    .sqrt();
                for (parameter, reference) in references {
                    let id = model.parameters.id(&parameter).unwrap();
                    let gradient = gradients.tensor(id, &model.parameters).unwrap().unwrap();
                    let difference = norm(&(&gradient - reference).unwrap());
                    let scale = norm(reference).max(global / 1000.0);
                    assert!(
                        difference < 1e-4 * scale,
                        "{about}: {parameter}: differs by {difference} of {scale}"
                    );
                }
            }
        }
    }
}

/// A task whose labels are a head's numbers, for the evaluator.
fn task(problem_type: ProblemType, n_labels: usize) -> Task {
    let columns = Columns {
        first: Column::named("text"),
        second: None,
        label: Column::named("label"),
    };
    let names = (0..n_labels).map(|label| label.to_string()).collect();
    Task::own(
        columns,
        Labels {
            problem_type,
            names,
        },
    )
}

/// Without weights, the evaluator's loss is PyTorch's, and its logits are the batch's.
#[test]
fn the_evaluator_tells_the_same_loss() {
    for (case, problem, n_labels) in [
        (CASES[0], ProblemType::TokenClassification, 5),
        (CASES[2], ProblemType::QuestionAnswering, 2),
        (CASES[3], ProblemType::MultiLabelClassification, 4),
    ] {
        let expected = heads("bert");
        let setup = setup("bert", case, Kernels::Fused, 0.0, &expected);
        let examples = examples("bert", case.1, &expected);
        let limit = BatchLimit::Examples(3);
        let split = EvalSplit {
            name: SplitName::Validation,
            examples: examples.into(),
            asked: None,
        };
        let result = evaluate(&setup.model, &task(problem, n_labels), &split, limit).unwrap();
        let wanted = expected[&format!("{}.loss", case.0)]
            .to_vec1::<f32>()
            .unwrap()[0];
        let loss = result.loss.unwrap();
        assert!(
            (loss - f64::from(wanted)).abs() < 1e-5,
            "{}: {loss} {wanted}",
            case.0
        );
        let rows = logits(&setup.model, &split.examples, limit)
            .unwrap()
            .concat();
        let wanted = expected[&format!("{}.logits", case.0)]
            .flatten_all()
            .unwrap();
        let n = rows.len();
        let rows = Tensor::from_vec(rows, n, wanted.device()).unwrap();
        assert!(max_difference(&rows, &wanted) < 1e-5, "{}", case.0);
    }
}

/// With dropout on, both paths draw the same masks.
#[test]
fn the_paths_agree_under_dropout() {
    for name in ["bert", "roberta"] {
        let expected = heads(name);
        for case in &CASES[..3] {
            let examples = examples(name, case.1, &expected);
            let run = |kernels| {
                let setup = setup(name, *case, kernels, 0.3, &expected);
                let model = setup.model;
                let batch = Batch::new(&examples, &[5, 0, 3], model.config.first_position());
                let mut gradients = Gradients::new(&model.parameters);
                let loss = model.train(&batch, STEP, 3.0, &mut gradients).unwrap();
                let tensors: Vec<Option<Tensor>> = (0..model.parameters.len())
                    .map(|id| gradients.tensor(id, &model.parameters).unwrap())
                    .collect();
                (loss, tensors)
            };
            let (fused, composed) = (run(Kernels::Fused), run(Kernels::Composed));
            assert!((fused.0 - composed.0).abs() < 1e-5, "{name} {}", case.0);
            for (a, b) in fused.1.iter().zip(&composed.1) {
                if let (Some(a), Some(b)) = (a, b) {
                    assert!(max_difference(a, b) < 2e-4, "{name} {}", case.0);
                }
            }
        }
    }
}

/// The prefix cache keeps every token's row at the last boundary. Training from there is equivalent
/// to training from the start.
#[test]
fn a_forward_may_start_after_the_last_block() {
    let expected = heads("bert");
    for kernels in [Kernels::Fused, Kernels::Composed] {
        let mut setup = setup("bert", CASES[2], kernels, 0.0, &expected);
        let head: Vec<usize> = ["qa_outputs.weight", "qa_outputs.bias"]
            .iter()
            .map(|name| setup.model.parameters.id(name).unwrap())
            .collect();
        setup.model.parameters.set_trainable(&head);
        let model = &setup.model;
        let examples = examples("bert", "spans", &expected);
        let batch = Batch::new(&examples, &[0, 1, 2], 0);
        let blocks = model.config.blocks();
        let hidden = model.prefix(&batch, None, blocks).unwrap();
        assert_eq!(hidden.n(), batch.tokens());
        assert_eq!(model.rows_at(blocks, 17), 17);
        let start = || {
            Some(Start {
                block: blocks,
                hidden: hidden.clone(),
            })
        };
        let (whole, cached) = (
            model.logits(&batch).unwrap(),
            model.logits_from(&batch, start()).unwrap(),
        );
        assert_eq!(max_difference(&whole, &cached), 0.0);
        let loss = |start| {
            let mut gradients = Gradients::new(&model.parameters);
            model
                .train_from(&batch, start, STEP, 3.0, &mut gradients)
                .unwrap()
        };
        assert_eq!(loss(None), loss(start()));
    }
}

/// The fixture exists for both models.
#[test]
fn the_fixture_has_every_case() {
    for name in ["bert", "roberta"] {
        let path = fixture("parity").join(name).join("heads.safetensors");
        assert!(Path::new(&path).is_file(), "{}", path.display());
        let expected = heads(name);
        for (case, ..) in CASES {
            assert!(
                expected.contains_key(&format!("{case}.loss")),
                "{name} {case}"
            );
        }
    }
}
