//! The matrix product behind every linear layer and attention: safe views over the `gemm` crate.
//!
//! Called by [`crate::linear`] and [`crate::attention`]. Large products are split over rows of the result in
//! pieces that depend on the shape alone.
#![allow(unsafe_code)]

use rayon::prelude::*;

/// A read-only matrix view.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `data` as `[rows, columns]`, row after row.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// `data` as `[rows, columns]` whose rows begin `row_stride` apart.
    ///
    /// # Panics
    /// When `data` is too short for that shape.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        let matrix = Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        };
        assert!(
            matrix.reach() <= data.len(),
            "a {rows}×{columns} view of {} numbers",
            data.len()
        );
        matrix
    }

    /// The transposed view.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn reach(&self) -> usize {
        if self.rows == 0 || self.columns == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
    }

    fn rows_from(self, first: usize, rows: usize) -> Self {
        debug_assert!(first + rows <= self.rows);
        let start = (first * self.row_stride).min(self.data.len());
        Self {
            data: &self.data[start..],
            rows,
            ..self
        }
    }
}

/// `c (=|+=) alpha · a · b` on one thread; `c` is `[a.rows, b.columns]` with rows `row_stride` apart.
///
/// # Panics
/// When shapes do not agree or `c` is too short.
pub fn product(
    c: &mut [f32],
    row_stride: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    alpha: f32,
    accumulate: bool,
) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner dimensions of a product");
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        row_stride >= n && (m - 1) * row_stride + n <= c.len(),
        "a result of {m}×{n} in {} numbers",
        c.len()
    );
    if k == 0 {
        if !accumulate {
            for row in c.chunks_mut(row_stride).take(m) {
                row[..n].fill(0.0);
            }
        }
        return;
    }
    // SAFETY: the views were checked against their slices when they were made, `c` above; `c` is borrowed
    // exclusively, so it does not overlap the operands.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            row_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// As [`product`] with a dense `c` (`[a.rows, b.columns]`), over all threads.
pub fn parallel_product(c: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, accumulate: bool) {
    let n = b.columns;
    if a.rows == 0 || n == 0 {
        return;
    }
    let rows = piece(a.rows, n, a.columns);
    c[..a.rows * n]
        .par_chunks_mut(rows * n)
        .enumerate()
        .for_each(|(i, chunk)| {
            let first = i * rows;
            product(
                chunk,
                n,
                a.rows_from(first, chunk.len() / n),
                b,
                1.0,
                accumulate,
            );
        });
}

/// Rows of the result one task computes: a small product is not worth a fork; a large one makes eight tasks,
/// so that an uneven pair of cores still ends together.
fn piece(m: usize, n: usize, k: usize) -> usize {
    const WORTH_A_FORK: usize = 1 << 17;
    if m * n * k <= WORTH_A_FORK {
        return m;
    }
    m.div_ceil(8).next_multiple_of(16).min(m)
}

/// The definition: `c = a · b`, one number after the other.
pub fn naive(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let at =
        |m: &Matrix<'_>, i: usize, j: usize| m.data[i * m.row_stride + j * m.column_stride] as f64;
    let mut c = Vec::with_capacity(a.rows * b.columns);
    for i in 0..a.rows {
        for j in 0..b.columns {
            c.push(
                (0..a.columns)
                    .map(|l| at(&a, i, l) * at(&b, l, j))
                    .sum::<f64>() as f32,
            );
        }
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, random};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_definition(m in 0usize..70, n in 1usize..40, k in 0usize..50, seed in 0u64..100) {
            let (a, b) = (random(m * k, seed), random(n * k, seed + 1));
            let (a, b) = (Matrix::new(&a, m, k), Matrix::new(&b, n, k).transposed());
            let mut c = vec![f32::NAN; m * n];
            parallel_product(&mut c, a, b, false);
            assert_close(&c, &naive(a, b), 1e-5);
            let want: Vec<f32> = c.iter().map(|v| v * 2.0).collect();
            parallel_product(&mut c, a, b, true);
            assert_close(&c, &want, 1e-5);
        }
    }

    #[test]
    fn the_bits_do_not_depend_on_the_threads() {
        let (a, b) = (random(900 * 64, 1), random(64 * 96, 2));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let mut c = vec![0f32; 900 * 96];
            pool.install(|| {
                parallel_product(
                    &mut c,
                    Matrix::new(&a, 900, 64),
                    Matrix::new(&b, 64, 96),
                    false,
                )
            });
            c
        };
        assert_eq!(run(1), run(4));
    }
}
