//! The method `adapter`: a bottleneck y' = y + W_up·act(W_down·y + b_down) + b_up at the end of
//! both sub-layers of each block. It comes after dropout and before the residual sum and LayerNorm.
//!
//! Houlsby et al. 2019, arXiv:1902.00751. There are two presets. `adapterhub` is the
//! `double_seq_bn` configuration of AdapterHub's library: hidden/16 wide, swish, weights normal
//! 0.02, LayerNorms frozen. `houlsby` is the original: 64 wide, GELU, weights truncated normal
//! 1e-3, the LayerNorms of blocks and embeddings trained.

use crate::bottleneck::{Bottleneck, Start, activation};
use progtune_plugin_api::prelude::*;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Preset {
    AdapterHub,
    Houlsby,
}

pub(crate) struct Adapter {
    preset: Preset,
    /// 0 means the preset's width.
    bottleneck: u64,
    activation: Op,
}

impl Adapter {
    pub(crate) fn create(options: &Options, _: &HostRecord) -> Result<Self, PluginError> {
        let preset = match options.str("preset")? {
            "houlsby" => Preset::Houlsby,
            _ => Preset::AdapterHub,
        };
        let activation = match (options.str("non_linearity")?, preset) {
            ("auto", Preset::Houlsby) => Op::GELU,
            (name, _) => activation(name),
        };
        Ok(Self {
            preset,
            bottleneck: options.size("bottleneck")?,
            activation,
        })
    }

    fn shape(&self, hidden_size: u32) -> Bottleneck {
        let (width, start) = match self.preset {
            Preset::AdapterHub => (u64::from(hidden_size / 16).max(1), Start::Normal(0.02)),
            Preset::Houlsby => (64, Start::TruncatedNormal(1e-3)),
        };
        Bottleneck {
            width: match self.bottleneck {
                0 => width,
                chosen => chosen,
            },
            activation: self.activation,
            start,
        }
    }
}

impl Method for Adapter {
    fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError> {
        let mut plan = MethodPlan::default().with_suggested_lr(1e-3);
        let bottleneck = self.shape(model.hidden_size);
        for site in model.sites_of(&[SiteKind::ATTENTION_END, SiteKind::OUTPUT_END])? {
            let mut g = GraphBuilder::new();
            let y = g.input("y");
            let delta = bottleneck.insert(&mut plan, &mut g, site, y);
            g.add(y, delta);
            plan.rewrites.push(Rewrite::output(site, g.finish()));
        }
        if self.preset == Preset::Houlsby {
            let norms = model.parameters.iter().filter(|p| {
                [Role::NORM_WEIGHT, Role::NORM_BIAS].contains(&p.role)
                    && [Part::BLOCK, Part::EMBEDDINGS].contains(&p.part)
            });
            plan.unfreeze = norms.map(|parameter| parameter.name.clone()).collect();
        }
        Ok(plan)
    }
}
