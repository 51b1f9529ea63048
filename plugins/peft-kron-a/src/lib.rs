//! The method `kron-a`: y' = y + s·(A ⊗ B)·dropout(x) with the Kronecker product of two small
//! matrices, at chosen linear layers. The layer's sizes are factorised, out = a₁·b₁ and in = a₂·b₂.
//! A `[a₁, a₂]` starts at zero and B `[b₁, b₂]` uniform within ±1/√b₂, so that nothing changes
//! before the first step. The product is never formed: with x as a matrix X `[a₂, b₂]`, the update
//! is A·X·Bᵀ. Merged: W' = W + s·(A ⊗ B).
//!
//! Edalati et al. 2022, arXiv:2212.10650. Hugging Face PEFT has no class for it. Its LoKr is
//! equivalent if neither factor is decomposed further (`r` large), with s = alpha/r. LoKr's names
//! (`lokr_w1` is A, `lokr_w2` is B), initialisation and `decompose_factor` are used here. Loaded by
//! the host; see `progtune-plugin-api` for the interface.

use progtune_plugin_api::prelude::*;

struct KronA {
    scale: f64,
    dropout: f64,
    decompose_factor: i64,
    target_modules: Vec<String>,
}

/// The factors at a site.
struct Factors {
    a: [u64; 2],
    b: [u64; 2],
    a_name: String,
    b_name: String,
}

impl KronA {
    fn create(options: &Options, _: &HostRecord) -> Result<Self, PluginError> {
        let decompose_factor = options.int("decompose_factor")?;
        if decompose_factor == 0 {
            return Err(PluginError::bad_option(
                "decompose_factor",
                "expected −1 or a number of at least 1, found 0",
            ));
        }
        Ok(Self {
            scale: options.float("scale")?,
            dropout: options.float("dropout")?,
            decompose_factor,
            target_modules: options
                .strs("target_modules")?
                .into_iter()
                .map(String::from)
                .collect(),
        })
    }

    fn factors(&self, site: &SiteRecord) -> Factors {
        let (a_out, b_out) = factorization(u64::from(site.out_dim), self.decompose_factor);
        let (a_in, b_in) = factorization(u64::from(site.in_dim), self.decompose_factor);
        Factors {
            a: [a_out, a_in],
            b: [b_out, b_in],
            a_name: format!("{}.lokr_w1", site.name),
            b_name: format!("{}.lokr_w2", site.name),
        }
    }

    fn forward(&self, factors: &Factors) -> Graph {
        let ([a_out, a_in], [b_out, b_in]) = (factors.a, factors.b);
        let mut g = GraphBuilder::new();
        let (mut x, y) = (g.input("x"), g.input("y"));
        let (a, b) = (g.parameter(&factors.a_name), g.parameter(&factors.b_name));
        if self.dropout > 0.0 {
            x = g.dropout(x, self.dropout);
        }
        let x = g.reshape(x, &[a_in, b_in]);
        let right = g.linear(x, b);
        let right = g.transpose(right);
        let both = g.linear(right, a);
        let both = g.transpose(both);
        let update = g.reshape(both, &[a_out * b_out]);
        let update = g.scale(update, self.scale);
        g.add(y, update);
        g.finish()
    }

    fn merge(&self, factors: &Factors) -> Graph {
        let ([a_out, a_in], [b_out, b_in]) = (factors.a, factors.b);
        let mut g = GraphBuilder::new();
        let w = g.input("w");
        let (a, b) = (g.parameter(&factors.a_name), g.parameter(&factors.b_name));
        let a = g.reshape(a, &[a_out, 1, a_in, 1]);
        let b = g.reshape(b, &[1, b_out, 1, b_in]);
        let product = g.mul(a, b);
        let product = g.reshape(product, &[a_out * b_out, a_in * b_in]);
        let update = g.scale(product, self.scale);
        g.add(w, update);
        g.finish()
    }
}

/// Factorises a size into two numbers. If `factor` divides the size, it is the first one. Otherwise
/// the two are as close to each other as possible; a positive `factor` is an upper bound for the
/// first.
fn factorization(size: u64, factor: i64) -> (u64, u64) {
    let at_most = u64::try_from(factor).unwrap_or(size).min(size);
    let first = if factor > 0 && size.is_multiple_of(at_most) {
        at_most
    } else {
        (1..=at_most)
            .take_while(|first| first * first <= size)
            .filter(|&first| size.is_multiple_of(first))
            .last()
            .unwrap_or(1)
    };
    (first, size / first)
}

