//! The callbacks with which the hub's caller shows its work as a bar, lines or events. Called by
//! `download` and the crate's root.

/// Shows the hub at work.
pub trait Observer: Send + Sync {
    /// Shows a line that stays: `fetching org/name at 1a2b3c4 from https://…`.
    fn note(&self, text: &str);

    /// Begins the transfer of a file. `have` bytes of an earlier transfer exist, and `size` is the
    /// total, if the hub reports it. The returned value receives the progress, and is dropped if
    /// the transfer fails.
    fn begin(&self, file: &str, have: u64, size: Option<u64>) -> Box<dyn Transfer>;
}

/// Shows the transfer of one file.
pub trait Transfer {
    /// `bytes` more have come over the network; `have` are there now.
    fn add(&mut self, bytes: u64, have: u64);

    /// All `size` bytes are there and have the right checksum.
    fn finish(self: Box<Self>, size: u64);
}
