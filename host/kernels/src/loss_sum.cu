// The loss of a batch from the losses of its rows, added up in a fixed order. It stays on the
// device until a run logs it.
//
// loss_sum
//   row_losses [rows]   in       f32
//   loss [1]            in, out  f64: loss += Σ row_losses / denominator
//   denominator (f64), rows      grid 1, block 256
#include "cuda/reduce.cuh"

extern "C" __global__ void __launch_bounds__(256)
    loss_sum(const float* row_losses, double* loss, double denominator, u32 rows) {
    __shared__ double sums[8];
    double sum = 0.0;
    for (u32 row = threadIdx.x; row < rows; row += 256) sum += (double)row_losses[row];
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x > 0) return;
    for (u32 warp = 1; warp < 8; warp++) sum += sums[warp];
    *loss += sum / denominator;
}
HOST_LAUNCH(loss_sum)