impl Method for KronA {
    fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError> {
        let mut plan = MethodPlan {
            identity_at_init: true,
            ..MethodPlan::default()
        }
        .with_suggested_lr(1e-3);
        let targets: Vec<&str> = self.target_modules.iter().map(String::as_str).collect();
        for site in model.linear_sites("target_modules", &targets)? {
            let factors = self.factors(site);
            let b_init = Graph::uniform(1.0 / (factors.b[1] as f64).sqrt(), &factors.b);
            let rewrite = Rewrite::output(site, self.forward(&factors));
            plan.rewrites.push(rewrite.with_merge(self.merge(&factors)));
            let (a, b) = (factors.a, factors.b);
            plan.parameters.extend([
                NewParameter::at(site, factors.a_name, &a, Graph::filled(0.0, &a)),
                NewParameter::at(site, factors.b_name, &b, b_init),
            ]);
        }
        Ok(plan)
    }
}

export_plugin! {
    methods: [
        {
            id: "kron-a",
            summary: "updates that are Kronecker products of two small matrices (KronA)",
            options: [
                { name: "scale", kind: Float, default: 1, help: "factor on the update" },
                {
                    name: "dropout", kind: Float, default: 0, min: 0, max: 0.99,
                    help: "dropout probability of the update's inputs during training"
                },
                {
                    name: "decompose_factor", kind: Int, default: -1, min: -1,
                    help: "rows and columns of the first factor, where this divides the layer's sizes; -1: both factors as close to the square root as possible"
                },
                {
                    name: "target_modules", kind: Strs, default: ["query", "value"],
                    help: "linear layers inside the blocks, by the end of their name: query, key, value, attention.output.dense, intermediate.dense, output.dense, dense"
                },
            ],
            create: KronA::create,
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
        for factor in ["1", "5", "4", "1000"] {
            let options = [
                ("target_modules", "dense,key"),
                ("decompose_factor", factor),
                ("dropout", "0.1"),
                ("scale", "2"),
            ];
            contract::assert_method(&PLUGIN, "kron-a", &options);
        }
    }

    /// The examples in PEFT's `factorization`, and 768 = 24 · 32.
    #[test]
    fn sizes_are_cut_as_in_peft() {
        assert_eq!(factorization(256, -1), (16, 16));
        assert_eq!(factorization(128, -1), (8, 16));
        assert_eq!(factorization(127, -1), (1, 127));
        assert_eq!(factorization(128, 4), (4, 32));
        assert_eq!(factorization(768, -1), (24, 32));
        assert_eq!(factorization(30, 4), (3, 10));
    }

    /// On BERT-base, query and value: 24·24 + 32·32 numbers at each of 24 layers.
    #[test]
    fn adds_two_small_matrices_a_layer() {
        let model = model_record("bert", 12, Dimensions::BERT_BASE);
        let plan = plan_method(&PLUGIN, "kron-a", &[], &model).unwrap();
        let sizes = plan
            .parameters
            .iter()
            .map(|p| p.shape.iter().product::<u64>());
        assert_eq!(sizes.sum::<u64>(), 24 * (24 * 24 + 32 * 32));
        assert!(plan.rewrites.iter().all(|rewrite| rewrite.merge.is_some()));
    }

    #[test]
    fn the_graphs_are_the_equations() {
        let model = model_record("bert", 1, Dimensions::of(32, 64));
        let options = [("target_modules", "intermediate.dense")];
        let plan = plan_method(&PLUGIN, "kron-a", &options, &model).unwrap();
        let site = "encoder.layer.0.intermediate.dense";
        let forward = [
            "%0 = input name=x".to_string(),
            "%1 = input name=y".into(),
            format!("%2 = parameter name={site}.lokr_w1"),
            format!("%3 = parameter name={site}.lokr_w2"),
            "%4 = reshape %0 shape=4,8".into(),
            "%5 = transpose %3".into(),
            "%6 = matmul %4 %5".into(),
            "%7 = transpose %6".into(),
            "%8 = transpose %2".into(),
            "%9 = matmul %7 %8".into(),
            "%10 = transpose %9".into(),
            "%11 = reshape %10 shape=64".into(),
            "%12 = scale %11 by=1".into(),
            "%13 = add %1 %12".into(),
        ];
        assert_eq!(plan.rewrites[0].graph.to_string(), forward.join("\n"));
    }
}
