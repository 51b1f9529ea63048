//! The head of the composed path: from the first token's vector to logits and loss, by candle's autograd.
//! Called by [`super::Model`]; [`super::fused`] has the same with a backward of its own.

use super::{
    composed::{drop_out, linear},
    layout::Head,
    pass::Pass,
    step::DropoutSite,
};
use crate::{
    batch::Labels,
    error::{Error, Result},
};
use candle_core::{D, Tensor};

/// Logits `[S, outputs]` of the first tokens' vectors `[S, hidden]`.
///
/// BERT: dense + tanh (the pooler) → dropout → linear. RoBERTa: dropout → dense → tanh → dropout → linear.
pub fn logits(head: &Head, hidden: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
    let p = pass.config.classifier_dropout;
    let keys = &pass.first_row_keys;
    let rows = pass.row_context(keys, true);
    let dropout = |layer| pass.dropout(p, DropoutSite::Head(layer), keys, true);
    let mut x = hidden.clone();
    if head.dropout_first {
        x = drop_out(x, dropout(0))?;
    }
    let x = linear(&head.dense, &x, pass.parameters, rows)?.tanh()?;
    let x = drop_out(x, dropout(1))?;
    linear(&head.output, &x, pass.parameters, rows)
}

/// Σ over the examples of the batch of the loss, divided by `denominator`: cross-entropy for classes, squared
/// error for scores. With accumulation the denominator counts the examples of the whole effective batch.
pub fn loss(logits: &Tensor, labels: &Labels, denominator: usize) -> Result<Tensor> {
    let sum = match labels {
        Labels::Classes(classes) => {
            let target = Tensor::from_slice(classes, (classes.len(), 1), logits.device())?;
            candle_nn::ops::log_softmax(logits, D::Minus1)?
                .gather(&target, 1)?
                .neg()?
                .sum_all()?
        }
        Labels::Scores(scores) => {
            let target = Tensor::from_slice(scores, (scores.len(), 1), logits.device())?;
            (logits - target)?.sqr()?.sum_all()?
        }
        Labels::None => {
            return Err(Error::Training(
                "the batch has examples without a label".into(),
            ));
        }
    };
    Ok((sum / denominator as f64)?)
}
