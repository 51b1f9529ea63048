// u = x + bias and y = f(u) for every activation, and the backward. CPU twin: activation.rs (the
// bias: linear.rs).
//
// bias_activation_forward_{f32,bf16}
//   u [rows, columns]       in, out  comes in as the product, leaves with the bias added; the
//                                    backward reads it
//   bias [columns]          in       f32, or null: u stays as it is
//   y [rows, columns]       out      f(u), or null: only the bias is added
//   rows, columns, rows_per_chunk, activation
// bias_activation_backward_{f32,bf16}
//   d [rows, columns]       in, out  comes in as the gradient of y, leaves as that of u
//   u [rows, columns]       in       as left by the forward
//   partial [chunks, columns]  out   f32, or null: sums of the gradient of u over the rows of each
//                                    chunk, for `column_sums`
//   rows, columns, rows_per_chunk, activation
//
// `activation` counts the variants of `Activation` in activation.rs, from 0 (`Gelu`) to 15
// (`Linear`). Grid and block (`cuda::columns`): a thread owns a pack of columns and goes through
// the rows of a chunk; blockIdx.x counts column tiles, blockIdx.y chunks. No shared memory. Same
// bits on every run: a chunk is summed in the order of its rows.
#include "cuda/types.cuh"

namespace {

enum {
    GELU,
    GELU_TANH,
    GELU_CLIPPED,
    QUICK_GELU,
    RELU,
    RELU_SQUARED,
    RELU6,
    LEAKY_RELU,
    SILU,
    HARD_SWISH,
    MISH,
    SQRT_SOFTPLUS,
    LAPLACE,
    SIGMOID,
    TANH,
    LINEAR
};

constexpr float SQRT_HALF = 0.70710678f, INVERSE_SQRT_2_PI = 0.39894228f;
constexpr float SQRT_2_OVER_PI = 0.79788456f, CUBIC = 0.044715f;
constexpr float QUICK = 1.702f, LEAKY_SLOPE = 0.01f, CLIP = 10.f, SOFTPLUS_THRESHOLD = 20.f;
// 1/(σ·√2), μ, and that times 1/√π, of `laplace`.
constexpr float LAPLACE_MU = 0.707107f, LAPLACE_FACTOR = 2.5066264f, LAPLACE_DENSITY = 1.4142125f;

__device__ __forceinline__ float sigmoid(float x) { return 1.f / (1.f + expf(-x)); }
__device__ __forceinline__ float gelu(float x) { return 0.5f * x * (1.f + erff(x * SQRT_HALF)); }
__device__ __forceinline__ float gelu_slope(float x) {
    return 0.5f * (1.f + erff(x * SQRT_HALF)) + x * expf(-0.5f * x * x) * INVERSE_SQRT_2_PI;
}
__device__ __forceinline__ float gelu_tanh_part(float x) {
    return tanhf(SQRT_2_OVER_PI * (x + CUBIC * x * x * x));
}
__device__ __forceinline__ float sqrt_softplus(float x) {
    return sqrtf(fmaxf(x, 0.f) + log1pf(expf(-fabsf(x))));
}
__device__ __forceinline__ float clamp(float x, float low, float high) {
    return fminf(fmaxf(x, low), high);
}

// f(x).
template <int A>
__device__ __forceinline__ float value(float x) {
    if (A == GELU) return gelu(x);
    if (A == GELU_TANH) return 0.5f * x * (1.f + gelu_tanh_part(x));
    if (A == GELU_CLIPPED) return clamp(gelu(x), -CLIP, CLIP);
    if (A == QUICK_GELU) return x * sigmoid(QUICK * x);
    if (A == RELU) return fmaxf(x, 0.f);
    if (A == RELU_SQUARED) return fmaxf(x, 0.f) * fmaxf(x, 0.f);
    if (A == RELU6) return clamp(x, 0.f, 6.f);
    if (A == LEAKY_RELU) return x > 0.f ? x : LEAKY_SLOPE * x;
    if (A == SILU) return x * sigmoid(x);
    if (A == HARD_SWISH) return x * clamp(x + 3.f, 0.f, 6.f) / 6.f;
    if (A == MISH) {
        // tanh(softplus(x)) = n/(n + 2) with n = eˣ(eˣ + 2).
        const float e = expf(fminf(x, SOFTPLUS_THRESHOLD)), n = e * (e + 2.f);
        return x * (n / (n + 2.f));
    }
    if (A == SQRT_SOFTPLUS) return sqrt_softplus(x);
    if (A == LAPLACE) return 0.5f * (1.f + erff((x - LAPLACE_MU) * LAPLACE_FACTOR));
    if (A == SIGMOID) return sigmoid(x);
    if (A == TANH) return tanhf(x);
    return x;
}

// f′(x), with PyTorch's values where there is none.
template <int A>
__device__ __forceinline__ float slope(float x) {
    if (A == GELU) return gelu_slope(x);
    if (A == GELU_TANH) {
        const float t = gelu_tanh_part(x);
        return 0.5f * (1.f + t) +
               0.5f * x * (1.f - t * t) * SQRT_2_OVER_PI * (1.f + 3.f * CUBIC * x * x);
    }
    if (A == GELU_CLIPPED) return gelu(x) > CLIP ? 0.f : gelu_slope(x);
    if (A == QUICK_GELU) {
        const float s = sigmoid(QUICK * x);
        return s * (1.f + QUICK * x * (1.f - s));
    }
    if (A == RELU) return x > 0.f ? 1.f : 0.f;
    if (A == RELU_SQUARED) return 2.f * fmaxf(x, 0.f);
    if (A == RELU6) return x > 0.f && x < 6.f ? 1.f : 0.f;
    if (A == LEAKY_RELU) return x > 0.f ? 1.f : LEAKY_SLOPE;
    if (A == SILU) {
        const float s = sigmoid(x);
        return s * (1.f + x * (1.f - s));
    }
    if (A == HARD_SWISH) return x <= -3.f ? 0.f : x < 3.f ? x / 3.f + 0.5f : 1.f;
    if (A == MISH) {
        const float e = expf(fminf(x, SOFTPLUS_THRESHOLD)), n = e * (e + 2.f);
        return n / (n + 2.f) + x * (4.f * e * (e + 1.f) / ((n + 2.f) * (n + 2.f)));
    }
    if (A == SQRT_SOFTPLUS) {
        const float y = sqrt_softplus(x);
        return y > 0.f ? sigmoid(x) / (2.f * y) : 0.f;
    }
    if (A == LAPLACE) {
        const float z = (x - LAPLACE_MU) * LAPLACE_FACTOR;
        return LAPLACE_DENSITY * expf(-z * z);
    }
    if (A == SIGMOID) {
        const float s = sigmoid(x);
        return s * (1.f - s);
    }
    if (A == TANH) {
        const float t = tanhf(x);
        return 1.f - t * t;
    }
    return 1.f;
}

template <class T>
struct Forward {
    T* u;
    const float* bias;
    T* y;
    u32 rows, columns, rows_per_chunk;

