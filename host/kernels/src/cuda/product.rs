//! A matrix product on a device. `cublas_lt` computes it on a GPU, and `cuda-on-cpu` in tests.

use super::Number;

/// `c (=|+=) a·b + bias` of row-major matrices without gaps; the sums are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// The address of `[m, k]`, or `[k, m]` if it is transposed.
    pub a: u64,
    /// Whether a is read transposed.
    pub a_transposed: bool,
    /// The address of `[k, n]`, or `[n, k]` if it is transposed.
    pub b: u64,
    /// Whether b is read transposed.
    pub b_transposed: bool,
    /// The address of `[m, n]`.
    pub c: u64,
    /// m, at least 1.
    pub m: usize,
    /// n, at least 1.
    pub n: usize,
    /// k, at least 1.
    pub k: usize,
    /// The type of a and b.
    pub operands: Number,
    /// The type of c and of the bias.
    pub result: Number,
    /// The address of `[n]`; 0 for none.
    pub bias: u64,
    /// Whether the product is added to c.
    pub accumulate: bool,
}
