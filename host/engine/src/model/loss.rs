//! The weight of labels in the loss: label smoothing and class weights. The recipe sets it on the
//! model. The heads of both paths read it, and `prefetch` asks it for the weight of a step's
//! labels.

use crate::batch::Labels;
use progtune_kernels::cross_entropy::Weighting;

/// The weight of labels. By default all labels count alike, without smoothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LossWeighting {
    /// The share of a class's or tag's target that is spread evenly over all, in [0, 1) (PyTorch's
    /// `label_smoothing`, Hugging Face's `label_smoothing_factor`). It does not apply to sets,
    /// scores and spans.
    pub label_smoothing: f32,
    /// One weight per class or tag (PyTorch's `weight`). For sets, the weight of a label that holds
    /// relative to one that does not (PyTorch's `pos_weight`). If it is empty, all weights are 1.
    /// It does not apply to scores and spans.
    pub class_weights: Vec<f32>,
}

impl LossWeighting {
    /// The form that the kernels take.
    pub fn weighting(&self) -> Weighting<'_> {
        Weighting {
            class_weights: self.weights(),
            label_smoothing: self.label_smoothing,
        }
    }

    /// The weights, if there are any.
    pub fn weights(&self) -> Option<&[f32]> {
        (!self.class_weights.is_empty()).then_some(&self.class_weights)
    }

    /// The share of these labels in the denominator of a step's loss, which makes the loss a mean.
    /// It is the number of examples or, for tags, of tokens that have one; with class weights it is
    /// the sum of the weights.
    ///
    /// ```
    /// use progtune_engine::{Labels, model::LossWeighting};
    ///
    /// let weighting = LossWeighting {
    ///     class_weights: vec![0.5, 2.0],
    ///     ..LossWeighting::default()
    /// };
    /// assert_eq!(weighting.weight_of(&Labels::Classes(vec![0, 1, 1])), 4.5);
    /// ```
    pub fn weight_of(&self, labels: &Labels) -> f64 {
        match labels {
            Labels::None => 0.0,
            Labels::Classes(classes) => self.sum(classes.iter().copied()),
            Labels::Tags(tags) => self.sum(tags.iter().flatten().copied()),
            Labels::Sets(sets) => sets.len() as f64,
            Labels::Scores(scores) => scores.len() as f64,
            Labels::Spans(spans) => spans.len() as f64,
        }
    }

    fn sum(&self, classes: impl Iterator<Item = u32>) -> f64 {
        match self.weights() {
            None => classes.count() as f64,
            Some(weights) => classes.map(|c| f64::from(weights[c as usize])).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_weigh_what_their_classes_do() {
        let plain = LossWeighting::default();
        let weighted = LossWeighting {
            class_weights: vec![0.5, 2.0],
            ..LossWeighting::default()
        };
        let classes = Labels::Classes(vec![0, 1, 1]);
        let tags = Labels::Tags(vec![None, Some(1), None, Some(0)]);
        assert_eq!(plain.weight_of(&classes), 3.0);
        assert_eq!(plain.weight_of(&tags), 2.0);
        assert_eq!(weighted.weight_of(&classes), 4.5);
        assert_eq!(weighted.weight_of(&tags), 2.5);
        assert_eq!(weighted.weight_of(&Labels::Spans(vec![[0, 1]])), 1.0);
    }
}
