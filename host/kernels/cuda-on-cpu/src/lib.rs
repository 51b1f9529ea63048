//! The CUDA kernels run on the CPU, for tests without a GPU: [`library`] compiles the kernels and
//! runs one, and [`memory`] is a device whose memory is that of this process. The tests of the
//! kernels and of the engine's GPU path call it.

pub mod library;
pub mod memory;
