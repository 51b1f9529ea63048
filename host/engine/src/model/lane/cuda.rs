//! The queue of work on an NVIDIA GPU: candle owns the device, its stream and the parameters, and
//! progtune's kernels work on them. `Assembly` makes the lane of a model here.

use super::{
    Lane,
    queue::{Address, Memory, Queue},
};
use crate::error::{Error, Result};
use candle_core::{CudaDevice, Storage, Tensor};
use cudarc::driver::DevicePtr;
use progtune_kernels::cuda::{Arguments, Fault, Launch, Number, Product, Stream};
use std::sync::Arc;

/// A GPU's work in order.
struct CudaQueue {
    stream: Stream,
    device: CudaDevice,
    card: String,
    tf32: bool,
}

/// The lane of a GPU, whose activations are of this type; `tf32` says whether products of f32 round
/// their operands to tf32.
///
/// # Errors
/// If the kernels cannot be loaded, or CUDA's libraries are not there.
pub(crate) fn lane(device: &CudaDevice, number: Number, tf32: bool) -> Result<Lane> {
    let stream = Stream::new(device.cuda_stream(), tf32).map_err(|fault| match fault {
        Fault::Failed(words) => Error::Usage(format!("--device cuda: {words}")),
        Fault::OutOfMemory { .. } => error(fault),
    })?;
    let card = device.cuda_stream().context().name();
    let card = card.unwrap_or_else(|_| "unknown GPU".into());
    let queue: Arc<dyn Queue> = Arc::new(CudaQueue {
        card,
        tf32,
        device: device.clone(),
        stream,
    });
    Ok(Lane::new(queue, number))
}

fn error(fault: Fault) -> Error {
    match fault {
        Fault::OutOfMemory { .. } => Error::GpuMemory,
        Fault::Failed(words) => Error::Training(format!("the GPU cannot go on: {words}")),
    }
}

impl Queue for CudaQueue {
    fn card(&self) -> &str {
        &self.card
    }

    fn form(&self) -> &'static str {
        if self.tf32 { "tf32" } else { "f32" }
    }

    fn allocate(&self, bytes: usize) -> Result<Memory> {
        let memory = self.stream.allocate(bytes).map_err(error)?;
        Ok(Memory {
            address: self.stream.address_of(&memory),
            bytes,
            owner: Box::new(memory),
        })
    }

    fn free_bytes(&self) -> Option<u64> {
        self.stream.free_bytes().ok()
    }

    fn upload(&self, to: Address, bytes: &[u8]) -> Result<()> {
        self.stream.upload(to, bytes).map_err(error)
    }

    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<()> {
        self.stream.download(from, bytes).map_err(error)
    }

    fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<()> {
        self.stream.copy(to, from, bytes).map_err(error)
    }

    fn clear(&self, at: Address, bytes: usize) -> Result<()> {
        self.stream.clear(at, bytes).map_err(error)
    }

    fn launch(&self, kernel: &str, launch: Launch, arguments: Arguments) -> Result<()> {
        let launched = self.stream.launch(kernel, launch, arguments);
        launched.map_err(error)
    }

    fn product(&self, product: &Product) -> Result<()> {
        self.stream.product(product).map_err(error)
    }

    fn address_of(&self, tensor: &Tensor) -> Result<Address> {
        let (storage, layout) = tensor.storage_and_layout();
        let (Storage::Cuda(storage), Some((start, _))) = (&*storage, layout.contiguous_offsets())
        else {
            return Err(Error::Model(
                "internal error: a tensor of the GPU path is not contiguous, or not on the GPU"
                    .into(),
            ));
        };
        let numbers = storage.as_cuda_slice::<f32>()?;
        let (address, _) = numbers.device_ptr(&self.device.cuda_stream());
        Ok(address + 4 * start as u64)
    }
}
