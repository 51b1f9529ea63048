// Embedding look-up and its backward. CPU twin: embedding.rs.
//
// embedding_forward_{f32,bf16}: y = word[input_ids] + position[position_ids] + kind[token_type_ids]
//   word, position, kind [entries, columns]   in   f32; position and kind may be null
//   input_ids, position_ids, token_type_ids [rows]  in   u32, within their tables (the host checks)
//   y [rows, columns]                         out
//   rows, columns, rows_per_chunk                  grid and block: `cuda::columns`
//
// The backward needs the rows sorted by id, a stable sort that the host makes once for each table
// and batch: `order` lists the rows, those of the same id together and in ascending order; it is
// cut into segments of rows of the same id, at most 32 long (`cuda::Segments`).
// embedding_backward_segments_{f32,bf16}: the sum of d_y over each segment
//   d_y [rows, columns]              in
//   order [rows]                     in   u32
//   segment_starts [segments + 1]    in   u32, offsets in `order`
//   sums [segments, columns]         out  f32
//   columns                               grid: segments × column tiles (`cuda::by_column_tiles`)
// embedding_backward_add: d_table[ids[i]] += Σ of the segments of id i, in order
//   sums                             in
//   ids [n]                          in   u32, each once
//   id_starts [n + 1]                in   u32, offsets in the segments
//   d_table [entries, columns]       in, out  f32; other rows are not touched
//   touched [entries]                out  u8, or null: 1 for each id, as `adamw_step_rows` reads it
//   columns                               grid: n × column tiles of f32 (`cuda::by_column_tiles`)
//
// No shared memory. Same bits on every run: no atomics, and every sum has one thread.
#include "cuda/types.cuh"

namespace {

template <class T>
__device__ __forceinline__ void forward(const float* word, const float* position, const float* kind,
                                        const u32* input_ids, const u32* position_ids,
                                        const u32* token_type_ids, T* y, u32 rows, u32 columns,
                                        u32 rows_per_chunk) {
    constexpr int N = Pack<T>::N;
    const u32 first = (blockIdx.x * blockDim.x + threadIdx.x) * N,
              begin = blockIdx.y * rows_per_chunk;
    const bool whole = in_packs<T>(columns);
    if (first >= columns) return;
    for (u32 row = begin; row < min(begin + rows_per_chunk, rows); row++) {
        float sum[N], more[N];
        load_floats(sum, word + (size_t)input_ids[row] * columns, first, columns, whole);
        if (position) {
            load_floats(more, position + (size_t)position_ids[row] * columns, first, columns,
                        whole);
            UNROLL
            for (int i = 0; i < N; i++) sum[i] += more[i];
        }
        if (kind) {
            load_floats(more, kind + (size_t)token_type_ids[row] * columns, first, columns, whole);
            UNROLL
            for (int i = 0; i < N; i++) sum[i] += more[i];
        }
        store_pack(y + (size_t)row * columns, sum, first, columns, whole);
    }
}

template <class T>
__device__ __forceinline__ void sum_segments(const T* d_y, const u32* order,
                                             const u32* segment_starts, float* sums, u32 columns) {
    constexpr int N = Pack<T>::N;
    const u32 first = (blockIdx.y * blockDim.x + threadIdx.x) * N, segment = blockIdx.x;
    const bool whole = in_packs<T>(columns);
    if (first >= columns) return;
    float sum[N] = {};
    for (u32 i = segment_starts[segment]; i < segment_starts[segment + 1]; i++) {
        float values[N];
        load_pack(values, d_y + (size_t)order[i] * columns, first, columns, whole);
        UNROLL
        for (int n = 0; n < N; n++) sum[n] += values[n];
    }
    store_floats(sums + (size_t)segment * columns, sum, first, columns, whole);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128)
    embedding_backward_add(const float* sums, const u32* ids, const u32* id_starts, float* d_table,
                           unsigned char* touched, u32 columns) {
    constexpr int N = Pack<float>::N;
    const u32 first = (blockIdx.y * blockDim.x + threadIdx.x) * N, i = blockIdx.x;
    const bool whole = in_packs<float>(columns);
    if (first >= columns) return;
    if (touched && first == 0) touched[ids[i]] = 1;
    float* row = d_table + (size_t)ids[i] * columns;
    float total[N], sum[N];
    load_floats(total, row, first, columns, whole);
    for (u32 segment = id_starts[i]; segment < id_starts[i + 1]; segment++) {
        load_floats(sum, sums + (size_t)segment * columns, first, columns, whole);
        UNROLL
        for (int n = 0; n < N; n++) total[n] += sum[n];
    }
    store_floats(row, total, first, columns, whole);
}
HOST_LAUNCH(embedding_backward_add)

#define EMBEDDING(suffix, T)                                                                   \
    extern "C" __global__ void __launch_bounds__(128) embedding_forward_##suffix(              \
        const float* word, const float* position, const float* kind, const u32* input_ids,     \
        const u32* position_ids, const u32* token_type_ids, T* y, u32 rows, u32 columns,       \
        u32 rows_per_chunk) {                                                                  \
        forward<T>(word, position, kind, input_ids, position_ids, token_type_ids, y, rows,     \
                   columns, rows_per_chunk);                                                   \
    }                                                                                          \
    extern "C" __global__ void __launch_bounds__(128) embedding_backward_segments_##suffix(    \
        const T* d_y, const u32* order, const u32* segment_starts, float* sums, u32 columns) { \
        sum_segments<T>(d_y, order, segment_starts, sums, columns);                            \
    }                                                                                          \
    HOST_LAUNCH(embedding_forward_##suffix)                                                    \
    HOST_LAUNCH(embedding_backward_segments_##suffix)

EMBEDDING(f32, float)
EMBEDDING(bf16, bf16)
