//! The computation of PEFT's layers at a linear layer, as graphs and new parameters: LoRA with its
//! bias and DoRA's magnitudes, IA³'s factors, VeRA's shared projections. [`super::carried`] calls
//! it for adapters that a plugin's options cannot express.
//!
//! The equations for evaluation (without dropout), with the scale s:
//!
//! | method | y' |
//! |---|---|
//! | LoRA | y + s·(B·A·x + b_B) |
//! | DoRA | b + m/‖W + s·B·A‖ ⊙ (y − b + s·B·A·x) |
//! | IA³ | l ⊙ y, or W·(l ⊙ x) + b |
//! | VeRA | y + λ_b ⊙ B·(λ_d ⊙ A·x) |

use progtune_plugin_api::{
    graph::{Graph, GraphBuilder, Op, Tensor},
    records::{MethodPlan, NewParameter, Rewrite, SiteRecord},
};

/// LoRA at a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lora {
    pub r: usize,
    pub scaling: f64,
    /// Whether B has a bias (`lora_bias`).
    pub has_bias: bool,
    /// Whether there is a magnitude for each output (`use_dora`).
    pub is_dora: bool,
}

impl Lora {
    /// Adds it to the plan.
    pub(super) fn add(self, plan: &mut MethodPlan, site: &SiteRecord) {
        let name = |end: &str| format!("{}.{end}", site.name);
        let (a, b, bias) = (
            name("lora_A.weight"),
            name("lora_B.weight"),
            name("lora_B.bias"),
        );
        let magnitude = name("lora_magnitude_vector");
        let (n_in, n_out) = (u64::from(site.in_dim), u64::from(site.out_dim));
        let r = self.r as u64;
        let mut add = |name: &str, shape: &[u64]| {
            let zeros = Graph::filled(0.0, shape);
            plan.parameters
                .push(NewParameter::at(site, name, shape, zeros));
        };
        add(&a, &[r, n_in]);
        add(&b, &[n_out, r]);
        if self.has_bias {
            add(&bias, &[n_out]);
        }
        if self.is_dora {
            add(&magnitude, &[n_out]);
        }
        let names = Names {
            a,
            b,
            bias,
            magnitude,
        };
        let mut rewrite =
            Rewrite::output(site, self.forward(site, &names)).with_merge(self.merge(site, &names));
        if self.has_bias {
            rewrite = rewrite.with_merge_bias(self.merge_bias(&names));
        }
        plan.rewrites.push(rewrite);
    }

    /// s·B·A.
    fn update(self, g: &mut GraphBuilder, names: &Names) -> Tensor {
        let (a, b) = (g.parameter(&names.a), g.parameter(&names.b));
        let product = g.matmul(b, a);
        g.scale(product, self.scaling)
    }

    /// W + s·B·A and m / ‖W + s·B·A‖, `[out, 1]`.
    fn direction(self, g: &mut GraphBuilder, w: Tensor, names: &Names, out: u64) -> [Tensor; 2] {
        let update = self.update(g, names);
        let direction = g.add(w, update);
        let norm = g.along(Op::NORM2, direction, 1);
        let magnitude = g.parameter(&names.magnitude);
        let magnitude = g.reshape(magnitude, &[out, 1]);
        [direction, g.div(magnitude, norm)]
    }

    fn forward(self, site: &SiteRecord, names: &Names) -> Graph {
        let mut g = GraphBuilder::new();
        let (x, y) = (g.input("x"), g.input("y"));
        let (a, b) = (g.parameter(&names.a), g.parameter(&names.b));
        let low = g.linear(x, a);
        let low = g.scale(low, self.scaling);
        let mut update = g.linear(low, b);
        if self.has_bias {
            let bias = g.parameter(&names.bias);
            let bias = g.scale(bias, self.scaling);
            update = g.add(update, bias);
        }
        if self.is_dora {
            let out = u64::from(site.out_dim);
            let w = g.base(&site.weight);
            let [_, factor] = self.direction(&mut g, w, names, out);
            let factor = g.reshape(factor, &[out]);
            let bias = g.base(&site.bias);
            let own = g.sub(y, bias);
            let sum = g.add(own, update);
            let scaled = g.mul(sum, factor);
            g.add(scaled, bias);
        } else {
            g.add(y, update);
        }
        g.finish()
    }

    fn merge(self, site: &SiteRecord, names: &Names) -> Graph {
        let mut g = GraphBuilder::new();
        let w = g.input("w");
        if self.is_dora {
            let [direction, factor] = self.direction(&mut g, w, names, u64::from(site.out_dim));
            g.mul(direction, factor);
        } else {
            let update = self.update(&mut g, names);
            g.add(w, update);
        }
        g.finish()
    }

    fn merge_bias(self, names: &Names) -> Graph {
        let mut g = GraphBuilder::new();
        let (b, more) = (g.input("b"), g.parameter(&names.bias));
        let more = g.scale(more, self.scaling);
        g.add(b, more);
        g.finish()
    }
}

/// The names of the parameters that LoRA adds at a site.
struct Names {
    a: String,
    b: String,
    bias: String,
    magnitude: String,
}

