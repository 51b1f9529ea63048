//! The activations from candle's differentiable primitives, with PyTorch's derivative where a
//! function has none. The composed block calls them.

use crate::error::Result;
use candle_core::Tensor;
use candle_nn::ops::sigmoid;
use progtune_kernels::activation::{
    Activation, GELU_CLIP, LAPLACE_MU, LAPLACE_SIGMA, LEAKY_SLOPE, QUICK_GELU,
};

/// The limit below which softplus is computed from its series, because 1 + eˣ has lost too much of
/// eˣ.
const DEEP: f64 = -8.0;

/// `f(x)` of any shape.
pub(super) fn forward(x: &Tensor, activation: Activation) -> Result<Tensor> {
    Ok(match activation {
        Activation::Gelu => x.gelu_erf()?,
        Activation::GeluTanh => x.gelu()?,
        Activation::GeluClipped => {
            let y = x.gelu_erf()?;
            let inside = mask(&y.le(GELU_CLIP)?, x)?;
            ((&y * &inside)? + (inside.affine(-1.0, 1.0)? * GELU_CLIP)?)?
        }
        Activation::QuickGelu => (x * sigmoid(&(x * QUICK_GELU)?)?)?,
        Activation::Relu => relu(x)?,
        Activation::ReluSquared => relu(x)?.sqr()?,
        Activation::Relu6 => {
            let below = mask(&x.lt(6.0)?, x)?;
            ((relu(x)? * &below)? + (below.affine(-1.0, 1.0)? * 6.0)?)?
        }
        Activation::LeakyRelu => {
            let slope = mask(&x.gt(0.0)?, x)?.affine(1.0 - LEAKY_SLOPE, LEAKY_SLOPE)?;
            (x * slope)?
        }
        Activation::Silu => x.silu()?,
        Activation::HardSwish => hard_swish(x)?,
        Activation::Mish => (x * softplus(x)?.tanh()?)?,
        Activation::SqrtSoftplus => sqrt_softplus(x)?,
        Activation::Laplace => {
            let scale = 1.0 / (LAPLACE_SIGMA * std::f64::consts::SQRT_2);
            let z = x.affine(scale, -LAPLACE_MU * scale)?;
            z.erf()?.affine(0.5, 0.5)?
        }
        Activation::Sigmoid => sigmoid(x)?,
        Activation::Tanh => x.tanh()?,
        Activation::Linear => x.clone(),
    })
}

/// A constant of `x`'s type: 1 where a comparison holds, and 0 elsewhere.
fn mask(holds: &Tensor, x: &Tensor) -> Result<Tensor> {
    Ok(holds.to_dtype(x.dtype())?.detach())
}

/// max(x, 0). candle's own has derivative 1 at 0; PyTorch's is 0.
fn relu(x: &Tensor) -> Result<Tensor> {
    Ok((x * mask(&x.gt(0.0)?, x)?)?)
}

/// 0 up to −3, x from 3 on, and x·(x + 3)/6 between them.
fn hard_swish(x: &Tensor) -> Result<Tensor> {
    let above = mask(&x.ge(3.0)?, x)?;
    let between = (mask(&x.gt(-3.0)?, x)? - &above)?;
    let inner = (x * x.affine(1.0 / 6.0, 0.5)?)?;
    Ok(((x * above)? + (inner * between)?)?)
}

/// max(x, 0) + ln(1 + e^−|x|).
fn softplus(x: &Tensor) -> Result<Tensor> {
    let positive = mask(&x.gt(0.0)?, x)?;
    let minus_abs = (x * positive.affine(-2.0, 1.0)?)?;
    Ok(((x * positive)? + (minus_abs.exp()? + 1.0)?.log()?)?)
}

/// √softplus(x). Far below 0 it is e^(x/2)·√(1 − e/2 + e²/3), from the series of ln(1 + e) with e =
/// eˣ.
fn sqrt_softplus(x: &Tensor) -> Result<Tensor> {
    let deep = mask(&x.lt(DEEP)?, x)?;
    let rest = deep.affine(-1.0, 1.0)?;
    // Each formula sees only arguments that it can compute, because a gradient of infinity times 0
    // would be NaN.
    let kept =
        |of: &Tensor, others: &Tensor| -> Result<Tensor> { Ok(((x * of)? + (others * DEEP)?)?) };
    let usual = softplus(&kept(&rest, &deep)?)?.sqrt()?;
    let far = kept(&deep, &rest)?;
    let e = far.exp()?;
    let series = (e.affine(-0.5, 1.0)? + (e.sqr()? / 3.0)?)?.sqrt()?;
    let far = ((far * 0.5)?.exp()? * series)?;
    Ok(((usual * rest)? + (far * deep)?)?)
}

#[cfg(test)]
mod tests;
