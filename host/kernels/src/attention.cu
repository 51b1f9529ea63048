// Multi-head attention over sequences without padding, forward and backward; probabilities are
// never stored. CPU twin: attention.rs, with the same masks of dropout and the same prefix. A local
// window is here already; the twin has none yet.
//
// Every kernel takes `Attention` (cuda.rs) by value:
//   q [queries, q_stride], k, v [keys, kv_stride]   in   rows of heads·head_dim numbers, `stride`
//                                                        apart (parts of one product)
//   prefix [n_prefix, 2·hidden]                     in   keys and values that precede those of
//                                                        every sequence, or null
//   query_offsets, key_offsets [sequences + 1]      in   u32, rows of each sequence; there may be
//                                                        fewer queries than keys: the first
//   q_stride, kv_stride, n_prefix, head_dim         u32; head_dim at most that of the kernel's name
//   window                                          i32: query i reads key j if |i − j| ≤ window,
//                                                   and the prefix; negative: all
//   dropout                                         row keys of the queries; channel head·65536 +
//                                                   key, the prefix first
//
// attention_forward_{f32,bf16}_{32,64,128}
//   attention
//   context [queries, hidden]          out
//   log_sum_exp [queries, heads]       out  f32
//   grid: ceil(longest queries / tile) × heads × sequences
// attention_backward_queries_…         first, for it also writes `delta`
//   attention, context, log_sum_exp    in   as left by the forward
//   d_context [queries, hidden]        in
//   d_q [queries, d_q_stride]          out
//   delta [queries, heads]             out  f32, Σ context·d_context
//   d_q_stride
//   grid: as the forward
// attention_backward_keys_…
//   attention, log_sum_exp, d_context, delta   in
//   d_k, d_v [keys, d_kv_stride]       out
//   d_prefix [sequences, n_prefix, 2·hidden]   out  f32, or null: the prefix's gradient from each
//                                                   sequence; `column_sums` adds them
//   d_kv_stride
//   grid: ceil((n_prefix + longest keys) / tile) × heads × sequences
//
// Block (`cuda::attention`): a warp for 16 rows of the tile: 4 warps, tile 64, for bf16 with
// head_dim up to 64; 2 warps, tile 32, for f32 up to 64 and bf16 up to 128; 1 warp, tile 16, for
// f32 up to 128. Static shared memory at most 47 KB. Products: tensor cores for bf16, fused
// multiply-adds for f32, sums in f32 (cuda/product.cuh). Same bits on every run: no atomics. The
// gradients of queries and of keys have kernels of their own, each with sums in one thread.
#include "cuda/attention.cuh"

namespace {

template <class T, int D>
struct ForwardShared {
    Rows<T, D> q, k, v;
    Scores<T, D> p;
};
template <class T, int D>
struct QueriesShared {
    Rows<T, D> q, d_context, k, v;
    Scores<T, D> d_s;
};
template <class T, int D>
struct KeysShared {
    Rows<T, D> k, v, q, d_context;
    Scores<T, D> p;
    float log_sum_exp[Shape<T, D>::TILE], delta[Shape<T, D>::TILE];
    u32 mask_key0[Shape<T, D>::TILE], mask_key1[Shape<T, D>::TILE];

    __device__ __forceinline__ RowMask mask(u32 i, const Dropout& dropout) const {
        return RowMask{mask_key0[i], mask_key1[i], dropout.limit, dropout.scale};
    }
};

// The softmax of the rows g and g + 8 of a warp, while the tiles of keys come in: the largest score
// so far, in units of log2, and the sum of the powers below it.
struct Running {
    float largest[2] = {-INFINITY, -INFINITY}, total[2] = {};

