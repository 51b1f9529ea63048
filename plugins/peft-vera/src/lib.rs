//! The method `vera`: y' = y + λ_b ⊙ B·(λ_d ⊙ A·dropout(x)) at chosen linear layers. A `[r, in]`
//! and B `[out, r]` are random, frozen and shared by all layers. They have the size of the largest
//! layer; the others use a corner of them. Each layer learns λ_d `[r]`, which starts at
//! `d_initial`, and λ_b `[out]`, which starts at zero, so that nothing changes before the first
//! step. Merged: W' = W + (λ_b ⊙ B)·(λ_d ⊙ A).
//!
//! Kopiczko et al. 2023, arXiv:2310.11454. Options, names and initialisation are those of Hugging
//! Face PEFT. A and B are uniform within √(6/in) and √(6/r). They are the numbers of PyTorch's
//! generator with the seed `projection_prng_key`, so that an adapter saved without them gets the
//! same ones. On a host that lacks the operation (interface 1.0) they come from the run's seed.
//! Loaded by the host; see `progtune-plugin-api` for the interface.

use progtune_plugin_api::{graph::Tensor, prelude::*};

const A: &str = "vera_A";
const B: &str = "vera_B";

struct Vera {
    r: u64,
    d_initial: f64,
    dropout: f64,
    projection_prng_key: i64,
    target_modules: Vec<String>,
    draws_as_pytorch: bool,
}

impl Vera {
    fn create(options: &Options, host: &HostRecord) -> Result<Self, PluginError> {
        let draws_as_pytorch = host.ops.contains(&Op::UNIFORM_MT19937);
        if !draws_as_pytorch && !options.bool("save_projection")? {
            return Err(PluginError::unsupported(
                "this host cannot draw the projections from projection_prng_key, so it could not read an adapter saved without them",
            )
            .with_help("leave save_projection at true, or use a newer progtune"));
        }
        Ok(Self {
            r: options.size("r")?,
            d_initial: options.float("d_initial")?,
            dropout: options.float("vera_dropout")?,
            projection_prng_key: options.int("projection_prng_key")?,
            target_modules: options
                .strs("target_modules")?
                .into_iter()
                .map(String::from)
                .collect(),
            draws_as_pytorch,
        })
    }

    /// Kaiming-uniform numbers, preceded by `before` others in the generator's sequence.
    fn projection(&self, shape: [u64; 2], before: u64) -> Graph {
        // The order of PyTorch's own operations, for bit-identical results.
        let bound = 3f64.sqrt() * (2f64.sqrt() / (shape[1] as f64).sqrt());
        if !self.draws_as_pytorch {
            return Graph::uniform(bound, &shape);
        }
        let mut g = GraphBuilder::new();
        let (seed, skip) = (self.projection_prng_key, before as i64);
        g.uniform_mt19937((-bound, bound), seed, skip, &shape);
        g.finish()
    }
}

/// A layer's corners of the shared projections, and the names of its factors.
struct Layer<'a> {
    site: &'a SiteRecord,
    /// The sizes of the shared projections: inputs and outputs.
    largest: (u32, u32),
    lambda_b: String,
    lambda_d: String,
}

impl Layer<'_> {
    /// A `[r, in]` and B `[out, r]`.
    fn projections(&self, g: &mut GraphBuilder) -> [Tensor; 2] {
        let (mut a, mut b) = (g.parameter(A), g.parameter(B));
        if self.site.in_dim < self.largest.0 {
            a = g.slice(a, 1, 0, i64::from(self.site.in_dim));
        }
        if self.site.out_dim < self.largest.1 {
            b = g.slice(b, 0, 0, i64::from(self.site.out_dim));
        }
        [a, b]
    }

    fn forward(&self, dropout: f64) -> Graph {
        let mut g = GraphBuilder::new();
        let (mut x, y) = (g.input("x"), g.input("y"));
        let [a, b] = self.projections(&mut g);
        let (lambda_b, lambda_d) = (g.parameter(&self.lambda_b), g.parameter(&self.lambda_d));
        if dropout > 0.0 {
            x = g.dropout(x, dropout);
        }
        let low = g.linear(x, a);
        let low = g.mul(low, lambda_d);
        let update = g.linear(low, b);
        let update = g.mul(update, lambda_b);
        g.add(y, update);
        g.finish()
    }

    fn merge(&self, r: u64) -> Graph {
        let mut g = GraphBuilder::new();
        let w = g.input("w");
        let [a, b] = self.projections(&mut g);
        let (lambda_b, lambda_d) = (g.parameter(&self.lambda_b), g.parameter(&self.lambda_d));
        let lambda_b = g.reshape(lambda_b, &[u64::from(self.site.out_dim), 1]);
        let lambda_d = g.reshape(lambda_d, &[r, 1]);
        let (left, right) = (g.mul(b, lambda_b), g.mul(a, lambda_d));
        let update = g.matmul(left, right);
        g.add(w, update);
        g.finish()
    }
}

