// Sums and maxima over a warp, or over the threads of one row. All add in an order that only the
// shape of the block determines, and give every thread the same bits.
#pragma once
#include "types.cuh"

__device__ __forceinline__ float warp_sum(float value) {
    UNROLL
    for (int distance = 16; distance > 0; distance >>= 1)
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}

__device__ __forceinline__ float warp_max(float value) {
    UNROLL
    for (int distance = 16; distance > 0; distance >>= 1)
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
}

__device__ __forceinline__ double warp_sum(double value) {
    UNROLL
    for (int distance = 16; distance > 0; distance >>= 1)
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}

// The warps of a block, each with two sums.
typedef float2 RowSums[32];

// The sums of two values over the `blockDim.x` threads with the same `threadIdx.y`. All threads of
// the block call it.
__device__ __forceinline__ float2 row_sums(float first, float second, RowSums& shared) {
    float2 sums = {warp_sum(first), warp_sum(second)};
    const u32 warps = blockDim.x / 32;
    if (warps == 1) return sums;
    const u32 of_row = threadIdx.y * warps;
    // The readers of the sums before these are done.
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared[of_row + threadIdx.x / 32] = sums;
    __syncthreads();
    sums = shared[of_row];
    for (u32 warp = 1; warp < warps; warp++) {
        sums.x += shared[of_row + warp].x;
        sums.y += shared[of_row + warp].y;
    }
    return sums;
}
