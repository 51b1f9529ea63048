//! The method `lora`: y' = y + s·B·A·dropout(x) at chosen linear layers, with A `[r, in]`, B
//! `[out, r]` and s = α/r (α/√r with `use_rslora`). A starts kaiming-uniform(√5), that is, uniform
//! within ±1/√in. B starts at zero, so that nothing changes before the first step. Merged: W' = W +
//! s·B·A.
//!
//! Hu et al. 2021, arXiv:2106.09685; rank-stabilised scaling: Kalajdzievski 2023, arXiv:2312.03732;
//! LoRA+ (`loraplus_lr_ratio`), a larger learning rate for B: Hayou et al. 2024, arXiv:2402.12354.
//! Options, names and initialisation are those of Hugging Face PEFT. Its LoRA+ optimizer also
//! applies the larger rate to the head's biases (every trained parameter with one dimension), and
//! so does this method. Loaded by the host; see `progtune-plugin-api` for the interface.

use progtune_plugin_api::{extensions::LR_SCALES, prelude::*};

struct Lora {
    r: u64,
    scaling: f64,
    dropout: f64,
    target_modules: Vec<String>,
    /// The learning rate of B divided by that of A.
    lr_ratio: f64,
    /// Whether the host scales the learning rate of the model's own parameters.
    scales_base: bool,
}

impl Lora {
    fn create(options: &Options, host: &HostRecord) -> Result<Self, PluginError> {
        let (r, lora_alpha) = (options.size("r")?, options.float("lora_alpha")?);
        let divisor = if options.bool("use_rslora")? {
            (r as f64).sqrt()
        } else {
            r as f64
        };
        Ok(Self {
            r,
            scaling: lora_alpha / divisor,
            dropout: options.float("lora_dropout")?,
            target_modules: options
                .strs("target_modules")?
                .into_iter()
                .map(String::from)
                .collect(),
            lr_ratio: options.float("loraplus_lr_ratio")?,
            scales_base: host.understands().contains(&LR_SCALES),
        })
    }

    /// y + (s·(dropout(x)·Aᵀ))·Bᵀ: the scale is applied to r columns instead of `out`.
    fn forward(&self, a: &str, b: &str) -> Graph {
        let mut g = GraphBuilder::new();
        let (mut x, y) = (g.input("x"), g.input("y"));
        let (a, b) = (g.parameter(a), g.parameter(b));
        if self.dropout > 0.0 {
            x = g.dropout(x, self.dropout);
        }
        let low = g.linear(x, a);
        let low = g.scale(low, self.scaling);
        let delta = g.linear(low, b);
        g.add(y, delta);
        g.finish()
    }

    /// w + s·B·A.
    fn merge(&self, a: &str, b: &str) -> Graph {
        let mut g = GraphBuilder::new();
        let (w, a, b) = (g.input("w"), g.parameter(a), g.parameter(b));
        let product = g.matmul(b, a);
        let delta = g.scale(product, self.scaling);
        g.add(w, delta);
        g.finish()
    }
}

impl Method for Lora {
    fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError> {
        let mut plan = MethodPlan {
            identity_at_init: true,
            ..MethodPlan::default()
        }
        .with_suggested_lr(1e-3);
        let targets: Vec<&str> = self.target_modules.iter().map(String::as_str).collect();
        for site in model.linear_sites("target_modules", &targets)? {
            let (a, b) = (
                format!("{}.lora_A.weight", site.name),
                format!("{}.lora_B.weight", site.name),
            );
            let (a_shape, b_shape) = (
                [self.r, u64::from(site.in_dim)],
                [u64::from(site.out_dim), self.r],
            );
            let a_init = Graph::uniform(1.0 / f64::from(site.in_dim).sqrt(), &a_shape);
            plan.rewrites
                .push(Rewrite::output(site, self.forward(&a, &b)).with_merge(self.merge(&a, &b)));
            plan.parameters
                .push(NewParameter::at(site, a, &a_shape, a_init));
            let b_init = Graph::filled(0.0, &b_shape);
            plan.parameters
                .push(NewParameter::at(site, b, &b_shape, b_init).with_lr_scale(self.lr_ratio));
        }
        if self.lr_ratio != 1.0 && self.scales_base {
            let biases = model
                .parameters
                .iter()
                .filter(|p| p.part == Part::HEAD && p.shape.len() == 1);
            plan = plan.with_lr_scales(biases.map(|p| (p.name.as_str(), self.lr_ratio)));
        }
        Ok(plan)
    }
}

