// Multi-head attention over sequences without padding, forward and backward; probabilities are never stored. CPU twin:
// attention.rs, with the same masks of dropout and the same prefix. A local window is here already; the twin has none yet.
//
// Every kernel takes `Attention` (cuda.rs) by value:
//   q [queries, q_stride], k, v [keys, kv_stride]   in   rows of heads·head_dim numbers, `stride` apart (parts of one product)
//   prefix [n_prefix, 2·hidden]                     in   keys and values that precede those of every sequence, or null
//   query_offsets, key_offsets [sequences + 1]      in   u32, rows of each sequence; there may be fewer queries than keys: the first
//   q_stride, kv_stride, n_prefix, head_dim         u32; head_dim at most that of the kernel's name
//   window                                          i32: query i reads key j if |i − j| ≤ window, and the prefix; negative: all
//   dropout                                         row keys of the queries; channel head·65536 + key, the prefix first
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
//   d_prefix [sequences, n_prefix, 2·hidden]   out  f32, or null: the prefix's gradient from each sequence; `column_sums` adds them
//   d_kv_stride
//   grid: ceil((n_prefix + longest keys) / tile) × heads × sequences
//
// Block (`cuda::attention`): a warp for 16 rows of the tile: 4 warps, tile 64, for bf16 with head_dim up to 64; 2 warps, tile 32,
// for f32 up to 64 and bf16 up to 128; 1 warp, tile 16, for f32 up to 128. Static shared memory at most 47 KB.
// Products: tensor cores for bf16, fused multiply-adds for f32, sums in f32 (cuda/product.cuh).
// Same bits on every run: no atomics. The gradients of queries and of keys have kernels of their own, each with sums in one thread.
#include "cuda/dropout.cuh"
#include "cuda/product.cuh"

// `Attention` in cuda.rs.
template <class T>
struct Attention {
    const T *q, *k, *v, *prefix;
    const u32 *query_offsets, *key_offsets;
    u32 q_stride, kv_stride, n_prefix, head_dim;
    int window;
    u32 unused;
    Dropout dropout;
};

namespace {

constexpr float LOG2_E = 1.44269504f, LN_2 = 0.69314718f;

template <class T, int D>
struct Shape {
    static constexpr int WARPS = sizeof(T) == 2 ? (D <= 64 ? 4 : 2) : (D <= 64 ? 2 : 1);
    static constexpr int TILE = 16 * WARPS;
    // A row more than a multiple of 128 bytes, by 16, so that eight rows lie in different banks.
    static constexpr int STRIDE = D + 16 / (int)sizeof(T), SCORE_STRIDE = TILE + 16 / (int)sizeof(T);
};

// Rows of one head in shared memory.
template <class T, int D>
struct Rows {
    alignas(16) T at[Shape<T, D>::TILE][Shape<T, D>::STRIDE];
};
template <class T, int D>
struct Scores {
    alignas(16) T at[Shape<T, D>::TILE][Shape<T, D>::SCORE_STRIDE];
};

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
};

// The sequence and head of a block.
template <class T>
struct Place {
    const Attention<T>& a;
    u32 head, heads, hidden;
    u32 first_query, n_queries, first_key, n_keys;
    // The number of keys that a query may read, the prefix's included; 0 for a sequence without keys.
    u32 width;
    // Whether rows of this head begin at multiples of 16 bytes.
    bool whole;

    __device__ __forceinline__ explicit Place(const Attention<T>& a_) : a(a_) {
        const u32 sequence = blockIdx.z;
        head = blockIdx.y;
        heads = gridDim.y;
        hidden = heads * a.head_dim;
        first_query = a.query_offsets[sequence];
        n_queries = a.query_offsets[sequence + 1] - first_query;
        first_key = a.key_offsets[sequence];
        n_keys = a.key_offsets[sequence + 1] - first_key;
        width = n_keys ? a.n_prefix + n_keys : 0;
        whole = in_packs<T>(a.head_dim) && in_packs<T>(a.q_stride) && in_packs<T>(a.kv_stride);
    }

