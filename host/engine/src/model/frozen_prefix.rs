//! The frozen prefix of a model, as the prefix cache needs it: its number of blocks, the forward up
//! to a boundary, and everything that the rows there depend on. The host's `prefix_cache` calls
//! it.
//!
//! Boundary b lies below block b, so the rows there are the output of the blocks 0 to b − 1: `[T,
//! hidden]`. After the last block they are `[S, hidden]` if the head reads first tokens only,
//! because the block computes no others.

use super::{
    Hidden, Model, Start, composed, fused,
    gpu::{self, KeptRows},
    layout::{Block, Site},
    parameters::ParameterId,
};
use crate::{batch::Batch, error::Result, model::graph::distinct};
use progtune_kernels::gemm::Operands;

impl Model {
    /// The number of leading frozen blocks, for the trainable set that `is_trained` defines. It is
    /// 0 if the embeddings are trained.
    pub fn frozen_blocks(&self, is_trained: impl Fn(ParameterId) -> bool) -> usize {
        self.depth_of(is_trained).frozen_blocks()
    }

    /// The rows at boundary `to`, without dropout and without a tape, from the embeddings or from
    /// `start`.
    pub fn prefix(&self, batch: &Batch, start: Option<Start>, to: usize) -> Result<Hidden> {
        if let Some(gpu) = &self.gpu {
            return gpu::prefix(self, gpu, batch, start, to);
        }
        if self.fused {
            return fused::prefix(self, batch, start, to);
        }
        composed::prefix(self, batch, start, to)
    }

    /// The number of rows at a boundary for a sequence of `tokens` tokens.
    pub fn rows_at(&self, boundary: usize, tokens: usize) -> usize {
        if boundary == self.layout.blocks.len() && !self.layout.head.every_token {
            1
        } else {
            tokens
        }
    }

    /// Every parameter that the rows at a boundary depend on.
    pub fn parameters_below(&self, boundary: usize) -> Vec<ParameterId> {
        let blocks = self.layout.blocks[..boundary].iter();
        distinct(
            self.embedding_parameters()
                .into_iter()
                .chain(blocks.flat_map(Block::parameters)),
        )
    }

    /// The dependencies of rows besides parameters and inputs: sizes, the method's graphs, the
    /// compute path.
    pub fn computation(&self) -> String {
        let c = &self.config;
        // f32 is not named, so that what was kept before there was another precision stays known.
        let precision = match self.scratch.operands() {
            Operands::F32 => "",
            Operands::Bf16 => " bf16",
        };
        format!(
            "{:?} {:?} from {} {:?} fused {} {}{precision}",
            c.encoder,
            c.activation,
            c.first_position(),
            self.layout,
            self.fused,
            self.place()
        )
    }

    /// Room for `n` rows where the kernels of a GPU compute; `None` on the other paths.
    ///
    /// # Errors
    /// If the GPU has no room for them.
    pub fn kept_rows(&self, n: usize) -> Result<Option<KeptRows>> {
        let columns = self.config.encoder.hidden_size;
        let gpu = self.gpu.as_ref();
        gpu.map(|gpu| KeptRows::new(&gpu.lane, n, columns))
            .transpose()
    }

    /// Whether dropout applies to frozen blocks or embeddings in training, so that no two epochs
    /// see the same rows.
    pub fn frozen_part_drops_out(&self) -> bool {
        let c = &self.config;
        let blocks = self.layout.blocks.iter().flat_map(Block::sites);
        let mut sites = blocks.chain([&self.layout.embeddings.end]);
        self.frozen_dropout
            && (c.encoder.hidden_dropout_prob > 0.0
                || c.attention_dropout > 0.0
                || sites.any(Site::drops_out))
    }
}
