// AdamW over all parameters in one launch, with clipping by the global norm, which never leaves the
// device. CPU twin: adamw.rs; given the same gradient scale, an update has the same bits.
//
// Parameters are cut into chunks of at most 16384 numbers. A table on the device describes the
// chunks (`AdamWChunk` in cuda.rs), another the constants of each parameter in this step
// (`AdamWConstants`), which the host computes in f64 as the twin does.
//
// gradient_squares: the first stage of the norms
//   chunks [n]             in   of which g and n are read
//   squares [n]            out  f64, Σ g² of each chunk      grid n, block 256
// gradient_norms: the second stage, and the clip factor
//   squares [n]            in
//   groups [n]             in   i32, the group of each chunk (its block of the encoder), or -1
//   loss [1]               in   f64, of the step
//   norms [1 + groups]     out  f64: the global norm, then that of each group (of no chunk: 0)
//   clip [1]               out  f32: min(1, max_norm / (norm + 1e-6)), as
//                               torch.nn.utils.clip_grad_norm_; 1 where max_norm is 0; -1 where
//                               the mark is set
//   mark [1]               in, out  u32: 1 as soon as a loss or norm is not finite
//   max_norm (f64), n                                        grid 1 + groups, block 256
// adamw_step: one update; the gradients are zero afterwards. Nothing happens where clip is below
// zero: the host may read losses and norms many steps later, and finds the parameters as they were
// before the first step that is not finite.
//   chunks [n], constants [parameters], clip [1]             grid n, block 256
// adamw_step_rows: one update of a table of which few rows get a gradient; the same numbers with
// less traffic
//   chunk                  in   by value: the whole table (n = rows·columns), without limit of its
//                               size
//   constants [parameters], clip [1]
//   touched [rows]         in, out  u8: rows with a gradient; 0 afterwards
//   live [rows]            in, out  u8: rows that have moments, now or from before
//   rows, columns                                            grid ceil(rows / 8), block 32 × 8
//
// Static shared memory 64 B. Same bits on every run: no atomics; a chunk has one block, and the
// chunks are added in order by the threads of one block.
#include "cuda/reduce.cuh"

namespace {

constexpr u32 THREADS = 256;

// Σ over the block, in thread 0.
__device__ __forceinline__ double block_sum(double value, double (&shared)[THREADS / 32]) {
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
    __syncthreads();
    for (u32 warp = 1; warp < THREADS / 32; warp++) value += shared[warp];
    return value;
}

}  // namespace

// A part of a parameter: `AdamWChunk` in cuda.rs.
struct AdamWChunk {
    float *p, *g, *m, *v;
    bf16* copy;  // receives the rounded parameter, at a multiple of 8 bytes; or null
    u32 n;
    u32 parameter;  // its number in the table of constants
};

// The constants of a parameter in a step: `AdamWConstants` in cuda.rs.
struct AdamWConstants {
    float decay, beta2, one_minus_beta1, one_minus_beta2, step_size, inverse_sqrt_correction2, eps,
        unused;
};

