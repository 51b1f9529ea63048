//! Training kernels for Transformer encoders on CPUs, called by the host's fused compute path.
//!
//! Each file contains one operation: forward, backward, a naive reference, and the tests that
//! compare them. The rules are:
//!
//! - Tensors are plain `f32` slices in row-major order; every function documents their shapes.
//! - Most kernels run on one thread, for the rows or sequences that the thread owns; the host
//!   assigns them. If a kernel splits its own work, the pieces depend only on the shapes. Either
//!   way the bits do not depend on the number of threads.
//! - Gradients *accumulate* into parameter buffers (`+=`) and *overwrite* activation buffers (`=`).
//! - Inner loops are written once; [`simd`] compiles them for the instruction sets that it can
//!   detect at run time.
//! - A `.cu` file beside a kernel is the same operation for CUDA; [`cuda`] says how to launch it.
//! - `unsafe` is confined to [`gemm`] (its inner loops and packed buffers), [`simd`] (the call into
//!   a detected instruction set) and [`threads`] (the environment).

pub mod activation;
pub mod adamw;
pub mod attention;
pub mod bf16;
pub mod binary_cross_entropy;
pub mod cross_entropy;
pub mod cuda;
pub mod dropout;
pub mod elementwise;
pub mod embedding;
pub mod gemm;
pub mod layer_norm;
pub mod linear;
pub mod math;
pub mod matrix;
pub mod simd;
pub mod threads;
pub mod timeline;

#[cfg(test)]
mod testing;
