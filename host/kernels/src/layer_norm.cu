// y = LN(dropout(x) + residual)·γ + β, and its backward. CPU twin: layer_norm.rs.
//
// layer_norm_forward_{f32,bf16}
//   x [rows, columns]          in    the output of the layer before
//   residual [rows, columns]   in    or null
//   gamma, beta [columns]      in    f32
//   y [rows, columns]          out   may be x or residual, but not x_hat
//   x_hat [rows, columns]      out   the normalised rows, which the backward reads; may be x
//   rstd [rows]                out   f32, 1/√(variance + ε)
//   rows, columns, eps, dropout
// layer_norm_affine_{f32,bf16}: y = x_hat·γ + β, the bits of the forward again
//   x_hat, gamma, beta, y, rows, columns
// layer_norm_backward_{f32,bf16}
//   d_y [rows, columns]        in    the gradient of y
//   x_hat, rstd, gamma         in    as left by the forward
//   d_sum [rows, columns]      out   the gradient of the sum, hence of the residual; may be d_y
//   d_x [rows, columns]        out   d_sum after dropout, hence the gradient of x; or null
//   partial_gamma, partial_beta, partial_bias [chunks, columns]
//                              out   f32, or null: sums of d_y·x̂, d_y and d_x over the rows of
//                                    each chunk. `column_sums` adds them to the gradients of γ, β
//                                    and of the bias of the layer that made x.
//   rows, columns, rows_per_chunk, dropout
//
// Grid and block (`cuda::rows` and `cuda::row_chunks`): blockDim.x threads handle a row, two packs
// each, and blockDim.y rows are handled side by side. Forward: ceil(rows / blockDim.y) blocks.
// Backward: blockDim.y chunks a block, ceil(chunks / blockDim.y) blocks. At most 512 threads, hence
// 4096 columns of f32 or 8192 of bf16. Static shared memory 256 B. Same bits on every run: a row is
// summed by warps in a fixed order, and a chunk in the order of its rows.
#include "cuda/dropout.cuh"
#include "cuda/reduce.cuh"

