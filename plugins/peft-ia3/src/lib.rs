//! The method `ia3`: learned factors l, one per channel, that start at 1. At attention's keys and
//! values (and any other target) they scale the layer's output, y' = l ⊙ y. At the layers named by
//! `feedforward_modules` they scale its input, y' = W·(l ⊙ x) + b. Merging multiplies the rows of W
//! and b, or the columns of W, by l.
//!
//! Liu et al. 2022, arXiv:2205.05638. Options, names and shapes are those of Hugging Face PEFT. Its
//! defaults for BERT and RoBERTa name `output.dense`, which matches the end of the feed-forward
//! part and that of attention. A host of interface 1.0 lacks the mode `input`; there
//! y' = y + W·((l − 1) ⊙ x). Loaded by the host; see `progtune-plugin-api` for the interface.

use progtune_plugin_api::prelude::*;

struct Ia3 {
    target_modules: Vec<String>,
    feedforward_modules: Vec<String>,
    rewrites_inputs: bool,
}

impl Ia3 {
    fn create(options: &Options, host: &HostRecord) -> Result<Self, PluginError> {
        let names = |option: &str| -> Result<Vec<String>, PluginError> {
            Ok(options
                .strs(option)?
                .into_iter()
                .map(String::from)
                .collect())
        };
        let (target_modules, feedforward_modules) =
            (names("target_modules")?, names("feedforward_modules")?);
        if let Some(stray) = feedforward_modules
            .iter()
            .find(|name| !target_modules.contains(name))
        {
            let targets = target_modules.join(", ");
            return Err(PluginError::bad_option(
                "feedforward_modules",
                format!("'{stray}' is not one of target_modules ({targets})"),
            )
            .with_help("name it in target_modules as well, or leave it out here"));
        }
        Ok(Self {
            target_modules,
            feedforward_modules,
            rewrites_inputs: host.modes.contains(&Mode::INPUT),
        })
    }

    fn scales_input(&self, site: &SiteRecord) -> bool {
        let mut modules = self.feedforward_modules.iter();
        modules.any(|module| site.name.ends_with(module.as_str()))
    }

    /// x' = l ⊙ x, or the same effect on y.
    fn at_input(&self, site: &SiteRecord, factors: &str) -> Rewrite {
        let columns = u64::from(site.in_dim);
        let mut g = GraphBuilder::new();
        let x = g.input("x");
        let l = g.parameter(factors);
        let l = g.reshape(l, &[columns]);
        let rewrite = if self.rewrites_inputs {
            g.mul(x, l);
            Rewrite::input(site, g.finish())
        } else {
            let (y, w, one) = (g.input("y"), g.base(&site.weight), g.constant(1.0, &[]));
            let more = g.sub(l, one);
            let x = g.mul(x, more);
            let product = g.linear(x, w);
            g.add(y, product);
            Rewrite::output(site, g.finish())
        };
        rewrite.with_merge(product_with("w", factors, None))
    }

    /// y' = l ⊙ y.
    fn at_output(&self, site: &SiteRecord, factors: &str) -> Rewrite {
        let rows = [u64::from(site.out_dim)];
        let rewrite = Rewrite::output(site, product_with("y", factors, Some(&rows)))
            .with_merge(product_with("w", factors, None));
        if site.bias.is_empty() {
            rewrite
        } else {
            rewrite.with_merge_bias(product_with("b", factors, Some(&rows)))
        }
    }
}

/// An input times the factors, which are reshaped if a shape is given.
fn product_with(input: &str, factors: &str, shape: Option<&[u64]>) -> Graph {
    let mut g = GraphBuilder::new();
    let (value, mut l) = (g.input(input), g.parameter(factors));
    if let Some(shape) = shape {
        l = g.reshape(l, shape);
    }
    g.mul(value, l);
    g.finish()
}

impl Method for Ia3 {
    fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError> {
        let mut plan = MethodPlan {
            identity_at_init: true,
            ..MethodPlan::default()
        }
        .with_suggested_lr(5e-3);
        let targets: Vec<&str> = self.target_modules.iter().map(String::as_str).collect();
        for site in model.linear_sites("target_modules", &targets)? {
            let factors = format!("{}.ia3_l", site.name);
            let (rewrite, shape) = if self.scales_input(site) {
                (self.at_input(site, &factors), [1, u64::from(site.in_dim)])
            } else {
                (self.at_output(site, &factors), [u64::from(site.out_dim), 1])
            };
            plan.rewrites.push(rewrite);
            plan.parameters.push(NewParameter::at(
                site,
                factors,
                &shape,
                Graph::filled(1.0, &shape),
            ));
        }
        Ok(plan)
    }
}

