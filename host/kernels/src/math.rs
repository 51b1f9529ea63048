//! Exponential, error function and hyperbolic tangent in a form that the compiler can vectorise;
//! used inside kernels.
//!
//! ```
//! use progtune_kernels::math::{exp, sum_by};
//!
//! let x = [0.0, 1.0, 2.0];
//! let sum = sum_by(x.len(), |i| exp(x[i]));
//! assert!((sum - 11.107_338).abs() < 1e-5);
//! ```

/// eˣ for finite `x`, relative error below 3e-7; 0 below −87, clamped above 88.
///
/// Cephes' scheme: x = n·ln 2 + r, a polynomial in r, then 2ⁿ through the exponent bits.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5·2²³: adding it rounds to a whole number in the low mantissa bits
    let clamped = x.clamp(-87.336_5, 88.376_2);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    let exponent = shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127)
        << 23;
    let y = p * f32::from_bits(exponent);
    if x < -87.0 { 0.0 } else { y }
}

/// The error function, absolute error below 2e-7 (Abramowitz and Stegun 7.1.26).
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * a);
    let p = 1.061_405_4;
    let p = p * t - 1.453_152;
    let p = p * t + 1.421_413_8;
    let p = p * t - 0.284_496_72;
    let p = p * t + 0.254_829_6;
    (1.0 - p * t * exp(-a * a)).copysign(x)
}

/// The hyperbolic tangent, absolute error below 2e-7.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let e = exp(-2.0 * x.abs());
    ((1.0 - e) / (1.0 + e)).copysign(x)
}

/// The number of lanes of a vectorised reduction. It is fixed, so that every instruction set adds
/// in the same order.
pub(crate) const LANES: usize = 16;

/// Σ f(i) over 0..n. It uses four times `LANES` partial sums while enough terms remain (four
/// chains of additions keep a core busy), then `LANES`, then single additions.
#[inline(always)]
pub fn sum_by(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    const WIDE: usize = 4 * LANES;
    let mut lanes = [0f32; LANES];
    let mut i = 0;
    if n >= 2 * WIDE {
        let mut wide = [0f32; WIDE];
        while i + WIDE <= n {
            for (lane, sum) in wide.iter_mut().enumerate() {
                *sum += f(i + lane);
            }
            i += WIDE;
        }
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum = (wide[lane] + wide[LANES + lane])
                + (wide[2 * LANES + lane] + wide[3 * LANES + lane]);
        }
    }
    while i + LANES <= n {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(i + lane);
        }
        i += LANES;
    }
    let mut total = 0f32;
    for sum in lanes {
        total += sum;
    }
    while i < n {
        total += f(i);
        i += 1;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_library() {
        for i in -8600..8800 {
            let x = i as f32 * 0.01;
            let (got, want) = (exp(x), (x as f64).exp());
            assert!(
                ((got as f64 - want) / want).abs() < 3e-7,
                "exp({x}) = {got}, expected {want}"
            );
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn erf_and_tanh_match_known_values() {
        // Reference values with ten digits (Abramowitz and Stegun, table 7.1).
        for (x, want) in [
            (0.0, 0.0),
            (0.1, 0.112_462_916),
            (0.5, 0.520_499_878),
            (1.0, 0.842_700_793),
            (2.0, 0.995_322_265),
            (3.5, 0.999_999_257),
        ] {
            assert!((erf(x) - want as f32).abs() < 2e-7, "erf({x}) = {}", erf(x));
            assert!((erf(-x) + want as f32).abs() < 2e-7);
        }
        for i in -500..500 {
            let x = i as f32 * 0.02;
            assert!(
                (tanh(x) as f64 - (x as f64).tanh()).abs() < 2e-7,
                "tanh({x})"
            );
        }
    }
}
