//! Memory that steps share: recycled buffers, packing space of the threads, packed weights. The
//! model owns it, and the fused path uses it throughout.
//!
//! A step asks for the same buffers as the previous step. New ones would cost a page fault for
//! every 4 kB.

use super::parameters::{ParameterId, Parameters};
use progtune_kernels::{
    attention,
    bf16::Bf16,
    gemm::{Operands, PackedColumns, PackedRows},
    linear,
};
use std::{
    collections::{BTreeMap, HashMap},
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The size of a model's weights up to which they stay packed for both directions. In larger
/// models, the backward packs its weights again at every step.
const KEEP_BOTH_BYTES: usize = 256 << 20;

/// Whether a model whose blocks have `n` weights keeps them packed for the forward and for the
/// backward.
pub fn keeps_both_directions(n: usize) -> bool {
    n * 2 * size_of::<f32>() <= KEEP_BOTH_BYTES
}

/// The space in which one thread packs operands.
pub(super) struct Workspace {
    /// Rows of activations or gradients.
    pub rows: PackedRows,
    /// More rows, while the first are in use.
    pub(crate) more_rows: PackedRows,
    /// The right operand of a method's small products.
    pub columns: PackedColumns,
    /// The space of the attention kernel.
    pub attention: attention::Scratch,
}

impl Workspace {
    fn of(operands: Operands) -> Self {
        Self {
            rows: PackedRows::of(operands),
            more_rows: PackedRows::of(operands),
            columns: PackedColumns::of(operands),
            attention: attention::Scratch::of(operands),
        }
    }
}

/// The memory that steps share. See the module's description.
#[derive(Default)]
pub(super) struct Scratch {
    /// The form in which products read their operands.
    operands: Operands,
    buffers: Arc<Buffers<f32>>,
    halves: Arc<Buffers<Bf16>>,
    workspaces: Mutex<Vec<Workspace>>,
    columns: Mutex<Vec<PackedColumns>>,
    weights: Mutex<HashMap<(ParameterId, Direction), KeptWeight>>,
    keep_both: bool,
}

/// A packed weight and the version of the values from which it was made.
type KeptWeight = (u64, Arc<PackedColumns>);

/// The purpose of a packed weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    /// x·Wᵀ.
    Forward,
    /// dy·W.
    Backward,
}

/// The values of a linear layer's weight, `[out_dim, in_dim]`.
#[derive(Clone, Copy)]
pub(super) struct WeightValues<'a> {
    /// The parameter.
    pub id: ParameterId,
    /// The values, unless they are the parameter's own.
    pub rewritten: Option<&'a [f32]>,
    /// The number of columns.
    pub in_dim: usize,
    /// The number of rows.
    pub out_dim: usize,
}

impl Scratch {
    /// The memory of a model whose blocks have `n` weights that are packed in this form.
    pub(crate) fn for_weights(n: usize, operands: Operands) -> Self {
        Self {
            operands,
            keep_both: keeps_both_directions(n),
            ..Self::default()
        }
    }

    /// The form in which products read their operands.
    pub(super) fn operands(&self) -> Operands {
        self.operands
    }

    /// Returns the recycled buffers to the system; packed weights stay.
    pub(super) fn release_buffers(&self) {
        lock(&self.buffers.0).clear();
        lock(&self.halves.0).clear();
    }

    /// Returns everything to the system.
    pub(super) fn release(&self) {
        self.release_buffers();
        lock(&self.workspaces).clear();
        lock(&self.columns).clear();
        lock(&self.weights).clear();
    }

    /// A task's buffer of `n` numbers with arbitrary values.
    pub(super) fn take(&self, n: usize) -> Buffer {
        self.buffer(0, n)
    }

    /// A buffer for the rows of a whole batch, `[rows, columns]`, with arbitrary values. Buffers
    /// are reused only for rows of the same width: batches differ in rows, and a wide buffer is too
    /// large for narrow rows.
    pub(super) fn rows(&self, rows: usize, columns: usize) -> Buffer {
        self.buffer(columns, rows * columns)
    }

    /// The same for numbers that are kept in half the room.
    pub(super) fn halves(&self, rows: usize, columns: usize) -> Buffer<Bf16> {
        Buffers::buffer(&self.halves, columns, rows * columns)
    }

    fn buffer(&self, kind: usize, n: usize) -> Buffer {
        Buffers::buffer(&self.buffers, kind, n)
    }

    /// A buffer with a copy of `values`.
    pub(super) fn copy(&self, values: &[f32]) -> Buffer {
        let mut buffer = self.take(values.len());
        buffer.copy_from_slice(values);
        buffer
    }

    /// Runs `f` with a workspace that nobody else uses in the meantime.
    pub(crate) fn with_workspace<T>(&self, f: impl FnOnce(&mut Workspace) -> T) -> T {
        let spare = lock(&self.workspaces).pop();
        let mut workspace = spare.unwrap_or_else(|| Workspace::of(self.operands));
        let result = f(&mut workspace);
        lock(&self.workspaces).push(workspace);
        result
    }

