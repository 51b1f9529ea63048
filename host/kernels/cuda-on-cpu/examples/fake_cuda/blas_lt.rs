//! The functions of `libcublasLt` that progtune calls. Their results are cuBLAS's error numbers.

use crate::{counts::add, driver::DEVICE};
use progtune_kernels::cuda::{Number, Product};
use std::ffi::c_void;

const SUCCESS: u32 = 0;
const NOT_SUPPORTED: u32 = 15;

/// `CUDA_R_32F` and `CUDA_R_16BF`.
const F32: u32 = 0;
const BF16: u32 = 14;

/// Attributes of an operation.
const TRANSA: u32 = 3;
const TRANSB: u32 = 4;
const EPILOGUE: u32 = 7;
const BIAS_POINTER: u32 = 8;
const EPILOGUE_BIAS: u32 = 4;

/// The fields of a heuristic's result after the algorithm, which has 64 bytes.
const ALGORITHM_BYTES: usize = 64;

/// A matrix in columns without gaps.
struct Layout {
    number: u32,
    rows: u64,
    columns: u64,
    stride: i64,
}

/// An operation.
#[derive(Default)]
struct Operation {
    transposed: [bool; 2],
    epilogue: u32,
    bias: u64,
}

fn made<T>(at: *mut *mut c_void, value: T) -> u32 {
    // SAFETY: the caller's pointer.
    unsafe { *at = Box::into_raw(Box::new(value)).cast() };
    SUCCESS
}

/// # Safety
/// `at` was made by [`made`] with this type.
unsafe fn dropped<T>(at: *mut c_void) -> u32 {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(at.cast::<T>()) });
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtCreate(handle: *mut *mut c_void) -> u32 {
    made(handle, 0u64)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtDestroy(handle: *mut c_void) -> u32 {
    // SAFETY: made above.
    unsafe { dropped::<u64>(handle) }
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatrixLayoutCreate(
    layout: *mut *mut c_void,
    number: u32,
    rows: u64,
    columns: u64,
    stride: i64,
) -> u32 {
    let made_of = Layout {
        number,
        rows,
        columns,
        stride,
    };
    made(layout, made_of)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatrixLayoutDestroy(layout: *mut c_void) -> u32 {
    // SAFETY: made above.
    unsafe { dropped::<Layout>(layout) }
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulDescCreate(operation: *mut *mut c_void, _: u32, _: u32) -> u32 {
    made(operation, Operation::default())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulDescDestroy(operation: *mut c_void) -> u32 {
    // SAFETY: made above.
    unsafe { dropped::<Operation>(operation) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulDescSetAttribute(
    operation: *mut c_void,
    attribute: u32,
    value: *const c_void,
    bytes: usize,
) -> u32 {
    // SAFETY: the operation was made above, and the value has these bytes.
    unsafe {
        let operation = &mut *operation.cast::<Operation>();
        match (attribute, bytes) {
            (TRANSA, 4) => operation.transposed[0] = *value.cast::<i32>() == 1,
            (TRANSB, 4) => operation.transposed[1] = *value.cast::<i32>() == 1,
            (EPILOGUE, 4) => operation.epilogue = *value.cast::<u32>(),
            (BIAS_POINTER, 8) => operation.bias = *value.cast::<u64>(),
            _ => return NOT_SUPPORTED,
        }
    }
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulPreferenceCreate(preference: *mut *mut c_void) -> u32 {
    made(preference, 0u64)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulPreferenceDestroy(preference: *mut c_void) -> u32 {
    // SAFETY: made above.
    unsafe { dropped::<u64>(preference) }
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulPreferenceSetAttribute(
    _: *mut c_void,
    _: u32,
    _: *const c_void,
    _: usize,
) -> u32 {
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulAlgoGetHeuristic(
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
    _: i32,
    result: *mut c_void,
    found: *mut i32,
) -> u32 {
    add("heuristics", 1);
    // SAFETY: the caller's pointers. The state behind the algorithm and the size is success.
    unsafe {
        result.cast::<u8>().write_bytes(0, ALGORITHM_BYTES + 16);
        *found = 1;
    }
    SUCCESS
}

fn number(number: u32) -> Option<Number> {
    match number {
        F32 => Some(Number::F32),
        BF16 => Some(Number::Bf16),
        _ => None,
    }
}

/// The product of the row-major matrices that are the transposes of these.
fn product(
    operation: &Operation,
    [a, b, d]: [&Layout; 3],
    [at_a, at_b, at_d]: [u64; 3],
    accumulate: bool,
) -> Option<Product> {
    let are_dense = [a, b, d]
        .iter()
        .all(|matrix| matrix.stride as u64 == matrix.rows);
    let (n, m) = (d.rows, d.columns);
    let (a_rows, k) = if operation.transposed[0] {
        (a.columns, a.rows)
    } else {
        (a.rows, a.columns)
    };
    let b_sizes = if operation.transposed[1] {
        (b.columns, b.rows)
    } else {
        (b.rows, b.columns)
    };
    let has_bias = operation.epilogue == EPILOGUE_BIAS;
    if !are_dense || a_rows != n || b_sizes != (k, m) || a.number != b.number {
        return None;
    }
    Some(Product {
        a: at_b,
        a_transposed: operation.transposed[1],
        b: at_a,
        b_transposed: operation.transposed[0],
        c: at_d,
        m: m as usize,
        n: n as usize,
        k: k as usize,
        operands: number(a.number)?,
        result: number(d.number)?,
        bias: if has_bias { operation.bias } else { 0 },
        accumulate,
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmul(
    _: *mut c_void,
    operation: *mut c_void,
    alpha: *const c_void,
    a: *const c_void,
    a_layout: *mut c_void,
    b: *const c_void,
    b_layout: *mut c_void,
    beta: *const c_void,
    c: *const c_void,
    _: *mut c_void,
    d: *mut c_void,
    d_layout: *mut c_void,
    _: *const c_void,
    _: *mut c_void,
    _: usize,
    _: *mut c_void,
) -> u32 {
    add("products", 1);
    // SAFETY: everything was made above, and the factors are f32.
    let (operation, layouts, alpha, beta) = unsafe {
        (
            &*operation.cast::<Operation>(),
            [a_layout, b_layout, d_layout].map(|layout| &*layout.cast::<Layout>()),
            *alpha.cast::<f32>(),
            *beta.cast::<f32>(),
        )
    };
    let accumulate = beta == 1.0;
    if alpha != 1.0 || (beta != 0.0 && !accumulate) || c.cast_mut() != d {
        return NOT_SUPPORTED;
    }
    let addresses = [a as u64, b as u64, d as u64];
    match product(operation, layouts, addresses, accumulate) {
        Some(product) => DEVICE.product(&product),
        None => return NOT_SUPPORTED,
    }
    SUCCESS
}
