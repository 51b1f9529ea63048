//! The methods with one bottleneck per block, at the end of the feed-forward part: `pfeiffer` and
//! `parallel`.
//!
//! - `pfeiffer`: y' = y + s·bottleneck(LayerNorm(y + residual)) with the block's own LayerNorm,
//!   which then normalises y' + residual as before. Pfeiffer et al. 2020, arXiv:2005.00247;
//!   AdapterHub's `seq_bn` configuration: hidden/16 wide, ReLU, s = 1, weights normal 0.02.
//! - `parallel`: y' = y + s·bottleneck(x), where x is the input of the feed-forward part. He et al.
//!   2021, arXiv:2110.04366; AdapterHub's `par_bn` configuration: hidden/2 wide, ReLU, s = 4, W_up
//!   zero, so that nothing changes before the first step.

use crate::bottleneck::{Bottleneck, Start, activation};
use progtune_plugin_api::{graph::Tensor, prelude::*};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Sequential,
    Parallel,
}

pub(crate) struct FeedForwardAdapter {
    place: Place,
    reduction_factor: u64,
    activation: Op,
    scaling: f64,
}

impl FeedForwardAdapter {
    pub(crate) fn pfeiffer(options: &Options, _: &HostRecord) -> Result<Self, PluginError> {
        Self::create(options, Place::Sequential)
    }

    pub(crate) fn parallel(options: &Options, _: &HostRecord) -> Result<Self, PluginError> {
        Self::create(options, Place::Parallel)
    }

    fn create(options: &Options, place: Place) -> Result<Self, PluginError> {
        Ok(Self {
            place,
            reduction_factor: options.size("reduction_factor")?,
            activation: activation(options.str("non_linearity")?),
            scaling: options.float("scaling")?,
        })
    }

    /// The input of the bottleneck.
    fn input(
        &self,
        g: &mut GraphBuilder,
        model: &ModelRecord,
        site: &SiteRecord,
        y: Tensor,
    ) -> Result<Tensor, PluginError> {
        if self.place == Place::Parallel {
            return Ok(g.input("x"));
        }
        let name = |end: &str| format!("{}.LayerNorm.{end}", site.name);
        let (weight, bias) = (name("weight"), name("bias"));
        if let Some(missing) = [&weight, &bias]
            .into_iter()
            .find(|name| model.parameter(name).is_none())
        {
            return Err(PluginError::unsupported(format!(
                "the model has no {missing}, which normalises the adapter's input"
            )));
        }
        let eps = match model.config("layer_norm_eps") {
            Some(&Value::Float(eps)) => eps,
            _ => 1e-12,
        };
        let residual = g.input("residual");
        let sum = g.add(y, residual);
        let normal = g.layer_norm(sum, eps);
        let (gamma, beta) = (g.base(&weight), g.base(&bias));
        let scaled = g.mul(normal, gamma);
        Ok(g.add(scaled, beta))
    }
}

impl Method for FeedForwardAdapter {
    fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError> {
        let mut plan = MethodPlan {
            identity_at_init: self.place == Place::Parallel,
            ..MethodPlan::default()
        }
        .with_suggested_lr(1e-4);
        let bottleneck = Bottleneck {
            width: (u64::from(model.hidden_size) / self.reduction_factor).max(1),
            activation: self.activation,
            start: match self.place {
                Place::Sequential => Start::Normal(0.02),
                Place::Parallel => Start::Nothing,
            },
        };
        for site in model.sites_of(&[SiteKind::OUTPUT_END])? {
            let mut g = GraphBuilder::new();
            let y = g.input("y");
            let x = self.input(&mut g, model, site, y)?;
            let mut delta = bottleneck.insert(&mut plan, &mut g, site, x);
            if self.scaling != 1.0 {
                delta = g.scale(delta, self.scaling);
            }
            g.add(y, delta);
            plan.rewrites.push(Rewrite::output(site, g.finish()));
        }
        Ok(plan)
    }
}
