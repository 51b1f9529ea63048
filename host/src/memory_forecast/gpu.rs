//! The forecast for a GPU: what the project's CUDA kernels hold there. Called by the memory
//! forecast.
//!
//! Sizes are those of the CPU with these differences. Activations have 4 or 2 bytes, and so do the
//! copies of the blocks' weights that products read with bf16. Nothing is packed, and a trained
//! embedding table has whole gradients and moments. A block's tape (`gpu::block::BlockTape`) is
//! 3·T·H + R·(4H + I) numbers and R·(h + 2) in f32; with first tokens only, S·H more. Its backward
//! holds the largest of the feed-forward part, R·(3H + 2I), and of attention, R·3H + T·3H, and the
//! partial sums of gradients. What the driver itself takes is not counted.

use super::{FLOAT, Footprint, MemoryForecast, batch_shape::BatchShape, trained::Trained};
use progtune_engine::plan::Stage;

/// The workspace of cuBLASLt.
const WORKSPACE: u64 = 32 << 20;
/// Pieces of memory are up to an eighth larger than what was asked for.
const ROUNDING: u64 = 16;
/// The most partial sums of a gradient.
const CHUNKS: u64 = 512;
/// Bytes of a batch per token: ids, keys, and the sorted rows of trained tables.
const BATCH_TOKEN: u64 = 64;

impl MemoryForecast<'_> {
    /// The footprint of a stage's training, with activations of `number` bytes.
    pub(super) fn training_on_gpu(&self, stage: &Stage, recompute: bool, number: u64) -> Footprint {
        let trained = Trained::of(self.model_plan, stage, self.config.blocks());
        let (shape, blocks) = (self.batch, self.config.blocks());
        let hidden = self.config.encoder.hidden_size as u64;
        let mut below = if trained.embeddings {
            shape.tokens * (number * hidden + FLOAT)
        } else {
            0
        };
        let mut worst = self.forward_on_gpu(shape, number);
        for block in trained.lowest..blocks {
            let tape = self.tape_on_gpu(block, shape, number);
            worst = worst.max(below + tape + self.backward_on_gpu(block, shape, number));
            below += if recompute && block + 1 < blocks {
                number * shape.tokens * hidden
            } else {
                tape
            };
        }
        let phase = format!("training in epoch {}", stage.epoch);
        self.footprint_on_gpu(phase, worst + self.head_on_gpu(shape), stage, number)
    }

    /// The footprint of an evaluation after a stage.
    pub(super) fn evaluation_on_gpu(&self, stage: &Stage, number: u64) -> Footprint {
        let shape = self.eval_batch;
        let activations = self.forward_on_gpu(shape, number) + self.head_on_gpu(shape);
        let phase = format!("evaluating after epoch {}", stage.epoch);
        self.footprint_on_gpu(phase, activations, stage, number)
    }

    fn footprint_on_gpu(
        &self,
        phase: String,
        activations: u64,
        stage: &Stage,
        number: u64,
    ) -> Footprint {
        let trained = stage.trainable.iter();
        let trained: u64 = trained
            .map(|&id| self.model_plan.parameters[id].size() as u64)
            .sum();
        let copies = match number {
            FLOAT => 0,
            _ => number * self.block_weights() * self.config.blocks() as u64,
        };
        Footprint {
            phase,
            parts: vec![
                ("parameters", FLOAT * self.all()),
                ("weights in bf16", copies),
                ("gradients", FLOAT * trained),
                ("optimizer", 2 * FLOAT * trained),
                ("activations", activations + activations / ROUNDING),
                ("workspace", WORKSPACE),
            ],
        }
    }

    /// Returns the bytes of a block's tape.
    fn tape_on_gpu(&self, block: usize, shape: BatchShape, number: u64) -> u64 {
        let encoder = &self.config.encoder;
        let (hidden, inner) = (encoder.hidden_size as u64, encoder.intermediate_size as u64);
        let (rows, kept) = (self.rows(block, shape), self.kept[block]);
        let first = if rows < shape.tokens {
            rows * hidden
        } else {
            0
        };
        let activations =
            shape.tokens * (3 * hidden + kept.token) + rows * (4 * hidden + inner + kept.row);
        let floats = rows * (encoder.num_attention_heads as u64 + 2) + kept.fixed;
        number * (activations + first) + FLOAT * floats
    }

    /// Returns the bytes of a block's backward without its tape.
    fn backward_on_gpu(&self, block: usize, shape: BatchShape, number: u64) -> u64 {
        let encoder = &self.config.encoder;
        let (hidden, inner) = (encoder.hidden_size as u64, encoder.intermediate_size as u64);
        let rows = self.rows(block, shape);
        let feed_forward = rows * (3 * hidden + 2 * inner);
        let attention = rows * 3 * hidden + shape.tokens * 3 * hidden;
        let partial = rows.min(CHUNKS) * (3 * hidden).max(inner);
        number * feed_forward.max(attention) + FLOAT * partial
    }

    /// Returns the bytes of a block's forward without a backward.
    fn forward_on_gpu(&self, shape: BatchShape, number: u64) -> u64 {
        let encoder = &self.config.encoder;
        let (hidden, inner) = (encoder.hidden_size as u64, encoder.intermediate_size as u64);
        number * shape.tokens * (8 * hidden + 2 * inner)
    }

    /// Returns the bytes of the head, which computes in f32, and of the batch itself.
    fn head_on_gpu(&self, shape: BatchShape) -> u64 {
        let hidden = self.config.encoder.hidden_size as u64;
        let rows = if self.head.reads_every_token() {
            shape.tokens
        } else {
            shape.sequences
        };
        FLOAT * rows * 6 * hidden + BATCH_TOKEN * shape.tokens
    }
}
