//! Memory that steps share: recycled buffers, packing space of the threads, packed weights. Owned by the model, used
//! throughout the fused path.
//!
//! A step asks for the same buffers as the step before; fresh ones would cost a page fault for every 4 kB.

use crate::model::parameters::{ParameterId, Parameters};
use progtune_kernels::{
    attention,
    gemm::{PackedColumns, PackedRows},
    linear,
};
use std::{
    collections::{BTreeMap, HashMap},
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Packed weights of both directions are kept for models up to this size; of larger ones the direction that is cheap
/// to pack is packed again at every step.
const KEEP_BOTH_BYTES: usize = 256 << 20;

/// What one thread packs operands in.
#[derive(Default)]
pub struct Workspace {
    /// Rows of activations or gradients.
    pub rows: PackedRows,
    /// More of them, while the first are in use.
    pub more_rows: PackedRows,
    /// The right operand of a method's small products.
    pub columns: PackedColumns,
    /// What attention works in.
    pub attention: attention::Scratch,
}

/// See the module.
#[derive(Default)]
pub struct Scratch {
    buffers: Arc<Buffers>,
    workspaces: Mutex<Vec<Workspace>>,
    columns: Mutex<Vec<PackedColumns>>,
    weights: Mutex<HashMap<(ParameterId, Direction), (u64, Arc<PackedColumns>)>>,
    keep_both: bool,
}

/// What a packed weight is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// x·Wᵀ.
    Forward,
    /// dy·W.
    Backward,
}

/// A linear layer's weight in numbers: `[out_dim, in_dim]`.
#[derive(Clone, Copy)]
pub struct WeightValues<'a> {
    /// Which parameter it is.
    pub id: ParameterId,
    /// The values, unless they are the parameter's own.
    pub rewritten: Option<&'a [f32]>,
    /// Columns.
    pub in_dim: usize,
    /// Rows.
    pub out_dim: usize,
}

impl Scratch {
    /// For a model whose blocks have `n` weights that are packed.
    pub fn for_weights(n: usize) -> Self {
        Self {
            keep_both: n * 2 * size_of::<f32>() <= KEEP_BOTH_BYTES,
            ..Self::default()
        }
    }

    /// A buffer of `n` numbers, whatever they are.
    pub fn take(&self, n: usize) -> Buffer {
        Buffer {
            values: self.buffers.take(n),
            home: Arc::clone(&self.buffers),
        }
    }

    /// A buffer with a copy of `values`.
    pub fn copy(&self, values: &[f32]) -> Buffer {
        let mut buffer = self.take(values.len());
        buffer.copy_from_slice(values);
        buffer
    }

    /// Runs `f` with a workspace that nobody else uses meanwhile.
    pub fn with_workspace<T>(&self, f: impl FnOnce(&mut Workspace) -> T) -> T {
        let mut workspace = lock(&self.workspaces).pop().unwrap_or_default();
        let result = f(&mut workspace);
        lock(&self.workspaces).push(workspace);
        result
    }

    /// Space for packed columns, to be filled.
    pub fn columns(&self) -> Columns<'_> {
        Columns::Spare(lock(&self.columns).pop().unwrap_or_default(), self)
    }

    /// A packed weight: kept from pass to pass while it does not change.
    ///
    /// `training` says whether a step is under way: then a weight that is trained changes before it is read again.
    pub fn weight(
        &self,
        parameters: &Parameters,
        weight: WeightValues<'_>,
        direction: Direction,
        training: bool,
    ) -> Columns<'_> {
        let key = (weight.id, direction);
        let transient = weight.rewritten.is_some()
            || (training && parameters.is_trainable(weight.id))
            || (direction == Direction::Backward && !self.keep_both);
        let version = parameters.version(weight.id);
        if transient {
            lock(&self.weights).remove(&key);
        } else if let Some((kept, packed)) = lock(&self.weights).get(&key)
            && *kept == version
        {
            return Columns::Kept(Arc::clone(packed));
        }
        let stored = parameters.host(weight.id);
        let values = weight.rewritten.unwrap_or(&stored);
        let pack = |packed: &mut PackedColumns| {
            let (k, n) = (weight.in_dim, weight.out_dim);
            match direction {
                Direction::Forward => linear::pack_forward(packed, values, k, n),
                Direction::Backward => linear::pack_backward(packed, values, k, n),
            }
        };
        if transient {
            let mut packed = lock(&self.columns).pop().unwrap_or_default();
            pack(&mut packed);
            return Columns::Spare(packed, self);
        }
        let mut packed = PackedColumns::default();
        pack(&mut packed);
        let packed = Arc::new(packed);
        lock(&self.weights).insert(key, (version, Arc::clone(&packed)));
        Columns::Kept(packed)
    }
}

