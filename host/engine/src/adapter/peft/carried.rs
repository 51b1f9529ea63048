//! What a PEFT adapter does to a model, where the options of a plugin cannot say it: each module with its own rank and scale,
//! layers of the head, biases. The format itself says it to the host, as the plan that a method would give. Called by
//! [`super::super::Adapter::blueprint`].

use super::graphs::{Lora, Projections, add_factors};
use crate::model::{
    config::ModelConfig,
    description::{HeadKind, sites},
};
use progtune_plugin_api::records::{MethodPlan, SiteRecord};
use std::collections::BTreeMap;

/// What happens to a linear layer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    /// LoRA or DoRA.
    Lora(Lora),
    /// IA³'s factors.
    Factors {
        /// On what the layer reads; else on what it yields.
        scales_input: bool,
    },
    /// VeRA's factors.
    Vera,
}

/// What VeRA's layers share.
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
    /// The plan for a model. A layer that the model lacks is left out: its tensors are then listed as unexpected.
    pub fn plan(&self, config: &ModelConfig, head: HeadKind) -> MethodPlan {
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