namespace {

constexpr int PACKS = 2;

// y = x̂·γ + β for one pack.
template <class T>
__device__ __forceinline__ void affine(T* y, const float (&x_hat)[Pack<T>::N], const float* gamma,
                                       const float* beta, u32 first, u32 columns, bool whole) {
    constexpr int N = Pack<T>::N;
    float g[N], b[N], values[N];
    load_floats(g, gamma, first, columns, whole);
    load_floats(b, beta, first, columns, whole);
    UNROLL
    for (int i = 0; i < N; i++) values[i] = fmaf(x_hat[i], g[i], b[i]);
    store_pack(y, values, first, columns, whole);
}

template <class T>
__device__ __forceinline__ void forward(const T* x, const T* residual, const float* gamma,
                                        const float* beta, T* y, T* x_hat, float* rstd, u32 rows,
                                        u32 columns, float eps, const Dropout& dropout,
                                        RowSums& shared) {
    constexpr int N = Pack<T>::N;
    const u32 row = blockIdx.x * blockDim.y + threadIdx.y;
    const bool whole = in_packs<T>(columns), has_row = row < rows;
    const size_t start = (size_t)row * columns;
    float values[PACKS][N] = {};
    float sum = 0.f;
    if (has_row) {
        RowMask mask = {};
        if (dropout.row_keys) mask = row_mask(dropout, row);
        UNROLL
        for (int pack = 0; pack < PACKS; pack++) {
            const u32 first = (threadIdx.x + pack * blockDim.x) * N;
            load_pack(values[pack], x + start, first, columns, whole);
            if (dropout.row_keys) apply_mask(values[pack], mask, first);
            if (residual) {
                float more[N];
                load_pack(more, residual + start, first, columns, whole);
                UNROLL
                for (int i = 0; i < N; i++) values[pack][i] += more[i];
            }
            UNROLL
            for (int i = 0; i < N; i++) sum += values[pack][i];
        }
    }
    const float mean = row_sums(sum, 0.f, shared).x / (float)columns;
    float squares = 0.f;
    UNROLL
    for (int pack = 0; pack < PACKS; pack++) {
        const u32 first = (threadIdx.x + pack * blockDim.x) * N;
        UNROLL
        for (int i = 0; i < N; i++) {
            values[pack][i] -= mean;
            if (first + i < columns) squares += values[pack][i] * values[pack][i];
        }
    }
    const float variance = row_sums(squares, 0.f, shared).x / (float)columns;
    if (!has_row) return;
    const float scale = 1.f / sqrtf(variance + eps);
    if (threadIdx.x == 0) rstd[row] = scale;
    UNROLL
    for (int pack = 0; pack < PACKS; pack++) {
        const u32 first = (threadIdx.x + pack * blockDim.x) * N;
        // y is made of x̂ as it is stored, so that it can be made again.
        UNROLL
        for (int i = 0; i < N; i++)
            values[pack][i] = to_float(from_float<T>(values[pack][i] * scale));
        store_pack(x_hat + start, values[pack], first, columns, whole);
        affine(y + start, values[pack], gamma, beta, first, columns, whole);
    }
}

template <class T>
__device__ __forceinline__ void affine_rows(const T* x_hat, const float* gamma, const float* beta,
                                            T* y, u32 rows, u32 columns) {
    constexpr int N = Pack<T>::N;
    const u32 row = blockIdx.x * blockDim.y + threadIdx.y;
    const bool whole = in_packs<T>(columns);
    const size_t start = (size_t)row * columns;
    if (row >= rows) return;
    UNROLL
    for (int pack = 0; pack < PACKS; pack++) {
        const u32 first = (threadIdx.x + pack * blockDim.x) * N;
        float values[N];
        load_pack(values, x_hat + start, first, columns, whole);
        affine(y + start, values, gamma, beta, first, columns, whole);
    }
}

// The sums over the rows of a chunk, for the columns of a thread.
template <int N>
struct ChunkSums {
    float gamma[PACKS][N], beta[PACKS][N], bias[PACKS][N];
};

// One row of the backward.
template <class T>
__device__ __forceinline__ void backward_row(const T* d_y, const T* x_hat, const float* rstd,
                                             const float* gamma, T* d_sum, T* d_x, u32 row,
                                             bool has_row, u32 columns, const Dropout& dropout,
                                             ChunkSums<Pack<T>::N>& sums, RowSums& shared) {
    constexpr int N = Pack<T>::N;
    const bool whole = in_packs<T>(columns);
    const size_t start = (size_t)row * columns;
    float d[PACKS][N] = {}, normal[PACKS][N] = {};
    float sum = 0.f, sum_x = 0.f;
    if (has_row) {
        UNROLL
        for (int pack = 0; pack < PACKS; pack++) {
            const u32 first = (threadIdx.x + pack * blockDim.x) * N;
            float g[N];
            load_pack(d[pack], d_y + start, first, columns, whole);
            load_pack(normal[pack], x_hat + start, first, columns, whole);
            load_floats(g, gamma, first, columns, whole);
            UNROLL
            for (int i = 0; i < N; i++) {
                sums.gamma[pack][i] += d[pack][i] * normal[pack][i];
                sums.beta[pack][i] += d[pack][i];
                d[pack][i] *= g[i];
                sum += d[pack][i];
                sum_x += d[pack][i] * normal[pack][i];
            }
        }
    }
    const float2 total = row_sums(sum, sum_x, shared);
    if (!has_row) return;
    const float mean = total.x / (float)columns, mean_x = total.y / (float)columns,
                scale = rstd[row];
    RowMask mask = {};
    if (dropout.row_keys) mask = row_mask(dropout, row);
    UNROLL
    for (int pack = 0; pack < PACKS; pack++) {
        const u32 first = (threadIdx.x + pack * blockDim.x) * N;
        UNROLL
        for (int i = 0; i < N; i++)
            d[pack][i] = scale * (d[pack][i] - mean - normal[pack][i] * mean_x);
        store_pack(d_sum + start, d[pack], first, columns, whole);
        if (dropout.row_keys) apply_mask(d[pack], mask, first);
        if (d_x) store_pack(d_x + start, d[pack], first, columns, whole);
        UNROLL
        for (int i = 0; i < N; i++) sums.bias[pack][i] += d[pack][i];
    }
}

template <class T>
__device__ __forceinline__ void backward(const T* d_y, const T* x_hat, const float* rstd,
                                         const float* gamma, T* d_sum, T* d_x, float* partial_gamma,
                                         float* partial_beta, float* partial_bias, u32 rows,
                                         u32 columns, u32 rows_per_chunk, const Dropout& dropout,
                                         RowSums& shared) {
    constexpr int N = Pack<T>::N;
    const u32 chunk = blockIdx.x * blockDim.y + threadIdx.y;
    const bool whole = columns % N == 0;
    ChunkSums<N> sums = {};
    for (u32 i = 0; i < rows_per_chunk; i++) {
        const u32 row = chunk * rows_per_chunk + i;
        backward_row(d_y, x_hat, rstd, gamma, d_sum, d_x, row, row < rows, columns, dropout, sums,
                     shared);
    }
    if (chunk * rows_per_chunk >= rows) return;
    const size_t start = (size_t)chunk * columns;
    UNROLL
    for (int pack = 0; pack < PACKS; pack++) {
        const u32 first = (threadIdx.x + pack * blockDim.x) * N;
        if (partial_gamma)
            store_floats(partial_gamma + start, sums.gamma[pack], first, columns, whole);
        if (partial_beta)
            store_floats(partial_beta + start, sums.beta[pack], first, columns, whole);
        if (partial_bias)
            store_floats(partial_bias + start, sums.bias[pack], first, columns, whole);
    }
}

}  // namespace

#define LAYER_NORM(suffix, T)                                                                      \
    extern "C" __global__ void __launch_bounds__(512) layer_norm_forward_##suffix(                 \
        const T* x, const T* residual, const float* gamma, const float* beta, T* y, T* x_hat,      \
        float* rstd, u32 rows, u32 columns, float eps, Dropout dropout) {                          \
        __shared__ RowSums shared;                                                                 \
        forward<T>(x, residual, gamma, beta, y, x_hat, rstd, rows, columns, eps, dropout, shared); \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(512) layer_norm_affine_##suffix(                  \
        const T* x_hat, const float* gamma, const float* beta, T* y, u32 rows, u32 columns) {      \
        affine_rows<T>(x_hat, gamma, beta, y, rows, columns);                                      \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(512) layer_norm_backward_##suffix(                \
        const T* d_y, const T* x_hat, const float* rstd, const float* gamma, T* d_sum, T* d_x,     \
        float* partial_gamma, float* partial_beta, float* partial_bias, u32 rows, u32 columns,     \
        u32 rows_per_chunk, Dropout dropout) {                                                     \
        __shared__ RowSums shared;                                                                 \
        backward<T>(d_y, x_hat, rstd, gamma, d_sum, d_x, partial_gamma, partial_beta,              \
                    partial_bias, rows, columns, rows_per_chunk, dropout, shared);                 \
    }                                                                                              \
    HOST_LAUNCH(layer_norm_forward_##suffix)                                                       \
    HOST_LAUNCH(layer_norm_affine_##suffix)                                                        \
    HOST_LAUNCH(layer_norm_backward_##suffix)

LAYER_NORM(f32, float)
LAYER_NORM(bf16, bf16)
