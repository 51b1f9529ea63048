// The parts of a linear layer that are no matrix product: gradients of biases, the second stage of
// every sum over rows, and LoRA's low-rank path. CPU twins: linear.rs (`backward_bias`), and the
// fused programs of LoRA in the engine.
//
// bias_gradient_{f32,bf16}: the first stage of db = Σ_rows dy
//   d_y [rows, columns]        in
//   partial [chunks, columns]  out  f32: the sums over the rows of each chunk
//   rows, columns, rows_per_chunk          grid and block: `cuda::columns`
// column_sums: the second stage, for up to four gradients at once
//   targets                    in   four pairs of pointers (partial [chunks, columns], sum
//                                   [columns]), all f32; sum += Σ_chunks partial
//   columns, chunks                        grid ceil(columns / 32) × pairs, block 32 × 16
//                                          (`cuda::column_sums`)
//
// Low rank: y += B·(s·A·dropout(x)), with A [rank, in] and B [out, rank] in f32 and h [rows, rank]
// in f32.
// low_rank_down_{f32,bf16}: h = s·dropout(x)·Wᵀ
//   x [rows, columns]          in
//   weight                     in   f32: [rank, columns], or with `transposed` [columns, rank]
//   h [rows, rank]             out  f32
//   rows, columns, rank, transposed, s, dropout   grid ceil(rows / 32) × ceil(rank / 8), block 128
//                                                 (`cuda::low_rank_down`)
// low_rank_up_{f32,bf16}: y += mask ⊙ (h·Wᵀ)
//   h [rows, rank]             in   f32
//   weight                     in   f32: [columns, rank], or with `transposed` [rank, columns]
//   y [rows, columns]          in, out
//   rows, columns, rank, transposed, dropout      grid ceil(columns / 256) × ceil(rows / 32), block
//                                                 128 (`cuda::low_rank_up`)
// low_rank_gradient_{f32,bf16}: the first stage of dW = hᵀ·dropout(x)
//   x [rows, columns]          in
//   h [rows, rank]             in   f32
//   partial [chunks, rank·columns]  out  f32: each [rank, columns], or with `transposed` [columns,
//                                        rank]
//   rows, columns, rank, rows_per_chunk, transposed, dropout
//                                          grid as `cuda::columns`, times ceil(rank / 8) in z
//                                          (`cuda::low_rank_gradient`)
//
// | step | kernel |
// |---|---|
// | h = s·dropout(x)·Aᵀ | down(x, A), with dropout |
// | y += h·Bᵀ | up(h, B, y) |
// | d_h = s·d_y·B | down(d_y, B, transposed) |
// | d_x += mask ⊙ (d_h·A) | up(d_h, A, transposed, d_x), with dropout |
// | dA = d_hᵀ·dropout(x) | gradient(x, d_h), with dropout, then column_sums |
// | dB = d_yᵀ·h | gradient(d_y, h, transposed), then column_sums |
//
// Static shared memory at most 11 KB. Same bits on every run: every sum has one thread, or a fixed
// order of threads.
#include "cuda/dropout.cuh"

