//! The contract of the CUDA kernels: the size of every launch, and the arguments that are more than
//! a pointer or a number. The tests in `tests/cuda` call it, and the engine's GPU path, which
//! launches the kernels on a `Stream` (with the feature `cuda`).
//!
//! A kernel's source is the `.cu` file beside its CPU twin; what several share is in `src/cuda/`.
//! The head of each file lists the arguments of its kernels in their order, with shapes. Names end
//! in the number type of the activations, `_f32` or `_bf16`; parameters, their gradients and sums
//! are f32. All kernels are `extern "C"`, for launches by name, and need no dynamic shared memory.
//! Compiled by a C++ compiler, a file exports `host_launch_NAME` for each kernel, which takes a
//! launch and the addresses of the arguments (`shim::launch` in `src/cuda/host_shim.h`).
//!
//! | file | kernels | launch |
//! |---|---|---|
//! | `layer_norm.cu` | `layer_norm_forward`, `layer_norm_affine` | [`rows`] |
//! | | `layer_norm_backward` | [`row_chunks`], then `column_sums` |
//! | `activation.cu` | `bias_activation_forward` | [`columns`] |
//! | | `bias_activation_backward` | [`columns`], then `column_sums` |
//! | `dropout.cu` | `dropout` | [`columns`] |
//! | `elementwise.cu` | `add_scaled`, `multiply`, `add_products`, `scale` | [`packs`] |
//! | | `to_bf16`, `to_f32` | [`packs`] of bf16 |
//! | | `gather_rows`, `scatter_rows` | [`columns`] |
//! | `vector.cu` | `add_vector`, `multiply_vector` | [`columns`] |
//! | | `product_sums` | [`columns`], then `column_sums` |
//! | | `swap` | [`numbers`] |
//! | `embedding.cu` | `embedding_forward` | [`columns`] |
//! | | `embedding_backward_segments` | [`by_column_tiles`], over [`Segments`] |
//! | | `embedding_backward_add` | [`by_column_tiles`] of f32, over the ids |
//! | `attention.cu` | `attention_forward`, `attention_backward_queries` | [`attention_queries`] |
//! | | `attention_backward_keys` | [`attention_keys`] |
//! | `linear.cu` | `bias_gradient` | [`columns`], then `column_sums` |
//! | | `column_sums` | [`column_sums`] |
//! | | `low_rank_down` | [`low_rank_down`] |
//! | | `low_rank_up` | [`low_rank_up`] |
//! | | `low_rank_gradient` | [`low_rank_gradient`], then `column_sums` over rank·columns |
//! | `cross_entropy.cu` | `cross_entropy`, `span_cross_entropy` | [`warps`], then `loss_sum` |
//! | `binary_cross_entropy.cu` | `binary_cross_entropy` | [`warps`], then `loss_sum` |
//! | `mean_squared_error.cu` | `mean_squared_error` | [`numbers`], then `loss_sum` |
//! | `loss_sum.cu` | `loss_sum` | [`ONE_BLOCK`] |
//! | `adamw.cu` | `gradient_squares`, `gradient_norms`, `adamw_step` | [`adamw_blocks`] |
//! | | `adamw_step_rows` | [`adamw_rows`] |
//!
//! Rules for all of them:
//!
//! - Every buffer begins at a multiple of 16 bytes. Rows need not: a kernel reads rows in packs of
//!   16 bytes if their length allows it, else number by number.
//! - An output may be an input only where the head of the file says so.
//! - Launches of one stream are in order, and no kernel waits for another one inside a launch.
//! - The same arguments give the same bits: there are no atomics, and the division of work depends
//!   on shapes only, not on the device.
//! - A launch without rows is skipped by the caller.

mod arguments;
#[cfg(feature = "cuda")]
mod cublas_lt;
#[cfg(feature = "cuda")]
mod fault;
mod product;
mod segments;
#[cfg(feature = "cuda")]
mod staging;
#[cfg(feature = "cuda")]
mod stream;

use crate::activation::Activation;

pub use arguments::{
    AdamWChunk, AdamWConstants, Arguments, AttentionArgument, ColumnSumsArgument, DropoutArgument,
};
#[cfg(feature = "cuda")]
pub use fault::Fault;
pub use product::Product;
pub use segments::Segments;
#[cfg(feature = "cuda")]
pub use stream::{Memory, Stream};

/// The number type of activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Number {
    /// 32 bits.
    F32,
    /// bfloat16; kernels compute in f32.
    Bf16,
}

impl Number {
    /// The end of a kernel's name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// The size of a number.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// The number of values in a pack of 16 bytes.
    pub const fn per_pack(self) -> usize {
        16 / self.bytes()
    }

    /// The number of packs in a row, the last one perhaps cut.
    fn packs(self, n_columns: usize) -> usize {
        n_columns.div_ceil(self.per_pack())
    }
}

