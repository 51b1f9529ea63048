//! The order of an epoch of very many examples. It is computed window by window, so that only one
//! window is in memory. Called by the batch order.
//!
//! A random order of all examples is a [`Permutation`], which computes each place on its own. It is
//! split into windows of fifty batches. Each window is sorted by length and split into batches,
//! which then come in random order. Unlike in [`super::listed`], batches are shuffled only within
//! their window. Since the examples are in random order, this is just as good.
//!
//! With a token limit, every epoch must have the same number of batches. Windows therefore consist
//! not of examples but of ranks by length ([`ByLength`]). The ranks that share a batch are drawn
//! once. Every epoch deals the examples of each length to its ranks again, and takes the windows in
//! a new order.

use super::{BatchLimit, Batches, Rule, WINDOW, by_length::ByLength};
use crate::token_store::Examples;
use progtune_engine::Result;
use progtune_engine::rng::{Permutation, Stream};
use std::cmp::Reverse;

/// The order of very many examples.
#[derive(Debug)]
pub(super) struct Windowed<'a> {
    rule: Rule,
    examples: &'a Examples,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Batches with this number of examples.
    Sized(usize),
    /// Batches limited by tokens, in the order of the examples.
    InOrder { n_batches: usize },
    /// Batches limited by tokens, in random order.
    Dealt(Layout),
}

/// The ranks that share each batch.
#[derive(Debug)]
struct Layout {
    by_length: ByLength,
    /// The rank at each place.
    ranks: Permutation,
    /// The first place of each window, followed by the number of places.
    starts: Vec<usize>,
    n_batches: usize,
}

impl<'a> Windowed<'a> {
    /// Creates the order of these examples.
    ///
    /// # Errors
    /// Fails if they cannot be read, or a temporary file cannot be written.
    pub(super) fn new(rule: Rule, examples: &'a Examples) -> Result<Self> {
        let kind = match rule.limit {
            BatchLimit::Examples(size) => Kind::Sized(size),
            BatchLimit::Tokens(budget) if !rule.shuffle => {
                let mut n_batches = 0;
                for batch in in_order(examples, budget) {
                    batch?;
                    n_batches += 1;
                }
                Kind::InOrder { n_batches }
            }
            BatchLimit::Tokens(budget) => Kind::Dealt(Layout::new(rule, examples, budget)?),
        };
        Ok(Self {
            rule,
            examples,
            kind,
        })
    }

    /// Number of batches per epoch.
    pub(super) fn n_batches(&self) -> usize {
        match &self.kind {
            Kind::Sized(size) => self.examples.len().div_ceil(*size),
            Kind::InOrder { n_batches } => *n_batches,
            Kind::Dealt(layout) => layout.n_batches,
        }
    }

    /// The batches of an epoch.
    pub(super) fn epoch(&self, epoch: u32) -> Batches<'_> {
        let stream = Stream::new(self.rule.seed, &format!("shuffle/{epoch}"));
        match (&self.kind, self.rule.limit) {
            (Kind::Sized(size), _) => self.sized(*size, stream),
            (Kind::Dealt(layout), _) => layout.deal(self.rule, stream),
            (Kind::InOrder { .. }, BatchLimit::Tokens(n) | BatchLimit::Examples(n)) => {
                in_order(self.examples, n)
            }
        }
    }

    fn sized(&self, size: usize, mut stream: Stream) -> Batches<'_> {
        let (rule, n) = (self.rule, self.examples.len());
        let order = rule.shuffle.then(|| Permutation::new(n, &mut stream));
        let batches = (n / size.saturating_mul(4)).clamp(1, WINDOW);
        let window = size.saturating_mul(batches);
        let windows = (0..n).step_by(window);
        Box::new(windows.flat_map(move |start| {
            let places = start..start.saturating_add(window).min(n);
            let Some(order) = &order else {
                let rows: Vec<usize> = places.collect();
                return all_good(rule.limit.cut(&rows, |_| 0));
            };
            let mut rows: Vec<usize> = places.map(|place| order.at(place)).collect();
            if rule.group_by_length
                && let Err(error) = self.sort(&mut rows)
            {
                return vec![Err(error)];
            }
            let mut batches = rule.limit.cut(&rows, |_| 0);
            if rule.group_by_length {
                stream.shuffle(&mut batches);
            }
            all_good(batches)
        }))
    }

    /// Sorts rows by length, longest first.
    fn sort(&self, rows: &mut [usize]) -> Result<()> {
        let lengths = rows
            .iter()
            .map(|&row| Ok((self.examples.length(row)?, row)));
        let mut sorted: Vec<(usize, usize)> = lengths.collect::<Result<_>>()?;
        sorted.sort_by_key(|&(length, _)| Reverse(length));
        for (row, (_, sorted)) in rows.iter_mut().zip(sorted) {
            *row = sorted;
        }
        Ok(())
    }
}