namespace {

// One number. The operations are rounded one by one, in the twin's order.
__device__ __forceinline__ void update(float& p, float g, float& m, float& v,
                                       const AdamWConstants& c, float scale) {
    const float gradient = __fmul_rn(g, scale);
    m = __fadd_rn(m, __fmul_rn(__fsub_rn(gradient, m), c.one_minus_beta1));
    v = __fadd_rn(__fmul_rn(v, c.beta2),
                  __fmul_rn(__fmul_rn(gradient, gradient), c.one_minus_beta2));
    const float denominator =
        __fadd_rn(__fmul_rn(__fsqrt_rn(v), c.inverse_sqrt_correction2), c.eps);
    p = __fsub_rn(__fmul_rn(p, c.decay), __fdiv_rn(__fmul_rn(c.step_size, m), denominator));
}

// Writes four numbers in bf16, 8 bytes at a multiple of 8.
__device__ __forceinline__ void store_four(bf16* to, const float (&p)[4]) {
    const u32 low = pack_two(from_float<bf16>(p[0]), from_float<bf16>(p[1]));
    const u32 high = pack_two(from_float<bf16>(p[2]), from_float<bf16>(p[3]));
    *(uint2*)to = uint2{low, high};
}

// Four numbers from `first` on, of `n`.
__device__ __forceinline__ void update_pack(const AdamWChunk& chunk, size_t start, u32 first, u32 n,
                                            bool whole, bool with_gradient, const AdamWConstants& c,
                                            float scale) {
    float p[4], g[4] = {}, m[4], v[4];
    const float zeros[4] = {};
    load_floats(p, chunk.p + start, first, n, whole);
    load_floats(m, chunk.m + start, first, n, whole);
    load_floats(v, chunk.v + start, first, n, whole);
    if (with_gradient) load_floats(g, chunk.g + start, first, n, whole);
    UNROLL
    for (int i = 0; i < 4; i++) update(p[i], g[i], m[i], v[i], c, scale);
    store_floats(chunk.p + start, p, first, n, whole);
    store_floats(chunk.m + start, m, first, n, whole);
    store_floats(chunk.v + start, v, first, n, whole);
    if (with_gradient) store_floats(chunk.g + start, zeros, first, n, whole);
    if (!chunk.copy) return;
    bf16* copy = chunk.copy + start + first;
    if (whole) {
        store_four(copy, p);
        return;
    }
    UNROLL
    for (u32 i = 0; i < 4; i++)
        if (first + i < n) copy[i] = from_float<bf16>(p[i]);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
    gradient_squares(const AdamWChunk* chunks, double* squares) {
    __shared__ double shared[THREADS / 32];
    const AdamWChunk chunk = chunks[blockIdx.x];
    float sum = 0.f;
    for (u32 first = threadIdx.x * 4; first < chunk.n; first += THREADS * 4) {
        float g[4];
        load_floats(g, chunk.g, first, chunk.n, first + 4 <= chunk.n);
        UNROLL
        for (int i = 0; i < 4; i++) sum = fmaf(g[i], g[i], sum);
    }
    const double total = block_sum((double)sum, shared);
    if (threadIdx.x == 0) squares[blockIdx.x] = total;
}
HOST_LAUNCH(gradient_squares)

extern "C" __global__ void __launch_bounds__(256)
    gradient_norms(const double* squares, const int* groups, const double* loss, double* norms,
                   float* clip, u32* mark, double max_norm, u32 n) {
    __shared__ double shared[THREADS / 32];
    const int group = (int)blockIdx.x - 1;
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < n; i += THREADS)
        if (group < 0 || groups[i] == group) sum += squares[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x > 0) return;
    const double norm = sqrt(sum);
    norms[blockIdx.x] = norm;
    if (group >= 0) return;
    const double factor = max_norm / (norm + 1e-6);
    // The difference is NaN for everything that is not finite.
    if (norm - norm != 0.0 || *loss - *loss != 0.0) *mark = 1;
    *clip = *mark ? -1.f : max_norm > 0.0 && factor < 1.0 ? (float)factor : 1.f;
}
HOST_LAUNCH(gradient_norms)

extern "C" __global__ void __launch_bounds__(256)
    adamw_step(const AdamWChunk* chunks, const AdamWConstants* constants, const float* clip) {
    const AdamWChunk chunk = chunks[blockIdx.x];
    const AdamWConstants c = constants[chunk.parameter];
    const float scale = *clip;
    if (scale < 0.f) return;
    for (u32 first = threadIdx.x * 4; first < chunk.n; first += THREADS * 4)
        update_pack(chunk, 0, first, chunk.n, first + 4 <= chunk.n, true, c, scale);
}
HOST_LAUNCH(adamw_step)

extern "C" __global__ void __launch_bounds__(256)
    adamw_step_rows(AdamWChunk table, const AdamWConstants* constants, const float* clip,
                    unsigned char* touched, unsigned char* live, u32 rows, u32 columns) {
    const u32 row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const AdamWConstants c = constants[table.parameter];
    const float scale = *clip;
    if (scale < 0.f) return;
    const bool is_touched = touched[row] != 0, is_live = is_touched || live[row] != 0;
    const bool whole = columns % 4 == 0;
    const size_t start = (size_t)row * columns;
    // The marks are written by lane 0 when the whole warp has read them.
    __syncwarp();
    if (is_touched && threadIdx.x == 0) {
        touched[row] = 0;
        live[row] = 1;
    }
    if (is_live) {
        for (u32 first = threadIdx.x * 4; first < columns; first += 128)
            update_pack(table, start, first, columns, whole, is_touched, c, scale);
    } else if (c.decay != 1.f) {
        for (u32 i = threadIdx.x; i < columns; i += 32) {
            const float p = __fmul_rn(table.p[start + i], c.decay);
            table.p[start + i] = p;
            if (table.copy) table.copy[start + i] = from_float<bf16>(p);
        }
    }
}
HOST_LAUNCH(adamw_step_rows)