    // Takes the scores of a tile, which leave as powers below the largest score. `out` is what was
    // summed with the powers so far.
    template <int TILE, int D>
    __device__ __forceinline__ void take(Sums<TILE>& s, Sums<D>& out) {
        float before[2] = {largest[0], largest[1]}, base[2];
        UNROLL
        for (int n = 0; n < TILE / 8; n++) {
            UNROLL
            for (int e = 0; e < 4; e++) largest[e / 2] = fmaxf(largest[e / 2], s.tile[n][e]);
        }
        UNROLL
        for (int half = 0; half < 2; half++) {
            largest[half] = quad_max(largest[half]);
            // A row that reads nothing so far has no largest score.
            base[half] = largest[half] == -INFINITY ? 0.f : largest[half];
            const float shrink = exp2f(before[half] - base[half]);
            total[half] *= shrink;
            UNROLL
            for (int n = 0; n < D / 8; n++) {
                out.tile[n][2 * half] *= shrink;
                out.tile[n][2 * half + 1] *= shrink;
            }
        }
        UNROLL
        for (int n = 0; n < TILE / 8; n++) {
            UNROLL
            for (int e = 0; e < 4; e++) {
                s.tile[n][e] = exp2f(s.tile[n][e] - base[e / 2]);
                total[e / 2] += s.tile[n][e];
            }
        }
    }

    // Returns the reciprocal sum of row `half`, 0 for one that reads nothing, and writes the
    // logarithm of the sum.
    __device__ __forceinline__ float finish(int half, float* log_sum_exp) const {
        const float sum = quad_sum(total[half]);
        if (log_sum_exp) *log_sum_exp = sum > 0.f ? largest[half] * LN_2 + logf(sum) : 0.f;
        return sum > 0.f ? 1.f / sum : 0.f;
    }
};

template <class T, int D>
__device__ __forceinline__ void forward(ForwardShared<T, D>& shared, const Attention<T>& a,
                                        T* context, float* log_sum_exp) {
    constexpr int TILE = Shape<T, D>::TILE, STRIDE = Shape<T, D>::STRIDE,
                  SCORE_STRIDE = Shape<T, D>::SCORE_STRIDE;
    const Place<T> place(a);
    const u32 i0 = blockIdx.x * TILE;
    if (i0 >= place.n_queries) return;
    const u32 of_warp = threadIdx.x / 32 * 16;
    const bool has_rows = i0 + of_warp < place.n_queries;
    const float to_log2 = LOG2_E / sqrtf((float)a.head_dim);
    load<T, D>(shared.q, rows_of_tile(i0, place.n_queries, TILE), a.head_dim, place.whole,
               [&](u32 i) { return place.query(i0 + i); });
    Sums<D> out;
    out.clear();
    Running running;
    RowMask mask[2];
    place.row_masks(mask, i0 + of_warp);
    for (u32 j0 = 0; j0 < place.width; j0 += TILE) {
        if (!place.meet(i0, j0, TILE)) continue;
        __syncthreads();
        load_keys(shared.k, shared.v, place, j0);
        __syncthreads();
        if (!has_rows) continue;
        Sums<TILE> s;
        s.clear();
        add_product_of_rows<TILE, D>(s, shared.q.at[of_warp], STRIDE, shared.k.at[0], STRIDE);
        each(s, [&](u32 row, u32 column, float& score) {
            const bool reads = place.reads(i0 + of_warp + row, j0 + column);
            score = reads ? score * to_log2 : -INFINITY;
        });
        running.take(s, out);
        if (a.dropout.row_keys) {
            each(s, [&](u32 row, u32 column, float& p) {
                p *= mask[row >= 8].factor(place.channel(j0 + column));
            });
        }
        // What it holds was read before the block's last barrier.
        T* p = shared.p.at[of_warp];
        store_scores<T>(s, p, SCORE_STRIDE);
        __syncwarp();
        add_product<D, TILE>(out, p, SCORE_STRIDE, shared.v.at[0], STRIDE);
    }
    if (!has_rows) return;
    float inverse[2];
    UNROLL
    for (int half = 0; half < 2; half++) {
        const u32 i = i0 + of_warp + lane_group() + 8 * half;
        const bool writes = lane_in_group() == 0 && i < place.n_queries;
        inverse[half] = running.finish(half, writes ? log_sum_exp + place.score_row(i) : nullptr);
    }
    each(out, [&](u32 row, u32 column, float sum) {
        const u32 i = i0 + of_warp + row;
        if (i < place.n_queries && column < a.head_dim)
            context[place.hidden_row(i) + column] = from_float<T>(sum * inverse[row >= 8]);
    });
}

// Σ context·d_context of the rows g and g + 8 of the warp.
template <class T, int D>
__device__ __forceinline__ void context_products(float (&delta)[2], const Place<T>& place,
                                                 const Rows<T, D>& d_context, const T* context,
                                                 u32 i0, u32 of_warp) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        const u32 row = of_warp + lane_group() + 8 * half;
        float sum = 0.f;
        if (i0 + row < place.n_queries) {
            const T* of_row = context + place.hidden_row(i0 + row);
            for (u32 column = lane_in_group(); column < place.a.head_dim; column += 4)
                sum += to_float(of_row[column]) * to_float(d_context.at[row][column]);
        }
        delta[half] = quad_sum(sum);
    }
}

