//! An example of a third party's PEFT method: learned factors on keys, values and the feed-forward
//! activation, y' = y ⊙ l, which start at one. Merged into keys and values: W' = diag(l)·W, b' = l
//! ⊙ b.
//!
//! The idea is that of (IA)³ (Liu et al. 2022, arXiv:2205.05638). `tests/tests/plugins/plugins.rs`
//! builds it outside the workspace and runs it by name.

use progtune_plugin_api::prelude::*;

struct Scaling {
    feedforward: bool,
}

impl Scaling {
    fn create(options: &Options, host: &HostRecord) -> Result<Self, PluginError> {
        if host.ops.contains(&Op::MUL) {
            Ok(Self {
                feedforward: options.bool("feedforward")?,
            })
        } else {
            Err(PluginError::unsupported("this host cannot multiply"))
        }
    }
}

/// `input ⊙ l`, with l reshaped for an input of more dimensions.
fn scaled(input: &str, l: &str, shape: &[u64]) -> Graph {
    let mut g = GraphBuilder::new();
    let (value, l) = (g.input(input), g.parameter(l));
    let l = g.reshape(l, shape);
    g.mul(value, l);
    g.finish()
}

impl Method for Scaling {
    fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError> {
        let mut plan = MethodPlan {
            identity_at_init: true,
            ..MethodPlan::default()
        }
        .with_suggested_lr(3e-3);
        let attention = [SiteKind::KEY, SiteKind::VALUE];
        let kinds = [
            &attention[..],
            if self.feedforward {
                &[SiteKind::ACTIVATION]
            } else {
                &[]
            },
        ]
        .concat();
        for site in model.sites_of(&kinds)? {
            let (name, columns) = (format!("{}.factors", site.name), [u64::from(site.out_dim)]);
            let mut rewrite = Rewrite::output(site, scaled("y", &name, &columns));
            if site.is_linear() {
                rewrite = rewrite.with_merge(scaled("w", &name, &[columns[0], 1]));
                if !site.bias.is_empty() {
                    rewrite = rewrite.with_merge_bias(scaled("b", &name, &columns));
                }
            }
            plan.rewrites.push(rewrite);
            plan.parameters.push(NewParameter::at(
                site,
                name,
                &columns,
                Graph::filled(1.0, &columns),
            ));
        }
        Ok(plan)
    }
}

export_plugin! {
    methods: [
        {
            id: "scaling",
            summary: "learned factors on keys, values and the feed-forward activation",
            options: [
                { name: "feedforward", kind: Bool, default: true, help: "also scale the feed-forward activation" },
            ],
            create: Scaling::create,
        },
    ],
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_plugin_api::contract::{self, Dimensions, model_record, plan_method};

    #[test]
    fn keeps_the_contract() {
        contract::assert_kept(&PLUGIN);
        contract::assert_method(&PLUGIN, "scaling", &[("feedforward", "false")]);
    }

    #[test]
    fn adds_one_factor_a_column() {
        let model = model_record("bert", 12, Dimensions::BERT_BASE);
        let plan = plan_method(&PLUGIN, "scaling", &[], &model).unwrap();
        let count: u64 = plan
            .parameters
            .iter()
            .map(|p| p.shape.iter().product::<u64>())
            .sum();
        assert_eq!(count, 12 * (768 + 768 + 3072));
    }
}