/// Packed columns: kept ones are shared, others go back to the scratch.
pub enum Columns<'a> {
    /// A weight that is kept.
    Kept(Arc<PackedColumns>),
    /// For this pass only.
    Spare(PackedColumns, &'a Scratch),
}

impl Columns<'_> {
    /// The space to pack into.
    ///
    /// # Panics
    /// For a weight that is kept: others may be reading it.
    pub fn space(&mut self) -> &mut PackedColumns {
        match self {
            Self::Spare(columns, _) => columns,
            Self::Kept(_) => unreachable!("kept weights are packed once"),
        }
    }
}

impl Deref for Columns<'_> {
    type Target = PackedColumns;

    fn deref(&self) -> &PackedColumns {
        match self {
            Self::Kept(columns) => columns,
            Self::Spare(columns, _) => columns,
        }
    }
}

impl Drop for Columns<'_> {
    fn drop(&mut self) {
        if let Self::Spare(columns, scratch) = self {
            lock(&scratch.columns).push(std::mem::take(columns));
        }
    }
}

/// A recycled buffer; it goes back when dropped.
pub struct Buffer {
    values: Vec<f32>,
    home: Arc<Buffers>,
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.put(std::mem::take(&mut self.values));
    }
}

/// Buffers that nobody uses now, by capacity.
#[derive(Default)]
struct Buffers(Mutex<BTreeMap<usize, Vec<Vec<f32>>>>);

/// A buffer this much larger than what is asked for is left for those who need it.
const SLACK: usize = 8;

impl Buffers {
    fn take(&self, n: usize) -> Vec<f32> {
        let mut found = {
            let mut free = lock(&self.0);
            let fit = free.range(n..=n.saturating_mul(SLACK).max(4096)).next();
            let fit = fit.map(|(&capacity, _)| capacity);
            match fit {
                Some(capacity) => pop(&mut free, capacity),
                None => {
                    // Batches have grown: the largest one too small makes way, so that memory does not add up.
                    let small = free.range(n / SLACK..n).next_back().map(|(&c, _)| c);
                    small.map(|capacity| pop(&mut free, capacity));
                    None
                }
            }
        }
        .unwrap_or_else(|| Vec::with_capacity(n));
        found.resize(n, 0.0);
        if cfg!(debug_assertions) {
            // Whoever reads what it did not write shall notice.
            found.fill(f32::NAN);
        }
        found
    }

    fn put(&self, values: Vec<f32>) {
        if values.capacity() > 0 {
            lock(&self.0)
                .entry(values.capacity())
                .or_default()
                .push(values);
        }
    }
}

fn pop(free: &mut BTreeMap<usize, Vec<Vec<f32>>>, capacity: usize) -> Option<Vec<f32>> {
    let list = free.get_mut(&capacity)?;
    let found = list.pop();
    if list.is_empty() {
        free.remove(&capacity);
    }
    found
}

/// A lock that a panic elsewhere does not spoil: what it guards is only memory to reuse.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back() {
        let scratch = Scratch::default();
        let first = scratch.take(10_000).as_ptr();
        assert_eq!(scratch.take(9_000).as_ptr(), first, "a little smaller fits");
        assert_eq!(scratch.take(10_000).len(), 10_000);
        let (a, b) = (scratch.take(10_000), scratch.take(10_000));
        assert_ne!(a.as_ptr(), b.as_ptr(), "two at a time are two");
        drop((a, b));
        assert_ne!(
            scratch.take(10).as_ptr(),
            first,
            "far too large is left alone"
        );
        drop(scratch.take(20_000));
        let held: usize = lock(&scratch.buffers.0)
            .values()
            .flatten()
            .map(Vec::capacity)
            .sum();
        assert!(held < 35_000, "a small one makes way for a larger: {held}");
    }
}
