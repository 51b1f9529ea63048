//! The method `dora`: weight-decomposed low-rank updates, W' = m ⊙ (W + s·B·A)/‖W + s·B·A‖, at
//! chosen linear layers. The norm is that of each row (one output). Initially m `[out]` is ‖W‖ and
//! B `[out, r]` is zero, so that nothing changes before the first step. A `[r, in]` starts as in
//! LoRA. The norm counts as a constant in the backward pass (section 4.3 of the paper).
//!
//! The update is computed row by row, so that no gradient of a whole weight is needed. With f =
//! m/‖W + s·B·A‖ and the bias b, y' = b + f ⊙ ((y − b) + s·B·A·x). With dropout, PEFT also drops
//! out the input of W. Then y' = y + (f − 1) ⊙ W·x̃ + f ⊙ s·B·A·x̃, where x̃ is x after dropout.
//! Merging yields W' as above; the bias is unchanged.
//!
//! Liu et al. 2024, arXiv:2402.09353. Options, names and initialisation are those of Hugging Face
//! PEFT (`LoraConfig(use_dora=True)`). Loaded by the host; see `progtune-plugin-api` for the
//! interface.

use progtune_plugin_api::{graph::Tensor, prelude::*};

struct Dora {
    r: u64,
    scaling: f64,
    dropout: f64,
    target_modules: Vec<String>,
}

/// The names of the parameters added at a site.
struct Names {
    a: String,
    b: String,
    magnitude: String,
}

impl Names {
    fn at(site: &SiteRecord) -> Self {
        let name = |end: &str| format!("{}.{end}", site.name);
        Self {
            a: name("lora_A.weight"),
            b: name("lora_B.weight"),
            magnitude: name("lora_magnitude_vector"),
        }
    }
}

impl Dora {
    fn create(options: &Options, _: &HostRecord) -> Result<Self, PluginError> {
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
        })
    }

    /// W + s·B·A and, for each of its rows, m / norm as `[out, 1]`.
    fn direction(&self, g: &mut GraphBuilder, w: Tensor, names: &Names, out: u64) -> [Tensor; 2] {
        let (a, b) = (g.parameter(&names.a), g.parameter(&names.b));
        let product = g.matmul(b, a);
        let update = g.scale(product, self.scaling);
        let direction = g.add(w, update);
        let norm = g.along(Op::NORM2, direction, 1);
        let norm = g.unary(Op::DETACH, norm);
        let magnitude = g.parameter(&names.magnitude);
        let magnitude = g.reshape(magnitude, &[out, 1]);
        [direction, g.div(magnitude, norm)]
    }

    fn forward(&self, site: &SiteRecord, names: &Names) -> Graph {
        let mut g = GraphBuilder::new();
        let out = u64::from(site.out_dim);
        let (mut x, y) = (g.input("x"), g.input("y"));
        let w = g.base(&site.weight);
        let [_, factor] = self.direction(&mut g, w, names, out);
        let factor = g.reshape(factor, &[out]);
        if self.dropout > 0.0 {
            x = g.dropout(x, self.dropout);
        }
        let (a, b) = (g.parameter(&names.a), g.parameter(&names.b));
        let low = g.linear(x, a);
        let low = g.scale(low, self.scaling);
        let update = g.linear(low, b);
        if self.dropout > 0.0 {
            let one = g.constant(1.0, &[]);
            let more = g.sub(factor, one);
            let own = g.linear(x, w);
            let own = g.mul(own, more);
            let update = g.mul(update, factor);
            let sum = g.add(own, update);
            g.add(y, sum);
        } else if site.bias.is_empty() {
            let sum = g.add(y, update);
            g.mul(sum, factor);
        } else {
            let bias = g.base(&site.bias);
            let own = g.sub(y, bias);
            let sum = g.add(own, update);
            let scaled = g.mul(sum, factor);
            g.add(scaled, bias);
        }
        g.finish()
    }

    fn merge(&self, site: &SiteRecord, names: &Names) -> Graph {
        let mut g = GraphBuilder::new();
        let w = g.input("w");
        let [direction, factor] = self.direction(&mut g, w, names, u64::from(site.out_dim));
        g.mul(direction, factor);
        g.finish()
    }
}

/// ‖W‖ of each row.
fn row_norms(site: &SiteRecord) -> Graph {
    let mut g = GraphBuilder::new();
    let w = g.base(&site.weight);
    let norm = g.along(Op::NORM2, w, 1);
    g.reshape(norm, &[u64::from(site.out_dim)]);
    g.finish()
}

