// Element-wise steps, conversions between f32 and bf16, and rows taken from and put into a batch.
// CPU twin: elementwise.rs.
//
// add_scaled_{f32,bf16}:   a += factor·b             a, b [n], factor, n
// multiply_{f32,bf16}:     a ⊙= b                    a, b [n], n
// add_products_{f32,bf16}: a += b ⊙ c                a, b, c [n], n
// scale_{f32,bf16}:        a *= factor               a [n], factor, n
// to_bf16:                 y = x                     x [n] f32, y [n] bf16, n
// to_f32:                  y = x                     x [n] bf16, y [n] f32, n
//   grid and block: `cuda::packs` (of the narrower type); a thread has one pack.
// gather_rows_{f32,bf16}:  y[i] = x[ids[i]]          x [_, columns], ids [rows] u32,
//                                                    y [rows, columns],
//                                                    rows, columns, rows_per_chunk
// scatter_rows_{f32,bf16}: y[ids[i]] = x[i]          the same, ids distinct; other rows of y stay
//   grid and block: `cuda::columns`.
//
// No shared memory.
#include "cuda/types.cuh"

namespace {

template <class T, class F>
__device__ __forceinline__ void each_pack(T* a, const T* b, const T* c, u64 n, F f) {
    constexpr int N = Pack<T>::N;
    const u64 first = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * N;
    if (first >= n) return;
    // The last pack may be cut; the numbers before are whole packs.
    const u32 columns = (u32)min(n - first, (u64)N);
    float x[N], y[N] = {}, z[N] = {};
    load_pack(x, a + first, 0, columns, columns == N);
    if (b) load_pack(y, b + first, 0, columns, columns == N);
    if (c) load_pack(z, c + first, 0, columns, columns == N);
    UNROLL
    for (int i = 0; i < N; i++) x[i] = f(x[i], y[i], z[i]);
    store_pack(a + first, x, 0, columns, columns == N);
}

struct AddScaled {
    float factor;
    __device__ __forceinline__ float operator()(float a, float b, float) const {
        return a + factor * b;
    }
};
struct Multiply {
    __device__ __forceinline__ float operator()(float a, float b, float) const { return a * b; }
};
struct AddProducts {
    __device__ __forceinline__ float operator()(float a, float b, float c) const {
        return a + b * c;
    }
};
struct Scale {
    float factor;
    __device__ __forceinline__ float operator()(float a, float, float) const { return a * factor; }
};

template <class T>
__device__ __forceinline__ void copy_rows(const T* x, const u32* ids, T* y, u32 rows, u32 columns,
                                          u32 rows_per_chunk, bool gather) {
    constexpr int N = Pack<T>::N;
    const u32 first = (blockIdx.x * blockDim.x + threadIdx.x) * N,
              begin = blockIdx.y * rows_per_chunk;
    const bool whole = in_packs<T>(columns);
    if (first >= columns) return;
    for (u32 i = begin; i < min(begin + rows_per_chunk, rows); i++) {
        const size_t from = gather ? ids[i] : i, to = gather ? i : ids[i];
        float values[N];
        load_pack(values, x + from * columns, first, columns, whole);
        store_pack(y + to * columns, values, first, columns, whole);
    }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128) to_bf16(const float* x, bf16* y, u64 n) {
    constexpr int N = Pack<bf16>::N;
    const u64 first = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * N;
    if (first >= n) return;
    const u32 columns = (u32)min(n - first, (u64)N);
    float values[N];
    load_floats(values, x + first, 0, columns, columns == N);
    store_pack(y + first, values, 0, columns, columns == N);
}
HOST_LAUNCH(to_bf16)

extern "C" __global__ void __launch_bounds__(128) to_f32(const bf16* x, float* y, u64 n) {
    constexpr int N = Pack<bf16>::N;
    const u64 first = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * N;
    if (first >= n) return;
    const u32 columns = (u32)min(n - first, (u64)N);
    float values[N];
    load_pack(values, x + first, 0, columns, columns == N);
    store_floats(y + first, values, 0, columns, columns == N);
}
HOST_LAUNCH(to_f32)

#define ELEMENTWISE(suffix, T)                                                                     \
    extern "C" __global__ void __launch_bounds__(128)                                              \
        add_scaled_##suffix(T* a, const T* b, float factor, u64 n) {                               \
        each_pack<T>(a, b, nullptr, n, AddScaled{factor});                                         \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(128) multiply_##suffix(T* a, const T* b, u64 n) { \
        each_pack<T>(a, b, nullptr, n, Multiply{});                                                \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(128)                                              \
        add_products_##suffix(T* a, const T* b, const T* c, u64 n) {                               \
        each_pack<T>(a, b, c, n, AddProducts{});                                                   \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(128) scale_##suffix(T* a, float factor, u64 n) {  \
        each_pack<T>(a, nullptr, nullptr, n, Scale{factor});                                       \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(128) gather_rows_##suffix(                        \
        const T* x, const u32* ids, T* y, u32 rows, u32 columns, u32 rows_per_chunk) {             \
        copy_rows<T>(x, ids, y, rows, columns, rows_per_chunk, true);                              \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(128) scatter_rows_##suffix(                       \
        const T* x, const u32* ids, T* y, u32 rows, u32 columns, u32 rows_per_chunk) {             \
        copy_rows<T>(x, ids, y, rows, columns, rows_per_chunk, false);                             \
    }                                                                                              \
    HOST_LAUNCH(add_scaled_##suffix)                                                               \
    HOST_LAUNCH(multiply_##suffix)                                                                 \
    HOST_LAUNCH(add_products_##suffix)                                                             \
    HOST_LAUNCH(scale_##suffix)                                                                    \
    HOST_LAUNCH(gather_rows_##suffix)                                                              \
    HOST_LAUNCH(scatter_rows_##suffix)

ELEMENTWISE(f32, float)
ELEMENTWISE(bf16, bf16)