export_plugin! {
    methods: [
        {
            id: "ia3",
            summary: "learned factors on keys, values and the inputs of output layers ((IA)³)",
            options: [
                {
                    name: "target_modules", kind: Strs, default: ["key", "value", "output.dense"],
                    help: "linear layers inside the blocks, by the end of their name: query, key, value, attention.output.dense, intermediate.dense, output.dense, dense"
                },
                {
                    name: "feedforward_modules", kind: Strs, default: ["output.dense"],
                    help: "members of target_modules whose input is scaled instead of their output"
                },
            ],
            create: Ia3::create,
        },
    ],
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_plugin_api::contract::{self, Dimensions, host_record, model_record, plan_method};

    #[test]
    fn keeps_the_contract() {
        contract::assert_kept(&PLUGIN);
        let all = [
            ("target_modules", "query,key,dense"),
            ("feedforward_modules", "query,dense"),
        ];
        contract::assert_method(&PLUGIN, "ia3", &all);
        let none = [("target_modules", "dense"), ("feedforward_modules", "")];
        contract::assert_method(&PLUGIN, "ia3", &none);
    }

    /// On BERT-base there are 768 at key, value and the end of attention, and 3072 at the end of
    /// the feed-forward part, in 12 blocks.
    #[test]
    fn adds_pefts_parameters() {
        let model = model_record("bert", 12, Dimensions::BERT_BASE);
        let plan = plan_method(&PLUGIN, "ia3", &[], &model).unwrap();
        let shape = |name: &str| {
            let name = format!("encoder.layer.0.{name}.ia3_l");
            let found = plan.parameters.iter().find(|p| p.name == name.as_str());
            found.map(|parameter| parameter.shape.to_vec())
        };
        assert_eq!(shape("attention.self.key"), Some(vec![768, 1]));
        assert_eq!(shape("attention.output.dense"), Some(vec![1, 768]));
        assert_eq!(shape("output.dense"), Some(vec![1, 3072]));
        let sizes = plan
            .parameters
            .iter()
            .map(|p| p.shape.iter().product::<u64>());
        assert_eq!(sizes.sum::<u64>(), 12 * (3 * 768 + 3072));
        assert!(plan.rewrites.iter().all(|rewrite| rewrite.merge.is_some()));
    }

    #[test]
    fn the_graphs_are_the_equations() {
        let model = model_record("bert", 1, Dimensions::of(32, 64));
        let plan = plan_method(&PLUGIN, "ia3", &[], &model).unwrap();
        let at = |site: &str| plan.rewrites.iter().find(|r| r.site == site).unwrap();
        let (key, output) = (
            at("encoder.layer.0.attention.self.key"),
            at("encoder.layer.0.output.dense"),
        );
        assert_eq!((key.mode, output.mode), (Mode::OUTPUT, Mode::INPUT));
        assert_eq!(
            key.graph.to_string(),
            "%0 = input name=y\n%1 = parameter name=encoder.layer.0.attention.self.key.ia3_l\n%2 = reshape %1 shape=32\n%3 = mul %0 %2"
        );
        assert_eq!(
            output.graph.to_string(),
            "%0 = input name=x\n%1 = parameter name=encoder.layer.0.output.dense.ia3_l\n%2 = reshape %1 shape=64\n%3 = mul %0 %2"
        );
    }

    #[test]
    fn adapts_to_a_host_of_interface_1_0() {
        let (mut host, model) = (
            host_record(),
            model_record("bert", 2, Dimensions::of(32, 64)),
        );
        host.modes.retain(|mode| *mode != Mode::INPUT);
        host.ext.clear();
        let method = Ia3 {
            target_modules: vec!["output.dense".into()],
            feedforward_modules: vec!["output.dense".into()],
            rewrites_inputs: false,
        };
        let plan = method.plan(&model).unwrap();
        assert!(plan.rewrites.iter().all(|r| r.mode == Mode::OUTPUT));
        let checked = progtune_plugin_api::validate::method_plan(&plan, &model, &host);
        assert_eq!(checked, Ok(()));
    }

    #[test]
    fn feed_forward_modules_are_targets() {
        let model = model_record("bert", 1, Dimensions::of(32, 64));
        let options = [("target_modules", "key,value")];
        let error = plan_method(&PLUGIN, "ia3", &options, &model).unwrap_err();
        assert_eq!(error.code, ErrorCode::BAD_OPTION);
        assert!(
            error
                .message
                .contains("'output.dense' is not one of target_modules")
        );
    }
}
