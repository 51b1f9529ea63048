//! The method `adapter`: a bottleneck y' = y + W_up·act(W_down·y + b_down) + b_up at the end of both sub-layers of each block, after dropout and
//! before the residual sum and LayerNorm.
//!
//! Houlsby et al. 2019, arXiv:1902.00751. Two presets: `adapterhub` (the `double_seq_bn` configuration of AdapterHub's library: hidden/16
//! wide, swish, weights normal 0.02, LayerNorms frozen) and `houlsby` (the original: 64 wide, GELU, weights truncated normal 1e-3, the
//! LayerNorms of blocks and embeddings trained). Loaded by the host; see `progtune-plugin-api` for the interface.

use progtune_plugin_api::prelude::*;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Preset {
    AdapterHub,
    Houlsby,
}

struct Adapter {
    preset: Preset,
    /// 0: the preset's.
    bottleneck: u64,
    activation: Op,
}

impl Adapter {
    fn create(options: &Options, _: &HostRecord) -> Result<Self, PluginError> {
        let preset = match options.str("preset")? {
            "houlsby" => Preset::Houlsby,
            _ => Preset::AdapterHub,
        };
        let activation = match (options.str("non_linearity")?, preset) {
            ("gelu", _) | ("auto", Preset::Houlsby) => Op::GELU,
            ("relu", _) => Op::RELU,
            _ => Op::SILU,
        };
        Ok(Self {
            preset,
            bottleneck: options.size("bottleneck")?,
            activation,
        })
    }

    fn width(&self, hidden_size: u32) -> u64 {
        match (self.bottleneck, self.preset) {
            (0, Preset::AdapterHub) => u64::from(hidden_size / 16).max(1),
            (0, Preset::Houlsby) => 64,
            (chosen, _) => chosen,
        }
    }

    fn weight_init(&self, shape: &[u64]) -> Graph {
        match self.preset {
            Preset::AdapterHub => Graph::normal(0.02, shape),
            Preset::Houlsby => Graph::truncated_normal(1e-3, shape),
        }
    }

    fn insert(&self, plan: &mut MethodPlan, site: &SiteRecord, width: u64) {
        let hidden = u64::from(site.out_dim);
        let name = |end: &str| format!("{}.{end}", site.name);
        let mut g = GraphBuilder::new();
        let y = g.input("y");
        let mut affine = |x, projection: &str, shape: [u64; 2]| {
            let (weight, bias) = (
                name(&format!("{projection}.weight")),
                name(&format!("{projection}.bias")),
            );
            let (w, b) = (g.parameter(&weight), g.parameter(&bias));
            let bias_shape = &shape[..1];
            plan.parameters.push(NewParameter::at(
                site,
                weight,
                &shape,
                self.weight_init(&shape),
            ));
            plan.parameters.push(
                NewParameter::at(site, bias, bias_shape, Graph::filled(0.0, bias_shape)).bias(),
            );
            let product = g.linear(x, w);
            let sum = g.add(product, b);
            if projection == "adapter_down" {
                g.unary(self.activation, sum)
            } else {
                sum
            }
        };
        let low = affine(y, "adapter_down", [width, hidden]);
        let delta = affine(low, "adapter_up", [hidden, width]);
        g.add(y, delta);
        plan.rewrites.push(Rewrite::output(site, g.finish()));
    }
}

impl Method for Adapter {
    fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError> {
        let mut plan = MethodPlan::default().with_suggested_lr(1e-4);
        for site in model.sites_of(&[SiteKind::ATTENTION_END, SiteKind::OUTPUT_END])? {
            self.insert(&mut plan, site, self.width(model.hidden_size));
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

export_plugin! {
    methods: [
        {
            id: "adapter",
            summary: "bottleneck adapters after attention and feed-forward (Houlsby)",
            options: [
                {
                    name: "preset", kind: Str, default: "adapterhub", choices: ["adapterhub", "houlsby"],
                    help: "adapterhub: hidden/16 wide, swish, normal 0.02, LayerNorms frozen; houlsby: 64 wide, GELU, truncated normal 1e-3, LayerNorms trained"
                },
                {
                    name: "bottleneck", kind: Int, default: 0, min: 0, max: 65536,
                    help: "the width of the bottleneck; 0 is the preset's"
                },
                {
                    name: "non_linearity", kind: Str, default: "auto", choices: ["auto", "silu", "gelu", "relu"],
                    help: "the activation inside; auto is the preset's"
                },
            ],
            create: Adapter::create,
        },
    ],
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_plugin_api::contract::{self, Dimensions, model_record, plan_method};

    #[test]
    fn keeps_the_contract() {
        for preset in ["adapterhub", "houlsby"] {
            for (bottleneck, activation) in [("0", "auto"), ("5", "relu")] {
                let options = [
                    ("preset", preset),
                    ("bottleneck", bottleneck),
                    ("non_linearity", activation),
                ];
                contract::assert_method(&PLUGIN, "adapter", &options);
            }
        }
    }

    /// Added and unfrozen parameters on BERT-base; the counts are those of the presets' libraries.
    #[test]
    fn counts_are_the_presets() {
        let model = model_record("bert", 12, Dimensions::BERT_BASE);
        let counts = |options: &[(&str, &str)]| -> (u64, u64) {
            let plan = plan_method(&PLUGIN, "adapter", options, &model).unwrap();
            let added = plan
                .parameters
                .iter()
                .map(|p| p.shape.iter().product::<u64>())
                .sum();
            (
                added,
                plan.unfreeze
                    .iter()
                    .map(|name| model.parameter(name).unwrap().elements())
                    .sum(),
            )
        };
        assert_eq!(counts(&[]), (1_789_056, 0));
        assert_eq!(counts(&[("preset", "houlsby")]), (2_379_264, 38_400));
    }

    #[test]
    fn the_graph_is_the_equation() {
        let model = model_record("bert", 1, Dimensions::of(32, 64));
        let plan = plan_method(&PLUGIN, "adapter", &[], &model).unwrap();
        let site = "encoder.layer.0.attention.output";
        let expected = [
            "%0 = input name=y".to_string(),
            format!("%1 = parameter name={site}.adapter_down.weight"),
            format!("%2 = parameter name={site}.adapter_down.bias"),
            "%3 = transpose %1".into(),
            "%4 = matmul %0 %3".into(),
            "%5 = add %4 %2".into(),
            "%6 = silu %5".into(),
            format!("%7 = parameter name={site}.adapter_up.weight"),
            format!("%8 = parameter name={site}.adapter_up.bias"),
            "%9 = transpose %7".into(),
            "%10 = matmul %6 %9".into(),
            "%11 = add %10 %8".into(),
            "%12 = add %0 %11".into(),
        ];
        assert_eq!(plan.rewrites[0].graph.to_string(), expected.join("\n"));
    }
}
