//! The lengths of rows in tokens. Called by `data inspect`.

use super::{of_every, share};
use progtune_datasets::Example;
use progtune_engine::Result;
use progtune_pipeline::tokenizer::Tokenizer;
use std::collections::BTreeMap;

/// The numbers of rows and of text bytes after which waiting rows are tokenised.
const AT_ONCE: (usize, usize) = (4096, 1 << 19);

/// The lengths of the rows added so far.
pub(super) struct Lengths<'a> {
    tokenizer: &'a Tokenizer,
    waiting: Vec<Example>,
    text_bytes: usize,
    n_rows: usize,
    /// Number of rows of each length.
    counts: BTreeMap<usize, u64>,
}

impl<'a> Lengths<'a> {
    /// Starts without rows.
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            waiting: Vec::new(),
            text_bytes: 0,
            n_rows: 0,
            counts: BTreeMap::new(),
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Fails if the tokenizer refuses a text.
    pub(super) fn add(&mut self, example: Example) -> Result<()> {
        self.text_bytes += example.text.len() + example.pair.as_ref().map_or(0, String::len);
        self.waiting.push(example);
        if self.waiting.len() >= AT_ONCE.0 || self.text_bytes >= AT_ONCE.1 {
            self.tokenise()
        } else {
            Ok(())
        }
    }

    /// Adds the length of a row that is already tokenised.
    pub(super) fn add_length(&mut self, length: usize) {
        *self.counts.entry(length).or_default() += 1;
        self.n_rows += 1;
    }

    fn tokenise(&mut self) -> Result<()> {
        for example in self.tokenizer.encode_rows(&self.waiting, self.n_rows)? {
            *self.counts.entry(example.input_ids.len()).or_default() += 1;
        }
        self.n_rows += self.waiting.len();
        self.waiting.clear();
        self.text_bytes = 0;
        Ok(())
    }

    /// Percentiles by nearest rank, and the number of rows longer than `limit`. The rows are every
    /// `every`-th row of the split.
    ///
    /// # Errors
    /// Fails in the same cases as [`Lengths::add`].
    pub(super) fn report(mut self, limit: usize, every: usize) -> Result<String> {
        if !self.waiting.is_empty() {
            self.tokenise()?;
        }
        let n = self.n_rows as u64;
        let percentile = |p: u64| {
            let mut rank = (n * p).div_ceil(100).max(1);
            for (&length, &count) in &self.counts {
                if rank <= count {
                    return length;
                }
                rank -= count;
            }
            0
        };
        let longer = self.counts.range(limit + 1..);
        let cut: u64 = longer.map(|(_, count)| count).sum();
        let about = match every {
            1 => "",
            _ => "about ",
        };
        Ok(format!(
            "  tokens{}: median {}, 90 % {}, 95 % {}, 99 % {}, longest {}\n  cut at {limit} tokens: {about}{} rows ({:.1} %)\n",
            of_every(every),
            percentile(50),
            percentile(90),
            percentile(95),
            percentile(99),
            percentile(100),
            cut * every as u64,
            share(cut, n)
        ))
    }
}
