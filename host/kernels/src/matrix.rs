//! Read-only views of matrices, and the definition of their product. Called by every kernel that
//! multiplies.
//!
//! ```
//! use progtune_kernels::matrix::{Matrix, naive};
//!
//! let a = Matrix::new(&[1.0, 2.0, 3.0, 4.0], 2, 2);
//! let column = Matrix::new(&[1.0, 10.0], 2, 1);
//! assert_eq!(naive(a, column), [21.0, 43.0]);
//! assert_eq!(naive(a.transposed(), column), [31.0, 42.0]);
//! ```

/// A read-only matrix view.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T = f32> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// `data` as `[rows, columns]`, row after row.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// `data` as `[rows, columns]` whose rows begin `row_stride` apart.
    ///
    /// # Panics
    /// If `data` is too short for that shape.
    pub(crate) fn strided(data: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
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

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The distance between adjacent numbers of a row.
    pub(crate) fn column_stride(&self) -> usize {
        self.column_stride
    }

    /// A row of a view with dense rows; the slice is at least as long as the view is wide.
    ///
    /// # Panics
    /// If the view is transposed.
    #[inline]
    pub fn row(&self, row: usize) -> &'a [T] {
        assert_eq!(self.column_stride, 1, "a dense row");
        &self.data[row * self.row_stride..][..self.columns]
    }

    fn reach(&self) -> usize {
        if self.rows == 0 || self.columns == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
    }

    /// The view of some of the rows.
    pub(crate) fn rows_from(self, first: usize, rows: usize) -> Self {
        debug_assert!(first + rows <= self.rows);
        let start = (first * self.row_stride).min(self.data.len());
        Self {
            data: &self.data[start..],
            rows,
            ..self
        }
    }
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
