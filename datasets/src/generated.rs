//! Tasks whose rows are produced by a grammar, so that nothing is downloaded. Called by the readers
//! of splits and by the host.

pub(crate) mod grammar;
pub mod sample;
pub mod sample_pairs;