impl Method for Vera {
    fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError> {
        let mut plan = MethodPlan {
            identity_at_init: true,
            ..MethodPlan::default()
        }
        .with_suggested_lr(4e-3);
        let targets: Vec<&str> = self.target_modules.iter().map(String::as_str).collect();
        let sites = model.linear_sites("target_modules", &targets)?;
        let largest = sites.iter().fold((0, 0), |(n_in, n_out), site| {
            (site.in_dim.max(n_in), site.out_dim.max(n_out))
        });
        let (a, b) = (
            [self.r, u64::from(largest.0)],
            [u64::from(largest.1), self.r],
        );
        for (name, shape, before) in [(A, a, 0), (B, b, a[0] * a[1])] {
            let init = self.projection(shape, before);
            plan.parameters.push(
                NewParameter::trained(name, &shape, init, -1)
                    .shared()
                    .frozen(),
            );
        }
        for site in sites {
            let layer = Layer {
                site,
                largest,
                lambda_b: format!("{}.vera_lambda_b", site.name),
                lambda_d: format!("{}.vera_lambda_d", site.name),
            };
            let rewrite = Rewrite::output(site, layer.forward(self.dropout));
            plan.rewrites.push(rewrite.with_merge(layer.merge(self.r)));
            let (n_out, r) = ([u64::from(site.out_dim)], [self.r]);
            let d_init = Graph::filled(self.d_initial, &r);
            plan.parameters.extend([
                NewParameter::at(site, layer.lambda_b, &n_out, Graph::filled(0.0, &n_out)),
                NewParameter::at(site, layer.lambda_d, &r, d_init),
            ]);
        }
        Ok(plan)
    }
}

export_plugin! {
    methods: [
        {
            id: "vera",
            summary: "learned factors around shared random projections (VeRA)",
            options: [
                { name: "r", kind: Int, default: 256, min: 1, max: 65536, help: "rank of the shared projections" },
                {
                    name: "target_modules", kind: Strs, default: ["query", "value"],
                    help: "linear layers inside the blocks, by the end of their name: query, key, value, attention.output.dense, intermediate.dense, output.dense, dense"
                },
                {
                    name: "projection_prng_key", kind: Int, default: 0, min: 0,
                    help: "random seed of the projections, which are PyTorch's numbers"
                },
                {
                    name: "save_projection", kind: Bool, default: true,
                    help: "keep the projections in the saved adapter instead of drawing them again"
                },
                {
                    name: "vera_dropout", kind: Float, default: 0, min: 0, max: 0.99,
                    help: "dropout probability of A's inputs during training"
                },
                { name: "d_initial", kind: Float, default: 0.1, help: "initial value of lambda_d" },
            ],
            create: Vera::create,
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
        let options = [
            ("target_modules", "dense,key"),
            ("r", "5"),
            ("vera_dropout", "0.1"),
        ];
        contract::assert_method(&PLUGIN, "vera", &options);
    }

    /// On RoBERTa-base with r 1024 on query and value: 24 layers × (768 + 1024) = 43 008 trained
    /// numbers, the paper's 0.043 M.
    #[test]
    fn trains_the_papers_parameters() {
        let model = model_record("roberta", 12, Dimensions::ROBERTA_BASE);
        let plan = plan_method(&PLUGIN, "vera", &[("r", "1024")], &model).unwrap();
        let size = |p: &NewParameter| p.shape.iter().product::<u64>();
        let trained = plan.parameters.iter().filter(|p| p.trainable);
        assert_eq!(trained.map(size).sum::<u64>(), 43_008);
        let shared: Vec<_> = plan.parameters.iter().filter(|p| !p.trainable).collect();
        assert_eq!(shared.len(), 2);
        assert!(shared.iter().all(|p| p.part == Part::SHARED));
        assert_eq!(
            (shared[0].shape.to_vec(), shared[1].shape.to_vec()),
            (vec![1024, 768], vec![768, 1024])
        );
    }

    #[test]
    fn small_layers_take_a_corner() {
        let model = model_record("bert", 1, Dimensions::of(32, 64));
        let plan = plan_method(&PLUGIN, "vera", &[("target_modules", "dense")], &model).unwrap();
        let at = |site: &str| {
            let found = plan.rewrites.iter().find(|rewrite| rewrite.site == site);
            found.unwrap().graph.to_string()
        };
        let site = "encoder.layer.0.intermediate.dense";
        let expected = [
            "%0 = input name=x".to_string(),
            "%1 = input name=y".into(),
            "%2 = parameter name=vera_A".into(),
            "%3 = parameter name=vera_B".into(),
            "%4 = slice %2 dim=1 start=0 length=32".into(),
            format!("%5 = parameter name={site}.vera_lambda_b"),
            format!("%6 = parameter name={site}.vera_lambda_d"),
            "%7 = transpose %4".into(),
            "%8 = matmul %0 %7".into(),
            "%9 = mul %8 %6".into(),
            "%10 = transpose %3".into(),
            "%11 = matmul %9 %10".into(),
            "%12 = mul %11 %5".into(),
            "%13 = add %1 %12".into(),
        ];
        assert_eq!(at(site), expected.join("\n"));
        assert!(at("encoder.layer.0.output.dense").contains("slice %3 dim=0 start=0 length=32"));
    }
}
