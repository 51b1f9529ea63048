// Products of small matrices in shared memory, by one warp: the tile operation of attention.
//
// A warp has 16 rows of A and of the sums. Lane l, with g = l / 4 and t = l % 4, holds of each 16 ×
// 8 tile of sums the numbers (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1): the layout of
// `mma.sync.m16n8k16`. bf16 products run on tensor cores, with sums in f32; f32 products are fused
// multiply-adds over the same layout, in ascending order of k.
#pragma once
#include "types.cuh"

// The sums of a warp, 16 × N.
template <int N>
struct Sums {
    float tile[N / 8][4];

    __device__ __forceinline__ void clear() {
        UNROLL
        for (int n = 0; n < N / 8; n++) {
            UNROLL
            for (int i = 0; i < 4; i++) tile[n][i] = 0.f;
        }
    }
};

// One 16 × 8 × 16 product of bf16 on tensor cores, two numbers a word: `a` are the rows g and g + 8
// at k = 2t and 2t + 8, `b` the column g at the same k.
__device__ __forceinline__ void multiply_tile(float (&sums)[4], const u32 (&a)[4],
                                              const u32 (&b)[2]) {
#ifdef __CUDACC__
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    struct Fragment {
        u32 a[4], b[2];
    } mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const Fragment* first = shim::exchange(mine);
    const u32 lane = shim::threads[shim::current].linear % 32, g = lane / 4, t = lane % 4;
    // Number k of row `row` of A, and of column `column` of B, from the lanes that hold them.
    auto word = [](u32 two, u32 k) {
        return to_float(bf16{(unsigned short)(k % 2 ? two >> 16 : two)});
    };
    for (u32 k = 0; k < 16; k++) {
        const u32 holder = k % 8 / 2;
        const u32 high = k / 8;
        for (u32 i = 0; i < 4; i++) {
            const u32 row_half = i / 2, column = 2 * t + i % 2;
            const float x = word(shim::of_lane(first, g * 4 + holder).a[row_half + 2 * high], k);
            const float y = word(shim::of_lane(first, column * 4 + holder).b[high], k);
            sums[i] += x * y;
        }
    }
#endif
}

__device__ __forceinline__ u32 lane_group() { return threadIdx.x % 32 / 4; }
__device__ __forceinline__ u32 lane_in_group() { return threadIdx.x % 4; }

__device__ __forceinline__ u32 two_at(const bf16* at) { return *(const u32*)at; }

// Rows g and g + 8 of A at k = 2t, 2t + 1, and eight further on.
__device__ __forceinline__ void load_rows(u32 (&a)[4], const bf16* from, int stride) {
    const bf16* row = from + lane_group() * stride + 2 * lane_in_group();
    a[0] = two_at(row);
    a[1] = two_at(row + 8 * stride);
    a[2] = two_at(row + 8);
    a[3] = two_at(row + 8 * stride + 8);
}

// sums += A·Bᵀ with A [16, K] and B [N, K], both in rows of consecutive k, `stride` apart.
template <int N, int K>
__device__ __forceinline__ void add_product_of_rows(Sums<N>& sums, const bf16* a, int a_stride,
                                                    const bf16* b, int b_stride) {
    UNROLL
    for (int k = 0; k < K; k += 16) {
        u32 rows[4];
        load_rows(rows, a + k, a_stride);
        UNROLL
        for (int n = 0; n < N / 8; n++) {
            const bf16* column = b + (8 * n + lane_group()) * b_stride + k + 2 * lane_in_group();
            const u32 columns[2] = {two_at(column), two_at(column + 8)};
            multiply_tile(sums.tile[n], rows, columns);
        }
    }
}

// sums += A·B with A [16, K] in rows of consecutive k, and B [K, N] in rows of consecutive n.
template <int N, int K>
__device__ __forceinline__ void add_product(Sums<N>& sums, const bf16* a, int a_stride,
                                            const bf16* b, int b_stride) {
    UNROLL
    for (int k = 0; k < K; k += 16) {
        u32 rows[4];
        load_rows(rows, a + k, a_stride);
        UNROLL
        for (int n = 0; n < N / 8; n++) {
            const bf16* column = b + (k + 2 * lane_in_group()) * b_stride + 8 * n + lane_group();
            const u32 columns[2] = {pack_two(column[0], column[b_stride]),
                                    pack_two(column[8 * b_stride], column[9 * b_stride])};
            multiply_tile(sums.tile[n], rows, columns);
        }
    }
}

__device__ __forceinline__ float4 four_at(const float* at) { return *(const float4*)at; }

template <int N, int K>
__device__ __forceinline__ void add_product_of_rows(Sums<N>& sums, const float* a, int a_stride,
                                                    const float* b, int b_stride) {
    const float* row = a + lane_group() * a_stride;
    const float* column = b + 2 * lane_in_group() * b_stride;
    UNROLL
    for (int k = 0; k < K; k += 4) {
        const float4 x[2] = {four_at(row + k), four_at(row + 8 * a_stride + k)};
        UNROLL
        for (int n = 0; n < N / 8; n++) {
            UNROLL
            for (int i = 0; i < 4; i++) {
                const float4 y = four_at(column + (8 * n + i % 2) * b_stride + k), z = x[i / 2];
                float sum = sums.tile[n][i];
                sum = fmaf(z.x, y.x, sum);
                sum = fmaf(z.y, y.y, sum);
                sum = fmaf(z.z, y.z, sum);
                sums.tile[n][i] = fmaf(z.w, y.w, sum);
            }
        }
    }
}

template <int N, int K>
__device__ __forceinline__ void add_product(Sums<N>& sums, const float* a, int a_stride,
                                            const float* b, int b_stride) {
    const float* row = a + lane_group() * a_stride;
    UNROLL
    for (int k = 0; k < K; k++) {
        const float x[2] = {row[k], row[8 * a_stride + k]};
        UNROLL
        for (int n = 0; n < N / 8; n++) {
            const float2 y = *(const float2*)(b + k * b_stride + 8 * n + 2 * lane_in_group());
            sums.tile[n][0] = fmaf(x[0], y.x, sums.tile[n][0]);
            sums.tile[n][1] = fmaf(x[0], y.y, sums.tile[n][1]);
            sums.tile[n][2] = fmaf(x[1], y.x, sums.tile[n][2]);
            sums.tile[n][3] = fmaf(x[1], y.y, sums.tile[n][3]);
        }
    }
}
