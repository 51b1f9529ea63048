// Binary cross-entropy of logits, each output a question of its own: the loss of each row and the
// gradient in one pass. CPU twin: binary_cross_entropy.rs. `loss_sum` (loss_sum.cu) adds up the
// rows.
//
// binary_cross_entropy_{f32,bf16}
//   logits [rows, outputs]       in
//   d_logits [rows, outputs]     out   may be logits
//   row_losses [rows]            out   f32, the mean over the outputs, not yet divided by the
//                                      denominator
//   targets [rows, outputs]      in    u8, 0 or 1
//   positive_weights [outputs]   in    f32, or null: all 1
//   denominator, rows, outputs         grid ceil(rows / 4), block 32 × 4 (`cuda::warps`)
//
// A warp has a row. No shared memory. Same bits on every run: a row is summed by one warp in a
// fixed order.
#include "cuda/reduce.cuh"

namespace {

template <class T>
__device__ __forceinline__ void rows_of_outputs(const T* logits, T* d_logits, float* row_losses,
                                                const unsigned char* targets,
                                                const float* positive_weights, float denominator,
                                                u32 rows, u32 outputs) {
    const u32 row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const float scale = 1.f / ((float)outputs * denominator);
    float loss = 0.f;
    for (u32 i = threadIdx.x; i < outputs; i += 32) {
        const size_t at = (size_t)row * outputs + i;
        const bool holds = targets[at] != 0;
        const float weight = holds && positive_weights ? positive_weights[i] : 1.f;
        // −log σ(x) = softplus(−x) where the target holds, and −log(1 − σ(x)) = softplus(x) where
        // not.
        const float x = holds ? -to_float(logits[at]) : to_float(logits[at]);
        const float e = expf(-fabsf(x)), sigmoid = x >= 0.f ? 1.f / (1.f + e) : e / (1.f + e);
        loss += weight * (fmaxf(x, 0.f) + log1pf(e));
        d_logits[at] = from_float<T>((holds ? -weight : weight) * sigmoid * scale);
    }
    loss = warp_sum(loss) / (float)outputs;
    if (threadIdx.x == 0) row_losses[row] = loss;
}

}  // namespace

#define BINARY_CROSS_ENTROPY(suffix, T)                                                          \
    extern "C" __global__ void __launch_bounds__(128) binary_cross_entropy_##suffix(             \
        const T* logits, T* d_logits, float* row_losses, const unsigned char* targets,           \
        const float* positive_weights, float denominator, u32 rows, u32 outputs) {               \
        rows_of_outputs<T>(logits, d_logits, row_losses, targets, positive_weights, denominator, \
                           rows, outputs);                                                       \
    }                                                                                            \
    HOST_LAUNCH(binary_cross_entropy_##suffix)

BINARY_CROSS_ENTROPY(f32, float)
BINARY_CROSS_ENTROPY(bf16, bf16)
