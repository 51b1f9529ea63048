// Kernels with a fault each, and two without, to test the shim (shim.rs). No other code runs them.
#include "cuda/types.cuh"

extern "C" __global__ void turned(const float* x, float* y) {
    __shared__ float values[64];
    values[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}
HOST_LAUNCH(turned)

extern "C" __global__ void turned_without_barrier(const float* x, float* y) {
    __shared__ float values[64];
    values[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}
HOST_LAUNCH(turned_without_barrier)

extern "C" __global__ void turned_in_warp(const float* x, float* y) {
    __shared__ float values[32];
    values[threadIdx.x] = x[threadIdx.x];
    __syncwarp();
    y[threadIdx.x] = values[31 - threadIdx.x];
}
HOST_LAUNCH(turned_in_warp)

extern "C" __global__ void turned_in_warp_without_barrier(const float* x, float* y) {
    __shared__ float values[32];
    values[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = values[31 - threadIdx.x];
}
HOST_LAUNCH(turned_in_warp_without_barrier)

extern "C" __global__ void half_at_barrier(const float* x, float* y) {
    if (threadIdx.x < 32) __syncthreads();
    y[threadIdx.x] = x[threadIdx.x];
}
HOST_LAUNCH(half_at_barrier)

extern "C" __global__ void half_in_shuffle(const float* x, float* y) {
    float value = x[threadIdx.x];
    if (threadIdx.x < 16) value += __shfl_xor_sync(0xffffffffu, value, 1);
    y[threadIdx.x] = value;
}
HOST_LAUNCH(half_in_shuffle)

extern "C" __global__ void misaligned(const float* x, float* y) {
    store_16_bytes(y, load_16_bytes(x + 1));
}
HOST_LAUNCH(misaligned)

extern "C" __global__ void beyond(const float* x, float* y) { y[threadIdx.x + 1] = x[threadIdx.x]; }
HOST_LAUNCH(beyond)

extern "C" __global__ void unwritten_shared(const float* x, float* y) {
    __shared__ float values[32];
    y[threadIdx.x] = x[threadIdx.x] + values[threadIdx.x];
}
HOST_LAUNCH(unwritten_shared)
