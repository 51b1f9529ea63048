// Steps of a method's graph with one vector for all rows, and the blocks of rows transposed. CPU twin: the programs of the
// engine's fused path (`row_program`).
//
// add_vector_{f32,bf16}:       x += factor·v            x [rows, columns] in, out; v [columns] f32
//   x, v, factor, rows, columns, rows_per_chunk
// multiply_vector_{f32,bf16}:  y = x ⊙ v                x [rows, columns]; y [rows, columns] out, may be x; v [columns] f32
//   x, v, y, rows, columns, rows_per_chunk
// product_sums_{f32,bf16}: the first stage of dv = Σ_rows a ⊙ b, of which `column_sums` is the second
//   a, b [rows, columns]       in
//   partial [chunks, columns]  out   f32
//   rows, columns, rows_per_chunk
//   grid and block of the three: `cuda::columns`
// swap_{f32,bf16}: y[r][j][i] = x[r][i][j]              x [rows, n, m]; y [rows, m, n] out
//   x, y, total (u64: rows·n·m), n, m                   grid and block: `cuda::numbers` of the total
//
// No shared memory. Same bits on every run: a chunk is summed in the order of its rows.
#include "cuda/types.cuh"

namespace {

// Calls `f` with the values of a pack of columns for each row of the chunk.
template <class T, class F>
__device__ __forceinline__ void each_row(const T* x, u32 rows, u32 columns, u32 rows_per_chunk, F f) {
    constexpr int N = Pack<T>::N;
    const u32 first = (blockIdx.x * blockDim.x + threadIdx.x) * N, begin = blockIdx.y * rows_per_chunk;
    const bool whole = in_packs<T>(columns);
    if (first >= columns) return;
    for (u32 row = begin; row < min(begin + rows_per_chunk, rows); row++) {
        float values[N];
        load_pack(values, x + (size_t)row * columns, first, columns, whole);
        f(values, (size_t)row * columns, first, whole);
    }
}

template <class T>
__device__ __forceinline__ void add(T* x, const float* v, float factor, u32 rows, u32 columns, u32 rows_per_chunk) {
    constexpr int N = Pack<T>::N;
    const u32 mine = (blockIdx.x * blockDim.x + threadIdx.x) * N;
    float vector[N] = {};
    if (mine < columns) load_floats(vector, v, mine, columns, in_packs<T>(columns));
    each_row<T>(x, rows, columns, rows_per_chunk, [&](float (&values)[N], size_t start, u32 first, bool whole) {
        UNROLL
        for (int i = 0; i < N; i++) values[i] += factor * vector[i];
        store_pack(x + start, values, first, columns, whole);
    });
}

template <class T>
__device__ __forceinline__ void multiply(const T* x, const float* v, T* y, u32 rows, u32 columns, u32 rows_per_chunk) {
    constexpr int N = Pack<T>::N;
    const u32 mine = (blockIdx.x * blockDim.x + threadIdx.x) * N;
    float vector[N] = {};
    if (mine < columns) load_floats(vector, v, mine, columns, in_packs<T>(columns));
    each_row<T>(x, rows, columns, rows_per_chunk, [&](float (&values)[N], size_t start, u32 first, bool whole) {
        UNROLL
        for (int i = 0; i < N; i++) values[i] *= vector[i];
        store_pack(y + start, values, first, columns, whole);
    });
}

template <class T>
__device__ __forceinline__ void sums_of_products(const T* a, const T* b, float* partial, u32 rows, u32 columns, u32 rows_per_chunk) {
    constexpr int N = Pack<T>::N;
    const u32 mine = (blockIdx.x * blockDim.x + threadIdx.x) * N;
    float sums[N] = {};
    each_row<T>(a, rows, columns, rows_per_chunk, [&](float (&values)[N], size_t start, u32 first, bool whole) {
        float others[N];
        load_pack(others, b + start, first, columns, whole);
        UNROLL
        for (int i = 0; i < N; i++) sums[i] += values[i] * others[i];
    });
    if (mine < columns) store_floats(partial + (size_t)blockIdx.y * columns, sums, mine, columns, in_packs<T>(columns));
}

template <class T>
__device__ __forceinline__ void swap_blocks(const T* x, T* y, u64 total, u32 n, u32 m) {
    const u64 at = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= total) return;
    const u64 block = at / ((u64)n * m);
    const u32 inside = (u32)(at % ((u64)n * m)), j = inside / n, i = inside % n;
    y[at] = x[block * n * m + (u64)i * m + j];
}

}  // namespace

#define VECTOR(suffix, T)                                                                                                   \
    extern "C" __global__ void __launch_bounds__(128)                                                                       \
        add_vector_##suffix(T* x, const float* v, float factor, u32 rows, u32 columns, u32 rows_per_chunk) {                \
        add<T>(x, v, factor, rows, columns, rows_per_chunk);                                                                \
    }                                                                                                                       \
    extern "C" __global__ void __launch_bounds__(128)                                                                       \
        multiply_vector_##suffix(const T* x, const float* v, T* y, u32 rows, u32 columns, u32 rows_per_chunk) {             \
        multiply<T>(x, v, y, rows, columns, rows_per_chunk);                                                                \
    }                                                                                                                       \
    extern "C" __global__ void __launch_bounds__(128)                                                                       \
        product_sums_##suffix(const T* a, const T* b, float* partial, u32 rows, u32 columns, u32 rows_per_chunk) {          \
        sums_of_products<T>(a, b, partial, rows, columns, rows_per_chunk);                                                  \
    }                                                                                                                       \
    extern "C" __global__ void __launch_bounds__(128) swap_##suffix(const T* x, T* y, u64 total, u32 n, u32 m) {            \
        swap_blocks<T>(x, y, total, n, m);                                                                                  \
    }                                                                                                                       \
    HOST_LAUNCH(add_vector_##suffix)                                                                                        \
    HOST_LAUNCH(multiply_vector_##suffix)                                                                                   \
    HOST_LAUNCH(product_sums_##suffix)                                                                                      \
    HOST_LAUNCH(swap_##suffix)

VECTOR(f32, float)
VECTOR(bf16, bf16)
