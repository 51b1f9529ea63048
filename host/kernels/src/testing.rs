//! Helpers for this crate's tests: seeded numbers, comparison, finite differences.

/// `n` numbers in (−1, 1).
pub(crate) fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(0x1234_5678);
    (0..n)
        .map(|_| {
            state = crate::dropout::mix(state.wrapping_add(0x9E37_79B9_7F4A_7C15));
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// Asserts that |got − want| ≤ tolerance · max(1, |want|) everywhere.
#[track_caller]
pub(crate) fn assert_close(got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len());
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= tolerance * w.abs().max(1.0),
            "at {i}: got {g}, expected {w}"
        );
    }
}

/// Asserts that `gradient` is the derivative of `f` at `x`, by central differences on up to 40
/// coordinates.
#[track_caller]
pub(crate) fn assert_gradient(
    x: &[f32],
    gradient: &[f32],
    tolerance: f64,
    f: impl Fn(&[f32]) -> f64,
) {
    assert_eq!(x.len(), gradient.len());
    let step = 1e-2f32;
    for i in (0..x.len()).step_by((x.len() / 40).max(1)) {
        let mut moved = x.to_vec();
        moved[i] = x[i] + step;
        let up = f(&moved);
        moved[i] = x[i] - step;
        let down = f(&moved);
        let want = (up - down) / (2.0 * step as f64);
        assert!(
            (gradient[i] as f64 - want).abs() <= tolerance * want.abs().max(1.0),
            "at {i}: gradient {}, finite difference {want}",
            gradient[i]
        );
    }
}

/// Σ a·b in f64: turns an output into a scalar whose gradient with respect to the output is `b`.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| x as f64 * y as f64).sum()
}