    template <int A>
    __device__ __forceinline__ void run() const {
        constexpr int N = Pack<T>::N;
        const u32 first = (blockIdx.x * blockDim.x + threadIdx.x) * N,
                  begin = blockIdx.y * rows_per_chunk;
        const bool whole = in_packs<T>(columns);
        if (first >= columns) return;
        float b[N] = {};
        if (bias) load_floats(b, bias, first, columns, whole);
        for (u32 row = begin; row < min(begin + rows_per_chunk, rows); row++) {
            const size_t start = (size_t)row * columns;
            float values[N];
            load_pack(values, u + start, first, columns, whole);
            if (bias) {
                // f reads u as it is stored, as the backward will.
                UNROLL
                for (int i = 0; i < N; i++) values[i] = to_float(from_float<T>(values[i] + b[i]));
                store_pack(u + start, values, first, columns, whole);
            }
            if (!y) continue;
            UNROLL
            for (int i = 0; i < N; i++) values[i] = value<A>(values[i]);
            store_pack(y + start, values, first, columns, whole);
        }
    }
};

template <class T>
struct Backward {
    T* d;
    const T* u;
    float* partial;
    u32 rows, columns, rows_per_chunk;

    template <int A>
    __device__ __forceinline__ void run() const {
        constexpr int N = Pack<T>::N;
        const u32 first = (blockIdx.x * blockDim.x + threadIdx.x) * N,
                  begin = blockIdx.y * rows_per_chunk;
        const bool whole = in_packs<T>(columns);
        if (first >= columns) return;
        float sums[N] = {};
        for (u32 row = begin; row < min(begin + rows_per_chunk, rows); row++) {
            const size_t start = (size_t)row * columns;
            float gradient[N], values[N];
            load_pack(gradient, d + start, first, columns, whole);
            load_pack(values, u + start, first, columns, whole);
            UNROLL
            for (int i = 0; i < N; i++) {
                gradient[i] *= slope<A>(values[i]);
                sums[i] += gradient[i];
            }
            store_pack(d + start, gradient, first, columns, whole);
        }
        if (partial)
            store_floats(partial + (size_t)blockIdx.y * columns, sums, first, columns, whole);
    }
};

// Runs one direction for the activation with this number.
template <class Direction>
__device__ __forceinline__ void choose(const Direction& direction, u32 activation) {
    switch (activation) {
        case GELU: return direction.template run<GELU>();
        case GELU_TANH: return direction.template run<GELU_TANH>();
        case GELU_CLIPPED: return direction.template run<GELU_CLIPPED>();
        case QUICK_GELU: return direction.template run<QUICK_GELU>();
        case RELU: return direction.template run<RELU>();
        case RELU_SQUARED: return direction.template run<RELU_SQUARED>();
        case RELU6: return direction.template run<RELU6>();
        case LEAKY_RELU: return direction.template run<LEAKY_RELU>();
        case SILU: return direction.template run<SILU>();
        case HARD_SWISH: return direction.template run<HARD_SWISH>();
        case MISH: return direction.template run<MISH>();
        case SQRT_SOFTPLUS: return direction.template run<SQRT_SOFTPLUS>();
        case LAPLACE: return direction.template run<LAPLACE>();
        case SIGMOID: return direction.template run<SIGMOID>();
        case TANH: return direction.template run<TANH>();
        default: return direction.template run<LINEAR>();
    }
}

}  // namespace

#define BIAS_ACTIVATION(suffix, T)                                                                 \
    extern "C" __global__ void __launch_bounds__(128)                                              \
        bias_activation_forward_##suffix(T* u, const float* bias, T* y, u32 rows, u32 columns,     \
                                         u32 rows_per_chunk, u32 activation) {                     \
        choose(Forward<T>{u, bias, y, rows, columns, rows_per_chunk}, activation);                 \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(128)                                              \
        bias_activation_backward_##suffix(T* d, const T* u, float* partial, u32 rows, u32 columns, \
                                          u32 rows_per_chunk, u32 activation) {                    \
        choose(Backward<T>{d, u, partial, rows, columns, rows_per_chunk}, activation);             \
    }                                                                                              \
    HOST_LAUNCH(bias_activation_forward_##suffix)                                                  \
    HOST_LAUNCH(bias_activation_backward_##suffix)

BIAS_ACTIVATION(f32, float)
BIAS_ACTIVATION(bf16, bf16)