/// Adds IA³ at a layer: factors on the rows that it reads, or on those that it yields.
pub(super) fn add_factors(plan: &mut MethodPlan, site: &SiteRecord, scales_input: bool) {
    let name = format!("{}.ia3_l", site.name);
    let (n_in, n_out) = (u64::from(site.in_dim), u64::from(site.out_dim));
    let shape = if scales_input { [1, n_in] } else { [n_out, 1] };
    let product = |input: &str, shape: Option<u64>| {
        let mut g = GraphBuilder::new();
        let (value, mut l) = (g.input(input), g.parameter(&name));
        if let Some(n) = shape {
            l = g.reshape(l, &[n]);
        }
        g.mul(value, l);
        g.finish()
    };
    let rewrite = if scales_input {
        // The mode `input` is not available at the head's layers, hence y' = y + W·((l − 1) ⊙ x).
        let mut g = GraphBuilder::new();
        let (x, y, w) = (g.input("x"), g.input("y"), g.base(&site.weight));
        let (l, one) = (g.parameter(&name), g.constant(1.0, &[]));
        let l = g.reshape(l, &[n_in]);
        let more = g.sub(l, one);
        let scaled = g.mul(x, more);
        let change = g.linear(scaled, w);
        g.add(y, change);
        Rewrite::output(site, g.finish()).with_merge(product("w", None))
    } else {
        Rewrite::output(site, product("y", Some(n_out)))
            .with_merge(product("w", None))
            .with_merge_bias(product("b", Some(n_out)))
    };
    let ones = Graph::filled(1.0, &shape);
    plan.parameters
        .push(NewParameter::at(site, name.as_str(), &shape, ones));
    plan.rewrites.push(rewrite);
}

/// VeRA's shared projections: A `[r, inputs]`, B `[outputs, r]`, of the size of the largest layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Projections {
    pub r: u64,
    pub inputs: u64,
    pub outputs: u64,
    /// The seed from which PyTorch draws them.
    pub seed: i64,
}

pub(super) const A: &str = "vera_A";
pub(super) const B: &str = "vera_B";

impl Projections {
    /// Adds them to the plan, drawn as PyTorch draws them. Those in the file replace them.
    pub(super) fn add(self, plan: &mut MethodPlan) {
        let (a, b) = ([self.r, self.inputs], [self.outputs, self.r]);
        for (name, shape, before) in [(A, a, 0), (B, b, a[0] * a[1])] {
            // This is the order of PyTorch's own operations, which gives the same last bit.
            let bound = 3f64.sqrt() * (2f64.sqrt() / (shape[1] as f64).sqrt());
            let mut g = GraphBuilder::new();
            g.uniform_mt19937((-bound, bound), self.seed, before as i64, &shape);
            let parameter = NewParameter::trained(name, &shape, g.finish(), -1);
            plan.parameters.push(parameter.shared().frozen());
        }
    }

    /// Adds a layer, which uses the corners that it needs.
    pub(super) fn add_layer(self, plan: &mut MethodPlan, site: &SiteRecord) {
        let name = |end: &str| format!("{}.{end}", site.name);
        let (lambda_b, lambda_d) = (name("vera_lambda_b"), name("vera_lambda_d"));
        let (n_out, r) = (u64::from(site.out_dim), self.r);
        let mut g = GraphBuilder::new();
        let (x, y) = (g.input("x"), g.input("y"));
        let [a, b] = self.corners(&mut g, site);
        let (by, dy) = (g.parameter(&lambda_b), g.parameter(&lambda_d));
        let low = g.linear(x, a);
        let low = g.mul(low, dy);
        let update = g.linear(low, b);
        let update = g.mul(update, by);
        g.add(y, update);
        let rewrite = Rewrite::output(site, g.finish());
        let mut g = GraphBuilder::new();
        let w = g.input("w");
        let [a, b] = self.corners(&mut g, site);
        let (by, dy) = (g.parameter(&lambda_b), g.parameter(&lambda_d));
        let (by, dy) = (g.reshape(by, &[n_out, 1]), g.reshape(dy, &[r, 1]));
        let (left, right) = (g.mul(b, by), g.mul(a, dy));
        let update = g.matmul(left, right);
        g.add(w, update);
        plan.rewrites.push(rewrite.with_merge(g.finish()));
        for (name, size) in [(lambda_b, n_out), (lambda_d, r)] {
            let zeros = Graph::filled(0.0, &[size]);
            plan.parameters
                .push(NewParameter::at(site, name, &[size], zeros));
        }
    }

    fn corners(self, g: &mut GraphBuilder, site: &SiteRecord) -> [Tensor; 2] {
        let (mut a, mut b) = (g.parameter(A), g.parameter(B));
        if u64::from(site.in_dim) < self.inputs {
            a = g.slice(a, 1, 0, i64::from(site.in_dim));
        }
        if u64::from(site.out_dim) < self.outputs {
            b = g.slice(b, 0, 0, i64::from(site.out_dim));
        }
        [a, b]
    }
}
