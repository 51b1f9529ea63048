//! The work on a device, in order: memory, copies, launches of kernels, products. The GPU path
//! calls it. There is one implementation for CUDA, and one for tests, whose device is the CPU.
//!
//! Calls return before the work is done, except for [`Queue::download`].

use crate::error::Result;
use candle_core::Tensor;
use progtune_kernels::cuda::{Arguments, Launch, Product};
use std::any::Any;

/// An address in the device's memory; 0 is a null pointer.
pub type Address = u64;

/// Memory of the device. Dropping it gives the memory back.
pub struct Memory {
    /// The address, a multiple of 256.
    pub address: Address,
    /// The size.
    pub bytes: usize,
    /// Whatever owns the memory.
    pub owner: Box<dyn Any + Send + Sync>,
}

/// A queue of work on one device.
pub trait Queue: Send + Sync {
    /// The name of the device.
    fn card(&self) -> &str;

    /// The form of products, which determines the bits of results together with the device.
    fn form(&self) -> &'static str;

    /// Reserves memory, whose contents are arbitrary.
    ///
    /// # Errors
    /// If the device has no more.
    fn allocate(&self, bytes: usize) -> Result<Memory>;

    /// The bytes that can be reserved, if the device tells.
    fn free_bytes(&self) -> Option<u64>;

    /// Copies bytes to the device.
    ///
    /// # Errors
    /// If the device fails.
    fn upload(&self, to: Address, bytes: &[u8]) -> Result<()>;

    /// Copies bytes from the device, after all work before.
    ///
    /// # Errors
    /// If the device fails.
    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<()>;

    /// Copies bytes within the device.
    ///
    /// # Errors
    /// If the device fails.
    fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<()>;

    /// Sets bytes to zero.
    ///
    /// # Errors
    /// If the device fails.
    fn clear(&self, at: Address, bytes: usize) -> Result<()>;

    /// Launches a kernel of [`progtune_kernels::cuda`] by its name.
    ///
    /// # Errors
    /// If there is no such kernel, or the device fails.
    fn launch(&self, kernel: &str, launch: Launch, arguments: Arguments) -> Result<()>;

    /// Computes a product.
    ///
    /// # Errors
    /// If the device fails.
    fn product(&self, product: &Product) -> Result<()>;

    /// The address of a contiguous f32 tensor on this device.
    ///
    /// # Errors
    /// If it is elsewhere, or of another kind.
    fn address_of(&self, tensor: &Tensor) -> Result<Address>;
}
