//! The batches of an epoch: the examples that share each batch, and the order of the batches. Built
//! by the recipe from the lengths of the training set. The evaluator forms its batches with the
//! same limits.
//!
//! For up to a million examples the order of an epoch is a list (`listed`). For more it is
//! computed window by window (`windowed`), so that memory does not grow with the training set.

mod by_length;
mod listed;
mod windowed;

use crate::token_store::Examples;
use listed::Listed;
use progtune_engine::Result;
use windowed::Windowed;

/// The largest number of examples whose order is a list.
pub const LISTED: usize = 1 << 20;

/// The largest number of batches that are sorted by length together.
const WINDOW: usize = 50;

/// The upper bound on a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchLimit {
    /// A number of examples.
    Examples(usize),
    /// A total number of tokens. A longer example forms a batch of its own.
    Tokens(usize),
}

impl BatchLimit {
    /// Splits `order` into batches, each with as many examples as fit; `length` gives the tokens of
    /// an example.
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

/// The rules by which batches are formed.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The upper bound on a batch.
    pub limit: BatchLimit,
    /// Whether the examples are shuffled in each epoch.
    pub shuffle: bool,
    /// Whether examples of similar length share a batch.
    pub group_by_length: bool,
    /// The random seed of the order.
    pub seed: u64,
    /// Number of batches per optimizer step, at least 1.
    pub gradient_accumulation_steps: usize,
}

/// A sequence of batches, each a list of example indices.
pub type Batches<'a> = Box<dyn Iterator<Item = Result<Vec<usize>>> + 'a>;

/// The batches of all epochs of a run. Each epoch has the same number of batches, so that the
/// number of steps is known in advance.
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
    /// Computes the order of a run over these examples.
    ///
    /// # Errors
    /// Fails if the examples cannot be read, or a temporary file cannot be written.
    pub fn new(rule: Rule, examples: &'a Examples) -> Result<Self> {
        Self::with_list(rule, examples, LISTED)
    }

    fn with_list(rule: Rule, examples: &'a Examples, most: usize) -> Result<Self> {
        Ok(Self {
            form: if examples.len() <= most {
                let lengths = examples.lengths();
                let lengths = lengths.map(|length| Ok(length? as u32));
                Form::Listed(Listed::new(rule, lengths.collect::<Result<_>>()?))
            } else {
                Form::Windowed(Windowed::new(rule, examples)?)
            },
            accumulation: rule.gradient_accumulation_steps,
        })
    }

    /// Number of batches per epoch.
    pub(crate) fn batches_per_epoch(&self) -> usize {
        match &self.form {
            Form::Listed(listed) => listed.n_batches(),
            Form::Windowed(windowed) => windowed.n_batches(),
        }
    }

    /// Number of optimizer steps per epoch; a partial last effective batch counts.
    pub fn steps_per_epoch(&self) -> u64 {
        self.batches_per_epoch().div_ceil(self.accumulation) as u64
    }

    /// Number of batches per optimizer step, except for an epoch's last step.
    pub(crate) fn batches_per_step(&self) -> usize {
        self.accumulation
    }

    /// The batches of an epoch; epochs count from 1.
    pub fn epoch(&self, epoch: u32) -> Batches<'_> {
        match &self.form {
            Form::Listed(listed) => Box::new(listed.epoch(epoch).map(Ok)),
            Form::Windowed(windowed) => windowed.epoch(epoch),
        }
    }
}

#[cfg(test)]
mod tests;
