//! The losses and norms of steps on the device, until the host reads them all at once. The head of
//! the GPU path adds to the loss of a step, its optimizer writes the norms, and the gradients own
//! them.

use super::{Lane, arena::Room, queue::Address};
use crate::error::Result;

/// The most steps whose figures can wait.
pub(crate) const MOST: usize = 64;

/// A row of f64 for each step: the loss, the norm of the gradient, and the norm for each block.
pub(crate) struct Figures {
    rows: Room,
    /// The clip factor of the last step (f32), and whether a step was not finite (u32).
    clip: Room,
    blocks: usize,
    /// The number of steps that are complete.
    complete: usize,
}

/// The distance of the mark from the clip factor.
const MARK: u64 = 16;

impl Figures {
    /// No steps yet, for a model with this number of blocks.
    pub(crate) fn new(lane: &Lane, blocks: usize) -> Result<Self> {
        let figures = Self {
            rows: lane.arena.room(MOST * 8 * (2 + blocks))?,
            clip: lane.arena.room(2 * MARK as usize)?,
            blocks,
            complete: 0,
        };
        figures.clear(lane)?;
        Ok(figures)
    }

    fn row_bytes(&self) -> usize {
        8 * (2 + self.blocks)
    }

    /// Clears everything except the clip factor, which the update of the last step reads.
    fn clear(&self, lane: &Lane) -> Result<()> {
        lane.queue
            .clear(self.rows.address(), MOST * self.row_bytes())?;
        lane.queue.clear(self.mark(), MARK as usize)
    }

    /// The loss of the current step, to which its batches add.
    ///
    /// # Panics
    /// If [`MOST`] steps are complete. The recipe reads them before.
    pub(crate) fn loss(&self) -> Address {
        assert!(
            self.complete < MOST,
            "the figures of {MOST} steps are unread"
        );
        self.rows.address() + (self.complete * self.row_bytes()) as u64
    }

    /// The norms of the current step.
    pub(crate) fn norms(&self) -> Address {
        self.loss() + 8
    }

    /// The factor by which the current step clips; below zero, nothing is updated.
    pub(crate) fn clip(&self) -> Address {
        self.clip.address()
    }

    /// The mark of a step that was not finite. It stops all later updates.
    pub(crate) fn mark(&self) -> Address {
        self.clip.address() + MARK
    }

    /// The number of blocks.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// The current step is complete.
    pub(crate) fn complete_step(&mut self) {
        self.complete += 1;
    }

    /// The rows of all complete steps, in order. Nothing is complete afterwards, and the mark is
    /// gone.
    pub(crate) fn take(&mut self, lane: &Lane) -> Result<Vec<Vec<f64>>> {
        let mut bytes = vec![0u8; self.complete * self.row_bytes()];
        lane.queue.download(self.rows.address(), &mut bytes)?;
        let numbers = bytes.as_chunks::<8>().0.iter().copied();
        let numbers: Vec<f64> = numbers.map(f64::from_ne_bytes).collect();
        self.complete = 0;
        self.clear(lane)?;
        let rows = numbers.chunks_exact(2 + self.blocks);
        Ok(rows.map(<[f64]>::to_vec).collect())
    }

    /// The loss of the current step so far, which becomes zero.
    pub(crate) fn take_loss(&self, lane: &Lane) -> Result<f64> {
        let mut bytes = [0u8; 8];
        lane.queue.download(self.loss(), &mut bytes)?;
        lane.queue.clear(self.loss(), 8)?;
        Ok(f64::from_ne_bytes(bytes))
    }

    /// Forgets the current step and the mark.
    pub(crate) fn forget(&self, lane: &Lane) -> Result<()> {
        lane.queue.clear(self.loss(), 8)?;
        lane.queue.clear(self.mark(), MARK as usize)
    }
}
