//! The work of one device in order, on CUDA: memory, copies, launches of the kernels beside this
//! folder, and products. The engine's GPU path calls it, with the stream of candle's device.
#![allow(unsafe_code)]

use super::{
    Arguments, Launch, Product,
    cublas_lt::{Products, WORKSPACE_BYTES},
    fault::Fault,
    staging::Staging,
};
use cudarc::driver::{CudaSlice, CudaStream, DevicePtr, result, sys};
use std::{
    collections::HashMap,
    ffi::CString,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

// `IMAGES`: the name and the compiled kernels of each `.cu` file, for every supported card.
include!(concat!(env!("OUT_DIR"), "/images.rs"));

/// Memory of the device, which dropping it gives back.
pub type Memory = CudaSlice<u8>;

/// A function of a loaded image.
#[derive(Clone, Copy)]
struct Function(sys::CUfunction);

/// The loaded images, and the functions that were looked up.
#[derive(Default)]
struct Functions {
    images: Vec<sys::CUmodule>,
    by_name: HashMap<String, Function>,
}

// SAFETY: handles of images and functions belong to the context, not to a thread.
unsafe impl Send for Functions {}

/// The work of one device in order. Addresses are those of the device.
///
/// An address that is not the device's, or too small a buffer, is noticed by the device: a later
/// call fails. The memory of this process is only reached through the slices of `upload` and
/// `download`.
pub struct Stream {
    stream: Arc<CudaStream>,
    functions: Mutex<Functions>,
    products: Mutex<Products>,
    workspace: Memory,
    staging: Mutex<Staging>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    /// The work on a stream; `tf32` says whether products of f32 round their operands to tf32.
    ///
    /// # Errors
    /// If the kernels cannot be loaded, or cuBLASLt cannot be opened.
    pub fn new(stream: Arc<CudaStream>, tf32: bool) -> Result<Self, Fault> {
        let bound = stream.context().bind_to_thread();
        bound.map_err(Fault::of)?;
        let mut functions = Functions::default();
        for (name, image) in IMAGES {
            functions.images.push(load(name, image)?);
        }
        let workspace = allocated(&stream, WORKSPACE_BYTES)?;
        Ok(Self {
            products: Mutex::new(Products::new(tf32)?),
            functions: Mutex::new(functions),
            workspace,
            staging: Mutex::default(),
            stream,
        })
    }

    fn bind(&self) -> Result<sys::CUstream, Fault> {
        let bound = self.stream.context().bind_to_thread();
        bound.map_err(Fault::of)?;
        Ok(self.stream.cu_stream())
    }

    /// Reserves memory, whose contents are arbitrary.
    ///
    /// # Errors
    /// If the device has no more.
    pub fn allocate(&self, bytes: usize) -> Result<Memory, Fault> {
        allocated(&self.stream, bytes)
    }

    /// The bytes that can be reserved, of those of the whole device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn free_bytes(&self) -> Result<u64, Fault> {
        self.bind()?;
        let (free, _) = result::mem_get_info().map_err(Fault::of)?;
        Ok(free as u64)
    }

    /// The address of memory.
    pub fn address_of(&self, memory: &Memory) -> u64 {
        memory.device_ptr(&self.stream).0
    }

    /// Copies bytes to the device. They may be changed when the call returns.
    ///
    /// # Errors
    /// If the device fails.
    pub fn upload(&self, to: u64, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        let stream = self.bind()?;
        // SAFETY: the context is bound. A wrong address is the device's error, see the type.
        unsafe { locked(&self.staging).copy(to, bytes, stream) }
    }

    /// Copies bytes from the device, after all work before, and waits for it.
    ///
    /// # Errors
    /// If the device fails, also in work before.
    pub fn download(&self, from: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        let stream = self.bind()?;
        // SAFETY: the bytes are borrowed until the work has ended. A wrong address is the device's
        // error, see the type.
        let copied = unsafe { result::memcpy_dtoh_async(bytes, from, stream) };
        // SAFETY: the stream is alive.
        let ended = unsafe { result::stream::synchronize(stream) };
        copied.and(ended).map_err(Fault::of)
    }

    /// Copies bytes within the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), Fault> {
        let stream = self.bind()?;
        // SAFETY: a wrong address is the device's error, see the type.
        unsafe { result::memcpy_dtod_async(to, from, bytes, stream) }.map_err(Fault::of)
    }

    /// Sets bytes to zero.
    ///
    /// # Errors
    /// If the device fails.
    pub fn clear(&self, at: u64, bytes: usize) -> Result<(), Fault> {
        let stream = self.bind()?;
        // SAFETY: a wrong address is the device's error, see the type.
        unsafe { result::memset_d8_async(at, 0, bytes, stream) }.map_err(Fault::of)
    }

    /// Launches a kernel by its name.
    ///
    /// # Errors
    /// If there is no such kernel, or the device fails.
    pub fn launch(
        &self,
        kernel: &str,
        launch: Launch,
        mut arguments: Arguments,
    ) -> Result<(), Fault> {
        let stream = self.bind()?;
        let function = locked(&self.functions).function(kernel)?;
        let size = |[x, y, z]: [u32; 3]| (x, y, z);
        let (grid, block) = (size(launch.grid), size(launch.block));
        let mut pointers = arguments.pointers();
        // SAFETY: the function is loaded for as long as the context lives, and the arguments live
        // until the call has copied them. That they are the kernel's is tested for each launch of
        // the engine on the CPU, where the shim counts them.
        unsafe { result::launch_kernel(function.0, grid, block, 0, stream, &mut pointers) }
            .map_err(|error| Fault::Failed(format!("{kernel}: {error}")))
    }

    /// Computes a product.
    ///
    /// # Errors
    /// If cuBLASLt has no algorithm for it, or the device fails.
    pub fn product(&self, product: &Product) -> Result<(), Fault> {
        let stream = self.bind()?;
        let workspace = self.address_of(&self.workspace);
        // SAFETY: the context is bound, and products of a stream take turns with the workspace. A
        // wrong address is the device's error, see the type.
        unsafe { locked(&self.products).compute(product, workspace, stream) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.bind().is_err() {
            return;
        }
        for image in locked(&self.functions).images.drain(..) {
            // SAFETY: no launch follows. A failure leaves nothing to do.
            let _ = unsafe { result::module::unload(image) };
        }
    }
}

