//! The activations of BERT's feed-forward part and heads, forward and backward. The fused block
//! calls them on one thread for the rows that the thread owns. Their definitions in double
//! precision are in `definition`.
//!
//! ```
//! use progtune_kernels::activation::{Activation, backward, forward};
//!
//! let x = [-1.0, 0.5, 7.0];
//! let mut y = [0.0; 3];
//! forward(&mut y, &x, Activation::Relu6);
//! assert_eq!(y, [0.0, 0.5, 6.0]);
//! // The gradient of y, in place, becomes that of x.
//! let mut d = [3.0; 3];
//! backward(&mut d, &x, Activation::Relu6);
//! assert_eq!(d, [0.0, 3.0, 0.0]);
//! ```

mod definition;

use crate::{
    math::{erf, exp, tanh},
    simd::simd_fn,
};
pub use definition::naive;

/// Hugging Face's `hidden_act`: every function of transformers' `ACT2FN` without parameters of its
/// own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `gelu`, `gelu_python`: x·Φ(x) with the error function.
    Gelu,
    /// `gelu_new`, `gelu_fast`, `gelu_accurate`, `gelu_pytorch_tanh`, `gelu_python_tanh`: the tanh
    /// approximation.
    GeluTanh,
    /// `gelu_10`: GELU clipped to [−10, 10].
    GeluClipped,
    /// `quick_gelu`: x·σ(1.702·x).
    QuickGelu,
    /// `relu`.
    Relu,
    /// `relu2`: the square of ReLU.
    ReluSquared,
    /// `relu6`: ReLU clipped at 6.
    Relu6,
    /// `leaky_relu`: a hundredth of x below 0, PyTorch's default.
    LeakyRelu,
    /// `silu`, `swish`: x·σ(x).
    Silu,
    /// `hardswish`: x·relu6(x + 3)/6.
    HardSwish,
    /// `mish`: x·tanh(softplus(x)).
    Mish,
    /// `sqrtsoftplus`: √softplus(x).
    SqrtSoftplus,
    /// `laplace`: ½·(1 + erf((x − μ)/(σ·√2))) with MEGA's μ and σ.
    Laplace,
    /// `sigmoid`.
    Sigmoid,
    /// `tanh`, which poolers and classifier heads also use.
    Tanh,
    /// `linear`: x itself.
    Linear,
}

/// μ of `laplace`, with six digits as in transformers, and therefore not 1/√2.
#[allow(clippy::approx_constant)]
pub const LAPLACE_MU: f64 = 0.707_107;
/// σ of `laplace`, as in transformers.
pub const LAPLACE_SIGMA: f64 = 0.282_095;
/// The factor of `quick_gelu`.
pub const QUICK_GELU: f64 = 1.702;
/// The slope of `leaky_relu` below 0.
pub const LEAKY_SLOPE: f64 = 0.01;
/// The bound at which `gelu_10` is clipped.
pub const GELU_CLIP: f64 = 10.0;
/// Above this value softplus(x) is x, as in PyTorch.
const SOFTPLUS_THRESHOLD: f32 = 20.0;

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

/// tanh(softplus(x)) as a fraction: with e = eˣ and n = e·(e + 2) it is n/(n + 2). Returns e, n and
/// the value.
#[inline(always)]
fn tanh_softplus(x: f32) -> (f32, f32, f32) {
    let e = exp(x.min(SOFTPLUS_THRESHOLD));
    let n = e * (e + 2.0);
    (e, n, n / (n + 2.0))
}

/// d/dx x·tanh(softplus(x)) = t + x·(1 − t²)·σ(x), and (1 − t²)·σ(x) = 4e(e + 1)/(n + 2)².
#[inline(always)]
fn mish_slope(x: f32) -> f32 {
    let (e, n, t) = tanh_softplus(x);
    t + x * (4.0 * e * (e + 1.0) / ((n + 2.0) * (n + 2.0)))
}

#[inline(always)]
fn sqrt_softplus(x: f32) -> f32 {
    (x.max(0.0) + exp(-x.abs()).ln_1p()).sqrt()
}

