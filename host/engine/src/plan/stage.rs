//! A stage: the trainable set between two decision points. [`super::ModelPlan`] makes it; the
//! recipe, the prefix cache and the forecasts read it.

use crate::model::{depth::Depth, description::ParameterInfo};
use progtune_plugin_api::{
    open::Value as Attribute,
    records::{Part, SchedulePlan},
    stage::block_ranges,
};
use serde_json::{Value, json};

/// The trainable set between two decision points.
///
/// ```
/// use progtune_engine::plan::Stage;
///
/// let stage = Stage {
///     blocks: vec![3, 4, 7],
///     ..Stage::default()
/// };
/// assert_eq!(stage.block_ranges(), "3-4,7");
/// assert_eq!(stage.frozen_blocks(12), 3);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stage {
    /// The epoch, from 1.
    pub epoch: u32,
    /// The optimizer steps of the epoch before it begins.
    pub step_in_epoch: u64,
    /// The blocks with trained parameters, ascending.
    pub blocks: Vec<usize>,
    /// The size of the trainable set, which is the number of parameters that one epoch updates.
    pub trainable_parameters: u64,
    /// The lowest place that reads a trained parameter; `None` in a stage that lists only its
    /// blocks.
    pub lowest_reader: Option<Depth>,
    /// Whether embedding parameters are trained.
    pub embeddings: bool,
    /// Factors on the learning rate.
    pub lr_scales: LrScales,
    /// The schedule's note.
    pub note: String,
    /// Indices into [`super::ModelPlan::parameters`], in name order.
    pub trainable: Vec<usize>,
}

impl Stage {
    /// The number of leading frozen blocks, in a model of `blocks` blocks. It is 0 if the
    /// embeddings are trained.
    pub fn frozen_blocks(&self, blocks: usize) -> usize {
        let trained = self.blocks.iter().map(|&block| Depth::Block(block));
        let embeddings = self.embeddings.then_some(Depth::Embeddings);
        let places = trained.chain(embeddings).chain(self.lowest_reader);
        Depth::lowest(places, blocks).frozen_blocks()
    }

    /// The entry of `plan.json` for an epoch that begins with this stage and updates `updated`
    /// parameters.
    pub fn to_json(&self, updated: u64) -> Value {
        json!({
            "epoch": self.epoch,
            "blocks": self.blocks,
            "embeddings": self.embeddings,
            "trainable_parameters": self.trainable_parameters,
            "updated_parameters": updated,
            "note": self.note,
        })
    }

    /// The blocks as ranges: `0-5`, `3-4,7`, `none`.
    pub fn block_ranges(&self) -> String {
        block_ranges(self.blocks.iter().map(|&block| block as u32))
    }
}

/// A schedule's factors on the learning rate for the parts of the model; 1 where it gives none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LrScales {
    blocks: Vec<f64>,
    embeddings: Option<f64>,
    head: Option<f64>,
}

impl LrScales {
    /// The factors in a schedule's plan, which has been checked.
    pub fn of(plan: &SchedulePlan) -> Self {
        let part = |key: &str| match plan
            .ext
            .iter()
            .find(|entry| entry.key.trim_start_matches('!') == key)?
            .value
        {
            Attribute::Float(scale) => Some(scale),
            _ => None,
        };
        Self {
            blocks: plan.lr_scales.to_vec(),
            embeddings: part("lr_scale.embeddings"),
            head: part("lr_scale.head"),
        }
    }

    /// The factor of a parameter: that of its part, times its own from the method.
    pub fn factor(&self, info: &ParameterInfo) -> f64 {
        let part = match (info.block, info.part) {
            (Some(block), _) => self.blocks.get(block).copied(),
            (None, Part::EMBEDDINGS) => self.embeddings,
            (None, Part::HEAD) => self.head,
            (None, _) => None,
        };
        part.unwrap_or(1.0) * info.lr_scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        config::ModelConfig,
        description::{HeadKind, parameters},
    };
    use progtune_plugin_api::open::Attribute;

    #[test]
    fn ranges_read_well() {
        let stage = |blocks: &[usize]| Stage {
            blocks: blocks.to_vec(),
            ..Stage::default()
        };
        assert_eq!(stage(&[0, 1, 2, 5, 7, 8]).block_ranges(), "0-2,5,7-8");
        assert_eq!(stage(&[]).block_ranges(), "none");
    }

    #[test]
    fn every_part_has_its_own_factor() {
        let text = r#"{"model_type":"bert","vocab_size":9,"hidden_size":4,"num_hidden_layers":2,
            "num_attention_heads":1,"intermediate_size":8}"#;
        let config = ModelConfig::parse(text, "test").unwrap();
        let infos = parameters(&config, HeadKind::Sequence(2));
        let factors = |plan: &SchedulePlan| -> Vec<f64> {
            let scales = LrScales::of(plan);
            [
                "embeddings.LayerNorm.bias",
                "encoder.layer.0.output.dense.bias",
                "encoder.layer.1.output.dense.bias",
                "pooler.dense.bias",
            ]
            .map(|name| scales.factor(infos.iter().find(|info| info.name == name).unwrap()))
            .to_vec()
        };
        let mut plan = SchedulePlan::train([0]);
        assert_eq!(factors(&plan), [1.0; 4]);
        plan = plan.with_lr_scales([0.25, 0.5]);
        assert_eq!(factors(&plan), [1.0, 0.25, 0.5, 1.0]);
        plan.ext.push(Attribute::new("lr_scale.embeddings", 0.125));
        plan.ext.push(Attribute::new("lr_scale.head", 2.0));
        assert_eq!(factors(&plan), [0.125, 0.25, 0.5, 2.0]);
    }
}
