//! Which examples share a batch, and in which order the batches of an epoch come. Made by the recipe from the lengths of
//! the training set; the trainer reads it; the evaluator cuts by the same limits.

use crate::{config::RunConfig, rng::Stream};
use std::collections::BTreeMap;

/// What a batch holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchLimit {
    /// This many examples.
    Examples(usize),
    /// Examples of this many tokens together; a longer one is a batch by itself.
    Tokens(usize),
}

impl BatchLimit {
    /// Cuts `order` into batches: each takes examples, of `lengths` tokens by index, as long as they fit.
    pub fn cut(self, order: &[usize], lengths: &[usize]) -> Vec<Vec<usize>> {
        let budget = match self {
            Self::Examples(size) => return order.chunks(size).map(<[usize]>::to_vec).collect(),
            Self::Tokens(budget) => budget,
        };
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut left = 0;
        for &example in order {
            match batches.last_mut() {
                Some(batch) if lengths[example] <= left => batch.push(example),
                _ => {
                    batches.push(vec![example]);
                    left = budget;
                }
            }
            left = left.saturating_sub(lengths[example]);
        }
        batches
    }
}

/// The batches of every epoch of a run: as many in each, so that the steps are known before the first.
#[derive(Debug, Clone)]
pub struct BatchOrder {
    lengths: Vec<usize>,
    limit: BatchLimit,
    shuffle: bool,
    group: bool,
    accumulation: usize,
    seed: u64,
    /// With a limit of tokens, the first draw of batches. It fixes how many batches there are and which lengths each
    /// has; an epoch deals the examples of each length anew.
    layout: Vec<Vec<usize>>,
}

impl BatchOrder {
    /// The order of a run over examples of `lengths` tokens.
    pub fn new(config: &RunConfig, lengths: Vec<usize>) -> Self {
        let mut order = Self {
            lengths,
            limit: config.batch_limit(),
            shuffle: !config.no_shuffle,
            group: config.group_by_length,
            accumulation: config.gradient_accumulation_steps,
            seed: config.seed,
            layout: Vec::new(),
        };
        if let BatchLimit::Tokens(budget) = order.limit {
            order.layout = order.draw_layout(budget);
        }
        order
    }

    /// Batches in each epoch.
    pub fn batches_per_epoch(&self) -> usize {
        match self.limit {
            BatchLimit::Examples(size) => self.lengths.len().div_ceil(size),
            BatchLimit::Tokens(_) => self.layout.len(),
        }
    }

    /// Optimizer steps in each epoch: a partial last effective batch counts.
    pub fn steps_per_epoch(&self) -> u64 {
        self.batches_per_epoch().div_ceil(self.accumulation) as u64
    }

    /// Batches in an optimizer step, but for an epoch's last.
    pub fn batches_per_step(&self) -> usize {
        self.accumulation
    }

    /// The batches of an epoch, counted from 1: lists of example indices.
    pub fn epoch(&self, epoch: u32) -> Vec<Vec<usize>> {
        let mut stream = Stream::new(self.seed, &format!("shuffle/{epoch}"));
        match self.limit {
            BatchLimit::Examples(size) => {
                epoch_order(&self.lengths, size, self.shuffle, self.group, &mut stream)
            }
            BatchLimit::Tokens(_) if !self.shuffle => self.layout.clone(),
            BatchLimit::Tokens(_) => self.deal(&mut stream),
        }
    }

    /// As [`epoch_order`], with windows of tokens in place of examples.
    fn draw_layout(&self, budget: usize) -> Vec<Vec<usize>> {
        let lengths = &self.lengths;
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        if self.shuffle {
            Stream::new(self.seed, "batches").shuffle(&mut order);
            if self.group {
                let tokens: usize = lengths.iter().sum();
                let batches = (tokens / budget.saturating_mul(4)).clamp(1, 50);
                let window = BatchLimit::Tokens(budget.saturating_mul(batches));
                let mut windows = window.cut(&order, lengths);
                for window in &mut windows {
                    window.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
                }
                order = windows.concat();
            }
        }
        self.limit.cut(&order, lengths)
    }