export_plugin! {
    methods: [
        {
            id: "lora",
            summary: "low-rank updates of linear layers (LoRA)",
            options: [
                { name: "r", kind: Int, default: 8, min: 1, max: 65536, help: "rank of the update" },
                {
                    name: "lora_alpha", kind: Float, default: 16, min: 0,
                    help: "the update is scaled by lora_alpha / r"
                },
                {
                    name: "lora_dropout", kind: Float, default: 0, min: 0, max: 0.99,
                    help: "dropout probability of A's inputs during training"
                },
                {
                    name: "target_modules", kind: Strs, default: ["query", "value"],
                    help: "linear layers inside the blocks, by the end of their name: query, key, value, attention.output.dense, intermediate.dense, output.dense, dense"
                },
                {
                    name: "use_rslora", kind: Bool, default: false,
                    help: "scale by lora_alpha / sqrt(r) instead (rank-stabilised LoRA)"
                },
                {
                    name: "loraplus_lr_ratio", kind: Float, default: 1, min: 1,
                    help: "learning rate of B and of the head's biases, divided by that of A (LoRA+; its paper uses 16)"
                },
            ],
            create: Lora::create,
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
        let all = "query,key,value,attention.output.dense,intermediate.dense,output.dense";
        let options = [
            ("target_modules", all),
            ("r", "3"),
            ("lora_dropout", "0.1"),
            ("use_rslora", "true"),
            ("loraplus_lr_ratio", "16"),
        ];
        contract::assert_method(&PLUGIN, "lora", &options);
    }

    #[test]
    fn adds_the_papers_parameters() {
        let model = model_record("roberta", 12, Dimensions::ROBERTA_BASE);
        let plan = plan_method(&PLUGIN, "lora", &[], &model).unwrap();
        let count: u64 = plan
            .parameters
            .iter()
            .map(|p| p.shape.iter().product::<u64>())
            .sum();
        assert_eq!(count, 294_912);
        assert_eq!(
            plan.parameters[0].name.as_str(),
            "encoder.layer.0.attention.self.query.lora_A.weight"
        );
        assert_eq!((plan.rewrites.len(), plan.unfreeze.len()), (24, 0));
    }

    #[test]
    fn lora_plus_trains_b_and_the_heads_biases_faster() {
        let model = model_record("bert", 2, Dimensions::of(32, 64));
        let options = [("loraplus_lr_ratio", "16")];
        let plan = plan_method(&PLUGIN, "lora", &options, &model).unwrap();
        for parameter in &plan.parameters {
            let is_b = parameter.name.ends_with("lora_B.weight");
            assert_eq!(parameter.lr_scale, if is_b { 16.0 } else { 1.0 });
        }
        let scales = plan.lr_scales().unwrap();
        assert_eq!(
            scales,
            [("classifier.bias", 16.0), ("pooler.dense.bias", 16.0)]
        );
        let plain = plan_method(&PLUGIN, "lora", &[], &model).unwrap();
        assert!(plain.ext.is_empty(), "an older host needs to know nothing");
    }

    #[test]
    fn targets_match_as_in_peft() {
        let model = model_record("bert", 2, Dimensions::of(32, 64));
        let sites = |targets: &str| {
            plan_method(&PLUGIN, "lora", &[("target_modules", targets)], &model)
                .map(|plan| plan.rewrites.len())
        };
        assert_eq!(sites("dense").unwrap(), 6);
        assert_eq!(sites("output.dense").unwrap(), 4);
        assert_eq!(sites("encoder.layer.1.output.dense").unwrap(), 1);
        assert_eq!(sites("query,self.query").unwrap(), 2);
        let error = sites("query,valu").unwrap_err();
        assert_eq!(error.code, ErrorCode::BAD_OPTION);
        assert!(
            error
                .message
                .contains("'valu' matches no linear layer in the blocks; did you mean 'value'")
        );
    }

    #[test]
    fn the_forward_graph_is_the_equation() {
        let model = model_record("bert", 1, Dimensions::of(32, 64));
        let plan = plan_method(&PLUGIN, "lora", &[], &model).unwrap();
        let site = "encoder.layer.0.attention.self.query";
        let expected = [
            "%0 = input name=x".to_string(),
            "%1 = input name=y".into(),
            format!("%2 = parameter name={site}.lora_A.weight"),
            format!("%3 = parameter name={site}.lora_B.weight"),
            "%4 = transpose %2".into(),
            "%5 = matmul %0 %4".into(),
            "%6 = scale %5 by=2".into(),
            "%7 = transpose %3".into(),
            "%8 = matmul %6 %7".into(),
            "%9 = add %1 %8".into(),
        ];
        assert_eq!(plan.rewrites[0].graph.to_string(), expected.join("\n"));
    }
}
