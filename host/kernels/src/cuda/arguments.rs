//! The arguments of kernels that are structures, in the memory layout that their `.cu` file
//! declares. Addresses are those of the device; 0 stands for a null pointer.

use crate::{
    adamw::{Constants, Update},
    dropout::threshold,
};
use std::ffi::c_void;

/// Two 32-bit fields that follow each other, as one word.
const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

/// The arguments of a launch in their order, each at the start of a word of 64 bits.
///
/// ```
/// use progtune_kernels::cuda::Arguments;
///
/// let mut arguments = Arguments::default().address(4096).f32(0.5).u32(7);
/// assert_eq!(arguments.pointers().len(), 3);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    words: Vec<u64>,
    /// The first word of each argument.
    starts: Vec<usize>,
}

impl Arguments {
    fn words(mut self, words: &[u64]) -> Self {
        self.starts.push(self.words.len());
        self.words.extend(words);
        self
    }

    /// An address on the device; 0 is a null pointer.
    #[must_use]
    pub fn address(self, address: u64) -> Self {
        self.words(&[address])
    }

    /// An unsigned number of 32 bits.
    #[must_use]
    pub fn u32(self, value: u32) -> Self {
        self.words(&[u64::from(value)])
    }

    /// A size, which the kernel takes in 32 bits.
    #[must_use]
    pub fn size(self, value: usize) -> Self {
        self.u32(u32::try_from(value).unwrap_or(u32::MAX))
    }

    /// An unsigned number of 64 bits.
    #[must_use]
    pub fn u64(self, value: u64) -> Self {
        self.words(&[value])
    }

    /// A number in f32.
    #[must_use]
    pub fn f32(self, value: f32) -> Self {
        self.u32(value.to_bits())
    }

    /// A number in f64.
    #[must_use]
    pub fn f64(self, value: f64) -> Self {
        self.words(&[value.to_bits()])
    }

    /// A dropout.
    #[must_use]
    pub fn dropout(self, dropout: DropoutArgument) -> Self {
        self.words(&dropout.words())
    }

    /// The rows of attention.
    #[must_use]
    pub fn attention(self, attention: &AttentionArgument) -> Self {
        self.words(&attention.words())
    }

    /// Gradients with their partial sums.
    #[must_use]
    pub fn column_sums(self, sums: &ColumnSumsArgument) -> Self {
        self.words(sums.pairs.as_flattened())
    }

    /// A chunk of parameters.
    #[must_use]
    pub fn chunk(self, chunk: &AdamWChunk) -> Self {
        self.words(&chunk.words())
    }

    /// The places of the arguments in memory, as a driver takes them. They are valid until the
    /// arguments are changed.
    pub fn pointers(&mut self) -> Vec<*mut c_void> {
        let words = &mut self.words;
        let starts = self.starts.iter();
        starts
            .map(|&start| words[start..].as_mut_ptr().cast())
            .collect()
    }
}

/// One dropout; `Dropout` in `cuda/dropout.cuh`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropoutArgument {
    /// The address of one key (u64) per row; 0 for no dropout.
    pub row_keys: u64,
    /// The key of (seed, step, site).
    pub site_key: u64,
    /// The random numbers below it drop.
    pub limit: u32,
    /// 1/(1 − p).
    pub scale: f32,
}

impl DropoutArgument {
    /// No dropout.
    pub const NONE: Self = Self {
        row_keys: 0,
        site_key: 0,
        limit: 0,
        scale: 1.0,
    };

    /// The memory of the structure.
    pub const fn words(&self) -> [u64; 3] {
        let last = pair(self.limit, self.scale.to_bits());
        [self.row_keys, self.site_key, last]
    }

    /// The dropout with the masks of [`crate::dropout::Dropout`] for the same keys.
    pub fn new(p: f32, site_key: u64, row_keys: u64) -> Self {
        Self {
            row_keys,
            site_key,
            limit: threshold(p),
            scale: 1.0 / (1.0 - p),
        }
    }
}

/// The rows that attention reads; `Attention` in `attention.cu`, which describes the fields.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub struct AttentionArgument {
    pub q: u64,
    pub k: u64,
    pub v: u64,
    pub prefix: u64,
    pub query_offsets: u64,
    pub key_offsets: u64,
    pub q_stride: u32,
    pub kv_stride: u32,
    pub n_prefix: u32,
    pub head_dim: u32,
    pub window: i32,
    pub unused: u32,
    pub dropout: DropoutArgument,
}

impl AttentionArgument {
    /// The memory of the structure.
    pub fn words(&self) -> [u64; 12] {
        let [keys, site, last] = self.dropout.words();
        [
            self.q,
            self.k,
            self.v,
            self.prefix,
            self.query_offsets,
            self.key_offsets,
            pair(self.q_stride, self.kv_stride),
            pair(self.n_prefix, self.head_dim),
            pair(self.window.cast_unsigned(), self.unused),
            keys,
            site,
            last,
        ]
    }
}

/// Up to four gradients, each with its partial sums: pairs of addresses (partial, sum);
/// `ColumnSums` in `linear.cu`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColumnSumsArgument {
    /// The pairs; the launch says how many there are.
    pub pairs: [[u64; 2]; 4],
}

/// A part of a parameter; `AdamWChunk` in `adamw.cu`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdamWChunk {
    /// The address of the values, f32.
    pub p: u64,
    /// The address of the gradient, f32.
    pub g: u64,
    /// The address of the first moments, f32.
    pub m: u64,
    /// The address of the second moments, f32.
    pub v: u64,
    /// The address of the values in bf16, which the update writes too, or 0.
    pub copy: u64,
    /// The number of values.
    pub n: u32,
    /// The place of the parameter in the table of constants.
    pub parameter: u32,
}

impl AdamWChunk {
    /// The memory of the structure.
    pub const fn words(&self) -> [u64; 6] {
        let last = pair(self.n, self.parameter);
        [self.p, self.g, self.m, self.v, self.copy, last]
    }

    /// The most numbers of a chunk in a table of chunks.
    pub const MOST: usize = 16 * 1024;
}

/// The constants of a parameter in a step; `AdamWConstants` in `adamw.cu`. The gradient's scale is
/// not among them, because the device computes it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub struct AdamWConstants {
    pub decay: f32,
    pub beta2: f32,
    pub one_minus_beta1: f32,
    pub one_minus_beta2: f32,
    pub step_size: f32,
    pub inverse_sqrt_correction2: f32,
    pub eps: f32,
    pub unused: f32,
}

impl AdamWConstants {
    /// The memory of the structure.
    pub fn words(&self) -> [u64; 4] {
        let two = |low: f32, high: f32| pair(low.to_bits(), high.to_bits());
        [
            two(self.decay, self.beta2),
            two(self.one_minus_beta1, self.one_minus_beta2),
            two(self.step_size, self.inverse_sqrt_correction2),
            two(self.eps, self.unused),
        ]
    }

    /// The constants with which the CPU makes this update.
    pub fn new(update: &Update) -> Self {
        let c = Constants::new(update);
        Self {
            decay: c.decay,
            beta2: c.beta2,
            one_minus_beta1: c.one_minus_beta1,
            one_minus_beta2: c.one_minus_beta2,
            step_size: c.step_size,
            inverse_sqrt_correction2: c.inverse_sqrt_correction2,
            eps: c.eps,
            unused: 0.0,
        }
    }
}
