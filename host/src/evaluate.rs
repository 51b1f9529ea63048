//! Runs a model on a split and computes logits, loss and metrics. Called by the recipe after each
//! epoch, and by `evaluate` and `predict`.

mod only_answer;
pub(crate) mod only_label;

use only_answer::only_answer;
use only_label::only_label;
use progtune_datasets::Task;
use progtune_engine::{
    Batch, Error, NotFinite, Result, Target, kind_of,
    model::{Model, Start},
};
use progtune_pipeline::{
    EvalSplit,
    batch_order::BatchLimit,
    metrics::{ClassReport, Confusion},
    question_answering::Decoded,
    task_scores::{Measured, measure},
    token_store::Examples,
};
use progtune_process::{Phase, interrupt};

/// The result of evaluating a model on a split.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// The mean loss over the labelled examples (`eval_loss`); `None` if there are no labels.
    pub loss: Option<f64>,
    /// The task's metrics under Hugging Face's names; empty if there are no labels.
    pub metrics: Vec<(&'static str, f64)>,
    /// The confusion matrix; `None` if there are no labels, or if they are numbers.
    pub confusion: Option<Confusion>,
    /// The answers to the split's questions, if it has any.
    pub answers: Option<Vec<Decoded>>,
    /// The one answer that every example gets, if the labels differ and no other answer is given.
    pub(crate) only_answer: Option<String>,
    /// The one label that every labelled example has, if there are several examples.
    pub(crate) only_label: Option<String>,
    /// The scores of each entity type, or of each label in a multi-label task; empty for other
    /// tasks.
    pub parts: Vec<(String, ClassReport)>,
    /// Wall time in seconds.
    pub secs: f64,
    /// Number of examples.
    pub samples: usize,
    /// Number of batches.
    pub steps: usize,
}

/// Finds the place where the forward pass of a batch starts; `None` means at the embeddings.
pub type FindStart<'a> = &'a mut dyn FnMut(&Batch) -> Result<Option<Start>>;

/// Computes the logits of every example, in order. An example has `outputs` numbers, or `outputs`
/// numbers per token if the head reads every token.
pub fn logits(model: &Model, examples: &Examples, limit: BatchLimit) -> Result<Vec<Vec<f32>>> {
    compute_all(model, examples, limit, "predictions", &mut |_| Ok(None))
}

/// Computes logits like [`logits`], for a split. If logits are not finite, the error names the
/// example.
pub(crate) fn split_logits(
    model: &Model,
    split: &EvalSplit,
    limit: BatchLimit,
) -> Result<Vec<Vec<f32>>> {
    let what = format!("the {} split", split.name);
    compute_all(model, &split.examples, limit, &what, &mut |_| Ok(None))
        .map_err(|error| naming_question(error, split))
}

/// Adds the question's id to an error about a window whose logits are not finite.
fn naming_question(error: Error, split: &EvalSplit) -> Error {
    match (error, &split.asked) {
        (Error::NotFinite(mut fault), Some(asked)) => {
            let map = asked.maps.get(fault.index);
            let question = map.and_then(|map| asked.questions.get(map.question as usize));
            fault.id = question.map(|question| question.id.clone());
            Error::NotFinite(fault)
        }
        (error, _) => error,
    }
}

/// Computes logits like [`logits`], but starts each batch where `find_start` says.
pub fn logits_from(
    model: &Model,
    examples: &Examples,
    limit: BatchLimit,
    find_start: FindStart<'_>,
) -> Result<Vec<Vec<f32>>> {
    compute_all(model, examples, limit, "predictions", find_start)
}

/// Computes logits like [`logits_from`]; `what` names the work in progress messages.
fn compute_all(
    model: &Model,
    examples: &Examples,
    limit: BatchLimit,
    what: &str,
    find_start: FindStart<'_>,
) -> Result<Vec<Vec<f32>>> {
    let mut results = vec![Vec::new(); examples.len()];
    let total = Some(examples.len() as u64);
    let phase = Phase::begin("compute", format!("computing {what}"), "examples", total);
    for indices in batches(examples, limit) {
        interrupt::check()?;
        let indices = indices?;
        let batch = examples.batch(&indices, model.config.first_position())?;
        let logits = model.logits_from(&batch, find_start(&batch)?)?;
        let outputs = logits.dim(1)?;
        let numbers = logits.flatten_all()?.to_vec1::<f32>()?;
        for (position, &index) in indices.iter().enumerate() {
            let rows = if model.reads_every_token() {
                batch.offsets[position] as usize..batch.offsets[position + 1] as usize
            } else {
                position..position + 1
            };
            let row = &numbers[rows.start * outputs..rows.end * outputs];
            if let Some(&found) = row.iter().find(|logit| !logit.is_finite()) {
                return Err(Error::NotFinite(Box::new(NotFinite {
                    split: what.to_owned(),
                    index,
                    id: None,
                    found,
                })));
            }
            results[index] = row.to_vec();
        }
        phase.advance(indices.len() as u64);
    }
    phase.finish();
    Ok(results)
}

