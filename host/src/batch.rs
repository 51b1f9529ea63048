//! A batch without padding: tokens one after the other, with the offsets of the sequences.
//! Made by the trainer and the evaluator from tokenised examples, read by the model.

use progtune_datasets::Label;
use progtune_kernels::dropout::row_key;

/// A tokenised example.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedExample {
    /// Hugging Face's `input_ids`, without padding.
    pub input_ids: Vec<u32>,
    /// Hugging Face's `token_type_ids`, as long.
    pub token_type_ids: Vec<u32>,
    /// The label, where there is one.
    pub label: Option<Label>,
}

/// What the model should say about the sequences of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// None are known.
    None,
    /// A class each.
    Classes(Vec<u32>),
    /// A number each.
    Scores(Vec<f32>),
}

/// Sequences laid out one after the other. T tokens in all, S sequences.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[T]`.
    pub input_ids: Vec<u32>,
    /// `[T]`.
    pub token_type_ids: Vec<u32>,
    /// `[T]`, from the model's first position in each sequence.
    pub position_ids: Vec<u32>,
    /// `[S + 1]`: where each sequence begins; the last is T.
    pub offsets: Vec<u32>,
    /// `[T]`: keys of (example, position), which dropout masks depend on.
    pub row_keys: Vec<u64>,
    /// `[S]`: the examples' indices in their data set.
    pub examples: Vec<usize>,
    /// `[S]`.
    pub labels: Labels,
}

impl Batch {
    /// The batch of `indices` into `examples`; positions count from `first_position`.
    pub fn new(examples: &[EncodedExample], indices: &[usize], first_position: u32) -> Self {
        let tokens = indices.iter().map(|&i| examples[i].input_ids.len()).sum();
        let mut batch = Self {
            input_ids: Vec::with_capacity(tokens),
            token_type_ids: Vec::with_capacity(tokens),
            position_ids: Vec::with_capacity(tokens),
            offsets: vec![0],
            row_keys: Vec::with_capacity(tokens),
            examples: indices.to_vec(),
            labels: labels(examples, indices),
        };
        for &index in indices {
            let example = &examples[index];
            batch.input_ids.extend(&example.input_ids);
            batch.token_type_ids.extend(&example.token_type_ids);
            for position in 0..example.input_ids.len() as u32 {
                batch.position_ids.push(first_position + position);
                batch
                    .row_keys
                    .push(row_key(index as u64, u64::from(position)));
            }
            batch.offsets.push(batch.input_ids.len() as u32);
        }
        batch
    }

    /// T: real tokens.
    pub fn tokens(&self) -> usize {
        self.input_ids.len()
    }

    /// S: sequences.
    pub fn sequences(&self) -> usize {
        self.examples.len()
    }

    /// The row of each sequence's first token.
    pub fn first_tokens(&self) -> &[u32] {
        &self.offsets[..self.sequences()]
    }
}

fn labels(examples: &[EncodedExample], indices: &[usize]) -> Labels {
    let (mut classes, mut scores) = (Vec::new(), Vec::new());
    for &index in indices {
        match examples[index].label {
            Some(Label::Class(class)) => classes.push(class),
            Some(Label::Score(score)) => scores.push(score),
            None => {}
        }
    }
    match (
        classes.len() == indices.len(),
        scores.len() == indices.len(),
    ) {
        (true, _) if !indices.is_empty() => Labels::Classes(classes),
        (_, true) if !indices.is_empty() => Labels::Scores(scores),
        _ => Labels::None,
    }
}

/// The order of an epoch: lists of example indices, one list a batch.
///
/// With `group` examples of similar length share a batch, as in Hugging Face's `group_by_length`: a random order is
/// cut into windows of at most fifty batches and at least four windows a set, and each window is sorted by length.
/// Unlike there, the batches then come in random order. Without `shuffle` the examples stay as they are.
pub fn epoch_order(
    lengths: &[usize],
    batch_size: usize,
    shuffle: bool,
    group: bool,
    stream: &mut crate::rng::Stream,
) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    if !shuffle {
        return order.chunks(batch_size).map(<[usize]>::to_vec).collect();
    }
    stream.shuffle(&mut order);
    if group {
        let batches = (lengths.len() / batch_size.saturating_mul(4)).clamp(1, 50);
        for window in order.chunks_mut(batch_size.saturating_mul(batches)) {
            window.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
        }
    }
    let mut batches: Vec<Vec<usize>> = order.chunks(batch_size).map(<[usize]>::to_vec).collect();
    if group {
        stream.shuffle(&mut batches);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn every_example_comes_once_an_epoch() {
        let lengths: Vec<usize> = (0..103).map(|i| i * 37 % 61).collect();
        for (shuffle, group) in [(false, false), (true, false), (true, true)] {
            let order = epoch_order(&lengths, 8, shuffle, group, &mut Stream::new(1, "x"));
            let mut all: Vec<usize> = order.iter().flatten().copied().collect();
            assert_eq!(order.len(), 13);
            all.sort_unstable();
            assert_eq!(all, (0..103).collect::<Vec<_>>());
        }
        let order = epoch_order(&lengths, 8, false, true, &mut Stream::new(1, "x"));
        assert_eq!(
            order[1],
            (8..16).collect::<Vec<_>>(),
            "no shuffle means no reordering"
        );
    }

    #[test]
    fn positions_and_offsets() {
        let example = |n: u32| EncodedExample {
            input_ids: (0..n).collect(),
            token_type_ids: vec![0; n as usize],
            label: Some(Label::Class(1)),
        };
        let examples = [example(3), example(0), example(2)];
        let batch = Batch::new(&examples, &[2, 1, 0], 2);
        assert_eq!(batch.offsets, [0, 2, 2, 5]);
        assert_eq!(batch.position_ids, [2, 3, 2, 3, 4]);
        assert_eq!(batch.first_tokens(), [0, 2, 2]);
        assert_eq!(batch.labels, Labels::Classes(vec![1, 1, 1]));
        assert_eq!(
            batch.row_keys[2..],
            Batch::new(&examples, &[0], 2).row_keys[..]
        );
    }
}
