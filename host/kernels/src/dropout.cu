// x ⊙ mask, where dropout is not part of another kernel (after the embeddings' LayerNorm, in the
// head, in a method's graph). Forward and backward are the same operation. CPU twin: dropout.rs;
// the masks are the same bit for bit.
//
// dropout_{f32,bf16}
//   x [rows, columns]   in
//   y [rows, columns]   out   may be x
//   rows, columns, rows_per_chunk, dropout
//
// Grid and block as for activation.cu (`cuda::columns`). No shared memory.
#include "cuda/dropout.cuh"

namespace {

template <class T>
__device__ __forceinline__ void apply(const T* x, T* y, u32 rows, u32 columns, u32 rows_per_chunk,
                                      const Dropout& dropout) {
    constexpr int N = Pack<T>::N;
    const u32 first = (blockIdx.x * blockDim.x + threadIdx.x) * N,
              begin = blockIdx.y * rows_per_chunk;
    const bool whole = in_packs<T>(columns);
    if (first >= columns) return;
    for (u32 row = begin; row < min(begin + rows_per_chunk, rows); row++) {
        const size_t start = (size_t)row * columns;
        float values[N];
        load_pack(values, x + start, first, columns, whole);
        apply_mask(values, row_mask(dropout, row), first);
        store_pack(y + start, values, first, columns, whole);
    }
}

}  // namespace

#define DROPOUT(suffix, T)                                                              \
    extern "C" __global__ void __launch_bounds__(128) dropout_##suffix(                 \
        const T* x, T* y, u32 rows, u32 columns, u32 rows_per_chunk, Dropout dropout) { \
        apply<T>(x, y, rows, columns, rows_per_chunk, dropout);                         \
    }                                                                                   \
    HOST_LAUNCH(dropout_##suffix)

DROPOUT(f32, float)
DROPOUT(bf16, bf16)