/// The number of consecutive examples that are sorted by length together.
const WINDOW: usize = 1 << 16;

/// Groups examples of similar length into batches, which keeps attention's scratch memory small.
/// Callers put the results back in order.
fn batches(
    examples: &Examples,
    limit: BatchLimit,
) -> impl Iterator<Item = Result<Vec<usize>>> + '_ {
    let mut lengths = examples.lengths();
    let windows = (0..examples.len()).step_by(WINDOW);
    windows.flat_map(move |start| {
        let window: Result<Vec<usize>> = lengths.by_ref().take(WINDOW).collect();
        let window = match window {
            Ok(window) => window,
            Err(error) => return vec![Err(error)],
        };
        let length = |example: usize| window[example - start];
        let mut order: Vec<usize> = (start..start + window.len()).collect();
        order.sort_by_key(|&example| std::cmp::Reverse(length(example)));
        limit.cut(&order, length).into_iter().map(Ok).collect()
    })
}

/// Evaluates a split.
pub fn evaluate(
    model: &Model,
    task: &Task,
    split: &EvalSplit,
    limit: BatchLimit,
) -> Result<Evaluation> {
    evaluate_from(model, task, split, limit, &mut |_| Ok(None))
}

/// Evaluates a split like [`evaluate`], but starts each batch where `find_start` says.
pub(crate) fn evaluate_from(
    model: &Model,
    task: &Task,
    split: &EvalSplit,
    limit: BatchLimit,
    find_start: FindStart<'_>,
) -> Result<Evaluation> {
    let start = std::time::Instant::now();
    let examples = &split.examples;
    let what = format!("the {} split", split.name);
    let logits = compute_all(model, examples, limit, &what, find_start)
        .map_err(|error| naming_question(error, split))?;
    let targets: Vec<Option<Target>> = examples
        .iter()
        .map(|example| Ok(example?.target))
        .collect::<Result<_>>()?;
    let labelled: Vec<(&[f32], &Target)> = logits
        .iter()
        .zip(&targets)
        .filter_map(|(row, target)| Some((row.as_slice(), target.as_ref()?)))
        .collect();
    let answers = split.asked.as_ref().map(|asked| asked.answers(&logits));
    let (loss, mut measured) = if labelled.is_empty() {
        (None, Measured::default())
    } else {
        (mean_loss(task, &labelled), measure(task, &labelled))
    };
    if let (Some(asked), Some(answers)) = (&split.asked, &answers) {
        measured.metrics = asked.measure(answers).unwrap_or_default();
    }
    if loss.is_some_and(|loss| !loss.is_finite()) {
        return Err(Error::Training(
            "the evaluation loss is not finite: training diverged; try a lower --lr or a longer --warmup".into(),
        ));
    }
    Ok(Evaluation {
        loss,
        metrics: measured.metrics,
        confusion: measured.confusion,
        answers,
        only_answer: only_answer(task, &labelled),
        only_label: only_label(task, labelled.iter().map(|(_, target)| *target)),
        parts: measured.parts,
        secs: start.elapsed().as_secs_f64(),
        samples: examples.len(),
        steps: batches(examples, limit).count(),
    })
}

/// The mean loss over everything that has a label, without class weights or label smoothing. `None`
/// if no token has a tag.
fn mean_loss(task: &Task, labelled: &[(&[f32], &Target)]) -> Option<f64> {
    let kind = kind_of(task.problem_type);
    let (total, count) = labelled
        .iter()
        .map(|(logits, target)| kind.loss(logits, target))
        .fold((0.0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
    (count > 0).then(|| total / f64::from(count))
}
