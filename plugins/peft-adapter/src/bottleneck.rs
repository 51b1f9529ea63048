//! A bottleneck W_up·act(W_down·x + b_down) + b_up, the building block of the adapters in this
//! library.

use progtune_plugin_api::{graph::Tensor, prelude::*};

/// The initialisation of the weights; biases start at zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Start {
    /// Normal with this standard deviation.
    Normal(f64),
    /// Normal with this standard deviation, redrawn beyond two of these.
    TruncatedNormal(f64),
    /// W_down uniform within ±1/√in (PyTorch's kaiming-uniform with √5) and W_up zero, so that the
    /// bottleneck yields zero.
    Nothing,
}

/// The shape of a bottleneck.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bottleneck {
    /// The number of columns inside.
    pub width: u64,
    /// The activation inside.
    pub activation: Op,
    /// The initialisation.
    pub start: Start,
}

impl Bottleneck {
    /// Adds the parameters of a bottleneck at a site to the plan, and its computation on `x` to the
    /// graph.
    pub(crate) fn insert(
        self,
        plan: &mut MethodPlan,
        g: &mut GraphBuilder,
        site: &SiteRecord,
        x: Tensor,
    ) -> Tensor {
        let hidden = u64::from(site.out_dim);
        let low = affine(
            plan,
            g,
            site,
            x,
            "adapter_down",
            [self.width, hidden],
            self.start,
        );
        let low = g.unary(self.activation, low);
        let start = match self.start {
            Start::Nothing => Start::Normal(0.0),
            other => other,
        };
        affine(
            plan,
            g,
            site,
            low,
            "adapter_up",
            [hidden, self.width],
            start,
        )
    }
}

/// W·x + b with the parameters of a projection at a site.
fn affine(
    plan: &mut MethodPlan,
    g: &mut GraphBuilder,
    site: &SiteRecord,
    x: Tensor,
    projection: &str,
    shape: [u64; 2],
    start: Start,
) -> Tensor {
    let name = |end: &str| format!("{}.{projection}.{end}", site.name);
    let (weight, bias) = (name("weight"), name("bias"));
    let (w, b) = (g.parameter(&weight), g.parameter(&bias));
    let init = match start {
        Start::Normal(0.0) => Graph::filled(0.0, &shape),
        Start::Normal(std) => Graph::normal(std, &shape),
        Start::TruncatedNormal(std) => Graph::truncated_normal(std, &shape),
        Start::Nothing => Graph::uniform(1.0 / (shape[1] as f64).sqrt(), &shape),
    };
    let zeros = Graph::filled(0.0, &shape[..1]);
    plan.parameters.extend([
        NewParameter::at(site, weight, &shape, init),
        NewParameter::at(site, bias, &shape[..1], zeros).bias(),
    ]);
    let product = g.linear(x, w);
    g.add(product, b)
}

/// The activation that an option names.
pub(crate) fn activation(name: &str) -> Op {
    match name {
        "gelu" => Op::GELU,
        "relu" => Op::RELU,
        _ => Op::SILU,
    }
}
