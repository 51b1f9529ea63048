// Number types of the kernels, and loads and stores of 16 bytes. Every `.cu` file of this crate
// includes it.
//
// A kernel computes in f32 and reads and writes activations of type T, which is float or bf16. A
// thread handles a pack of 16 bytes of a row: 4 floats or 8 bf16. A row whose length is no multiple
// of a pack is read number by number.
#pragma once
#ifndef __CUDACC__
#include "host_shim.h"
#else
#define HOST_LAUNCH(name)
#endif

typedef unsigned int u32;
typedef unsigned long long u64;

#define UNROLL _Pragma("unroll")

// A bfloat16. Only its bits are stored; there is no arithmetic on it.
struct bf16 {
    unsigned short bits;
};

__device__ __forceinline__ float to_float(float value) { return value; }
__device__ __forceinline__ float to_float(bf16 value) {
    return __uint_as_float((u32)value.bits << 16);
}

// Rounds to the nearest number of type T, halves to even.
template <class T>
__device__ __forceinline__ T from_float(float value);
template <>
__device__ __forceinline__ float from_float<float>(float value) {
    return value;
}
template <>
__device__ __forceinline__ bf16 from_float<bf16>(float value) {
    bf16 result;
#ifdef __CUDACC__
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
#else
    u32 bits = __float_as_uint(value);
    bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    result.bits = (unsigned short)(is_nan ? 0x7fff : (bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
#endif
    return result;
}

// The number of values in a pack.
template <class T>
struct Pack {
    static constexpr int N = 16 / (int)sizeof(T);
};

// 16 bytes at an address that is a multiple of 16.
__device__ __forceinline__ uint4 load_16_bytes(const void* from) {
#ifndef __CUDACC__
    shim::check_aligned(from, 16);
#endif
    return *(const uint4*)from;
}
__device__ __forceinline__ void store_16_bytes(void* to, uint4 value) {
#ifndef __CUDACC__
    shim::check_aligned(to, 16);
#endif
    *(uint4*)to = value;
}

__device__ __forceinline__ void unpack(float (&values)[4], uint4 raw, float) {
    values[0] = __uint_as_float(raw.x);
    values[1] = __uint_as_float(raw.y);
    values[2] = __uint_as_float(raw.z);
    values[3] = __uint_as_float(raw.w);
}
__device__ __forceinline__ void unpack(float (&values)[8], uint4 raw, bf16) {
    const u32 words[4] = {raw.x, raw.y, raw.z, raw.w};
    UNROLL
    for (int i = 0; i < 4; i++) {
        values[2 * i] = __uint_as_float(words[i] << 16);
        values[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
}

// Two bf16 in a word, `low` first in memory.
__device__ __forceinline__ u32 pack_two(bf16 low, bf16 high) {
    return low.bits | (u32)high.bits << 16;
}

__device__ __forceinline__ uint4 packed(const float (&values)[4], float) {
    return uint4{__float_as_uint(values[0]), __float_as_uint(values[1]), __float_as_uint(values[2]),
                 __float_as_uint(values[3])};
}
__device__ __forceinline__ uint4 packed(const float (&values)[8], bf16) {
    u32 words[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        words[i] = pack_two(from_float<bf16>(values[2 * i]), from_float<bf16>(values[2 * i + 1]));
    return uint4{words[0], words[1], words[2], words[3]};
}

// Whether rows of `columns` numbers begin at multiples of 16 bytes, given that the first one does.
template <class T>
__device__ __forceinline__ bool in_packs(u32 columns) {
    return columns % Pack<T>::N == 0;
}

// The pack of a row from column `first` on; 0 beyond the row's end.
template <class T>
__device__ __forceinline__ void load_pack(float (&values)[Pack<T>::N], const T* row, u32 first,
                                          u32 columns, bool whole) {
    if (whole && first < columns) {
        unpack(values, load_16_bytes(row + first), T{});
        return;
    }
    UNROLL
    for (int i = 0; i < Pack<T>::N; i++)
        values[i] = first + i < columns ? to_float(row[first + i]) : 0.f;
}

// Writes the pack of a row from column `first` on, up to the row's end.
template <class T>
__device__ __forceinline__ void store_pack(T* row, const float (&values)[Pack<T>::N], u32 first,
                                           u32 columns, bool whole) {
    if (whole && first < columns) {
        store_16_bytes(row + first, packed(values, T{}));
        return;
    }
    UNROLL
    for (int i = 0; i < Pack<T>::N; i++)
        if (first + i < columns) row[first + i] = from_float<T>(values[i]);
}

// N numbers of a vector in f32 from column `first` on; 0 beyond its end. `whole` as for the rows
// beside it.
template <int N>
__device__ __forceinline__ void load_floats(float (&values)[N], const float* vector, u32 first,
                                            u32 columns, bool whole) {
    if (whole && first < columns) {
        UNROLL
        for (int i = 0; i < N; i += 4) {
            float4 four = *(const float4*)(vector + first + i);
            values[i] = four.x;
            values[i + 1] = four.y;
            values[i + 2] = four.z;
            values[i + 3] = four.w;
        }
        return;
    }
    UNROLL
    for (int i = 0; i < N; i++) values[i] = first + i < columns ? vector[first + i] : 0.f;
}
template <int N>
__device__ __forceinline__ void store_floats(float* vector, const float (&values)[N], u32 first,
                                             u32 columns, bool whole) {
    if (whole && first < columns) {
        UNROLL
        for (int i = 0; i < N; i += 4)
            *(float4*)(vector + first + i) =
                float4{values[i], values[i + 1], values[i + 2], values[i + 3]};
        return;
    }
    UNROLL
    for (int i = 0; i < N; i++)
        if (first + i < columns) vector[first + i] = values[i];
}
