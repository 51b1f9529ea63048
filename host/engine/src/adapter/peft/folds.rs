//! The changes to the base model's own parameters when a PEFT adapter is put on it. They are LoRA
//! of embeddings, rows of single tokens, and the conversions of the base that some initialisations
//! make whenever PEFT loads them. [`super::Adapter::apply`] calls it.

use crate::error::{Error, Result};
use candle_core::{D, Tensor};

/// The change of a parameter.
#[derive(Debug)]
pub(crate) enum Fold {
    /// LoRA of an embedding table W `[entries, hidden]`: W + s·(B·A)ᵀ with A `[r, entries]` and B
    /// `[hidden, r]`. With DoRA's magnitudes m `[hidden]`, its columns are scaled to that norm.
    Table {
        /// A.
        a: Tensor,
        /// B.
        b: Tensor,
        /// s.
        scaling: f64,
        /// m.
        magnitude: Option<Tensor>,
    },
    /// Rows of a table that are replaced, one for each token id.
    Rows {
        /// The token ids.
        ids: Vec<u32>,
        /// Their rows.
        rows: Tensor,
    },
    /// OLoRA: W − s·Q_r·R_r, with the thin QR decomposition W = Q·R.
    Olora {
        /// The rank.
        r: usize,
        /// s.
        scaling: f64,
    },
    /// PiSSA: W without its r largest singular values.
    Pissa {
        /// The rank.
        r: usize,
    },
}

impl Fold {
    /// The parameter's new value.
    ///
    /// # Errors
    /// When shapes do not fit; `name` is the parameter's.
    pub(crate) fn apply(&self, name: &str, value: &Tensor) -> Result<Tensor> {
        let misfit = |what: &Tensor| {
            Error::Model(format!(
                "the adapter changes {name} {:?} by a tensor of shape {:?}, which does not fit; check that --model is the \
                 base it was trained on",
                value.dims(),
                what.dims()
            ))
        };
        match self {
            Self::Table {
                a,
                b,
                scaling,
                magnitude,
            } => {
                let (entries, hidden) = value.dims2()?;
                let r = a.dims()[0];
                if a.dims() != [r, entries] || b.dims() != [hidden, r] {
                    return Err(misfit(if a.dims() == [r, entries] { b } else { a }));
                }
                let update = (b.matmul(a)?.t()? * *scaling)?;
                let table = (value + update)?;
                let Some(magnitude) = magnitude else {
                    return Ok(table);
                };
                if magnitude.elem_count() != hidden {
                    return Err(misfit(magnitude));
                }
                let norm = table.sqr()?.sum_keepdim(0)?.sqrt()?;
                let factor = magnitude.reshape((1, hidden))?.div(&norm)?;
                Ok(table.broadcast_mul(&factor)?)
            }
            Self::Rows { ids, rows } => {
                let (entries, hidden) = value.dims2()?;
                if rows.dims()[1] != hidden || ids.iter().any(|&id| id as usize >= entries) {
                    return Err(misfit(rows));
                }
                let mut table: Vec<Vec<f32>> = value.to_vec2()?;
                for (&id, row) in ids.iter().zip(rows.to_vec2()?) {
                    table[id as usize] = row;
                }
                Ok(Tensor::new(table, value.device())?)
            }
            Self::Olora { r, scaling } => {
                let w = Columns::of(value)?;
                let columns = w.0.iter().take(*r).cloned().collect();
                let q = orthonormal(columns);
                w.without(&q, *scaling).into_tensor(value)
            }
            Self::Pissa { r } => {
                let w = Columns::of(value)?;
                let q = leading(&w, *r).ok_or_else(|| {
                    Error::Model(format!(
                        "`init_lora_weights` \"pissa\": the singular values of {name} around the rank {r} are too close to \
                         be told apart; convert the adapter with PEFT (save_pretrained with \
                         path_initial_model_for_weight_conversion)"
                    ))
                })?;
                w.without(&q, 1.0).into_tensor(value)
            }
        }
    }
}

/// A matrix as its columns, in f64.
struct Columns(Vec<Vec<f64>>);

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Columns {
    fn of(value: &Tensor) -> Result<Self> {
        let columns: Vec<Vec<f32>> = value.t()?.contiguous()?.to_vec2()?;
        let wide = |column: Vec<f32>| column.into_iter().map(f64::from).collect();
        Ok(Self(columns.into_iter().map(wide).collect()))
    }

    /// W − s·Q·Qᵀ·W.
    fn without(mut self, q: &[Vec<f64>], scaling: f64) -> Self {
        for column in &mut self.0 {
            let shares: Vec<f64> = q.iter().map(|basis| dot(basis, column)).collect();
            for (basis, share) in q.iter().zip(shares) {
                for (value, direction) in column.iter_mut().zip(basis) {
                    *value -= scaling * share * direction;
                }
            }
        }
        self
    }

    /// W·Wᵀ·x.
    fn gram(&self, x: &[f64]) -> Vec<f64> {
        let mut y = vec![0.0; x.len()];
        for column in &self.0 {
            let share = dot(column, x);
            for (sum, value) in y.iter_mut().zip(column) {
                *sum += share * value;
            }
        }
        y
    }

    fn into_tensor(self, like: &Tensor) -> Result<Tensor> {
        let narrow = |column: Vec<f64>| column.into_iter().map(|value| value as f32).collect();
        let columns: Vec<Vec<f32>> = self.0.into_iter().map(narrow).collect();
        let tensor = Tensor::new(columns, like.device())?;
        Ok(tensor.transpose(D::Minus1, D::Minus2)?.contiguous()?)
    }
}

