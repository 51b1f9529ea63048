//! Numbers for tests: seeded values, roundings, comparisons, finite differences.

use progtune_kernels::{cuda::Number, dropout::mix};

/// Both types of activations.
pub(crate) const NUMBERS: [Number; 2] = [Number::F32, Number::Bf16];

/// `n` numbers in (−1, 1).
pub(crate) fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678;
    let mut next = || {
        state = mix(state.wrapping_add(0x9E37_79B9_7F4A_7C15));
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// `n` numbers in (−1, 1) that the type of activations holds exactly.
pub(crate) fn random_as(number: Number, n: usize, seed: u64) -> Vec<f32> {
    random(n, seed)
        .into_iter()
        .map(|v| rounded(number, v))
        .collect()
}

/// The nearest number of a type.
pub(crate) fn rounded(number: Number, value: f32) -> f32 {
    match number {
        Number::F32 => value,
        Number::Bf16 => from_bf16(to_bf16(value)),
    }
}

/// The nearest bfloat16, halves to even.
pub(crate) fn to_bf16(value: f32) -> u16 {
    if value.is_nan() {
        return 0x7fff;
    }
    let bits = value.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

pub(crate) fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Asserts that got and want differ by at most `tolerance` times the largest number of `want`, or
/// times 0.1 if all are smaller.
#[track_caller]
pub(crate) fn assert_near(got: &[f32], want: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    let size = want.iter().fold(0.1f32, |size, w| size.max(w.abs()));
    let mut worst = (0f32, 0);
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let error = (g - w).abs() / size;
        assert!(!error.is_nan(), "{what}: at {i} got {g}, expected {w}");
        if error > worst.0 {
            worst = (error, i);
        }
    }
    let (error, i) = worst;
    if std::env::var_os("PROGTUNE_SHOW_ERRORS").is_some() {
        println!("error {error:.2e} of {tolerance:.0e}: {what}");
    }
    assert!(
        error <= tolerance,
        "{what}: at {i} got {}, expected {}: error {error:.2e}, at most {tolerance:.0e}",
        got[i],
        want[i]
    );
}

/// Asserts that `gradient` is the derivative of `f` at `x`, by central differences at up to 24
/// places.
#[track_caller]
pub(crate) fn assert_gradient(x: &[f32], gradient: &[f32], what: &str, f: impl Fn(&[f32]) -> f64) {
    assert_eq!(x.len(), gradient.len(), "{what}: length");
    const STEP: f32 = 1e-2;
    for i in (0..x.len()).step_by((x.len() / 24).max(1)) {
        let moved = |by: f32| {
            let mut x = x.to_vec();
            x[i] += by;
            f(&x)
        };
        let want = (moved(STEP) - moved(-STEP)) / (2.0 * f64::from(STEP));
        let got = f64::from(gradient[i]);
        assert!(
            (got - want).abs() <= 3e-3 * want.abs().max(1.0),
            "{what}: at {i} the gradient is {got}, the finite difference {want}"
        );
    }
}

/// Σ a·b, which makes a number of a result. Its gradient with respect to a is b.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
    products.sum()
}