template <class T, int D>
__device__ __forceinline__ void backward_queries(QueriesShared<T, D>& shared, const Attention<T>& a,
                                                 const T* context, const float* log_sum_exp,
                                                 const T* d_context, T* d_q, float* delta_out,
                                                 u32 d_q_stride) {
    constexpr int TILE = Shape<T, D>::TILE, STRIDE = Shape<T, D>::STRIDE,
                  SCORE_STRIDE = Shape<T, D>::SCORE_STRIDE;
    const Place<T> place(a);
    const u32 i0 = blockIdx.x * TILE;
    if (i0 >= place.n_queries) return;
    const u32 of_warp = threadIdx.x / 32 * 16;
    const bool has_rows = i0 + of_warp < place.n_queries;
    const float scale = 1.f / sqrtf((float)a.head_dim), to_log2 = LOG2_E / sqrtf((float)a.head_dim);
    load_queries(shared.q, shared.d_context, place, d_context, i0);
    __syncthreads();
    float delta[2], largest[2] = {};
    RowMask mask[2];
    place.row_masks(mask, i0 + of_warp);
    context_products<T, D>(delta, place, shared.d_context, context, i0, of_warp);
    UNROLL
    for (int half = 0; half < 2; half++) {
        const u32 i = i0 + of_warp + lane_group() + 8 * half;
        if (i >= place.n_queries) continue;
        const size_t at = place.score_row(i);
        largest[half] = log_sum_exp[at] * LOG2_E;
        if (lane_in_group() == 0) delta_out[at] = delta[half];
    }
    Sums<D> out;
    out.clear();
    for (u32 j0 = 0; j0 < place.width; j0 += TILE) {
        if (!place.meet(i0, j0, TILE)) continue;
        __syncthreads();
        load_keys(shared.k, shared.v, place, j0);
        __syncthreads();
        if (!has_rows) continue;
        Sums<TILE> s, d_p;
        s.clear();
        d_p.clear();
        add_product_of_rows<TILE, D>(s, shared.q.at[of_warp], STRIDE, shared.k.at[0], STRIDE);
        add_product_of_rows<TILE, D>(d_p, shared.d_context.at[of_warp], STRIDE, shared.v.at[0],
                                     STRIDE);
        each(s, d_p, [&](u32 row, u32 column, float& score, float d) {
            const u32 half = row >= 8, j = j0 + column;
            const bool reads = place.reads(i0 + of_warp + row, j);
            const float p = reads ? exp2f(score * to_log2 - largest[half]) : 0.f;
            if (a.dropout.row_keys) d *= mask[half].factor(place.channel(j));
            score = scale * p * (d - delta[half]);
        });
        // What it holds was read before the block's last barrier.
        T* d_s = shared.d_s.at[of_warp];
        store_scores<T>(s, d_s, SCORE_STRIDE);
        __syncwarp();
        add_product<D, TILE>(out, d_s, SCORE_STRIDE, shared.k.at[0], STRIDE);
    }
    each(out, [&](u32 row, u32 column, float sum) {
        const u32 i = i0 + of_warp + row;
        if (i < place.n_queries && column < a.head_dim)
            d_q[(size_t)(place.first_query + i) * d_q_stride + place.head * a.head_dim + column] =
                from_float<T>(sum);
    });
}

