//! The changes of a PEFT adapter that a plugin's options cannot express: different ranks in each
//! module, layers of the head, biases. The format gives the host the plan that a method would give.
//! [`super::super::Adapter::model_plan`] calls it.

use super::graphs::{Lora, Projections, add_factors};
use crate::model::{
    config::ModelConfig,
    description::{HeadKind, sites},
};
use progtune_plugin_api::records::{MethodPlan, SiteRecord};
use std::collections::BTreeMap;

/// The change of a linear layer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    /// LoRA or DoRA.
    Lora(Lora),
    /// IA³'s factors.
    Factors {
        /// Whether they apply to the rows that the layer reads. Otherwise they apply to those that
        /// it yields.
        scales_input: bool,
    },
    /// VeRA's factors.
    Vera,
}

/// The parameters that VeRA's layers share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared {
    /// The rank.
    pub r: u64,
    /// The seed from which PyTorch draws the projections.
    pub seed: i64,
}

/// The changes by linear layer.
#[derive(Debug, Default)]
pub struct Carried {
    pub(super) changes: BTreeMap<String, Change>,
    pub(super) shared: Option<Shared>,
}

impl Carried {
    /// The plan for a model. Layers that the model lacks are left out, so that their tensors are
    /// listed as unexpected.
    pub(crate) fn plan(&self, config: &ModelConfig, head: HeadKind) -> MethodPlan {
        let mut plan = MethodPlan::default();
        let mut sites = sites(config, head);
        sites.retain(|site| self.changes.contains_key(site.name.as_str()));
        let largest = |size: fn(&SiteRecord) -> u32| sites.iter().map(size).max();
        let projections = self.shared.map(|shared| Projections {
            r: shared.r,
            inputs: u64::from(largest(|site| site.in_dim).unwrap_or(0)),
            outputs: u64::from(largest(|site| site.out_dim).unwrap_or(0)),
            seed: shared.seed,
        });
        if let Some(projections) = projections {
            projections.add(&mut plan);
        }
        for site in sites {
            match (self.changes.get(site.name.as_str()), projections) {
                (Some(Change::Lora(lora)), _) => lora.add(&mut plan, &site),
                (Some(Change::Factors { scales_input }), _) => {
                    add_factors(&mut plan, &site, *scales_input);
                }
                (Some(Change::Vera), Some(projections)) => projections.add_layer(&mut plan, &site),
                _ => {}
            }
        }
        plan
    }
}
