//! The functions of `libcublas` that candle calls: for products of small tensors that a method
//! derives from its parameters.

use crate::{counts::add, driver::DEVICE};
use std::ffi::c_void;

const SUCCESS: u32 = 0;
const NOT_SUPPORTED: u32 = 15;
/// `CUDA_R_32F`.
const F32: u32 = 0;

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasCreate_v2(handle: *mut *mut c_void) -> u32 {
    // SAFETY: the caller's pointer.
    unsafe { *handle = 0x50 as *mut c_void };
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cublasDestroy_v2(_: *mut c_void) -> u32 {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cublasSetStream_v2(_: *mut c_void, _: *mut c_void) -> u32 {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cublasDgemmStridedBatched() -> u32 {
    NOT_SUPPORTED
}

fn numbers(at: u64, n: usize) -> Vec<f32> {
    let mut bytes = vec![0u8; 4 * n];
    DEVICE.read(at, &mut bytes);
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|word| f32::from_ne_bytes(*word)).collect()
}

/// `c = alpha·op(a)·op(b) + beta·c` of matrices in columns, for each of `count`.
#[unsafe(no_mangle)]
unsafe extern "C" fn cublasGemmStridedBatchedEx(
    _: *mut c_void,
    a_transposed: u32,
    b_transposed: u32,
    m: i32,
    n: i32,
    k: i32,
    alpha: *const c_void,
    a: *const c_void,
    a_type: u32,
    a_stride: i32,
    a_step: i64,
    b: *const c_void,
    b_type: u32,
    b_stride: i32,
    b_step: i64,
    beta: *const c_void,
    c: *mut c_void,
    c_type: u32,
    c_stride: i32,
    c_step: i64,
    count: i32,
    _: u32,
    _: u32,
) -> u32 {
    add("products of candle", 1);
    if [a_type, b_type, c_type] != [F32; 3] {
        return NOT_SUPPORTED;
    }
    // SAFETY: the factors of products in f32 are f32.
    let (alpha, beta) = unsafe { (*alpha.cast::<f32>(), *beta.cast::<f32>()) };
    let [m, n, k, count] = [m, n, k, count].map(|size| size as usize);
    let [a_stride, b_stride, c_stride] =
        [a_stride, b_stride, c_stride].map(|stride| stride as usize);
    let address = |at: u64, step: i64, i: usize| at + 4 * step as u64 * i as u64;
    let columns = |is_transposed: bool, rows: usize, columns: usize| {
        if is_transposed { rows } else { columns }
    };
    for i in 0..count {
        let (a_t, b_t) = (a_transposed != 0, b_transposed != 0);
        let extent = |columns: usize, stride: usize, rows: usize| (columns - 1) * stride + rows;
        let a_rows = if a_t { k } else { m };
        let b_rows = if b_t { n } else { k };
        let a = numbers(
            address(a as u64, a_step, i),
            extent(columns(a_t, m, k), a_stride, a_rows),
        );
        let b = numbers(
            address(b as u64, b_step, i),
            extent(columns(b_t, k, n), b_stride, b_rows),
        );
        let at = address(c as u64, c_step, i);
        let mut sums = numbers(at, extent(n, c_stride, m));
        for column in 0..n {
            for row in 0..m {
                let terms = (0..k).map(|l| {
                    let x = a[if a_t {
                        l + row * a_stride
                    } else {
                        row + l * a_stride
                    }];
                    x * b[if b_t {
                        column + l * b_stride
                    } else {
                        l + column * b_stride
                    }]
                });
                let sum = &mut sums[row + column * c_stride];
                let before = if beta == 0.0 { 0.0 } else { beta * *sum };
                *sum = alpha * terms.sum::<f32>() + before;
            }
        }
        let bytes: Vec<u8> = sums.iter().flat_map(|sum| sum.to_ne_bytes()).collect();
        DEVICE.write(at, &bytes);
    }
    SUCCESS
}
