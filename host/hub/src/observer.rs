//! The callbacks by which the hub's caller shows what it does: a bar, lines or events. `download` and the
//! crate's root call them.

/// Shows the hub at work.
pub trait Observer: Send + Sync {
    /// Shows a line that stays: `fetching org/name at 1a2b3c4 from https://…`.
    fn note(&self, text: &str);

    /// The transfer of a file begins: `have` bytes of an earlier one are there, and `size` is the whole,
    /// where the hub says it. The result is told of the rest, and dropped when the transfer fails.
    fn begin(&self, file: &str, have: u64, size: Option<u64>) -> Box<dyn Transfer>;
}

/// Shows the transfer of one file.
pub trait Transfer {
    /// `bytes` more have come over the network; `have` are there now.
    fn add(&mut self, bytes: u64, have: u64);

    /// All `size` bytes are there and have the right checksum.
    fn finish(self: Box<Self>, size: u64);
}
