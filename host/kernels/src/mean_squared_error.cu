// The squared error of each row, for regression, and its gradient. CPU twin: `loss` in the engine's
// fused head. `loss_sum` (loss_sum.cu) adds up the rows.
//
// mean_squared_error_{f32,bf16}
//   logits [rows]       in
//   d_logits [rows]     out   may be logits
//   row_losses [rows]   out   f32, not yet divided by the denominator
//   scores [rows]       in    f32
//   denominator, rows         grid ceil(rows / 128), block 128 (`cuda::numbers`)
#include "cuda/types.cuh"

namespace {

template <class T>
__device__ __forceinline__ void squared_errors(const T* logits, T* d_logits, float* row_losses,
                                               const float* scores, float denominator, u32 rows) {
    const u32 row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    const float error = to_float(logits[row]) - scores[row];
    row_losses[row] = error * error;
    d_logits[row] = from_float<T>(2.f * error / denominator);
}

}  // namespace

#define MEAN_SQUARED_ERROR(suffix, T)                                                   \
    extern "C" __global__ void __launch_bounds__(128)                                   \
        mean_squared_error_##suffix(const T* logits, T* d_logits, float* row_losses,    \
                                    const float* scores, float denominator, u32 rows) { \
        squared_errors<T>(logits, d_logits, row_losses, scores, denominator, rows);     \
    }                                                                                   \
    HOST_LAUNCH(mean_squared_error_##suffix)

MEAN_SQUARED_ERROR(f32, float)
MEAN_SQUARED_ERROR(bf16, bf16)