    __device__ __forceinline__ const T* query(u32 i) const {
        return a.q + (size_t)(first_query + i) * a.q_stride + head * a.head_dim;
    }
    // Key (`half` 0) or value (1) number j, the prefix's first.
    __device__ __forceinline__ const T* key(u32 j, u32 half) const {
        if (j < a.n_prefix) return a.prefix + (size_t)(2 * j + half) * hidden + head * a.head_dim;
        return (half ? a.v : a.k) + (size_t)(first_key + j - a.n_prefix) * a.kv_stride + head * a.head_dim;
    }
    __device__ __forceinline__ const T* of_hidden(const T* rows, u32 i) const {
        return rows + (size_t)(first_query + i) * hidden + head * a.head_dim;
    }

    // Whether query i reads key j; both may lie beyond the sequence.
    __device__ __forceinline__ bool reads(u32 i, u32 j) const {
        if (i >= n_queries || j >= width) return false;
        if (a.window < 0 || j < a.n_prefix) return true;
        const int distance = (int)i - (int)(j - a.n_prefix);
        return distance <= a.window && -distance <= a.window;
    }
    // Whether any query of a tile may read any key of a tile.
    __device__ __forceinline__ bool meet(u32 i, u32 j, u32 tile) const {
        if (a.window < 0 || j < a.n_prefix) return true;
        const int first = (int)(j - a.n_prefix), last = first + (int)tile - 1;
        return (int)i - last <= a.window && first - ((int)(i + tile) - 1) <= a.window;
    }
    __device__ __forceinline__ u32 channel(u32 j) const { return (head << 16) + j; }
};

// Copies `n` rows of a head to shared memory, `row(i)` being row i; zeros beyond and beside.
template <class T, int D, class Row>
__device__ __forceinline__ void load(Rows<T, D>& to, u32 n, u32 head_dim, bool whole, Row row) {
    constexpr int N = Pack<T>::N, TILE = Shape<T, D>::TILE;
    for (u32 pack = threadIdx.x; pack < TILE * D / N; pack += blockDim.x) {
        const u32 i = pack / (D / N), column = pack % (D / N) * N;
        if (whole) {
            uint4 raw = {0, 0, 0, 0};
            if (i < n && column < head_dim) raw = load_16_bytes(row(i) + column);
            store_16_bytes(&to.at[i][column], raw);
            continue;
        }
        UNROLL
        for (int c = 0; c < N; c++)
            to.at[i][column + c] = i < n && column + c < head_dim ? row(i)[column + c] : from_float<T>(0.f);
    }
}

// The number of rows of a tile that begins at `first`.
__device__ __forceinline__ u32 rows_of_tile(u32 first, u32 n, u32 tile) { return first < n ? min(tile, n - first) : 0; }

// Over the four lanes that share a row of sums.
__device__ __forceinline__ float quad_sum(float value) {
    value += __shfl_xor_sync(0xffffffffu, value, 1);
    return value + __shfl_xor_sync(0xffffffffu, value, 2);
}
__device__ __forceinline__ float quad_max(float value) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
    return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}

// Writes the sums of a warp as rows of T in shared memory.
template <class T, int N>
__device__ __forceinline__ void store_scores(const Sums<N>& sums, T* to, int stride) {
    UNROLL
    for (int n = 0; n < N / 8; n++) {
        UNROLL
        for (int i = 0; i < 4; i++)
            to[(lane_group() + i / 2 * 8) * stride + 8 * n + 2 * lane_in_group() + i % 2] = from_float<T>(sums.tile[n][i]);
    }
}