fn all_good(batches: Vec<Vec<usize>>) -> Vec<Result<Vec<usize>>> {
    batches.into_iter().map(Ok).collect()
}

/// Batches of at most `budget` tokens, in the order of the examples.
fn in_order(examples: &Examples, budget: usize) -> Batches<'_> {
    let mut lengths = examples.lengths().enumerate().peekable();
    Box::new(std::iter::from_fn(move || {
        let (mut batch, mut left) = (Vec::new(), budget);
        while let Some((_, length)) = lengths.peek() {
            match length {
                Ok(length) if !batch.is_empty() && *length > left => break,
                Ok(length) => left = left.saturating_sub(*length),
                Err(_) => {}
            }
            match lengths.next()? {
                (example, Ok(_)) => batch.push(example),
                (_, Err(error)) => return Some(Err(error)),
            }
        }
        (!batch.is_empty()).then_some(Ok(batch))
    }))
}

impl Layout {
    fn new(rule: Rule, examples: &Examples, budget: usize) -> Result<Self> {
        let n = examples.len();
        let ranks = Permutation::new(n, &mut Stream::new(rule.seed, "batches"));
        let batches = examples.summary().tokens / (budget.saturating_mul(4) as u64).max(1);
        let window = budget.saturating_mul((batches as usize).clamp(1, WINDOW));
        let mut layout = Self {
            by_length: ByLength::new(examples)?,
            ranks,
            starts: Vec::new(),
            n_batches: 0,
        };
        let mut left = 0;
        for place in 0..n {
            let length = layout.by_length.length(layout.ranks.at(place));
            if place == 0 || length > left {
                layout.starts.push(place);
                left = window;
            }
            left = left.saturating_sub(length);
        }
        layout.starts.push(n);
        let windows = 0..layout.starts.len() - 1;
        layout.n_batches = windows
            .map(|window| layout.batches(window, rule).len())
            .sum();
        Ok(layout)
    }

    /// The batches of a window, as lists of ranks.
    fn batches(&self, window: usize, rule: Rule) -> Vec<Vec<usize>> {
        let places = self.starts[window]..self.starts[window + 1];
        let mut ranks: Vec<usize> = places.map(|place| self.ranks.at(place)).collect();
        let length = |rank: usize| self.by_length.length(rank);
        if rule.group_by_length {
            ranks.sort_by_key(|&rank| Reverse(length(rank)));
        }
        rule.limit.cut(&ranks, length)
    }

    fn deal(&self, rule: Rule, mut stream: Stream) -> Batches<'_> {
        let deals: Vec<Permutation> = self
            .by_length
            .counts()
            .map(|count| Permutation::new(count, &mut stream))
            .collect();
        let mut windows: Vec<usize> = (0..self.starts.len() - 1).collect();
        stream.shuffle(&mut windows);
        let example = move |rank: usize| {
            let (deck, ranks) = self.by_length.equals(rank);
            let dealt = ranks.start + deals[deck].at(rank - ranks.start);
            self.by_length.example(dealt)
        };
        Box::new(windows.into_iter().flat_map(move |window| {
            let mut batches = self.batches(window, rule);
            stream.shuffle(&mut batches);
            let deal = |batch: Vec<usize>| batch.into_iter().map(&example).collect();
            batches
                .into_iter()
                .map(deal)
                .collect::<Vec<Result<Vec<usize>>>>()
        }))
    }
}