// Writes the gradient of the keys (`half` 0) or values (1) of a warp, the prefix's to its sums.
template <class T, int D>
__device__ __forceinline__ void store_keys(const Place<T>& place, Sums<D>& sums, u32 half,
                                           u32 first, T* d, float* d_prefix, u32 stride) {
    const Attention<T>& a = place.a;
    each(sums, [&](u32 row, u32 column, float sum) {
        const u32 j = first + row, of_head = place.head * a.head_dim + column;
        if (column >= a.head_dim) return;
        if (j < a.n_prefix) {
            const size_t of_sequence = (size_t)blockIdx.z * a.n_prefix + j;
            if (d_prefix) d_prefix[(2 * of_sequence + half) * place.hidden + of_head] = sum;
        } else if (j < place.a.n_prefix + place.n_keys) {
            d[(size_t)(place.first_key + j - a.n_prefix) * stride + of_head] = from_float<T>(sum);
        }
    });
}

// Copies what the queries of a tile have each: log-sum-exp, delta and the key of their mask.
template <class T, int D>
__device__ __forceinline__ void load_statistics(KeysShared<T, D>& shared, const Place<T>& place,
                                                const float* log_sum_exp, const float* delta,
                                                u32 i0) {
    const u32 n = rows_of_tile(i0, place.n_queries, Shape<T, D>::TILE);
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) {
        const size_t at = place.score_row(i0 + i);
        shared.log_sum_exp[i] = log_sum_exp[at] * LOG2_E;
        shared.delta[i] = delta[at];
        if (!place.a.dropout.row_keys) continue;
        const RowMask mask = row_mask(place.a.dropout, place.first_query + i0 + i);
        shared.mask_key0[i] = mask.key0;
        shared.mask_key1[i] = mask.key1;
    }
}