// Calls f(row of the warp, column, sum) for the sums of a lane.
template <int N, class F>
__device__ __forceinline__ void each(const Sums<N>& sums, F f) {
    UNROLL
    for (int n = 0; n < N / 8; n++) {
        UNROLL
        for (int i = 0; i < 4; i++) f(lane_group() + i / 2 * 8, 8 * n + 2 * lane_in_group() + i % 2, sums.tile[n][i]);
    }
}

template <class T, int D>
__device__ __forceinline__ void forward(ForwardShared<T, D>& shared, const Attention<T>& a, T* context, float* log_sum_exp) {
    constexpr int TILE = Shape<T, D>::TILE, STRIDE = Shape<T, D>::STRIDE, SCORE_STRIDE = Shape<T, D>::SCORE_STRIDE;
    const Place<T> place(a);
    const u32 i0 = blockIdx.x * TILE;
    if (i0 >= place.n_queries) return;
    const u32 of_warp = threadIdx.x / 32 * 16;
    const bool has_rows = i0 + of_warp < place.n_queries;
    const float to_log2 = LOG2_E / sqrtf((float)a.head_dim);
    load<T, D>(shared.q, rows_of_tile(i0, place.n_queries, TILE), a.head_dim, place.whole, [&](u32 i) { return place.query(i0 + i); });
    Sums<D> out;
    out.clear();
    float largest[2] = {-INFINITY, -INFINITY}, total[2] = {};
    RowMask mask[2] = {};
    if (a.dropout.row_keys) {
        UNROLL
        for (int half = 0; half < 2; half++) {
            const u32 i = i0 + of_warp + lane_group() + 8 * half;
            if (i < place.n_queries) mask[half] = row_mask(a.dropout, place.first_query + i);
        }
    }
    for (u32 j0 = 0; j0 < place.width; j0 += TILE) {
        if (!place.meet(i0, j0, TILE)) continue;
        __syncthreads();
        const u32 n = rows_of_tile(j0, place.width, TILE);
        load<T, D>(shared.k, n, a.head_dim, place.whole, [&](u32 j) { return place.key(j0 + j, 0); });
        load<T, D>(shared.v, n, a.head_dim, place.whole, [&](u32 j) { return place.key(j0 + j, 1); });
        __syncthreads();
        if (!has_rows) continue;
        Sums<TILE> s;
        s.clear();
        add_product_of_rows<TILE, D>(s, shared.q.at[of_warp], STRIDE, shared.k.at[0], STRIDE);
        // Scores in units of log2, with those that are not read at −∞, and the largest of each row.
        float before[2] = {largest[0], largest[1]};
        UNROLL
        for (int n = 0; n < TILE / 8; n++) {
            UNROLL
            for (int e = 0; e < 4; e++) {
                const u32 i = i0 + of_warp + lane_group() + e / 2 * 8, j = j0 + 8 * n + 2 * lane_in_group() + e % 2;
                s.tile[n][e] = place.reads(i, j) ? s.tile[n][e] * to_log2 : -INFINITY;
                largest[e / 2] = fmaxf(largest[e / 2], s.tile[n][e]);
            }
        }
        float base[2];
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
                float p = exp2f(s.tile[n][e] - base[e / 2]);
                total[e / 2] += p;
                if (a.dropout.row_keys) p *= mask[e / 2].factor(place.channel(j0 + 8 * n + 2 * lane_in_group() + e % 2));
                s.tile[n][e] = p;
            }
        }
        T* p = shared.p.at[of_warp];
        __syncwarp();
        store_scores<T>(s, p, SCORE_STRIDE);
        __syncwarp();
        add_product<D, TILE>(out, p, SCORE_STRIDE, shared.v.at[0], STRIDE);
    }
    if (!has_rows) return;
    float inverse[2];
    UNROLL
    for (int half = 0; half < 2; half++) {
        total[half] = quad_sum(total[half]);
        inverse[half] = total[half] > 0.f ? 1.f / total[half] : 0.f;
        const u32 i = i0 + of_warp + lane_group() + 8 * half;
        if (lane_in_group() == 0 && i < place.n_queries)
            log_sum_exp[(size_t)(place.first_query + i) * place.heads + place.head] =
                total[half] > 0.f ? largest[half] * LN_2 + logf(total[half]) : 0.f;
    }
    each(out, [&](u32 row, u32 column, float sum) {
        const u32 i = i0 + of_warp + row;
        if (i < place.n_queries && column < a.head_dim)
            const_cast<T*>(place.of_hidden(context, i))[column] = from_float<T>(sum * inverse[row >= 8]);
    });
}

