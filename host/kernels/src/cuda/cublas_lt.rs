//! Products on a GPU, by cuBLASLt: operands in bf16, tf32 or f32, sums in f32, the bias in the same
//! pass. [`super::stream`] calls it.
//!
//! cuBLASLt's matrices are column-major. A row-major matrix is the transpose of a column-major one
//! in the same memory, so `c = a·b` is computed as `cᵀ = bᵀ·aᵀ`: b comes first.
#![allow(unsafe_code)]

use super::{Number, Product, fault::Fault};
use cudarc::cublaslt::{
    result::{self, CublasError},
    sys,
};
use std::{collections::HashMap, ffi::c_void};

/// The memory that a product may use while it is computed, as much as cuBLAS reserves on Hopper.
pub(super) const WORKSPACE_BYTES: usize = 32 << 20;
/// The alignment of every buffer ([`super`]). Algorithms that need a larger one are not chosen.
const ALIGNMENT: u32 = 16;
/// The most shapes whose algorithm is remembered. Batches of new sizes bring new ones.
const MAX_SHAPES: usize = 1 << 14;

/// Everything that an algorithm is chosen by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    sizes: [usize; 3],
    transposed: [bool; 2],
    numbers: [Number; 2],
    bias: bool,
}

/// The products of one stream.
pub(super) struct Products {
    handle: sys::cublasLtHandle_t,
    /// Whether products of f32 round their operands to tf32.
    tf32: bool,
    algorithms: HashMap<Shape, sys::cublasLtMatmulAlgo_t>,
}

// SAFETY: a handle may be used from any thread, by one at a time.
unsafe impl Send for Products {}

impl Drop for Products {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handle. A failure leaves nothing to do.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

fn failed(error: CublasError) -> Fault {
    Fault::Failed(format!("cuBLASLt: {error}"))
}

/// Matrices and operation of one product, destroyed at its end.
struct Description {
    operation: sys::cublasLtMatmulDesc_t,
    /// b, a, c, in the order of cuBLASLt.
    layouts: Vec<sys::cublasLtMatrixLayout_t>,
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: they are destroyed once. A failure leaves nothing to do.
        unsafe {
            for &layout in &self.layouts {
                let _ = result::destroy_matrix_layout(layout);
            }
            let _ = result::destroy_matmul_desc(self.operation);
        }
    }
}

const fn data_type(number: Number) -> sys::cudaDataType {
    match number {
        Number::F32 => sys::cudaDataType_t::CUDA_R_32F,
        Number::Bf16 => sys::cudaDataType_t::CUDA_R_16BF,
    }
}

impl Description {
    fn new(product: &Product, tf32: bool) -> Result<Self, Fault> {
        let compute = if tf32 && product.operands == Number::F32 {
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32
        } else {
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F
        };
        let f32s = sys::cudaDataType_t::CUDA_R_32F;
        let mut description = Self {
            operation: result::create_matmul_desc(compute, f32s).map_err(failed)?,
            layouts: Vec::with_capacity(3),
        };
        let Product { m, n, k, .. } = *product;
        // The rows and columns of each matrix in memory, before any transposition.
        let stored = |is_transposed: bool, rows: usize, columns: usize| {
            if is_transposed {
                (columns, rows)
            } else {
                (rows, columns)
            }
        };
        let operands = data_type(product.operands);
        for ((rows, columns), number) in [
            (stored(product.b_transposed, k, n), operands),
            (stored(product.a_transposed, m, k), operands),
            ((m, n), data_type(product.result)),
        ] {
            let layout =
                result::create_matrix_layout(number, columns as u64, rows as u64, columns as i64);
            description.layouts.push(layout.map_err(failed)?);
        }
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let operation = |is_transposed: bool| i32::from(is_transposed);
        description.set(
            Attribute::CUBLASLT_MATMUL_DESC_TRANSA,
            &operation(product.b_transposed),
        )?;
        description.set(
            Attribute::CUBLASLT_MATMUL_DESC_TRANSB,
            &operation(product.a_transposed),
        )?;
        if product.bias != 0 {
            let epilogue = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS as u32;
            description.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
            description.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &product.bias)?;
        }
        Ok(description)
    }

    /// Sets an attribute, which cuBLASLt takes as the bytes of an integer.
    fn set<T: Copy>(
        &self,
        attribute: sys::cublasLtMatmulDescAttributes_t,
        value: &T,
    ) -> Result<(), Fault> {
        let at: *const T = value;
        // SAFETY: the description is alive, and the attribute's bytes are copied in the call.
        unsafe {
            result::set_matmul_desc_attribute(self.operation, attribute, at.cast(), size_of::<T>())
        }
        .map_err(failed)
    }
}

