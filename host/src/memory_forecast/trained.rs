//! The part of a stage on which memory depends. Called by the memory forecast.

use progtune_engine::{
    model::Depth,
    plan::{ModelPlan, Stage},
};

/// The trained parts of a stage, as far as memory depends on them.
pub(super) struct Trained {
    pub embeddings: bool,
    /// The lowest block with a trained parameter, or the number of blocks if there is none.
    pub lowest: usize,
    /// Whether each block's weights are trained. One trained weight counts as all of the block's
    /// weights.
    pub weights: Vec<bool>,
}

impl Trained {
    pub(super) fn of(model_plan: &ModelPlan, stage: &Stage, blocks: usize) -> Self {
        let infos = stage.trainable.iter();
        let infos = infos.map(|&id| &model_plan.parameters[id]);
        let mut weights = vec![false; blocks];
        for info in infos.filter(|info| info.added.is_none() && info.shape.len() == 2) {
            if let Some(block) = info.block {
                weights[block] = true;
            }
        }
        let depth = model_plan.depth(&stage.trainable);
        Self {
            embeddings: depth == Depth::Embeddings,
            lowest: depth.frozen_blocks(),
            weights,
        }
    }
}
