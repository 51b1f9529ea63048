//! Recycled memory of the device: a step asks for the same pieces as the step before. The GPU path
//! takes all of its buffers here.
//!
//! Pieces return when they are dropped. Work is in order, so a piece may be given to the next user
//! while earlier work on it is still waiting.

use super::queue::{Address, Memory, Queue};
use crate::error::Result;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The pieces that nobody uses, by size.
#[derive(Default)]
struct Free(Mutex<BTreeMap<usize, Vec<Memory>>>);

/// The memory of a model on one device.
#[derive(Clone)]
pub struct Arena {
    queue: Arc<dyn Queue>,
    free: Arc<Free>,
}

/// A piece of memory.
pub struct Room {
    memory: Option<Memory>,
    home: Arc<Free>,
}

impl Arena {
    /// An empty arena.
    pub fn new(queue: Arc<dyn Queue>) -> Self {
        Self {
            queue,
            free: Arc::default(),
        }
    }

    /// A piece of at least this many bytes with arbitrary contents.
    ///
    /// # Errors
    /// If the device has no more memory, even after all pieces that nobody uses were given back.
    pub fn room(&self, bytes: usize) -> Result<Room> {
        let size = class_of(bytes);
        let spare = self.free().get_mut(&size).and_then(Vec::pop);
        let memory = match spare {
            Some(memory) => memory,
            None => self.queue.allocate(size).or_else(|_| {
                self.release();
                self.queue.allocate(size)
            })?,
        };
        Ok(Room {
            memory: Some(memory),
            home: Arc::clone(&self.free),
        })
    }

    /// Gives all pieces that nobody uses back to the device.
    pub fn release(&self) {
        self.free().clear();
    }

    fn free(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, Vec<Memory>>> {
        self.free.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The size of the piece for this many bytes: one of eight steps between powers of two, so that
/// batches of nearly the same size share pieces and at most an eighth is wasted.
fn class_of(bytes: usize) -> usize {
    let bytes = bytes.max(256);
    let step = (bytes.next_power_of_two() / 16).max(256);
    bytes.next_multiple_of(step)
}

impl Room {
    /// The address of its first byte.
    pub fn address(&self) -> Address {
        self.memory.as_ref().map_or(0, |memory| memory.address)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            let mut free = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
            free.entry(memory.bytes).or_default().push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::class_of;

    #[test]
    fn a_piece_is_at_most_an_eighth_too_large() {
        for bytes in [1, 256, 257, 1000, 4097, 100_000, 1 << 20, (1 << 20) + 1] {
            let class = class_of(bytes);
            assert!(
                class >= bytes && class.is_multiple_of(256),
                "{bytes}: {class}"
            );
            assert!(
                class <= (bytes + bytes / 8).max(bytes + 256),
                "{bytes}: {class}"
            );
        }
        assert_eq!(class_of(100_000), class_of(98_400));
    }
}
