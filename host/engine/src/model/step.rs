//! The identity of a training step, on which dropout masks depend. The recipe makes it, and the
//! model reads it.

use progtune_kernels::dropout::site_key;

/// A training step.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The run's seed.
    pub seed: u64,
    /// The optimizer step, from 0.
    pub number: u64,
}

impl Step {
    /// The key of a site in this step.
    pub fn site_key(self, site: u64) -> u64 {
        site_key(self.seed, self.number, site)
    }
}

/// The places of the model where dropout applies, as keys of their masks.
#[derive(Debug, Clone, Copy)]
pub enum DropoutSite {
    /// After the embeddings' LayerNorm.
    Embeddings,
    /// The attention probabilities of a block.
    Attention(usize),
    /// After the dense layer of a block's attention.
    AttentionOutput(usize),
    /// After the second dense layer of a block's feed-forward part.
    Output(usize),
    /// Before the first and before the last layer of the head.
    Head(usize),
}

impl DropoutSite {
    /// A number that no other place has.
    ///
    /// ```
    /// use progtune_engine::model::DropoutSite;
    ///
    /// assert_ne!(DropoutSite::Attention(0).number(), DropoutSite::Output(0).number());
    /// ```
    pub fn number(self) -> u64 {
        match self {
            Self::Embeddings => 0,
            Self::Head(layer) => 1 + layer as u64,
            Self::Attention(block) => 16 + 4 * block as u64,
            Self::AttentionOutput(block) => 17 + 4 * block as u64,
            Self::Output(block) => 18 + 4 * block as u64,
        }
    }
}

/// The key of the first dropout node of a method's program. Programs are numbered in plan order.
pub(crate) fn program_site(rewrite: usize) -> u64 {
    (1 << 32) + ((rewrite as u64) << 16)
}