    /// Batches of the same lengths as the layout's, with the examples of each length in random places, in random order.
    fn deal(&self, stream: &mut Stream) -> Vec<Vec<usize>> {
        let mut decks: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (example, &length) in self.lengths.iter().enumerate() {
            decks.entry(length).or_default().push(example);
        }
        for deck in decks.values_mut() {
            stream.shuffle(deck);
        }
        let mut batches = self.layout.clone();
        for place in batches.iter_mut().flatten() {
            // Decks and layout hold the same examples, so a deck never runs out.
            if let Some(example) = decks.get_mut(&self.lengths[*place]).and_then(Vec::pop) {
                *place = example;
            }
        }
        stream.shuffle(&mut batches);
        batches
    }
}

/// The order of an epoch: lists of example indices, one list a batch.
///
/// With `group` examples of similar length share a batch, as in Hugging Face's `group_by_length`: a random order is
/// cut into windows of at most fifty batches and at least four windows a set, and each window is sorted by length.
/// Unlike there, the batches then come in random order. Without `shuffle` the examples stay as they are.
fn epoch_order(
    lengths: &[usize],
    batch_size: usize,
    shuffle: bool,
    group: bool,
    stream: &mut Stream,
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

    fn lengths() -> Vec<usize> {
        (0..103).map(|i| 3 + i * 37 % 41).collect()
    }

    fn order(change: impl FnOnce(&mut RunConfig)) -> BatchOrder {
        let mut config = RunConfig::default();
        change(&mut config);
        BatchOrder::new(&config, lengths())
    }

    #[test]
    fn a_limit_of_tokens_holds_in_every_batch_of_every_epoch() {
        let lengths = lengths();
        for (no_shuffle, group_by_length) in [(true, true), (false, false), (false, true)] {
            let order = order(|c| {
                c.batch_tokens = Some(100);
                c.no_shuffle = no_shuffle;
                c.group_by_length = group_by_length;
            });
            for epoch in 1..=5 {
                let batches = order.epoch(epoch);
                assert_eq!(batches.len(), order.batches_per_epoch());
                for batch in &batches {
                    assert!(!batch.is_empty());
                    assert!(batch.iter().map(|&i| lengths[i]).sum::<usize>() <= 100);
                }
                let mut all = batches.concat();
                all.sort_unstable();
                assert_eq!(all, (0..103).collect::<Vec<_>>());
            }
            assert_eq!(order.epoch(1), order.epoch(1));
            assert_eq!(order.epoch(1) == order.epoch(2), no_shuffle);
        }
    }

    #[test]
    fn grouping_puts_similar_lengths_together() {
        let lengths = lengths();
        let spread = |group: bool| -> usize {
            let order = order(|c| {
                c.batch_tokens = Some(100);
                c.group_by_length = group;
            });
            let of = |batch: &Vec<usize>| batch.iter().map(|&i| lengths[i]).collect::<Vec<_>>();
            order
                .epoch(1)
                .iter()
                .map(of)
                .map(|l| l.iter().max().unwrap_or(&0) - l.iter().min().unwrap_or(&0))
                .sum()
        };
        assert!(spread(true) * 2 < spread(false));
    }

    #[test]
    fn an_example_beyond_the_limit_is_a_batch_by_itself() {
        let limit = BatchLimit::Tokens(10);
        let lengths = [4, 20, 6, 4, 10, 1];
        let batches = limit.cut(&[0, 1, 2, 3, 4, 5], &lengths);
        assert_eq!(batches, [vec![0], vec![1], vec![2, 3], vec![4], vec![5]]);
        assert!(limit.cut(&[], &lengths).is_empty());
        let all = BatchLimit::Tokens(usize::MAX).cut(&[0, 1, 2], &lengths);
        assert_eq!(all, [vec![0, 1, 2]]);
    }

    #[test]
    fn steps_are_counted_before_the_first() {
        let order = order(|c| {
            c.batch_tokens = Some(100);
            c.gradient_accumulation_steps = 4;
        });
        let batches = order.epoch(3).len();
        assert_eq!(order.steps_per_epoch(), batches.div_ceil(4) as u64);
    }
}
