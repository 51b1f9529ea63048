//! The reasons why a device does not do something. The stream and its parts return them.

use cudarc::driver::DriverError;
use std::fmt;

/// The reason why the device did not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It has no memory of this size any more.
    OutOfMemory {
        /// The size.
        bytes: usize,
    },
    /// Anything else, in the driver's words.
    Failed(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory { bytes } => write!(f, "no {bytes} bytes of memory are left"),
            Self::Failed(words) => f.write_str(words),
        }
    }
}

impl Fault {
    pub(super) fn of(error: DriverError) -> Self {
        Self::Failed(error.to_string())
    }
}
