//! The functions of `libcuda` that candle and progtune call. Their results are CUDA's error
//! numbers.

use crate::{counts::add, foreign};
use progtune_cuda_on_cpu::{
    library,
    memory::{Device, Piece},
};
use progtune_kernels::cuda::Launch;
use std::{
    alloc::{self, Layout},
    cell::Cell,
    collections::BTreeMap,
    ffi::{CStr, c_char, c_void},
    path::Path,
    ptr,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

const SUCCESS: u32 = 0;
const INVALID_VALUE: u32 = 1;
const OUT_OF_MEMORY: u32 = 2;
const INVALID_DEVICE: u32 = 101;
const NOT_FOUND: u32 = 500;
const LAUNCH_FAILED: u32 = 719;

/// Attributes of a device: its compute capability, and whether it allocates in streams.
const CAPABILITY_MAJOR: u32 = 75;
const CAPABILITY_MINOR: u32 = 76;
const MEMORY_POOLS_SUPPORTED: u32 = 115;

/// The one context, and one module for all images, as pointers that are not null.
const CONTEXT: *mut c_void = 0x10 as *mut c_void;
const MODULE: *mut c_void = 0x20 as *mut c_void;
const EVENT: *mut c_void = 0x30 as *mut c_void;

thread_local! {
    static CURRENT: Cell<*mut c_void> = const { Cell::new(ptr::null_mut()) };
}

pub(crate) static DEVICE: LazyLock<Device> = LazyLock::new(Device::default);

/// The reserved memory. `FAKE_CUDA_BYTES` limits it.
#[derive(Default)]
struct Pieces {
    by_address: BTreeMap<u64, (Piece, usize)>,
    bytes: usize,
    most: usize,
}

static PIECES: LazyLock<Mutex<Pieces>> = LazyLock::new(Mutex::default);

fn pieces() -> MutexGuard<'static, Pieces> {
    PIECES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A kernel that was looked up.
enum Function {
    Own { file: &'static Path, name: String },
    Foreign(String),
}

#[unsafe(no_mangle)]
extern "C" fn cuInit(_: u32) -> u32 {
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGet(device: *mut i32, ordinal: i32) -> u32 {
    if ordinal != 0 {
        return INVALID_DEVICE;
    }
    // SAFETY: the caller's pointer, as in all functions here.
    unsafe { *device = 0 };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, bytes: i32, _: i32) -> u32 {
    let text = c"a GPU that is the CPU".to_bytes_with_nul();
    if text.len() > bytes as usize {
        return INVALID_VALUE;
    }
    // SAFETY: the buffer is large enough.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr().cast(), name, text.len()) };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetAttribute(value: *mut i32, attribute: u32, _: i32) -> u32 {
    let answer = match attribute {
        CAPABILITY_MAJOR => 9,
        CAPABILITY_MINOR => 0,
        MEMORY_POOLS_SUPPORTED => 1,
        _ => 64,
    };
    // SAFETY: the caller's pointer.
    unsafe { *value = answer };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut *mut c_void, _: i32) -> u32 {
    // SAFETY: the caller's pointer.
    unsafe { *context = CONTEXT };
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease_v2(_: i32) -> u32 {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxDestroy_v2(_: *mut c_void) -> u32 {
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetCurrent(context: *mut *mut c_void) -> u32 {
    // SAFETY: the caller's pointer.
    unsafe { *context = CURRENT.get() };
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCurrent(context: *mut c_void) -> u32 {
    CURRENT.set(context);
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorString(error: u32, text: *mut *const c_char) -> u32 {
    let words = match error {
        OUT_OF_MEMORY => c"out of memory",
        INVALID_DEVICE => c"invalid device ordinal",
        NOT_FOUND => c"named symbol not found",
        LAUNCH_FAILED => c"unspecified launch failure",
        _ => c"an error of the fake GPU",
    };
    // SAFETY: the caller's pointer.
    unsafe { *text = words.as_ptr() };
    SUCCESS
}

/// The memory of the device.
fn capacity() -> usize {
    let limit = std::env::var("FAKE_CUDA_BYTES").ok();
    limit.and_then(|text| text.parse().ok()).unwrap_or(1 << 40)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> u32 {
    // SAFETY: the caller's pointers.
    unsafe {
        *free = capacity().saturating_sub(pieces().bytes);
        *total = capacity();
    }
    SUCCESS
}

fn allocate(address: *mut u64, bytes: usize) -> u32 {
    let mut pieces = pieces();
    if bytes > capacity().saturating_sub(pieces.bytes) {
        return OUT_OF_MEMORY;
    }
    add("allocations", 1);
    let piece = DEVICE.allocate(bytes);
    // SAFETY: the caller's pointer.
    unsafe { *address = piece.address() };
    pieces.bytes += bytes;
    if pieces.bytes > pieces.most {
        add("peak bytes", (pieces.bytes - pieces.most) as u64);
        pieces.most = pieces.bytes;
    }
    pieces.by_address.insert(piece.address(), (piece, bytes));
    SUCCESS
}

fn free(address: u64) -> u32 {
    let mut pieces = pieces();
    let Some((_, bytes)) = pieces.by_address.remove(&address) else {
        return INVALID_VALUE;
    };
    pieces.bytes -= bytes;
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuMemAllocAsync(address: *mut u64, bytes: usize, _: *mut c_void) -> u32 {
    allocate(address, bytes)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemAlloc_v2(address: *mut u64, bytes: usize) -> u32 {
    allocate(address, bytes)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFreeAsync(address: u64, _: *mut c_void) -> u32 {
    free(address)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(address: u64) -> u32 {
    free(address)
}

/// Page-locked memory is memory with its size in front.
fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes + 64, 64).expect("a size of memory")
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostAlloc(at: *mut *mut c_void, bytes: usize, _: u32) -> u32 {
    add("page-locked allocations", 1);
    // SAFETY: the size is not zero; the caller's pointer.
    unsafe {
        let memory = alloc::alloc(layout(bytes));
        if memory.is_null() {
            return OUT_OF_MEMORY;
        }
        memory.cast::<usize>().write(bytes);
        *at = memory.add(64).cast();
    }
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFreeHost(at: *mut c_void) -> u32 {
    // SAFETY: the memory is that of `cuMemHostAlloc`.
    unsafe {
        let memory = at.cast::<u8>().sub(64);
        let bytes = memory.cast::<usize>().read();
        alloc::dealloc(memory, layout(bytes));
    }
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: u64,
    from: *const c_void,
    bytes: usize,
    _: *mut c_void,
) -> u32 {
    add("copies to the device", 1);
    add("bytes to the device", bytes as u64);
    if bytes > 0 {
        // SAFETY: the caller's memory.
        DEVICE.write(to, unsafe {
            std::slice::from_raw_parts(from.cast(), bytes)
        });
    }
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: *mut c_void,
    from: u64,
    bytes: usize,
    _: *mut c_void,
) -> u32 {
    add("copies back", 1);
    add("bytes back", bytes as u64);
    if bytes > 0 {
        // SAFETY: the caller's memory.
        DEVICE.read(from, unsafe {
            std::slice::from_raw_parts_mut(to.cast(), bytes)
        });
    }
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, _: *mut c_void) -> u32 {
    add("copies within the device", 1);
    let mut buffer = vec![0; bytes];
    DEVICE.read(from, &mut buffer);
    DEVICE.write(to, &buffer);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyPeerAsync(
    to: u64,
    _: *mut c_void,
    from: u64,
    _: *mut c_void,
    bytes: usize,
    stream: *mut c_void,
) -> u32 {
    cuMemcpyDtoDAsync_v2(to, from, bytes, stream)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8Async(at: u64, value: u8, bytes: usize, _: *mut c_void) -> u32 {
    add("memory sets", 1);
    add("bytes set", bytes as u64);
    DEVICE.write(at, &vec![value; bytes]);
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadData(module: *mut *mut c_void, _: *const c_void) -> u32 {
    add("modules", 1);
    // SAFETY: the caller's pointer.
    unsafe { *module = MODULE };
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleLoad(_: *mut *mut c_void, _: *const c_char) -> u32 {
    NOT_FOUND
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleUnload(_: *mut c_void) -> u32 {
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetFunction(
    function: *mut *mut c_void,
    _: *mut c_void,
    name: *const c_char,
) -> u32 {
    // SAFETY: a text of the caller with a 0 at its end.
    let name = unsafe { CStr::from_ptr(name) }
        .to_string_lossy()
        .into_owned();
    let found = match library::file_of(&name) {
        Some(file) => Function::Own { file, name },
        None => Function::Foreign(name),
    };
    // A function lives as long as the program.
    let found = Box::leak(Box::new(found));
    // SAFETY: the caller's pointer.
    unsafe { *function = ptr::from_mut(found).cast() };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchKernel(
    function: *mut c_void,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    _: u32,
    _: *mut c_void,
    parameters: *mut *mut c_void,
    _: *mut *mut c_void,
) -> u32 {
    // SAFETY: made by `cuModuleGetFunction`.
    let function = unsafe { &*function.cast::<Function>() };
    let launch = Launch {
        grid: [grid_x, grid_y, grid_z],
        block: [block_x, block_y, block_z],
    };
    let ran = match function {
        Function::Own { file, name } => {
            add("launches", 1);
            add(&format!("launches of {name}"), 1);
            // SAFETY: the caller's promise; the sizes are tested with the shim's counts.
            unsafe { library::launch_any(file, name, launch, parameters) }
        }
        Function::Foreign(name) => {
            add(&format!("launches of candle's {name}"), 1);
            // SAFETY: the caller's promise.
            unsafe { foreign::launch(name, parameters) }
        }
    };
    match ran {
        Ok(()) => SUCCESS,
        Err(fault) => {
            eprintln!("fake_cuda: {fault}");
            LAUNCH_FAILED
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamSynchronize(_: *mut c_void) -> u32 {
    add("synchronisations", 1);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamWaitEvent(_: *mut c_void, _: *mut c_void, _: u32) -> u32 {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamDestroy_v2(_: *mut c_void) -> u32 {
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamIsCapturing(_: *mut c_void, status: *mut u32) -> u32 {
    // SAFETY: the caller's pointer.
    unsafe { *status = 0 };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventCreate(event: *mut *mut c_void, _: u32) -> u32 {
    // SAFETY: the caller's pointer.
    unsafe { *event = EVENT };
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuEventDestroy_v2(_: *mut c_void) -> u32 {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuEventRecord(_: *mut c_void, _: *mut c_void) -> u32 {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuEventQuery(_: *mut c_void) -> u32 {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuEventSynchronize(_: *mut c_void) -> u32 {
    SUCCESS
}
