//! The engine's queue of GPU work on a device that is the CPU. The tests of the GPU path use it.

use candle_core::Tensor;
use progtune_cuda_on_cpu::memory::Device;
use progtune_engine::{
    Error, Result,
    model::{
        HostSlice,
        lane::{
            Lane,
            queue::{Address, Memory, Queue},
        },
    },
};
use progtune_kernels::cuda::{Arguments, Launch, Number, Product};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The device, and the work that it has done.
#[derive(Default)]
pub struct CpuQueue {
    device: Device,
    /// Number of launches of kernels.
    pub launches: AtomicUsize,
    /// Number of products.
    pub products: AtomicUsize,
    /// Number of pieces of memory that were reserved.
    pub allocations: AtomicUsize,
    /// Number of copies to the device, and from it.
    pub uploads: AtomicUsize,
    /// Number of copies from the device.
    pub downloads: AtomicUsize,
}

impl CpuQueue {
    /// A device, and the lane of activations of this type on it.
    pub fn lane(number: Number) -> (Arc<Self>, Lane) {
        let queue = Arc::new(Self::default());
        let lane = Lane::new(queue.clone(), number);
        (queue, lane)
    }

    /// Sets all counts to zero, and returns them: launches, products, allocations, uploads,
    /// downloads.
    pub fn take_counts(&self) -> [usize; 5] {
        [
            &self.launches,
            &self.products,
            &self.allocations,
            &self.uploads,
            &self.downloads,
        ]
        .map(|count| count.swap(0, Ordering::Relaxed))
    }
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Queue for CpuQueue {
    fn card(&self) -> &str {
        "a GPU that is the CPU"
    }

    fn form(&self) -> &'static str {
        "f32"
    }

    fn allocate(&self, bytes: usize) -> Result<Memory> {
        count(&self.allocations);
        let piece = self.device.allocate(bytes);
        Ok(Memory {
            address: piece.address(),
            bytes,
            owner: Box::new(piece),
        })
    }

    fn free_bytes(&self) -> Option<u64> {
        Some(1 << 30)
    }

    fn upload(&self, to: Address, bytes: &[u8]) -> Result<()> {
        count(&self.uploads);
        self.device.write(to, bytes);
        Ok(())
    }

    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<()> {
        count(&self.downloads);
        self.device.read(from, bytes);
        Ok(())
    }

    fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<()> {
        let mut buffer = vec![0; bytes];
        self.device.read(from, &mut buffer);
        self.device.write(to, &buffer);
        Ok(())
    }

    fn clear(&self, at: Address, bytes: usize) -> Result<()> {
        self.device.write(at, &vec![0; bytes]);
        Ok(())
    }

    fn launch(&self, kernel: &str, launch: Launch, arguments: Arguments) -> Result<()> {
        count(&self.launches);
        let done = self.device.launch(kernel, launch, arguments);
        done.map_err(|fault| Error::Model(format!("{kernel}: {fault}")))
    }

    fn product(&self, product: &Product) -> Result<()> {
        count(&self.products);
        self.device.product(product);
        Ok(())
    }

    fn address_of(&self, tensor: &Tensor) -> Result<Address> {
        Ok(self.device.lend(&HostSlice::of(tensor)))
    }
}
