// The tiles of attention: which rows a block reads, their copies in shared memory, and the sums of a
// warp. Only attention.cu includes it.
#pragma once
#include "dropout.cuh"
#include "product.cuh"

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
    static constexpr int STRIDE = D + 16 / (int)sizeof(T),
                         SCORE_STRIDE = TILE + 16 / (int)sizeof(T);
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

// The sequence and head of a block.
template <class T>
struct Place {
    const Attention<T>& a;
    u32 head, heads, hidden;
    u32 first_query, n_queries, first_key, n_keys;
    // The number of keys that a query may read, the prefix's included; 0 for a sequence without
    // keys.
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
        return (half ? a.v : a.k) + (size_t)(first_key + j - a.n_prefix) * a.kv_stride +
               head * a.head_dim;
    }
    // The first number of this head in row i of the queries' rows, `[queries, hidden]`, and its place
    // in `[queries, heads]`.
    __device__ __forceinline__ size_t hidden_row(u32 i) const {
        return (size_t)(first_query + i) * hidden + head * a.head_dim;
    }
    __device__ __forceinline__ size_t score_row(u32 i) const {
        return (size_t)(first_query + i) * heads + head;
    }
    // The masks of the rows g and g + 8 of a warp whose rows begin at query i.
    __device__ __forceinline__ void row_masks(RowMask (&mask)[2], u32 i) const {
        UNROLL
        for (u32 half = 0; half < 2; half++) {
            const u32 row = i + lane_group() + 8 * half;
            // Limit and scale are the same in both cases, and therefore take no registers.
            mask[half] = RowMask{0, 0, a.dropout.limit, a.dropout.scale};
            if (a.dropout.row_keys && row < n_queries)
                mask[half] = row_mask(a.dropout, first_query + row);
        }
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
            to.at[i][column + c] =
                i < n && column + c < head_dim ? row(i)[column + c] : from_float<T>(0.f);
    }
}

// The number of rows of a tile that begins at `first`.
__device__ __forceinline__ u32 rows_of_tile(u32 first, u32 n, u32 tile) {
    return first < n ? min(tile, n - first) : 0;
}

// Copies the keys and values of a tile that begins at j0.
template <class T, int D>
__device__ __forceinline__ void load_keys(Rows<T, D>& k, Rows<T, D>& v, const Place<T>& place,
                                          u32 j0) {
    const u32 n = rows_of_tile(j0, place.width, Shape<T, D>::TILE), d = place.a.head_dim;
    load<T, D>(k, n, d, place.whole, [&](u32 j) { return place.key(j0 + j, 0); });
    load<T, D>(v, n, d, place.whole, [&](u32 j) { return place.key(j0 + j, 1); });
}

// Copies the queries, and the rows of `context`'s gradient, of a tile that begins at i0.
template <class T, int D>
__device__ __forceinline__ void load_queries(Rows<T, D>& q, Rows<T, D>& d_context,
                                             const Place<T>& place, const T* d_rows, u32 i0) {
    const u32 n = rows_of_tile(i0, place.n_queries, Shape<T, D>::TILE), d = place.a.head_dim;
    load<T, D>(q, n, d, place.whole, [&](u32 i) { return place.query(i0 + i); });
    load<T, D>(d_context, n, d, in_packs<T>(d),
               [&](u32 i) { return d_rows + place.hidden_row(i0 + i); });
}

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
            to[(lane_group() + i / 2 * 8) * stride + 8 * n + 2 * lane_in_group() + i % 2] =
                from_float<T>(sums.tile[n][i]);
    }
}

// Calls f(row of the warp, column, sum) for the sums of a lane.
template <int N, class F>
__device__ __forceinline__ void each(Sums<N>& sums, F f) {
    UNROLL
    for (int n = 0; n < N / 8; n++) {
        UNROLL
        for (int i = 0; i < 4; i++)
            f(lane_group() + i / 2 * 8, 8 * n + 2 * lane_in_group() + i % 2, sums.tile[n][i]);
    }
}

// The same for two sums of the same size.
template <int N, class F>
__device__ __forceinline__ void each(Sums<N>& sums, Sums<N>& others, F f) {
    UNROLL
    for (int n = 0; n < N / 8; n++) {
        UNROLL
        for (int i = 0; i < 4; i++)
            f(lane_group() + i / 2 * 8, 8 * n + 2 * lane_in_group() + i % 2, sums.tile[n][i],
              others.tile[n][i]);
    }
}

}  // namespace
