//! The activations of BERT's feed-forward part and heads: forward and backward. Called by the fused
//! block, on one thread for the rows that thread owns.

use crate::{
    math::{erf, exp, tanh},
    simd::simd_fn,
};

/// Hugging Face's `hidden_act`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `gelu`: x·Φ(x) with the error function.
    Gelu,
    /// `gelu_new`, `gelu_pytorch_tanh`: the tanh approximation.
    GeluTanh,
    /// `relu`.
    Relu,
    /// `silu`, `swish`: x·σ(x).
    Silu,
    /// `tanh`: what poolers and classifier heads use.
    Tanh,
}

const SQRT_2_OVER_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

#[inline(always)]
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// d/dx x·Φ(x) = Φ(x) + x·φ(x).
#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    let cdf = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
    cdf + x * exp(-0.5 * x * x) * 0.398_942_3
}

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    0.5 * x * (1.0 + tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x)))
}

#[inline(always)]
fn gelu_tanh_slope(x: f32) -> f32 {
    let t = tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x));
    0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * SQRT_2_OVER_PI * (1.0 + 3.0 * CUBIC * x * x)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// A loop over a body for every activation. Not `for_each`: a closure that the compiler leaves outside the function
/// is compiled for the baseline instruction set.
macro_rules! each {
    ($values:ident, $x:ident, |$value:ident, $number:ident| $body:expr) => {
        for ($value, &$number) in $values.iter_mut().zip($x) {
            $body;
        }
    };
}

simd_fn! {
    /// `y = f(x)`, any shape.
    pub fn forward(y: &mut [f32], x: &[f32], activation: Activation) {
        assert_eq!(y.len(), x.len(), "an activation keeps the shape");
        match activation {
            Activation::Gelu => each!(y, x, |y, x| *y = gelu(x)),
            Activation::GeluTanh => each!(y, x, |y, x| *y = gelu_tanh(x)),
            Activation::Relu => each!(y, x, |y, x| *y = x.max(0.0)),
            Activation::Silu => each!(y, x, |y, x| *y = x * sigmoid(x)),
            Activation::Tanh => each!(y, x, |y, x| *y = tanh(x)),
        }
    }
}

simd_fn! {
    /// `d ← d·f′(x)`, in place: `d` comes in as the gradient of `y` and leaves as that of `x`.
    pub fn backward(d: &mut [f32], x: &[f32], activation: Activation) {
        assert_eq!(d.len(), x.len(), "an activation keeps the shape");
        match activation {
            Activation::Gelu => each!(d, x, |d, x| *d *= gelu_slope(x)),
            Activation::GeluTanh => each!(d, x, |d, x| *d *= gelu_tanh_slope(x)),
            Activation::Relu => each!(d, x, |d, x| *d *= if x > 0.0 { 1.0 } else { 0.0 }),
            Activation::Silu => each!(d, x, |d, x| {
                let s = sigmoid(x);
                *d *= s * (1.0 + x * (1.0 - s));
            }),
            Activation::Tanh => each!(d, x, |d, x| {
                let t = tanh(x);
                *d *= 1.0 - t * t;
            }),
        }
    }
}

/// The definition of the forward, in double precision (the error function by its series).
pub fn naive(x: f32, activation: Activation) -> f32 {
    let x = x as f64;
    let value = match activation {
        Activation::Gelu => 0.5 * x * (1.0 + erf_series(x / std::f64::consts::SQRT_2)),
        Activation::GeluTanh => {
            0.5 * x
                * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Activation::Relu => x.max(0.0),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_gradient, dot, random};

    const ALL: [Activation; 5] = [
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Relu,
        Activation::Silu,
        Activation::Tanh,
    ];

    #[test]
    fn forward_and_backward_agree_with_the_definition() {
        for activation in ALL {
            for n in [0, 1, 7, 1000, 16_387] {
                let x: Vec<f32> = random(n, 5).iter().map(|v| v * 4.0 + 0.011).collect();
                let want: Vec<f32> = x.iter().map(|&x| naive(x, activation)).collect();
                let mut y = vec![f32::NAN; n];
                forward(&mut y, &x, activation);
                assert_close(&y, &want, 1e-6);
                let d_y = random(n, 6);
                let mut d = d_y.clone();
                backward(&mut d, &x, activation);
                if n > 0 && activation != Activation::Relu {
                    let few = n.min(1000);
                    assert_gradient(&x[..few], &d[..few], 2e-3, |x| {
                        let y: Vec<f32> = x.iter().map(|&x| naive(x, activation)).collect();
                        dot(&y, &d_y[..few])
                    });
                }
            }
        }
    }

    #[test]
    fn relu_passes_gradient_where_positive() {
        let mut d = vec![2.0, 2.0, 2.0];
        backward(&mut d, &[-1.0, 0.0, 3.0], Activation::Relu);
        assert_eq!(d, [0.0, 0.0, 2.0]);
    }
}