/// The size of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// The number of blocks, x, y and z.
    pub grid: [u32; 3],
    /// The number of threads of a block, x, y and z.
    pub block: [u32; 3],
}

impl Launch {
    fn new(grid: [usize; 3], block: [usize; 3]) -> Self {
        let narrow = |sizes: [usize; 3]| sizes.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        Self {
            grid: narrow(grid),
            block: narrow(block),
        }
    }
}

/// A launch that sums over rows: it leaves one partial sum for each chunk of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunked {
    /// The size of the launch.
    pub launch: Launch,
    /// The number of rows that one sum covers, which the kernel takes as an argument.
    pub rows_per_chunk: u32,
    /// The number of partial sums.
    pub n_chunks: u32,
}

/// The threads of a block of the kernels that go through columns.
const COLUMN_THREADS: usize = 128;
/// The most chunks into which rows are cut. The partial sums take this many rows of memory.
const MAX_CHUNKS: usize = 512;
/// The packs of a row that a thread of the LayerNorm holds.
const PACKS_PER_THREAD: usize = 2;
/// The most threads for a row of the LayerNorm.
const MAX_ROW_THREADS: usize = 512;

/// The number of an activation, as the kernels of `activation.cu` take it.
pub const fn activation_index(activation: Activation) -> u32 {
    activation as u32
}

/// The launch of kernels with one block of 256 threads.
pub const ONE_BLOCK: Launch = Launch {
    grid: [1, 1, 1],
    block: [256, 1, 1],
};

/// The most columns of a row that the LayerNorm's kernels take.
pub const fn max_row_columns(number: Number) -> usize {
    MAX_ROW_THREADS * PACKS_PER_THREAD * number.per_pack()
}

/// Threads for a row, and rows for a block.
///
/// # Panics
/// If a row has more than [`max_row_columns`]. The host checks the model's size beforehand.
fn row_block(n_columns: usize, number: Number) -> [usize; 3] {
    let most = max_row_columns(number);
    assert!(n_columns <= most, "a row of {n_columns}, at most {most}");
    let threads = number.packs(n_columns).div_ceil(PACKS_PER_THREAD);
    let threads = threads.next_multiple_of(32).max(32);
    [threads, (128 / threads).max(1), 1]
}

/// A block that handles whole rows.
pub fn rows(n_rows: usize, n_columns: usize, number: Number) -> Launch {
    let block = row_block(n_columns, number);
    Launch::new([n_rows.div_ceil(block[1]).max(1), 1, 1], block)
}

fn rows_per_chunk(n_rows: usize) -> usize {
    n_rows.div_ceil(MAX_CHUNKS).max(1)
}

/// A block that goes through the rows of a chunk, several chunks beside each other.
pub fn row_chunks(n_rows: usize, n_columns: usize, number: Number) -> Chunked {
    let (block, rows_per_chunk) = (row_block(n_columns, number), rows_per_chunk(n_rows));
    let n_chunks = n_rows.div_ceil(rows_per_chunk);
    Chunked {
        launch: Launch::new([n_chunks.div_ceil(block[1]).max(1), 1, 1], block),
        rows_per_chunk: rows_per_chunk as u32,
        n_chunks: n_chunks as u32,
    }
}

/// The threads of a block, and the blocks, that cover the columns with the fewest idle threads.
fn column_tiles(n_columns: usize, number: Number) -> (usize, usize) {
    let packs = number.packs(n_columns).max(1);
    let sizes = (1..=COLUMN_THREADS / 32).rev().map(|warps| 32 * warps);
    let threads = sizes
        .min_by_key(|threads| packs.next_multiple_of(*threads))
        .unwrap_or(COLUMN_THREADS);
    (threads, packs.div_ceil(threads))
}

fn columns_in_chunks(
    n_rows: usize,
    n_columns: usize,
    number: Number,
    rows_per_chunk: usize,
    n_layers: usize,
) -> Chunked {
    let (threads, tiles) = column_tiles(n_columns, number);
    let n_chunks = n_rows.div_ceil(rows_per_chunk);
    Chunked {
        launch: Launch::new([tiles, n_chunks.max(1), n_layers], [threads, 1, 1]),
        rows_per_chunk: rows_per_chunk as u32,
        n_chunks: n_chunks as u32,
    }
}

/// A thread that owns a pack of columns and goes through the rows of a chunk.
pub fn columns(n_rows: usize, n_columns: usize, number: Number) -> Chunked {
    columns_in_chunks(n_rows, n_columns, number, rows_per_chunk(n_rows), 1)
}

/// `n` rows, and a thread for each pack of their columns.
pub fn by_column_tiles(n: usize, n_columns: usize, number: Number) -> Launch {
    let (threads, tiles) = column_tiles(n_columns, number);
    Launch::new([n.max(1), tiles, 1], [threads, 1, 1])
}

