//! The arguments of kernels that are structures, in the memory layout that their `.cu` file
//! declares. Addresses are those of the device; 0 stands for a null pointer.

use crate::{
    adamw::{Constants, Update},
    dropout::threshold,
};

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