/// σ(x)/(2·√softplus(x)); 0 if eˣ underflows in the square root.
#[inline(always)]
fn sqrt_softplus_slope(x: f32) -> f32 {
    let y = sqrt_softplus(x);
    if y > 0.0 { sigmoid(x) / (2.0 * y) } else { 0.0 }
}

/// (x − μ)/(σ·√2).
#[inline(always)]
fn laplace_argument(x: f32) -> f32 {
    (x - LAPLACE_MU as f32) * (1.0 / (LAPLACE_SIGMA * std::f64::consts::SQRT_2)) as f32
}

/// The density of the normal distribution with μ and σ: 1/(σ·√(2π)) = 1/(σ·√2) · 1/√π.
#[inline(always)]
fn laplace_slope(x: f32) -> f32 {
    const FACTOR: f32 = (std::f64::consts::FRAC_2_SQRT_PI
        / 2.0
        / (LAPLACE_SIGMA * std::f64::consts::SQRT_2)) as f32;
    let z = laplace_argument(x);
    FACTOR * exp(-z * z)
}

/// x·σ(f·x)' = σ·(1 + f·x·(1 − σ)).
#[inline(always)]
fn quick_gelu_slope(x: f32) -> f32 {
    let s = sigmoid(QUICK_GELU as f32 * x);
    s * (1.0 + QUICK_GELU as f32 * x * (1.0 - s))
}

/// PyTorch's slope: 0 up to −3, 1 from 3 on.
#[inline(always)]
fn hard_swish_slope(x: f32) -> f32 {
    if x <= -3.0 {
        0.0
    } else if x < 3.0 {
        x / 3.0 + 0.5
    } else {
        1.0
    }
}

/// A loop over a body for every activation. It does not use `for_each`, because a closure that the
/// compiler does not inline is compiled for the baseline instruction set.
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
            Activation::GeluClipped => {
                each!(y, x, |y, x| *y = gelu(x).clamp(-GELU_CLIP as f32, GELU_CLIP as f32));
            }
            Activation::QuickGelu => {
                each!(y, x, |y, x| *y = x * sigmoid(QUICK_GELU as f32 * x));
            }
            Activation::Relu => each!(y, x, |y, x| *y = x.max(0.0)),
            Activation::ReluSquared => each!(y, x, |y, x| *y = x.max(0.0) * x.max(0.0)),
            Activation::Relu6 => each!(y, x, |y, x| *y = x.clamp(0.0, 6.0)),
            Activation::LeakyRelu => {
                each!(y, x, |y, x| *y = if x > 0.0 { x } else { LEAKY_SLOPE as f32 * x });
            }
            Activation::Silu => each!(y, x, |y, x| *y = x * sigmoid(x)),
            Activation::HardSwish => {
                each!(y, x, |y, x| *y = x * (x + 3.0).clamp(0.0, 6.0) / 6.0);
            }
            Activation::Mish => each!(y, x, |y, x| *y = x * tanh_softplus(x).2),
            Activation::SqrtSoftplus => each!(y, x, |y, x| *y = sqrt_softplus(x)),
            Activation::Laplace => {
                each!(y, x, |y, x| *y = 0.5 * (1.0 + erf(laplace_argument(x))));
            }
            Activation::Sigmoid => each!(y, x, |y, x| *y = sigmoid(x)),
            Activation::Tanh => each!(y, x, |y, x| *y = tanh(x)),
            Activation::Linear => y.copy_from_slice(x),
        }
    }
}

