//! The forecast of an epoch on this machine. The host's `time_forecast` and
//! `memory_forecast` make it; the table and the picture of a plan show it.

/// The time that one epoch is expected to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochSecs {
    /// Seconds per optimizer step.
    pub step: f64,
    /// Seconds of the epoch's evaluations; `None` when the data is unknown.
    pub evaluation: Option<f64>,
    /// Seconds of all steps and evaluations; `None` when the data is unknown.
    pub epoch: Option<f64>,
    /// Seconds that the prefix cache has taken off the epoch; 0 without one.
    pub spared: f64,
}

/// The forecast of one epoch on this machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochForecast {
    /// Its time.
    pub secs: EpochSecs,
    /// The largest amount of memory, in training or evaluation; `None` if there is no forecast.
    pub peak_bytes: Option<u64>,
}