fn allocated(stream: &Arc<CudaStream>, bytes: usize) -> Result<Memory, Fault> {
    // SAFETY: the contents are arbitrary bytes, which nobody reads before they are written.
    unsafe { stream.alloc::<u8>(bytes) }.map_err(|error| {
        if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
            Fault::OutOfMemory { bytes }
        } else {
            Fault::of(error)
        }
    })
}

/// Loads the image of a `.cu` file.
fn load(name: &str, image: &[u8]) -> Result<sys::CUmodule, Fault> {
    // The driver reads the image as words. A zero at the end stops it where the image is a text.
    let mut words = vec![0u64; image.len() / 8 + 1];
    for (word, bytes) in words.iter_mut().zip(image.chunks(8)) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_ne_bytes(whole);
    }
    // SAFETY: the image is nvcc's, whole, and lives until the call has loaded it.
    unsafe { result::module::load_data(words.as_ptr().cast()) }.map_err(|error| {
        if error.0 == sys::CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU {
            Fault::Failed(format!(
                "{name}.cu: this GPU is older than compute capability 8.0 (Ampere)"
            ))
        } else {
            Fault::Failed(format!("{name}.cu: {error}"))
        }
    })
}

impl Functions {
    fn function(&mut self, kernel: &str) -> Result<Function, Fault> {
        if let Some(known) = self.by_name.get(kernel) {
            return Ok(*known);
        }
        let missing = || Fault::Failed(format!("internal error: there is no kernel {kernel}"));
        let name = CString::new(kernel).map_err(|_| missing())?;
        let in_image = |&image: &sys::CUmodule| {
            // SAFETY: the image is loaded.
            unsafe { result::module::get_function(image, name.clone()) }.ok()
        };
        let function = self.images.iter().find_map(in_image).ok_or_else(missing)?;
        self.by_name.insert(kernel.to_owned(), Function(function));
        Ok(Function(function))
    }
}
