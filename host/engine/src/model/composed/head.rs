//! The head of the composed path: from the rows that it reads to logits and loss, by candle's
//! autograd. [`crate::model::Model`] calls it. [`crate::model::fused`] has the same head with a
//! backward of its own.

use super::{drop_out, linear};
use crate::{
    batch::{Batch, Labels},
    error::{Error, Result},
    model::{layout::Head, loss::LossWeighting, pass::Pass, step::DropoutSite},
};
use candle_core::{D, Tensor};

/// Logits, `[rows, outputs]`, for the rows that the head reads, `[rows, hidden]`: each sequence's
/// first, or all.
///
/// For sequences, BERT has dense + tanh (the pooler) → dropout → linear, and RoBERTa has dropout →
/// dense → tanh → dropout → linear. For questions the head is one linear layer, and for tokens
/// dropout → linear.
pub(crate) fn logits(head: &Head, hidden: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
    let p = pass.config.classifier_dropout;
    let keys = pass.head_row_keys(head);
    let rows = pass.row_context(keys, true);
    let mut x = hidden.clone();
    for (number, layer) in head.layers.iter().enumerate() {
        if layer.drops_out {
            x = drop_out(x, pass.dropout(p, DropoutSite::Head(number), keys, true))?;
        }
        x = linear(&layer.linear, &x, pass.parameters, rows)?;
        if layer.tanh {
            x = x.tanh()?;
        }
    }
    Ok(x)
}

/// The sum of the examples' losses, divided by `denominator`: the weight of the labels of the whole
/// effective batch ([`LossWeighting::weight_of`]).
///
/// The loss of classes and tags is cross-entropy, that of sets the mean binary cross-entropy over
/// the outputs, and that of scores the squared error. The loss of a span is the mean of the
/// cross-entropies of both ends over the sequence's tokens.
pub(crate) fn loss(
    logits: &Tensor,
    batch: &Batch,
    weighting: &LossWeighting,
    denominator: f64,
) -> Result<Tensor> {
    let plain = LossWeighting::default();
    let sum = match &batch.labels {
        Labels::Classes(classes) => cross_entropy(logits, classes, weighting)?,
        Labels::Sets(sets) => binary_cross_entropy(logits, sets, weighting)?,
        Labels::Scores(scores) => {
            let target = Tensor::from_slice(scores, (scores.len(), 1), logits.device())?;
            (logits - target)?.sqr()?.sum_all()?
        }
        Labels::Tags(tags) => {
            let (rows, tags): (Vec<u32>, Vec<u32>) = (0u32..)
                .zip(tags)
                .filter_map(|(row, tag)| tag.map(|tag| (row, tag)))
                .unzip();
            let rows = Tensor::from_vec(rows, tags.len(), logits.device())?;
            cross_entropy(&logits.index_select(&rows, 0)?, &tags, weighting)?
        }
        Labels::Spans(spans) => {
            let mut sum = Tensor::new(0f32, logits.device())?;
            for (sequence, span) in batch.offsets.windows(2).zip(spans) {
                let (first, last) = (sequence[0] as usize, sequence[1] as usize);
                let ends = logits.narrow(0, first, last - first)?.t()?.contiguous()?;
                sum = (sum + cross_entropy(&ends, span, &plain)?)?;
            }
            (sum / 2.0)?
        }
        Labels::None => {
            return Err(Error::Training(
                "the batch has examples without a label".into(),
            ));
        }
    };
    Ok((sum / denominator)?)
}

/// The sum over the rows that [`progtune_kernels::cross_entropy`] defines.
fn cross_entropy(logits: &Tensor, classes: &[u32], weighting: &LossWeighting) -> Result<Tensor> {
    let (rows, n) = logits.dims2()?;
    let smoothing = weighting.label_smoothing;
    let weight = |class: usize| weighting.weights().map_or(1.0, |weights| weights[class]);
    let mut target = vec![0f32; rows * n];
    for (row, &class) in target.chunks_mut(n).zip(classes) {
        for (c, target) in row.iter_mut().enumerate() {
            *target = smoothing / n as f32 * weight(c);
        }
        row[class as usize] += (1.0 - smoothing) * weight(class as usize);
    }
    let target = Tensor::from_vec(target, (rows, n), logits.device())?;
    let log_p = candle_nn::ops::log_softmax(logits, D::Minus1)?;
    Ok((log_p * target)?.sum_all()?.neg()?)
}

/// The sum over the rows that [`progtune_kernels::binary_cross_entropy`] defines.
fn binary_cross_entropy(
    logits: &Tensor,
    sets: &[Vec<u32>],
    weighting: &LossWeighting,
) -> Result<Tensor> {
    let (rows, n) = logits.dims2()?;
    let (mut positive, mut negative) = (vec![0f32; rows * n], vec![1f32; rows * n]);
    for (row, set) in sets.iter().enumerate() {
        for &output in set {
            let at = row * n + output as usize;
            positive[at] = weighting.weights().map_or(1.0, |w| w[output as usize]);
            negative[at] = 0.0;
        }
    }
    let tensor = |values| Tensor::from_vec(values, (rows, n), logits.device());
    let (positive, negative) = (tensor(positive)?, tensor(negative)?);
    // log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|)
    let tail = ((logits.abs()?.neg()?.exp()? + 1.0)?).log()?;
    let softplus = |x: &Tensor| x.relu()? + &tail;
    let sum = ((softplus(&logits.neg()?)? * positive)? + (softplus(logits)? * negative)?)?;
    Ok((sum.sum_all()? / n as f64)?)
}
