// Softmax cross-entropy: the loss of each row and the gradient in one pass. CPU twins:
// cross_entropy.rs, and for spans and ignored rows the engine's fused head. `loss_sum`
// (loss_sum.cu) adds up the rows.
//
// cross_entropy_{f32,bf16}
//   logits [rows, classes]     in
//   d_logits [rows, classes]   out   may be logits
//   row_losses [rows]          out   f32, not yet divided by the denominator
//   labels [rows]              in    i32; a negative one means that the row is ignored: no loss, no
//                                    gradient
//   class_weights [classes]    in    f32, or null: all 1
//   label_smoothing, denominator, rows, classes      grid ceil(rows / 4), block 32 × 4
//                                                    (`cuda::warps`)
// span_cross_entropy_{f32,bf16}: the first and the last token of an answer, over the tokens of its
// sequence
//   logits [tokens, 2]         in
//   d_logits [tokens, 2]       out   may be logits
//   row_losses [sequences, 2]  out   f32, half of each cross-entropy
//   offsets [sequences + 1]    in    u32, rows of the sequences
//   spans [sequences, 2]       in    u32, tokens counted from the start of the sequence
//   denominator, sequences                           grid ceil(2·sequences / 4), block 32 × 4
//                                                    (`cuda::warps`)
//
// A warp has a row. No shared memory. Same bits on every run: a row is summed by one warp in a
// fixed order.
#include "cuda/reduce.cuh"

namespace {

// The logits of one question, `stride` apart.
template <class T>
struct Row {
    const T* logits;
    T* d_logits;
    u32 n, stride;

    __device__ __forceinline__ float at(u32 i) const {
        return to_float(logits[(size_t)i * stride]);
    }
    __device__ __forceinline__ void set(u32 i, float value) const {
        d_logits[(size_t)i * stride] = from_float<T>(value);
    }
};

// Weights and smoothing of labels.
struct Weighting {
    const float* class_weights;
    float label_smoothing, denominator;

    __device__ __forceinline__ float weight(u32 i) const {
        return class_weights ? class_weights[i] : 1.f;
    }
};

// The loss of a row, times the denominator; writes the gradient.
template <class T>
__device__ __forceinline__ float row_loss(const Row<T>& row, u32 label,
                                          const Weighting& weighting) {
    const u32 lane = threadIdx.x;
    float largest = -INFINITY;
    for (u32 i = lane; i < row.n; i += 32) largest = fmaxf(largest, row.at(i));
    largest = warp_max(largest);
    float sum = 0.f;
    for (u32 i = lane; i < row.n; i += 32) sum += expf(row.at(i) - largest);
    sum = warp_sum(sum);
    const float of_label = row.at(label), log_sum = logf(sum);
    const float spread = weighting.label_smoothing / (float)row.n;
    const float on_label = (1.f - weighting.label_smoothing) * weighting.weight(label);
    float targets = 0.f, loss = 0.f;
    if (spread > 0.f) {
        for (u32 i = lane; i < row.n; i += 32) {
            const float target = spread * weighting.weight(i);
            targets += target;
            loss += target * (largest - row.at(i) + log_sum);
        }
        targets = warp_sum(targets);
        loss = warp_sum(loss);
    }
    targets += on_label;
    // The largest logit comes first, so that nothing is lost beside it.
    loss += on_label * (largest - of_label + log_sum);
    const float scale = targets / (sum * weighting.denominator);
    // The gradient may replace the logits, which every lane has read by now.
    __syncwarp();
    for (u32 i = lane; i < row.n; i += 32) {
        float d = expf(row.at(i) - largest) * scale;
        if (spread > 0.f) d -= spread * weighting.weight(i) / weighting.denominator;
        if (i == label) d -= on_label / weighting.denominator;
        row.set(i, d);
    }
    return loss;
}

template <class T>
__device__ __forceinline__ void of_classes(const T* logits, T* d_logits, float* row_losses,
                                           const int* labels, const Weighting& weighting, u32 rows,
                                           u32 classes) {
    const u32 row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const Row<T> one = {logits + (size_t)row * classes, d_logits + (size_t)row * classes, classes,
                        1};
    float loss = 0.f;
    if (labels[row] >= 0) {
        loss = row_loss(one, (u32)labels[row], weighting);
    } else {
        for (u32 i = threadIdx.x; i < classes; i += 32) one.set(i, 0.f);
    }
    if (threadIdx.x == 0) row_losses[row] = loss;
}

template <class T>
__device__ __forceinline__ void of_spans(const T* logits, T* d_logits, float* row_losses,
                                         const u32* offsets, const u32* spans, float denominator,
                                         u32 sequences) {
    const u32 question = blockIdx.x * blockDim.y + threadIdx.y, sequence = question / 2,
              end = question % 2;
    if (sequence >= sequences) return;
    const u32 first = offsets[sequence], n = offsets[sequence + 1] - first;
    const size_t start = 2 * (size_t)first + end;
    const Weighting weighting = {nullptr, 0.f, 2.f * denominator};
    const float loss =
        row_loss(Row<T>{logits + start, d_logits + start, n, 2}, spans[question], weighting);
    if (threadIdx.x == 0) row_losses[question] = 0.5f * loss;
}

}  // namespace

#define CROSS_ENTROPY(suffix, T)                                                                   \
    extern "C" __global__ void __launch_bounds__(128)                                              \
        cross_entropy_##suffix(const T* logits, T* d_logits, float* row_losses, const int* labels, \
                               const float* class_weights, float label_smoothing,                  \
                               float denominator, u32 rows, u32 classes) {                         \
        of_classes<T>(logits, d_logits, row_losses, labels,                                        \
                      Weighting{class_weights, label_smoothing, denominator}, rows, classes);      \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(128) span_cross_entropy_##suffix(                 \
        const T* logits, T* d_logits, float* row_losses, const u32* offsets, const u32* spans,     \
        float denominator, u32 sequences) {                                                        \
        of_spans<T>(logits, d_logits, row_losses, offsets, spans, denominator, sequences);         \
    }                                                                                              \
    HOST_LAUNCH(cross_entropy_##suffix)                                                            \
    HOST_LAUNCH(span_cross_entropy_##suffix)

CROSS_ENTROPY(f32, float)
CROSS_ENTROPY(bf16, bf16)