template <class T, int D>
__device__ __forceinline__ void backward_keys(KeysShared<T, D>& shared, const Attention<T>& a,
                                              const float* log_sum_exp, const T* d_context,
                                              const float* delta, T* d_k, T* d_v, float* d_prefix,
                                              u32 d_kv_stride) {
    constexpr int TILE = Shape<T, D>::TILE, STRIDE = Shape<T, D>::STRIDE,
                  SCORE_STRIDE = Shape<T, D>::SCORE_STRIDE;
    const Place<T> place(a);
    const u32 j0 = blockIdx.x * TILE;
    if (j0 >= a.n_prefix + place.n_keys) return;
    const u32 of_warp = threadIdx.x / 32 * 16;
    const bool has_rows = j0 + of_warp < place.width;
    const float scale = 1.f / sqrtf((float)a.head_dim), to_log2 = LOG2_E / sqrtf((float)a.head_dim);
    load_keys(shared.k, shared.v, place, j0);
    Sums<D> sums_k, sums_v;
    sums_k.clear();
    sums_v.clear();
    for (u32 i0 = 0; i0 < place.n_queries; i0 += TILE) {
        if (!place.meet(i0, j0, TILE)) continue;
        __syncthreads();
        load_queries(shared.q, shared.d_context, place, d_context, i0);
        load_statistics(shared, place, log_sum_exp, delta, i0);
        __syncthreads();
        if (!has_rows) continue;
        // Transposed: the rows are keys, the columns queries.
        Sums<TILE> s, d_p;
        s.clear();
        d_p.clear();
        add_product_of_rows<TILE, D>(s, shared.k.at[of_warp], STRIDE, shared.q.at[0], STRIDE);
        add_product_of_rows<TILE, D>(d_p, shared.v.at[of_warp], STRIDE, shared.d_context.at[0],
                                     STRIDE);
        each(s, d_p, [&](u32 row, u32 i, float& score, float& d) {
            const u32 j = j0 + of_warp + row;
            if (!place.reads(i0 + i, j)) {
                score = d = 0.f;
                return;
            }
            const float p = exp2f(score * to_log2 - shared.log_sum_exp[i]);
            const float factor =
                a.dropout.row_keys ? shared.mask(i, a.dropout).factor(place.channel(j)) : 1.f;
            d = scale * p * (d * factor - shared.delta[i]);
            score = p * factor;
        });
        // What it holds was read before the block's last barrier.
        T* p = shared.p.at[of_warp];
        store_scores<T>(s, p, SCORE_STRIDE);
        __syncwarp();
        add_product<D, TILE>(sums_v, p, SCORE_STRIDE, shared.d_context.at[0], STRIDE);
        __syncwarp();
        store_scores<T>(d_p, p, SCORE_STRIDE);
        __syncwarp();
        add_product<D, TILE>(sums_k, p, SCORE_STRIDE, shared.q.at[0], STRIDE);
    }
    store_keys<T, D>(place, sums_k, 0, j0 + of_warp, d_k, d_prefix, d_kv_stride);
    store_keys<T, D>(place, sums_v, 1, j0 + of_warp, d_v, d_prefix, d_kv_stride);
}

}  // namespace

#define ATTENTION(suffix, T, D)                                                                 \
    extern "C" __global__ void __launch_bounds__(32 * Shape<T, D>::WARPS)                       \
        attention_forward_##suffix##_##D(Attention<T> a, T* context, float* log_sum_exp) {      \
        __shared__ ForwardShared<T, D> shared;                                                  \
        forward<T, D>(shared, a, context, log_sum_exp);                                         \
    }                                                                                           \
    extern "C" __global__ void __launch_bounds__(32 * Shape<T, D>::WARPS)                       \
        attention_backward_queries_##suffix##_##D(Attention<T> a, const T* context,             \
                                                  const float* log_sum_exp, const T* d_context, \
                                                  T* d_q, float* delta, u32 d_q_stride) {       \
        __shared__ QueriesShared<T, D> shared;                                                  \
        backward_queries<T, D>(shared, a, context, log_sum_exp, d_context, d_q, delta,          \
                               d_q_stride);                                                     \
    }                                                                                           \
    extern "C" __global__ void __launch_bounds__(32 * Shape<T, D>::WARPS)                       \
        attention_backward_keys_##suffix##_##D(Attention<T> a, const float* log_sum_exp,        \
                                               const T* d_context, const float* delta, T* d_k,  \
                                               T* d_v, float* d_prefix, u32 d_kv_stride) {      \
        __shared__ KeysShared<T, D> shared;                                                     \
        backward_keys<T, D>(shared, a, log_sum_exp, d_context, delta, d_k, d_v, d_prefix,       \
                            d_kv_stride);                                                       \
    }                                                                                           \
    HOST_LAUNCH(attention_forward_##suffix##_##D)                                               \
    HOST_LAUNCH(attention_backward_queries_##suffix##_##D)                                      \
    HOST_LAUNCH(attention_backward_keys_##suffix##_##D)

ATTENTION(f32, float, 32)
ATTENTION(f32, float, 64)
ATTENTION(f32, float, 128)
ATTENTION(bf16, bf16, 32)
ATTENTION(bf16, bf16, 64)
ATTENTION(bf16, bf16, 128)