impl Method for Dora {
    fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError> {
        let mut plan = MethodPlan {
            identity_at_init: true,
            ..MethodPlan::default()
        }
        .with_suggested_lr(5e-4);
        let targets: Vec<&str> = self.target_modules.iter().map(String::as_str).collect();
        for site in model.linear_sites("target_modules", &targets)? {
            let names = Names::at(site);
            let (n_in, n_out) = (u64::from(site.in_dim), u64::from(site.out_dim));
            let (a, b) = ([self.r, n_in], [n_out, self.r]);
            let a_init = Graph::uniform(1.0 / f64::from(site.in_dim).sqrt(), &a);
            let rewrite = Rewrite::output(site, self.forward(site, &names));
            plan.rewrites
                .push(rewrite.with_merge(self.merge(site, &names)));
            plan.parameters.extend([
                NewParameter::at(site, names.a, &a, a_init),
                NewParameter::at(site, names.b, &b, Graph::filled(0.0, &b)),
                NewParameter::at(site, names.magnitude, &[n_out], row_norms(site)),
            ]);
        }
        Ok(plan)
    }
}

export_plugin! {
    methods: [
        {
            id: "dora",
            summary: "low-rank updates with a magnitude for each output (DoRA)",
            options: [
                { name: "r", kind: Int, default: 8, min: 1, max: 65536, help: "rank of the update" },
                {
                    name: "lora_alpha", kind: Float, default: 16, min: 0,
                    help: "the update is scaled by lora_alpha / r"
                },
                {
                    name: "lora_dropout", kind: Float, default: 0, min: 0, max: 0.99,
                    help: "dropout probability of the layer's inputs during training; above 0, each step multiplies by the frozen weight once more"
                },
                {
                    name: "target_modules", kind: Strs, default: ["query", "value"],
                    help: "linear layers inside the blocks, by the end of their name: query, key, value, attention.output.dense, intermediate.dense, output.dense, dense"
                },
                {
                    name: "use_rslora", kind: Bool, default: false,
                    help: "scale by lora_alpha / sqrt(r) instead (rank-stabilised LoRA)"
                },
            ],
            create: Dora::create,
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
        for dropout in ["0", "0.1"] {
            let options = [
                ("target_modules", "dense,key"),
                ("r", "3"),
                ("lora_dropout", dropout),
                ("use_rslora", "true"),
            ];
            contract::assert_method(&PLUGIN, "dora", &options);
        }
    }

    /// LoRA's 294 912 on RoBERTa-base, and 768 magnitudes at each of 24 layers.
    #[test]
    fn adds_loras_parameters_and_a_magnitude_an_output() {
        let model = model_record("roberta", 12, Dimensions::ROBERTA_BASE);
        let plan = plan_method(&PLUGIN, "dora", &[], &model).unwrap();
        let count: u64 = plan
            .parameters
            .iter()
            .map(|p| p.shape.iter().product::<u64>())
            .sum();
        assert_eq!(count, 294_912 + 24 * 768);
        assert!(plan.rewrites.iter().all(|rewrite| rewrite.merge.is_some()));
    }

    #[test]
    fn the_forward_graph_is_the_equation() {
        let model = model_record("bert", 1, Dimensions::of(32, 64));
        let plan = plan_method(&PLUGIN, "dora", &[], &model).unwrap();
        let site = "encoder.layer.0.attention.self.query";
        let expected = [
            "%0 = input name=x".to_string(),
            "%1 = input name=y".into(),
            format!("%2 = base name={site}.weight"),
            format!("%3 = parameter name={site}.lora_A.weight"),
            format!("%4 = parameter name={site}.lora_B.weight"),
            "%5 = matmul %4 %3".into(),
            "%6 = scale %5 by=2".into(),
            "%7 = add %2 %6".into(),
            "%8 = norm2 %7 dim=1".into(),
            "%9 = detach %8".into(),
            format!("%10 = parameter name={site}.lora_magnitude_vector"),
            "%11 = reshape %10 shape=32,1".into(),
            "%12 = div %11 %9".into(),
            "%13 = reshape %12 shape=32".into(),
            format!("%14 = parameter name={site}.lora_A.weight"),
            format!("%15 = parameter name={site}.lora_B.weight"),
            "%16 = transpose %14".into(),
            "%17 = matmul %0 %16".into(),
            "%18 = scale %17 by=2".into(),
            "%19 = transpose %15".into(),
            "%20 = matmul %18 %19".into(),
            format!("%21 = base name={site}.bias"),
            "%22 = sub %1 %21".into(),
            "%23 = add %22 %20".into(),
            "%24 = mul %23 %13".into(),
            "%25 = add %24 %21".into(),
        ];
        assert_eq!(plan.rewrites[0].graph.to_string(), expected.join("\n"));
    }
}