/// An orthonormal basis of the space that the vectors span, in their order: Gram-Schmidt, twice.
fn orthonormal(vectors: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(vectors.len());
    for mut vector in vectors {
        for _ in 0..2 {
            for other in &basis {
                let share = dot(other, &vector);
                for (value, direction) in vector.iter_mut().zip(other) {
                    *value -= share * direction;
                }
            }
        }
        let norm = dot(&vector, &vector).sqrt();
        if norm > 0.0 {
            vector.iter_mut().for_each(|value| *value /= norm);
        }
        basis.push(vector);
    }
    basis
}

/// The left singular vectors of the `r` largest singular values, by subspace iteration with
/// Rayleigh-Ritz. It is `None` when the subspace does not converge, for example if the r-th and the
/// next singular value are equal.
fn leading(w: &Columns, r: usize) -> Option<Vec<Vec<f64>>> {
    let n = w.0.first().map_or(0, Vec::len);
    let smaller = n.min(w.0.len());
    let r = r.min(smaller);
    let width = (2 * r + 10).min(smaller);
    // Fixed numbers with a component in every direction.
    let mut stream = crate::rng::Stream::new(0, "pissa");
    let start = (0..width).map(|_| (0..n).map(|_| stream.normal()).collect());
    let mut basis = orthonormal(start.collect());
    for _ in 0..2000 {
        let images: Vec<Vec<f64>> = basis.iter().map(|x| w.gram(x)).collect();
        let small: Vec<Vec<f64>> = basis
            .iter()
            .map(|x| images.iter().map(|image| dot(x, image)).collect())
            .collect();
        let turned = eigenvectors(small);
        let combine = |weights: &Vec<f64>, of: &[Vec<f64>]| {
            let mut sum = vec![0.0; n];
            for (weight, vector) in weights.iter().zip(of) {
                for (value, part) in sum.iter_mut().zip(vector) {
                    *value += weight * part;
                }
            }
            sum
        };
        let ritz: Vec<Vec<f64>> = turned
            .iter()
            .map(|weights| combine(weights, &basis))
            .collect();
        let mapped: Vec<Vec<f64>> = turned
            .iter()
            .map(|weights| combine(weights, &images))
            .collect();
        // It has converged when W·Wᵀ maps the leading vectors to themselves.
        let largest = dot(&ritz[0], &mapped[0]).abs().max(f64::MIN_POSITIVE);
        let settled = ritz.iter().zip(&mapped).take(r).all(|(x, image)| {
            let value = dot(x, image);
            let off: f64 = x
                .iter()
                .zip(image)
                .map(|(x, y)| (y - value * x).powi(2))
                .sum();
            off.sqrt() <= 1e-9 * largest
        });
        if settled {
            return Some(ritz.into_iter().take(r).collect());
        }
        basis = orthonormal(mapped);
    }
    None
}

/// The eigenvectors of a small symmetric matrix by Jacobi rotations, in descending order of the
/// eigenvalues.
fn eigenvectors(mut m: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let n = m.len();
    let mut vectors: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect())
        .collect();
    for _ in 0..60 {
        let off: f64 = (0..n)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|(i, j)| m[i][j] * m[i][j])
            .sum();
        let scale: f64 = (0..n).map(|i| m[i][i] * m[i][i]).sum();
        if off <= 1e-30 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if m[p][q] == 0.0 {
                    continue;
                }
                let theta = (m[q][q] - m[p][p]) / (2.0 * m[p][q]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for row in &mut m {
                    let (a, b) = (row[p], row[q]);
                    (row[p], row[q]) = (c * a - s * b, s * a + c * b);
                }
                for k in 0..n {
                    let (a, b) = (m[p][k], m[q][k]);
                    (m[p][k], m[q][k]) = (c * a - s * b, s * a + c * b);
                    let (a, b) = (vectors[p][k], vectors[q][k]);
                    (vectors[p][k], vectors[q][k]) = (c * a - s * b, s * a + c * b);
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| m[b][b].total_cmp(&m[a][a]));
    order.into_iter().map(|i| vectors[i].clone()).collect()
}