// Σ context·d_context of the rows g and g + 8 of the warp.
template <class T, int D>
__device__ __forceinline__ void context_products(float (&delta)[2], const Place<T>& place, const Rows<T, D>& d_context, const T* context,
                                                 u32 i0, u32 of_warp) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        const u32 row = of_warp + lane_group() + 8 * half;
        float sum = 0.f;
        if (i0 + row < place.n_queries) {
            const T* of_row = place.of_hidden(context, i0 + row);
            for (u32 column = lane_in_group(); column < place.a.head_dim; column += 4)
                sum += to_float(of_row[column]) * to_float(d_context.at[row][column]);
        }
        delta[half] = quad_sum(sum);
    }
}

template <class T, int D>
__device__ __forceinline__ void backward_queries(QueriesShared<T, D>& shared, const Attention<T>& a, const T* context,
                                                 const float* log_sum_exp, const T* d_context, T* d_q, float* delta_out, u32 d_q_stride) {
    constexpr int TILE = Shape<T, D>::TILE, STRIDE = Shape<T, D>::STRIDE, SCORE_STRIDE = Shape<T, D>::SCORE_STRIDE;
    const Place<T> place(a);
    const u32 i0 = blockIdx.x * TILE;
    if (i0 >= place.n_queries) return;
    const u32 of_warp = threadIdx.x / 32 * 16;
    const bool has_rows = i0 + of_warp < place.n_queries;
    const float scale = 1.f / sqrtf((float)a.head_dim), to_log2 = LOG2_E / sqrtf((float)a.head_dim);
    const u32 n_rows = rows_of_tile(i0, place.n_queries, TILE);
    load<T, D>(shared.q, n_rows, a.head_dim, place.whole, [&](u32 i) { return place.query(i0 + i); });
    load<T, D>(shared.d_context, n_rows, a.head_dim, in_packs<T>(a.head_dim), [&](u32 i) { return place.of_hidden(d_context, i0 + i); });
    __syncthreads();
    float delta[2], largest[2] = {};
    RowMask mask[2] = {};
    context_products<T, D>(delta, place, shared.d_context, context, i0, of_warp);
    UNROLL
    for (int half = 0; half < 2; half++) {
        const u32 i = i0 + of_warp + lane_group() + 8 * half;
        if (i >= place.n_queries) continue;
        const size_t at = (size_t)(place.first_query + i) * place.heads + place.head;
        largest[half] = log_sum_exp[at] * LOG2_E;
        if (lane_in_group() == 0) delta_out[at] = delta[half];
        if (a.dropout.row_keys) mask[half] = row_mask(a.dropout, place.first_query + i);
    }
    Sums<D> out;
    out.clear();
    for (u32 j0 = 0; j0 < place.width; j0 += TILE) {
        if (!place.meet(i0, j0, TILE)) continue;
        __syncthreads();
        const u32 n = rows_of_tile(j0, place.width, TILE);
        load<T, D>(shared.k, n, a.head_dim, place.whole, [&](u32 j) { return place.key(j0 + j, 0); });
        load<T, D>(shared.v, n, a.head_dim, place.whole, [&](u32 j) { return place.key(j0 + j, 1); });
        __syncthreads();
        if (!has_rows) continue;
        Sums<TILE> s, d_p;
        s.clear();
        d_p.clear();
        add_product_of_rows<TILE, D>(s, shared.q.at[of_warp], STRIDE, shared.k.at[0], STRIDE);
        add_product_of_rows<TILE, D>(d_p, shared.d_context.at[of_warp], STRIDE, shared.v.at[0], STRIDE);
        UNROLL
        for (int n = 0; n < TILE / 8; n++) {
            UNROLL
            for (int e = 0; e < 4; e++) {
                const u32 i = i0 + of_warp + lane_group() + e / 2 * 8, j = j0 + 8 * n + 2 * lane_in_group() + e % 2;
                const float p = place.reads(i, j) ? exp2f(s.tile[n][e] * to_log2 - largest[e / 2]) : 0.f;
                float d = d_p.tile[n][e];
                if (a.dropout.row_keys) d *= mask[e / 2].factor(place.channel(j));
                s.tile[n][e] = scale * p * (d - delta[e / 2]);
            }
        }
        T* d_s = shared.d_s.at[of_warp];
        __syncwarp();
        store_scores<T>(s, d_s, SCORE_STRIDE);
        __syncwarp();
        add_product<D, TILE>(out, d_s, SCORE_STRIDE, shared.k.at[0], STRIDE);
    }
    each(out, [&](u32 row, u32 column, float sum) {
        const u32 i = i0 + of_warp + row;
        if (i < place.n_queries && column < a.head_dim)
            d_q[(size_t)(place.first_query + i) * d_q_stride + place.head * a.head_dim + column] = from_float<T>(sum);
    });
}

