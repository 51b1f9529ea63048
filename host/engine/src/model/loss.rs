//! How labels count in the loss: label smoothing and class weights. Set on the model by the recipe; both paths' heads
//! read it, and `prefetch` asks it what a step's labels weigh.

use crate::batch::Labels;
use progtune_kernels::cross_entropy::Weighting;

/// How labels count. The default takes them at their word, all alike.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LossWeighting {
    /// In [0, 1): the share of a class's or tag's target that is spread evenly over all (PyTorch's `label_smoothing`,
    /// Hugging Face's `label_smoothing_factor`). Says nothing about sets, scores and spans.
    pub label_smoothing: f32,
    /// A weight a class or tag (PyTorch's `weight`); for sets, what a label that holds counts against one that does not
    /// (PyTorch's `pos_weight`). Empty: 1 each. Says nothing about scores and spans.
    pub class_weights: Vec<f32>,
}

impl LossWeighting {
    /// As the kernels take it.
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

    /// What labels add to the number that the loss of a step is divided by, which makes it a mean: examples; for tags, the
    /// tokens that have one; where classes are weighed, the sum of their weights.
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