simd_fn! {
    /// `d ← d·f′(x)`, in place: `d` holds the gradient of `y` on entry and that of `x` on return.
    pub fn backward(d: &mut [f32], x: &[f32], activation: Activation) {
        assert_eq!(d.len(), x.len(), "an activation keeps the shape");
        match activation {
            Activation::Gelu => each!(d, x, |d, x| *d *= gelu_slope(x)),
            Activation::GeluTanh => each!(d, x, |d, x| *d *= gelu_tanh_slope(x)),
            Activation::GeluClipped => each!(d, x, |d, x| {
                *d *= if gelu(x) > GELU_CLIP as f32 { 0.0 } else { gelu_slope(x) };
            }),
            Activation::QuickGelu => each!(d, x, |d, x| *d *= quick_gelu_slope(x)),
            Activation::Relu => each!(d, x, |d, x| *d *= if x > 0.0 { 1.0 } else { 0.0 }),
            Activation::ReluSquared => each!(d, x, |d, x| *d *= 2.0 * x.max(0.0)),
            Activation::Relu6 => {
                each!(d, x, |d, x| *d *= if x > 0.0 && x < 6.0 { 1.0 } else { 0.0 });
            }
            Activation::LeakyRelu => {
                each!(d, x, |d, x| *d *= if x > 0.0 { 1.0 } else { LEAKY_SLOPE as f32 });
            }
            Activation::HardSwish => each!(d, x, |d, x| *d *= hard_swish_slope(x)),
            Activation::Mish => each!(d, x, |d, x| *d *= mish_slope(x)),
            Activation::SqrtSoftplus => each!(d, x, |d, x| *d *= sqrt_softplus_slope(x)),
            Activation::Laplace => each!(d, x, |d, x| *d *= laplace_slope(x)),
            Activation::Sigmoid => each!(d, x, |d, x| {
                let s = sigmoid(x);
                *d *= s * (1.0 - s);
            }),
            Activation::Silu => each!(d, x, |d, x| {
                let s = sigmoid(x);
                *d *= s * (1.0 + x * (1.0 - s));
            }),
            Activation::Tanh => each!(d, x, |d, x| {
                let t = tanh(x);
                *d *= 1.0 - t * t;
            }),
            Activation::Linear => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_gradient, dot, random};
    use definition::{ALL, kinks};

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
                // Beside a kink, a finite difference equals the slope of neither side.
                let smooth = |x: f32| kinks(activation).iter().all(|kink| (x - kink).abs() > 0.02);
                let kept: Vec<usize> = (0..n.min(1000)).filter(|&i| smooth(x[i])).collect();
                let of = |values: &[f32]| -> Vec<f32> { kept.iter().map(|&i| values[i]).collect() };
                let (x, d, d_y) = (of(&x), of(&d), of(&d_y));
                assert_gradient(&x, &d, 2e-3, |x| {
                    let y: Vec<f32> = x.iter().map(|&x| naive(x, activation)).collect();
                    dot(&y, &d_y)
                });
            }
        }
    }

    /// PyTorch's derivatives at points where a function has none.
    #[test]
    fn kinks_have_pytorchs_slopes() {
        for (activation, x, slopes) in [
            (
                Activation::Relu,
                &[-1.0f32, 0.0, 3.0][..],
                &[0.0f32, 0.0, 1.0][..],
            ),
            (
                Activation::Relu6,
                &[-1.0, 0.0, 3.0, 6.0, 7.0],
                &[0.0, 0.0, 1.0, 0.0, 0.0],
            ),
            (Activation::LeakyRelu, &[-1.0, 0.0, 3.0], &[0.01, 0.01, 1.0]),
            (Activation::ReluSquared, &[-1.0, 0.0, 3.0], &[0.0, 0.0, 6.0]),
            (
                Activation::HardSwish,
                &[-4.0, -3.0, 3.0, 4.0],
                &[0.0, 0.0, 1.0, 1.0],
            ),
            (Activation::GeluClipped, &[9.0, 11.0], &[1.0, 0.0]),
        ] {
            let mut d = vec![2.0; x.len()];
            backward(&mut d, x, activation);
            let want: Vec<f32> = slopes.iter().map(|slope| 2.0 * slope).collect();
            assert_eq!(d, want, "{activation:?}");
        }
    }

    #[test]
    fn far_from_zero_nothing_overflows() {
        let x = [-1e10f32, -1000.0, -90.0, -30.0, 30.0, 90.0, 1000.0];
        for activation in ALL {
            let mut y = [f32::NAN; 7];
            forward(&mut y, &x, activation);
            let mut d = [1.0; 7];
            backward(&mut d, &x, activation);
            for (i, &x) in x.iter().enumerate() {
                let (want, d) = (naive(x, activation), d[i]);
                // A value of 0 means that e^x has underflowed.
                assert!(
                    (y[i] - want).abs() <= 1e-6 * want.abs().max(1.0),
                    "{activation:?}({x}) = {}, expected {want}",
                    y[i]
                );
                assert!(d.is_finite(), "{activation:?}'({x}) = {d}");
            }
        }
    }
}
