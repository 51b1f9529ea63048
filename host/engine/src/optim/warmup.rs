//! The length of the warm-up: `--warmup`. It is a value of the configuration, which the recipe
//! reads.

use std::fmt;

/// The length of the warm-up, in which the learning rate rises from zero to its full value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Warmup {
    /// A fraction of all steps, above 0 and below 1.
    Ratio(f64),
    /// A number of steps; 0 for no warm-up.
    Steps(u64),
}

impl Warmup {
    /// The number of warm-up steps in a run of `total_steps`. A fraction is rounded up, as in
    /// transformers.
    ///
    /// ```
    /// use progtune_engine::optim::Warmup;
    ///
    /// assert_eq!(Warmup::Ratio(0.1).steps(95), 10);
    /// assert_eq!(Warmup::Steps(7).steps(95), 7);
    /// ```
    pub fn steps(self, total_steps: u64) -> u64 {
        match self {
            Self::Ratio(ratio) => (ratio * total_steps as f64).ceil() as u64,
            Self::Steps(steps) => steps,
        }
    }

    /// Reads a number: below 1 it is a fraction of all steps, from 1 a number of steps (as in
    /// transformers 5).
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(steps) = text.parse() {
            return Some(Self::Steps(steps));
        }
        let number: f64 = text.parse().ok()?;
        if number == 0.0 {
            Some(Self::Steps(0))
        } else if number > 0.0 && number < 1.0 {
            Some(Self::Ratio(number))
        } else if number >= 1.0 && number.fract() == 0.0 && number < u64::MAX as f64 {
            Some(Self::Steps(number as u64))
        } else {
            None
        }
    }
}

impl fmt::Display for Warmup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // `{:?}` keeps very small numbers short (1e-5).
            Self::Ratio(ratio) => write!(f, "{ratio:?}"),
            Self::Steps(steps) => write!(f, "{steps}"),
        }
    }
}