/// The second stage of sums over rows, for `n_targets` gradients (at most 4) of `n_columns`.
pub fn column_sums(n_columns: usize, n_targets: usize) -> Launch {
    Launch::new([n_columns.div_ceil(32), n_targets, 1], [32, 16, 1])
}

/// h = s·dropout(x)·Wᵀ.
pub fn low_rank_down(n_rows: usize, rank: usize) -> Launch {
    Launch::new([n_rows.div_ceil(32), rank.div_ceil(8), 1], [128, 1, 1])
}

/// y += mask ⊙ (h·Wᵀ).
pub fn low_rank_up(n_rows: usize, n_columns: usize) -> Launch {
    Launch::new(
        [n_columns.div_ceil(256), n_rows.div_ceil(32), 1],
        [128, 1, 1],
    )
}

/// dW = hᵀ·dropout(x), in at most 32 chunks, because a partial sum has the size of the weight.
pub fn low_rank_gradient(n_rows: usize, n_columns: usize, rank: usize, number: Number) -> Chunked {
    let rows_per_chunk = n_rows.div_ceil(32).max(1);
    columns_in_chunks(n_rows, n_columns, number, rows_per_chunk, rank.div_ceil(8))
}

/// A warp for each of `n` rows.
pub fn warps(n: usize) -> Launch {
    Launch::new([n.div_ceil(4).max(1), 1, 1], [32, 4, 1])
}

/// A thread for each of `n` numbers.
pub fn numbers(n: usize) -> Launch {
    Launch::new([n.div_ceil(128).max(1), 1, 1], [128, 1, 1])
}

/// A thread for each pack of `n` numbers.
pub fn packs(n: usize, number: Number) -> Launch {
    numbers(number.packs(n))
}

/// The head size in the name of the attention kernel for heads of `head_dim` columns; `None` if
/// they are larger than any kernel's.
pub fn attention_head(head_dim: usize) -> Option<usize> {
    [32, 64, 128].into_iter().find(|&size| head_dim <= size)
}

/// The rows of a tile of attention, 16 for each warp.
fn attention_tile(head_dim: usize, number: Number) -> usize {
    match (number, head_dim <= 64) {
        (Number::Bf16, true) => 64,
        (Number::Bf16, false) | (Number::F32, true) => 32,
        (Number::F32, false) => 16,
    }
}

fn attention(rows: usize, heads: usize, sequences: usize, tile: usize) -> Launch {
    let grid = [rows.div_ceil(tile).max(1), heads, sequences];
    Launch::new(grid, [2 * tile, 1, 1])
}

/// The launch over the queries of every sequence, of which the longest has `most`.
pub fn attention_queries(
    most: usize,
    heads: usize,
    sequences: usize,
    head_dim: usize,
    number: Number,
) -> Launch {
    attention(most, heads, sequences, attention_tile(head_dim, number))
}

/// The launch over the keys of every sequence, of which the longest has `most` of its own.
pub fn attention_keys(
    (n_prefix, most): (usize, usize),
    heads: usize,
    sequences: usize,
    head_dim: usize,
    number: Number,
) -> Launch {
    let tile = attention_tile(head_dim, number);
    attention(n_prefix + most, heads, sequences, tile)
}

/// A block for each of `n` chunks of parameters, or for each norm.
pub fn adamw_blocks(n: usize) -> Launch {
    Launch::new([n.max(1), 1, 1], [256, 1, 1])
}

/// A warp for each row of a table.
pub fn adamw_rows(n_rows: usize) -> Launch {
    Launch::new([n_rows.div_ceil(8).max(1), 1, 1], [32, 8, 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_covers_every_row_and_column() {
        for number in [Number::F32, Number::Bf16] {
            for n_columns in [1, 3, 17, 33, 127, 384, 768, 3072] {
                for n_rows in [1, 7, 512, 513, 100_000] {
                    let Chunked {
                        launch,
                        rows_per_chunk,
                        n_chunks,
                    } = columns(n_rows, n_columns, number);
                    let columns = (launch.grid[0] * launch.block[0]) as usize * number.per_pack();
                    assert!(columns >= n_columns && launch.grid[1] == n_chunks);
                    assert!((n_chunks * rows_per_chunk) as usize >= n_rows && n_chunks <= 512);
                    let whole = row_chunks(n_rows, n_columns, number);
                    let columns = whole.launch.block[0] as usize * 2 * number.per_pack();
                    assert!(columns >= n_columns);
                    assert!(whole.launch.grid[0] * whole.launch.block[1] >= whole.n_chunks);
                    let threads: u32 = whole.launch.block.iter().product();
                    assert!(threads.is_multiple_of(32) && threads <= 512);
                }
            }
        }
    }

    #[test]
    fn few_threads_are_idle() {
        for (n_columns, threads) in [(768, 96), (3072, 128), (1024, 128), (1536, 96), (4096, 128)] {
            assert_eq!(column_tiles(n_columns, Number::Bf16).0, threads);
        }
    }
}