namespace {

template <class T>
__device__ __forceinline__ void bias_gradient(const T* d_y, float* partial, u32 rows, u32 columns,
                                              u32 rows_per_chunk) {
    constexpr int N = Pack<T>::N;
    const u32 first = (blockIdx.x * blockDim.x + threadIdx.x) * N,
              begin = blockIdx.y * rows_per_chunk;
    const bool whole = in_packs<T>(columns);
    if (first >= columns) return;
    float sums[N] = {};
    for (u32 row = begin; row < min(begin + rows_per_chunk, rows); row++) {
        float values[N];
        load_pack(values, d_y + (size_t)row * columns, first, columns, whole);
        UNROLL
        for (int i = 0; i < N; i++) sums[i] += values[i];
    }
    store_floats(partial + (size_t)blockIdx.y * columns, sums, first, columns, whole);
}

constexpr u32 SUM_LANES = 16;

// Rows of a tile, ranks of a tile, and columns of a step of `low_rank_down`.
constexpr int DOWN_ROWS = 32, DOWN_RANKS = 8, DOWN_STEP = 64, DOWN_STRIDE = DOWN_STEP + 4;

struct DownTiles {
    alignas(16) float x[DOWN_ROWS][DOWN_STRIDE];
    alignas(16) float weight[DOWN_RANKS][DOWN_STRIDE];
};

// The numbers of x that a block needs for one step, after dropout.
template <class T>
__device__ __forceinline__ void load_rows(DownTiles& tiles, const T* x, u32 step, u32 rows,
                                          u32 columns, const Dropout& dropout) {
    constexpr int N = Pack<T>::N;
    const bool whole = in_packs<T>(columns);
    for (u32 pack = threadIdx.x; pack < DOWN_ROWS * DOWN_STEP / N; pack += blockDim.x) {
        const u32 in_tile = pack / (DOWN_STEP / N), column = pack % (DOWN_STEP / N) * N;
        const u32 row = blockIdx.x * DOWN_ROWS + in_tile;
        float values[N] = {};
        if (row < rows) {
            load_pack(values, x + (size_t)row * columns, step + column, columns, whole);
            if (dropout.row_keys) apply_mask(values, row_mask(dropout, row), step + column);
        }
        UNROLL
        for (int i = 0; i < N; i++) tiles.x[in_tile][column + i] = values[i];
    }
}

template <class T>
__device__ __forceinline__ void down(DownTiles& tiles, const T* x, const float* weight, float* h,
                                     u32 rows, u32 columns, u32 rank, u32 transposed, float scale,
                                     const Dropout& dropout) {
    const u32 first_rank = blockIdx.y * DOWN_RANKS;
    // A thread has one row and two ranks.
    const u32 in_tile = threadIdx.x / 4, lane = threadIdx.x % 4;
    float sums[2] = {};
    for (u32 step = 0; step < columns; step += DOWN_STEP) {
        __syncthreads();
        load_rows(tiles, x, step, rows, columns, dropout);
        for (u32 i = threadIdx.x; i < DOWN_RANKS * DOWN_STEP; i += blockDim.x) {
            // Neighbouring threads read neighbouring numbers in both layouts.
            const u32 j = transposed ? i % DOWN_RANKS : i / DOWN_STEP,
                      k = transposed ? i / DOWN_RANKS : i % DOWN_STEP;
            const u32 of_rank = first_rank + j, column = step + k;
            const bool inside = of_rank < rank && column < columns;
            const size_t at =
                transposed ? (size_t)column * rank + of_rank : (size_t)of_rank * columns + column;
            tiles.weight[j][k] = inside ? weight[at] : 0.f;
        }
        __syncthreads();
        UNROLL
        for (int k = 0; k < DOWN_STEP; k += 4) {
            const float4 a = *(const float4*)&tiles.x[in_tile][k];
            UNROLL
            for (int i = 0; i < 2; i++) {
                const float4 b = *(const float4*)&tiles.weight[lane + 4 * i][k];
                sums[i] = fmaf(a.x, b.x, sums[i]);
                sums[i] = fmaf(a.y, b.y, sums[i]);
                sums[i] = fmaf(a.z, b.z, sums[i]);
                sums[i] = fmaf(a.w, b.w, sums[i]);
            }
        }
    }
    const u32 row = blockIdx.x * DOWN_ROWS + in_tile;
    UNROLL
    for (int i = 0; i < 2; i++) {
        const u32 of_rank = first_rank + lane + 4 * i;
        if (row < rows && of_rank < rank) h[(size_t)row * rank + of_rank] = scale * sums[i];
    }
}

// Rows and columns of a tile of `low_rank_up`, and its ranks of a step.
constexpr int UP_ROWS = 32, UP_COLUMNS = 256, UP_RANKS = 8;

struct UpTiles {
    alignas(16) float weight[UP_RANKS][UP_COLUMNS + 4];
    float h[UP_ROWS][UP_RANKS];
};

// The weights and hidden numbers of one step.
__device__ __forceinline__ void load_step(UpTiles& tiles, const float* h, const float* weight,
                                          u32 step, u32 rows, u32 columns, u32 rank,
                                          u32 transposed) {
    for (u32 i = threadIdx.x; i < UP_RANKS * UP_COLUMNS; i += blockDim.x) {
        const u32 j = transposed ? i / UP_COLUMNS : i % UP_RANKS,
                  in_tile = transposed ? i % UP_COLUMNS : i / UP_RANKS;
        const u32 of_rank = step + j, column = blockIdx.x * UP_COLUMNS + in_tile;
        const bool inside = of_rank < rank && column < columns;
        const size_t at =
            transposed ? (size_t)of_rank * columns + column : (size_t)column * rank + of_rank;
        tiles.weight[j][in_tile] = inside ? weight[at] : 0.f;
    }
    for (u32 i = threadIdx.x; i < UP_ROWS * UP_RANKS; i += blockDim.x) {
        const u32 row = blockIdx.y * UP_ROWS + i / UP_RANKS, of_rank = step + i % UP_RANKS;
        tiles.h[i / UP_RANKS][i % UP_RANKS] =
            row < rows && of_rank < rank ? h[(size_t)row * rank + of_rank] : 0.f;
    }
}

// A thread has one pack of columns, of every so many rows of the tile.
template <class T>
__device__ __forceinline__ void up(UpTiles& tiles, const float* h, const float* weight, T* y,
                                   u32 rows, u32 columns, u32 rank, u32 transposed,
                                   const Dropout& dropout) {
    constexpr int N = Pack<T>::N;
    constexpr int PACKS_OF_ROW = UP_COLUMNS / N, ROWS_BESIDE = 128 / PACKS_OF_ROW,
                  ROWS = UP_ROWS / ROWS_BESIDE;
    // At most four rows of sums are held at once.
    constexpr int HELD = 4, ROUNDS = ROWS / HELD;
    const u32 column = threadIdx.x % PACKS_OF_ROW * N, first = blockIdx.x * UP_COLUMNS + column;
    const bool whole = in_packs<T>(columns);
    for (int round = 0; round < ROUNDS; round++) {
        float sums[HELD][N] = {};
        const u32 in_tile = threadIdx.x / PACKS_OF_ROW + round * HELD * ROWS_BESIDE;
        for (u32 step = 0; step < rank; step += UP_RANKS) {
            __syncthreads();
            load_step(tiles, h, weight, step, rows, columns, rank, transposed);
            __syncthreads();
            UNROLL
            for (int j = 0; j < UP_RANKS; j++) {
                float of_rank[N];
                load_floats(of_rank, tiles.weight[j], column, UP_COLUMNS, true);
                UNROLL
                for (int r = 0; r < HELD; r++) {
                    const float hidden = tiles.h[in_tile + r * ROWS_BESIDE][j];
                    UNROLL
                    for (int i = 0; i < N; i++) sums[r][i] = fmaf(hidden, of_rank[i], sums[r][i]);
                }
            }
        }
        UNROLL
        for (int r = 0; r < HELD; r++) {
            const u32 row = blockIdx.y * UP_ROWS + in_tile + r * ROWS_BESIDE;
            if (row >= rows) continue;
            if (dropout.row_keys) apply_mask(sums[r], row_mask(dropout, row), first);
            float before[N];
            load_pack(before, y + (size_t)row * columns, first, columns, whole);
            UNROLL
            for (int i = 0; i < N; i++) sums[r][i] += before[i];
            store_pack(y + (size_t)row * columns, sums[r], first, columns, whole);
        }
    }
}

constexpr int GRADIENT_RANKS = 8;

template <class T>
__device__ __forceinline__ void gradient(const T* x, const float* h, float* partial, u32 rows,
                                         u32 columns, u32 rank, u32 rows_per_chunk, u32 transposed,
                                         const Dropout& dropout) {
    constexpr int N = Pack<T>::N;
    const u32 first = (blockIdx.x * blockDim.x + threadIdx.x) * N,
              begin = blockIdx.y * rows_per_chunk;
    const u32 first_rank = blockIdx.z * GRADIENT_RANKS;
    const bool whole = in_packs<T>(columns);
    if (first >= columns) return;
    float sums[GRADIENT_RANKS][N] = {};
    for (u32 row = begin; row < min(begin + rows_per_chunk, rows); row++) {
        float values[N];
        load_pack(values, x + (size_t)row * columns, first, columns, whole);
        if (dropout.row_keys) apply_mask(values, row_mask(dropout, row), first);
        UNROLL
        for (int j = 0; j < GRADIENT_RANKS; j++) {
            const float hidden =
                first_rank + j < rank ? h[(size_t)row * rank + first_rank + j] : 0.f;
            UNROLL
            for (int i = 0; i < N; i++) sums[j][i] = fmaf(hidden, values[i], sums[j][i]);
        }
    }
    float* to = partial + (size_t)blockIdx.y * rank * columns;
    UNROLL
    for (int j = 0; j < GRADIENT_RANKS; j++) {
        const u32 of_rank = first_rank + j;
        if (of_rank >= rank) continue;
        if (!transposed) {
            store_floats(to + (size_t)of_rank * columns, sums[j], first, columns,
                         columns % 4 == 0 && whole);
            continue;
        }
        UNROLL
        for (int i = 0; i < N; i++)
            if (first + i < columns) to[(size_t)(first + i) * rank + of_rank] = sums[j][i];
    }
}

}  // namespace