impl Products {
    pub(super) fn new(tf32: bool) -> Result<Self, Fault> {
        Ok(Self {
            handle: result::create_handle().map_err(|error| {
                Fault::Failed(format!(
                    "cuBLASLt (libcublasLt.so.13) was not found, or does not start ({error}); install CUDA 13's libraries and name \
                     their directory in LD_LIBRARY_PATH"
                ))
            })?,
            tf32,
            algorithms: HashMap::new(),
        })
    }

    /// Puts a product into the stream.
    ///
    /// # Safety
    /// The matrices and the bias are memory of the stream's device, of the sizes that the product
    /// says, and `workspace` is [`WORKSPACE_BYTES`] of it. The context is bound to this thread.
    pub(super) unsafe fn compute(
        &mut self,
        product: &Product,
        workspace: u64,
        stream: cudarc::driver::sys::CUstream,
    ) -> Result<(), Fault> {
        let description = Description::new(product, self.tf32)?;
        let algorithm = self.algorithm(product, &description)?;
        let [b, a, c] = description.layouts[..] else {
            unreachable!("a product has three matrices")
        };
        let (one, more) = (1f32, if product.accumulate { 1f32 } else { 0f32 });
        let pointer = |address: u64| address as *mut c_void;
        // SAFETY: descriptions live until the call returns, and the algorithm was chosen for them;
        // the rest is the caller's promise.
        unsafe {
            result::matmul(
                self.handle,
                description.operation,
                (&raw const one).cast(),
                (&raw const more).cast(),
                pointer(product.b),
                b,
                pointer(product.a),
                a,
                pointer(product.c),
                c,
                pointer(product.c),
                c,
                &raw const algorithm,
                pointer(workspace),
                WORKSPACE_BYTES,
                stream.cast(),
            )
        }
        .map_err(failed)
    }

    /// The algorithm that cuBLASLt recommends for products of this shape. The same shape always has
    /// the same one on a card, so results have the same bits.
    fn algorithm(
        &mut self,
        product: &Product,
        description: &Description,
    ) -> Result<sys::cublasLtMatmulAlgo_t, Fault> {
        let shape = Shape {
            sizes: [product.m, product.n, product.k],
            transposed: [product.a_transposed, product.b_transposed],
            numbers: [product.operands, product.result],
            bias: product.bias != 0,
        };
        if let Some(known) = self.algorithms.get(&shape) {
            return Ok(*known);
        }
        let preference = Preference::new()?;
        let [b, a, c] = description.layouts[..] else {
            unreachable!("a product has three matrices")
        };
        // SAFETY: everything is alive during the call.
        let found = unsafe {
            let (handle, operation) = (self.handle, description.operation);
            result::get_matmul_algo_heuristic(handle, operation, b, a, c, c, preference.0)
        };
        let found = found.map_err(|error| {
            let [m, n, k] = shape.sizes;
            Fault::Failed(format!(
                "cuBLASLt: no algorithm for [{m}, {k}]·[{k}, {n}]: {error}"
            ))
        })?;
        if self.algorithms.len() >= MAX_SHAPES {
            self.algorithms.clear();
        }
        self.algorithms.insert(shape, found.algo);
        Ok(found.algo)
    }
}

/// The limits of an algorithm, destroyed at the end.
struct Preference(sys::cublasLtMatmulPreference_t);

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: it is destroyed once. A failure leaves nothing to do.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

impl Preference {
    fn new() -> Result<Self, Fault> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let preference = Self(result::create_matmul_pref().map_err(failed)?);
        let workspace = WORKSPACE_BYTES as u64;
        preference.set(
            Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
            &workspace,
        )?;
        for alignment in [
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ] {
            preference.set(alignment, &ALIGNMENT)?;
        }
        Ok(preference)
    }

    fn set<T: Copy>(
        &self,
        attribute: sys::cublasLtMatmulPreferenceAttributes_t,
        value: &T,
    ) -> Result<(), Fault> {
        let at: *const T = value;
        // SAFETY: the preference is alive, and the attribute's bytes are copied in the call.
        unsafe { result::set_matmul_pref_attribute(self.0, attribute, at.cast(), size_of::<T>()) }
            .map_err(failed)
    }
}
