//! What an epoch is predicted to take on this machine. Made by the forecast and the arithmetic of memory, shown by the table
//! and the picture of a plan.

/// What one epoch is predicted to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochSecs {
    /// Seconds of an optimizer step.
    pub step: f64,
    /// Seconds of the evaluation after the epoch; `None` when the data is unknown.
    pub evaluation: Option<f64>,
    /// Seconds of all steps and the evaluation; `None` when the data is unknown.
    pub epoch: Option<f64>,
    /// Seconds that the prefix cache has taken off the epoch: 0 without one.
    pub spared: f64,
}

/// What one epoch is predicted to take on this machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Its time.
    pub secs: EpochSecs,
    /// The largest amount of memory, in training or evaluation; `None` where it cannot be predicted.
    pub peak_bytes: Option<u64>,
}