// Writes the gradient of the keys (`half` 0) or values (1) of a warp, the prefix's to its sums.
template <class T, int D>
__device__ __forceinline__ void store_keys(const Place<T>& place, const Sums<D>& sums, u32 half, u32 first, T* d, float* d_prefix,
                                           u32 stride) {
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

template <class T, int D>
__device__ __forceinline__ void backward_keys(KeysShared<T, D>& shared, const Attention<T>& a, const float* log_sum_exp,
                                              const T* d_context, const float* delta, T* d_k, T* d_v, float* d_prefix,
                                              u32 d_kv_stride) {
    constexpr int TILE = Shape<T, D>::TILE, STRIDE = Shape<T, D>::STRIDE, SCORE_STRIDE = Shape<T, D>::SCORE_STRIDE;
    const Place<T> place(a);
    const u32 j0 = blockIdx.x * TILE;
    if (j0 >= a.n_prefix + place.n_keys) return;
    const u32 of_warp = threadIdx.x / 32 * 16;
    const bool has_rows = j0 + of_warp < place.width;
    const float scale = 1.f / sqrtf((float)a.head_dim), to_log2 = LOG2_E / sqrtf((float)a.head_dim);
    const u32 n_rows = rows_of_tile(j0, place.width, TILE);
    load<T, D>(shared.k, n_rows, a.head_dim, place.whole, [&](u32 j) { return place.key(j0 + j, 0); });
    load<T, D>(shared.v, n_rows, a.head_dim, place.whole, [&](u32 j) { return place.key(j0 + j, 1); });
    Sums<D> sums_k, sums_v;
    sums_k.clear();
    sums_v.clear();
    for (u32 i0 = 0; i0 < place.n_queries; i0 += TILE) {
        if (!place.meet(i0, j0, TILE)) continue;
        __syncthreads();
        const u32 n = rows_of_tile(i0, place.n_queries, TILE);
        load<T, D>(shared.q, n, a.head_dim, place.whole, [&](u32 i) { return place.query(i0 + i); });
        load<T, D>(shared.d_context, n, a.head_dim, in_packs<T>(a.head_dim), [&](u32 i) { return place.of_hidden(d_context, i0 + i); });
        for (u32 i = threadIdx.x; i < n; i += blockDim.x) {
            const size_t at = (size_t)(place.first_query + i0 + i) * place.heads + place.head;
            shared.log_sum_exp[i] = log_sum_exp[at] * LOG2_E;
            shared.delta[i] = delta[at];
            if (!a.dropout.row_keys) continue;
            const RowMask mask = row_mask(a.dropout, place.first_query + i0 + i);
            shared.mask_key0[i] = mask.key0;
            shared.mask_key1[i] = mask.key1;
        }
        __syncthreads();
        if (!has_rows) continue;
        // Transposed: the rows are keys, the columns queries.
        Sums<TILE> s, d_p;
        s.clear();
        d_p.clear();
        add_product_of_rows<TILE, D>(s, shared.k.at[of_warp], STRIDE, shared.q.at[0], STRIDE);
        add_product_of_rows<TILE, D>(d_p, shared.v.at[of_warp], STRIDE, shared.d_context.at[0], STRIDE);
        UNROLL
        for (int n = 0; n < TILE / 8; n++) {
            UNROLL
            for (int e = 0; e < 4; e++) {
                const u32 j = j0 + of_warp + lane_group() + e / 2 * 8, i = 8 * n + 2 * lane_in_group() + e % 2;
                if (!place.reads(i0 + i, j)) {
                    s.tile[n][e] = d_p.tile[n][e] = 0.f;
                    continue;
                }
                const float p = exp2f(s.tile[n][e] * to_log2 - shared.log_sum_exp[i]);
                float factor = 1.f;
                if (a.dropout.row_keys)
                    factor = RowMask{shared.mask_key0[i], shared.mask_key1[i], a.dropout.limit, a.dropout.scale}.factor(place.channel(j));
                d_p.tile[n][e] = scale * p * (d_p.tile[n][e] * factor - shared.delta[i]);
                s.tile[n][e] = p * factor;
            }
        }
        T* p = shared.p.at[of_warp];
        __syncwarp();
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

#define ATTENTION(suffix, T, D)                                                                                                  \
    extern "C" __global__ void __launch_bounds__(32 * Shape<T, D>::WARPS)                                                        \
        attention_forward_##suffix##_##D(Attention<T> a, T* context, float* log_sum_exp) {                                       \
        __shared__ ForwardShared<T, D> shared;                                                                                   \
        forward<T, D>(shared, a, context, log_sum_exp);                                                                          \
    }                                                                                                                            \
    extern "C" __global__ void __launch_bounds__(32 * Shape<T, D>::WARPS) attention_backward_queries_##suffix##_##D(             \
        Attention<T> a, const T* context, const float* log_sum_exp, const T* d_context, T* d_q, float* delta, u32 d_q_stride) {  \
        __shared__ QueriesShared<T, D> shared;                                                                                   \
        backward_queries<T, D>(shared, a, context, log_sum_exp, d_context, d_q, delta, d_q_stride);                              \
    }                                                                                                                            \
    extern "C" __global__ void __launch_bounds__(32 * Shape<T, D>::WARPS) attention_backward_keys_##suffix##_##D(                \
        Attention<T> a, const float* log_sum_exp, const T* d_context, const float* delta, T* d_k, T* d_v, float* d_prefix,       \
        u32 d_kv_stride) {                                                                                                       \
        __shared__ KeysShared<T, D> shared;                                                                                      \
        backward_keys<T, D>(shared, a, log_sum_exp, d_context, delta, d_k, d_v, d_prefix, d_kv_stride);                          \
    }                                                                                                                            \
    HOST_LAUNCH(attention_forward_##suffix##_##D)                                                                                \
    HOST_LAUNCH(attention_backward_queries_##suffix##_##D)                                                                       \
    HOST_LAUNCH(attention_backward_keys_##suffix##_##D)

ATTENTION(f32, float, 32)
ATTENTION(f32, float, 64)
ATTENTION(f32, float, 128)
ATTENTION(bf16, bf16, 32)
ATTENTION(bf16, bf16, 64)
ATTENTION(bf16, bf16, 128)