    /// Space for the packed columns of a matrix, `[rows, columns]`, to be filled.
    pub(super) fn columns(&self, rows: usize, columns: usize) -> Columns<'_> {
        Columns::Spare(self.spare(rows, columns), self)
    }

    /// The spare space that fits best: the smallest that is large enough, or else the largest,
    /// which then grows.
    fn spare(&self, rows: usize, columns: usize) -> PackedColumns {
        let wanted = PackedColumns::bytes_of(self.operands, rows, columns);
        let mut spare = lock(&self.columns);
        let sizes = || spare.iter().map(PackedColumns::bytes).enumerate();
        let fits = sizes()
            .filter(|(_, bytes)| *bytes >= wanted)
            .min_by_key(|(_, bytes)| *bytes);
        let best = fits.or_else(|| sizes().max_by_key(|(_, bytes)| *bytes));
        best.map(|(at, _)| at).map_or_else(
            || PackedColumns::of(self.operands),
            |at| spare.swap_remove(at),
        )
    }

    /// A packed weight, kept from pass to pass while it does not change.
    ///
    /// `training` says whether a step is under way, in which a trained weight changes before it is
    /// read again.
    pub(super) fn weight(
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
            let mut packed = self.spare(weight.in_dim, weight.out_dim);
            pack(&mut packed);
            return Columns::Spare(packed, self);
        }
        let mut packed = PackedColumns::of(self.operands);
        pack(&mut packed);
        let packed = Arc::new(packed);
        lock(&self.weights).insert(key, (version, Arc::clone(&packed)));
        Columns::Kept(packed)
    }
}

/// Packed columns. Kept ones are shared, others return to the scratch.
pub(super) enum Columns<'a> {
    /// A weight that is kept.
    Kept(Arc<PackedColumns>),
    /// For this pass only.
    Spare(PackedColumns, &'a Scratch),
}

impl Columns<'_> {
    /// The space to pack into.
    ///
    /// # Panics
    /// For a weight that is kept, because others may be reading it.
    pub(super) fn space(&mut self) -> &mut PackedColumns {
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

/// A recycled buffer, which is returned when dropped.
pub(super) struct Buffer<T: Number = f32> {
    /// At least `n` numbers. The rest stays for the next user, who need not set it to zero then.
    values: Vec<T>,
    n: usize,
    kind: usize,
    home: Arc<Buffers<T>>,
}

/// A number that buffers hold.
pub(super) trait Number: Copy + Default {
    /// A value that shows where it is read before another is written.
    const UNSET: Self;
}

impl Number for f32 {
    const UNSET: Self = Self::NAN;
}

impl Number for Bf16 {
    const UNSET: Self = Self::NAN;
}

impl<T: Number> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[..self.n]
    }
}

impl<T: Number> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[..self.n]
    }
}

impl<T: Number> Drop for Buffer<T> {
    fn drop(&mut self) {
        self.home.put(self.kind, std::mem::take(&mut self.values));
    }
}

/// The buffers that nobody uses now, by kind (see [`Scratch::rows`]; tasks' buffers have kind 0)
/// and length.
#[derive(Default)]
pub(super) struct Buffers<T>(Mutex<Free<T>>);

type Free<T> = BTreeMap<(usize, usize), Vec<Vec<T>>>;

/// The factor above which a buffer is too large for a task's request.
const SLACK: usize = 8;

impl<T: Number> Buffers<T> {
    fn buffer(home: &Arc<Self>, kind: usize, n: usize) -> Buffer<T> {
        Buffer {
            values: home.take(kind, n),
            n,
            kind,
            home: Arc::clone(home),
        }
    }

    fn take(&self, kind: usize, n: usize) -> Vec<T> {
        let most = match kind {
            0 => n.saturating_mul(SLACK).max(4096),
            _ => usize::MAX,
        };
        let found = {
            let mut free = lock(&self.0);
            let fit = free.range((kind, n)..=(kind, most)).next();
            let fit = fit.map(|(&key, _)| key);
            let small = || {
                free.range((kind, n / SLACK)..(kind, n))
                    .next_back()
                    .map(|(&key, _)| key)
            };
            // Batches have grown: a buffer that is too small is dropped, so that memory does not
            // add up.
            match (fit, fit.is_none().then(small).flatten()) {
                (Some(key), _) => pop(&mut free, key),
                (None, Some(key)) => {
                    pop(&mut free, key);
                    None
                }
                (None, None) => None,
            }
        };
        let mut found = found.unwrap_or_else(|| vec![T::default(); n]);
        if cfg!(debug_assertions) {
            found[..n].fill(T::UNSET);
        }
        found
    }

    fn put(&self, kind: usize, values: Vec<T>) {
        if !values.is_empty() {
            let mut free = lock(&self.0);
            free.entry((kind, values.len())).or_default().push(values);
        }
    }
}

fn pop<T>(free: &mut Free<T>, key: (usize, usize)) -> Option<Vec<T>> {
    let list = free.get_mut(&key)?;
    let found = list.pop();
    if list.is_empty() {
        free.remove(&key);
    }
    found
}

/// Locks a mutex even after a panic elsewhere, because it guards only memory to reuse.
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
            .map(Vec::len)
            .sum();
        assert!(held < 35_000, "a small one makes way for a larger: {held}");
        let wide = scratch.rows(100, 40).as_ptr();
        assert_ne!(
            scratch.rows(100, 10).as_ptr(),
            wide,
            "narrow rows leave wide buffers alone"
        );
        assert_eq!(
            scratch.rows(3, 40).as_ptr(),
            wide,
            "a batch of few rows reuses those of many"
        );
        scratch.release_buffers();
        assert!(lock(&scratch.buffers.0).is_empty());
    }
}