// `ColumnSums` in cuda.rs.
struct ColumnSums {
    struct Pair {
        const float* partial;
        float* sum;
    } pairs[4];
};

extern "C" __global__ void __launch_bounds__(512)
    column_sums(const __grid_constant__ ColumnSums targets, u32 columns, u32 chunks) {
    __shared__ float sums[SUM_LANES][33];
    const u32 column = blockIdx.x * 32 + threadIdx.x;
    const ColumnSums::Pair pair = targets.pairs[blockIdx.y];
    float sum = 0.f;
    if (column < columns) {
        UNROLL
        for (u32 chunk = threadIdx.y; chunk < chunks; chunk += SUM_LANES)
            sum += pair.partial[(size_t)chunk * columns + column];
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= columns) return;
    for (u32 lane = 1; lane < SUM_LANES; lane++) sum += sums[lane][threadIdx.x];
    pair.sum[column] += sum;
}
HOST_LAUNCH(column_sums)

#define LINEAR(suffix, T)                                                                        \
    extern "C" __global__ void __launch_bounds__(128) bias_gradient_##suffix(                    \
        const T* d_y, float* partial, u32 rows, u32 columns, u32 rows_per_chunk) {               \
        bias_gradient<T>(d_y, partial, rows, columns, rows_per_chunk);                           \
    }                                                                                            \
    extern "C" __global__ void __launch_bounds__(128)                                            \
        low_rank_down_##suffix(const T* x, const float* weight, float* h, u32 rows, u32 columns, \
                               u32 rank, u32 transposed, float scale, Dropout dropout) {         \
        __shared__ DownTiles tiles;                                                              \
        down<T>(tiles, x, weight, h, rows, columns, rank, transposed, scale, dropout);           \
    }                                                                                            \
    extern "C" __global__ void __launch_bounds__(128)                                            \
        low_rank_up_##suffix(const float* h, const float* weight, T* y, u32 rows, u32 columns,   \
                             u32 rank, u32 transposed, Dropout dropout) {                        \
        __shared__ UpTiles tiles;                                                                \
        up<T>(tiles, h, weight, y, rows, columns, rank, transposed, dropout);                    \
    }                                                                                            \
    extern "C" __global__ void __launch_bounds__(128) low_rank_gradient_##suffix(                \
        const T* x, const float* h, float* partial, u32 rows, u32 columns, u32 rank,             \
        u32 rows_per_chunk, u32 transposed, Dropout dropout) {                                   \
        gradient<T>(x, h, partial, rows, columns, rank, rows_per_chunk, transposed, dropout);    \
    }                                                                                            \
    HOST_LAUNCH(bias_gradient_##suffix)                                                          \
    HOST_LAUNCH(low_rank_down_##suffix)                                                          \
    HOST_LAUNCH(low_rank_up_##suffix)                                                            \
    HOST_LAUNCH(low_rank_gradient_##suffix)

LINEAR(f32, float)
LINEAR(bf16, bf16)
