// Dropout from a counter, bit for bit that of `dropout.rs`: a mask is a function of (seed, step,
// site, example, token, channel), so that the backward computes it again and nothing is stored.
#pragma once
#include "types.cuh"

// One dropout as an argument of a kernel (`DropoutArgument` in cuda.rs). Without row keys there is
// none.
struct Dropout {
    const u64* row_keys;  // one for each row
    u64 site_key;
    u32 limit;    // p·2³²: smaller random numbers drop
    float scale;  // 1/(1 − p)
};

// splitmix64's finaliser.
__device__ __forceinline__ u64 mix(u64 z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

// The mask of a row.
struct RowMask {
    u32 key0, key1;
    u32 limit;
    float scale;

    // 0 or 1/(1 − p).
    __device__ __forceinline__ float factor(u32 channel) const {
        u32 h = channel * 0x9E3779B9u + key0;
        h = (h ^ (h >> 16)) * 0x7feb352du;
        h = ((h ^ (h >> 15)) ^ key1) * 0x846ca68bu;
        return (h ^ (h >> 16)) >= limit ? scale : 0.f;
    }
};

__device__ __forceinline__ RowMask row_mask(const Dropout& dropout, size_t row) {
    const u64 key = mix(dropout.site_key ^ dropout.row_keys[row]);
    return RowMask{(u32)key, (u32)(key >> 32), dropout.limit, dropout.scale};
}

// Multiplies the numbers of a pack from column `first` on by the mask.
template <int N>
__device__ __forceinline__ void apply_mask(float (&values)[N], const RowMask& mask, u32 first) {
    UNROLL
    for (int i = 0; i < N; i++) values[i] *= mask.factor(first + i);
}
