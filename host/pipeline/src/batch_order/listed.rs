//! The order of an epoch as a list of all examples, with 4 bytes per example and 4 for its length.
//! Called by the batch order.

use super::{BatchLimit, Rule, WINDOW};
use progtune_engine::rng::Stream;
use std::{cmp::Reverse, ops::Range};

/// The order of a moderate number of examples.
#[derive(Debug)]
pub(super) struct Listed {
    rule: Rule,
    lengths: Vec<u32>,
    /// With a token limit, the first draw of batches. It fixes the number of batches and the
    /// lengths in each; every epoch deals the examples of each length again.
    layout: Option<Drawn>,
}

/// A sequence of batches.
#[derive(Debug, Clone)]
struct Drawn {
    examples: Vec<u32>,
    /// The end of each batch in `order`.
    ends: Vec<u32>,
}

impl Drawn {
    fn batch(&self, number: usize) -> Range<usize> {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[number] as usize
    }

    /// Splits `order` into batches at these ends.
    fn into_batches(self, order: Vec<u32>) -> impl Iterator<Item = Vec<usize>> {
        order.into_iter().map(move |number| {
            let batch = &self.examples[self.batch(number as usize)];
            batch.iter().map(|&example| example as usize).collect()
        })
    }
}

impl Listed {
    /// Creates the order for examples of these lengths.
    pub(super) fn new(rule: Rule, lengths: Vec<u32>) -> Self {
        let mut listed = Self {
            rule,
            lengths,
            layout: None,
        };
        if let BatchLimit::Tokens(budget) = rule.limit {
            listed.layout = Some(listed.draw_layout(budget));
        }
        listed
    }

    /// Number of batches per epoch.
    pub(super) fn n_batches(&self) -> usize {
        match (&self.layout, self.rule.limit) {
            (Some(layout), _) => layout.ends.len(),
            (None, BatchLimit::Examples(n) | BatchLimit::Tokens(n)) => {
                self.lengths.len().div_ceil(n)
            }
        }
    }

    /// The batches of an epoch.
    pub(super) fn epoch(&self, epoch: u32) -> impl Iterator<Item = Vec<usize>> + use<> {
        let rule = self.rule;
        let mut stream = Stream::new(rule.seed, &format!("shuffle/{epoch}"));
        let (drawn, shuffles_batches) = match (&self.layout, rule.limit) {
            (None, BatchLimit::Examples(size) | BatchLimit::Tokens(size)) => {
                (self.draw(size, &mut stream), rule.group_by_length)
            }
            (Some(layout), _) if !rule.shuffle => (layout.clone(), false),
            (Some(layout), _) => (self.deal(layout, &mut stream), true),
        };
        let mut order: Vec<u32> = (0..drawn.ends.len() as u32).collect();
        if rule.shuffle && shuffles_batches {
            stream.shuffle(&mut order);
        }
        drawn.into_batches(order)
    }

    fn length(&self, example: u32) -> usize {
        self.lengths[example as usize] as usize
    }

    /// Draws batches of `size` examples.
    ///
    /// With `group`, examples of similar length share a batch, as with Hugging Face's
    /// `group_by_length`. A random order is split into at least four windows of at most fifty
    /// batches, and each window is sorted by length. Unlike in Hugging Face, the batches then come
    /// in random order. Without `shuffle` the examples keep their order.
    fn draw(&self, size: usize, stream: &mut Stream) -> Drawn {
        let n = self.lengths.len();
        let mut examples: Vec<u32> = (0..n as u32).collect();
        if self.rule.shuffle {
            stream.shuffle(&mut examples);
            if self.rule.group_by_length {
                let batches = (n / size.saturating_mul(4)).clamp(1, WINDOW);
                for window in examples.chunks_mut(size.saturating_mul(batches)) {
                    window.sort_by_key(|&example| Reverse(self.length(example)));
                }
            }
        }
        let end = |batch: usize| (batch + 1).saturating_mul(size).min(n) as u32;
        Drawn {
            ends: (0..n.div_ceil(size)).map(end).collect(),
            examples,
        }
    }

    /// Like [`Listed::draw`], with windows that are measured in tokens instead of examples.
    fn draw_layout(&self, budget: usize) -> Drawn {
        let length = |example: usize| self.lengths[example] as usize;
        let mut order: Vec<usize> = (0..self.lengths.len()).collect();
        if self.rule.shuffle {
            Stream::new(self.rule.seed, "batches").shuffle(&mut order);
            if self.rule.group_by_length {
                let tokens: usize = self.lengths.iter().map(|&length| length as usize).sum();
                let batches = (tokens / budget.saturating_mul(4)).clamp(1, WINDOW);
                let window = BatchLimit::Tokens(budget.saturating_mul(batches));
                let mut windows = window.cut(&order, length);
                for window in &mut windows {
                    window.sort_by_key(|&example| Reverse(length(example)));
                }
                order = windows.concat();
            }
        }
        let batches = self.rule.limit.cut(&order, length);
        let mut end = 0;
        Drawn {
            examples: order.into_iter().map(|example| example as u32).collect(),
            ends: batches
                .iter()
                .map(|batch| {
                    end += batch.len() as u32;
                    end
                })
                .collect(),
        }
    }

    /// Batches with the same lengths as the layout, in which the examples of each length are dealt
    /// at random.
    fn deal(&self, layout: &Drawn, stream: &mut Stream) -> Drawn {
        // The examples by length; those of equal length form a deck.
        let mut decks: Vec<u32> = (0..self.lengths.len() as u32).collect();
        decks.sort_by_key(|&example| self.length(example));
        let same = |a: &u32, b: &u32| self.length(*a) == self.length(*b);
        let longest = self
            .lengths
            .iter()
            .max()
            .map_or(0, |&length| length as usize);
        // The end of the remaining deck of each length.
        let mut ends = vec![0; longest + 1];
        let mut end = 0;
        for deck in decks.chunk_by_mut(same) {
            stream.shuffle(deck);
            end += deck.len();
            ends[self.length(deck[0])] = end;
        }
        let mut dealt = layout.clone();
        for place in &mut dealt.examples {
            // Decks and layout contain the same examples, so a deck never runs out.
            let end = &mut ends[self.length(*place)];
            *end -= 1;
            *place = decks[*end];
        }
        dealt
    }
}
