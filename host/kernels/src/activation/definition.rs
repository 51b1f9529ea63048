//! The definitions of the activations in double precision, to which the kernels are compared.
//! Called by the tests and the benchmark.

use super::{Activation, GELU_CLIP, LAPLACE_MU, LAPLACE_SIGMA, LEAKY_SLOPE, QUICK_GELU};

/// Every activation.
#[cfg(test)]
pub(super) const ALL: [Activation; 16] = [
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::GeluClipped,
    Activation::QuickGelu,
    Activation::Relu,
    Activation::ReluSquared,
    Activation::Relu6,
    Activation::LeakyRelu,
    Activation::Silu,
    Activation::HardSwish,
    Activation::Mish,
    Activation::SqrtSoftplus,
    Activation::Laplace,
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Linear,
];

/// The points at which an activation has no derivative.
#[cfg(test)]
pub(super) fn kinks(activation: Activation) -> &'static [f32] {
    match activation {
        Activation::Relu | Activation::LeakyRelu => &[0.0],
        Activation::Relu6 => &[0.0, 6.0],
        Activation::HardSwish => &[-3.0, 3.0],
        Activation::GeluClipped => &[10.0],
        _ => &[],
    }
}

/// The definition of the forward, in double precision (with the error function as a series).
pub fn naive(x: f32, activation: Activation) -> f32 {
    let x = f64::from(x);
    let gelu = |x: f64| 0.5 * x * (1.0 + erf_series(x / std::f64::consts::SQRT_2));
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    let value = match activation {
        Activation::Gelu => gelu(x),
        Activation::GeluTanh => {
            0.5 * x
                * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Activation::GeluClipped => gelu(x).clamp(-GELU_CLIP, GELU_CLIP),
        Activation::QuickGelu => x * sigmoid(QUICK_GELU * x),
        Activation::Relu => x.max(0.0),
        Activation::ReluSquared => x.max(0.0).powi(2),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::LeakyRelu => x.max(0.0) + LEAKY_SLOPE * x.min(0.0),
        Activation::Silu => x * sigmoid(x),
        Activation::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Activation::Mish => x * softplus(x).tanh(),
        Activation::SqrtSoftplus => softplus(x).sqrt(),
        Activation::Laplace => {
            let z = (x - LAPLACE_MU) / (LAPLACE_SIGMA * std::f64::consts::SQRT_2);
            0.5 * (1.0 + erf_series(z))
        }
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::Linear => x,
    };
    value as f32
}

/// erf(x) = 2/√π · Σ (−1)ⁿ x²ⁿ⁺¹ / (n!·(2n+1)): exact enough for |x| < 5.
fn erf_series(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / n as f64;
        sum += term / (2 * n + 1) as f64;
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}
