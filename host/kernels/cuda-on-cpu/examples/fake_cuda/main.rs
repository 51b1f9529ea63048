//! A GPU that is the CPU, as CUDA's libraries: `libcuda.so.1`, `libcublas.so.13`,
//! `libcublasLt.so.13` and `libcurand.so.10` in one file. `cargo xtask check-fake-gpu` puts it in
//! the way of a program that was built for CUDA, which then trains without a GPU.
//!
//! Device memory is memory of the process, launches run progtune's kernels as
//! [`progtune_cuda_on_cpu::library`] compiles them, products are loops. Work is done when it is
//! called for, in the order of the calls. Everything is counted; `FAKE_CUDA_COUNTS` names the file
//! that has the counts when the program ends. candle's own kernels do nothing but being counted by
//! name, unless [`foreign`] has them.
#![allow(unsafe_code)]

mod blas;
mod blas_lt;
mod counts;
mod driver;
mod foreign;
mod random;
