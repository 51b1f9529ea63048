//! Which examples share a batch, and in which order the batches of an epoch come. Made by the recipe from the lengths of
//! the training set; the trainer reads it; the evaluator cuts by the same limits.
//!
//! Of up to a million examples the order of an epoch is a list ([`listed`]); of more it is computed window by window
//! ([`windowed`]), so that memory does not grow with the training set.

mod by_length;
mod listed;
mod windowed;

use crate::token_store::Examples;
use listed::Listed;
use progtune_engine::error::Result;
use windowed::Windowed;

/// The most examples whose order is a list.
pub const LISTED: usize = 1 << 20;

/// Batches that are sorted by length together, at most.
const WINDOW: usize = 50;

/// What a batch holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchLimit {
    /// This many examples.
    Examples(usize),
    /// Examples of this many tokens together; a longer one is a batch by itself.
    Tokens(usize),
}

impl BatchLimit {
    /// Cuts `order` into batches: each takes examples, of `length` tokens by index, as long as they fit.
    pub fn cut(self, order: &[usize], length: impl Fn(usize) -> usize) -> Vec<Vec<usize>> {
        let budget = match self {
            Self::Examples(size) => return order.chunks(size).map(<[usize]>::to_vec).collect(),
            Self::Tokens(budget) => budget,
        };
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut left = 0;
        for &example in order {
            let length = length(example);
            match batches.last_mut() {
                Some(batch) if length <= left => batch.push(example),
                _ => {
                    batches.push(vec![example]);
                    left = budget;
                }
            }
            left = left.saturating_sub(length);
        }
        batches
    }
}

/// How batches are made of examples.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// What a batch holds at most.
    pub limit: BatchLimit,
    /// Whether the examples come in another order in each epoch.
    pub shuffle: bool,
    /// Whether examples of similar length share a batch.
    pub group_by_length: bool,
    /// Seed of the order.
    pub seed: u64,
    /// Batches in an optimizer step, at least 1.
    pub gradient_accumulation_steps: usize,
}

/// Batches as they come: lists of example indices.
pub type Batches<'a> = Box<dyn Iterator<Item = Result<Vec<usize>>> + 'a>;

/// The batches of every epoch of a run: as many in each, so that the steps are known before the first.
#[derive(Debug)]
pub struct BatchOrder<'a> {
    form: Form<'a>,
    accumulation: usize,
}

#[derive(Debug)]
enum Form<'a> {
    Listed(Listed),
    Windowed(Windowed<'a>),
}

impl<'a> BatchOrder<'a> {
    /// The order of a run over these examples.
    ///
    /// # Errors
    /// When the examples cannot be read, or a temporary file cannot be written.
    pub fn new(rule: Rule, examples: &'a Examples) -> Result<Self> {
        Self::with_list(rule, examples, LISTED)
    }

    fn with_list(rule: Rule, examples: &'a Examples, most: usize) -> Result<Self> {
        Ok(Self {
            form: match examples.len() <= most {
                true => {
                    let lengths = examples.lengths();
                    let lengths = lengths.map(|length| Ok(length? as u32));
                    Form::Listed(Listed::new(rule, lengths.collect::<Result<_>>()?))
                }
                false => Form::Windowed(Windowed::new(rule, examples)?),
            },
            accumulation: rule.gradient_accumulation_steps,
        })
    }

    /// Batches in each epoch.
    pub fn batches_per_epoch(&self) -> usize {
        match &self.form {
            Form::Listed(listed) => listed.n_batches(),
            Form::Windowed(windowed) => windowed.n_batches(),
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

    /// The batches of an epoch, counted from 1.
    pub fn epoch(&self, epoch: u32) -> Batches<'_> {
        match &self.form {
            Form::Listed(listed) => Box::new(listed.epoch(epoch).map(Ok)),
            Form::Windowed(windowed) => windowed.epoch(epoch),
        }
    }
}

#[cfg(test)]
mod tests;
