//! The CUDA kernels, run on the CPU. A C++ compiler builds each `.cu` file unchanged against
//! `src/cuda/host_shim.h` (`library`); every launch runs three times, with the threads and blocks
//! in another order each time, and must leave the same bits (`device`). The results are compared
//! with the CPU kernels and with finite differences. Nothing here needs a GPU, and nothing here
//! proves that a GPU computes the same.
//!
//! Tolerances: `device::F32` and `device::BF16`, relative to the size of the numbers, unless a test
//! names its own.

mod activation;
mod adamw;
mod attention;
mod device;
mod elementwise;
mod embedding;
mod layer_norm;
mod linear;
mod losses;
mod numbers;
mod shim;
mod vector;
