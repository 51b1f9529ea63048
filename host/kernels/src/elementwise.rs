//! The element-wise steps of a method's graph, in place. Called by the host's fused programs.
//!
//! ```
//! use progtune_kernels::elementwise::{add_products, add_scaled};
//!
//! let mut a = [1.0, 2.0];
//! add_scaled(&mut a, &[10.0, 20.0], 0.5);
//! assert_eq!(a, [6.0, 12.0]);
//! add_products(&mut a, &[2.0, 3.0], &[1.0, -1.0]);
//! assert_eq!(a, [8.0, 9.0]);
//! ```

use crate::simd::simd_fn;

simd_fn! {
    /// `a += factor·b`.
    pub fn add_scaled(a: &mut [f32], b: &[f32], factor: f32) {
        for (a, b) in a.iter_mut().zip(b) {
            *a += factor * b;
        }
    }
}

simd_fn! {
    /// `a ⊙= b`.
    pub fn multiply(a: &mut [f32], b: &[f32]) {
        for (a, b) in a.iter_mut().zip(b) {
            *a *= b;
        }
    }
}

simd_fn! {
    /// `a += b ⊙ c`.
    pub fn add_products(a: &mut [f32], b: &[f32], c: &[f32]) {
        for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
            *a += b * c;
        }
    }
}

simd_fn! {
    /// `a *= by`.
    pub fn scale(a: &mut [f32], by: f32) {
        for a in a.iter_mut() {
            *a *= by;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn do_what_they_say() {
        for n in [0, 1, 17, 100] {
            let (a, b, c) = (random(n, 1), random(n, 2), random(n, 3));
            let check = |f: &dyn Fn(&mut [f32]), want: &dyn Fn(usize) -> f32| {
                let mut got = a.clone();
                f(&mut got);
                assert_eq!(got, (0..n).map(want).collect::<Vec<_>>());
            };
            check(&|a| add_scaled(a, &b, 0.3), &|i| a[i] + 0.3 * b[i]);
            check(&|a| multiply(a, &b), &|i| a[i] * b[i]);
            check(&|a| add_products(a, &b, &c), &|i| a[i] + b[i] * c[i]);
            check(&|a| scale(a, 1.7), &|i| a[i] * 1.7);
        }
    }
}
