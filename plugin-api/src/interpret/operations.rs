//! Every operation of a graph on `f64` arrays, from its definition in [`crate::graph::Op`]. Called
//! by [`super::evaluate`] after the graph has been checked, so shapes and attributes are valid
//! here.

use super::{Array, Values};
use crate::{
    graph::{Node, Op},
    infer::dimension,
    mersenne::MersenneTwister,
};

/// The result of one node; `None` for an operation of a later version. `index` keys its random
/// numbers.
pub(super) fn run(node: &Node, index: usize, inputs: &[&Array], values: &Values) -> Option<Array> {
    let name = node.text("name").unwrap_or_default();
    let float = |key: &str| node.float(key).unwrap_or_default();
    let result = match (node.op, inputs) {
        (Op::INPUT, _) => values.inputs.get(name)?.clone(),
        (Op::PARAMETER, _) => values.parameters.get(name)?.clone(),
        (Op::BASE, _) => values.base.get(name)?.clone(),
        (Op::CONSTANT, _) => generate(node, || float("value")),
        (Op::NORMAL | Op::TRUNCATED_NORMAL | Op::UNIFORM, _) => {
            random(node, Random::of(values.seed.unwrap_or_default(), index))
        }
        (Op::UNIFORM_MT19937, _) => twisted(node),
        (Op::MATMUL, [a, b]) => matmul(a, b),
        (Op::ADD, [a, b]) => broadcast(a, b, |x, y| x + y),
        (Op::SUB, [a, b]) => broadcast(a, b, |x, y| x - y),
        (Op::MUL, [a, b]) => broadcast(a, b, |x, y| x * y),
        (Op::DIV, [a, b]) => broadcast(a, b, |x, y| x / y),
        (Op::SCALE, [x]) => each(x, |v| v * float("by")),
        (Op::TRANSPOSE, [x]) => transpose(x),
        (Op::RESHAPE, [x]) => reshape(x, node),
        (Op::CONCAT, all) => concat(all, axis(node, all.first()?)?),
        (Op::SLICE, [x]) => slice(x, axis(node, x)?, node),
        (Op::RELU, [x]) => each(x, |v| v.max(0.0)),
        (Op::GELU, [x]) => each(x, |v| v * 0.5 * (1.0 + erf(v / std::f64::consts::SQRT_2))),
        (Op::SILU, [x]) => each(x, |v| v * sigmoid(v)),
        (Op::TANH, [x]) => each(x, f64::tanh),
        (Op::SIGMOID, [x]) => each(x, sigmoid),
        (Op::EXP, [x]) => each(x, f64::exp),
        (Op::SQRT, [x]) => each(x, f64::sqrt),
        (Op::SOFTMAX, [x]) => along(x, axis(node, x)?, softmax),
        (Op::SUM, [x]) => along(x, axis(node, x)?, |line| vec![line.iter().sum()]),
        (Op::MEAN, [x]) => along(x, axis(node, x)?, |line| vec![mean(line)]),
        (Op::NORM2, [x]) => along(x, axis(node, x)?, |line| {
            vec![line.iter().map(|v| v * v).sum::<f64>().sqrt()]
        }),
        (Op::LAYER_NORM, [x]) => along(x, x.dims.len() - 1, |line| normalise(line, float("eps"))),
        (Op::DROPOUT | Op::DETACH, [x]) => (*x).clone(),
        _ => return None,
    };
    Some(result)
}

fn each(x: &Array, f: impl Fn(f64) -> f64) -> Array {
    let values = x.values.iter().map(|&v| f(v)).collect();
    Array {
        values,
        ..x.clone()
    }
}

/// The index of the dimension in the attribute `dim`, which does not count the rows.
fn axis(node: &Node, x: &Array) -> Option<usize> {
    let rows = usize::from(x.rows);
    dimension(node.int("dim")?, x.dims.len() - rows).map(|dim| dim + rows)
}

fn generate(node: &Node, mut next: impl FnMut() -> f64) -> Array {
    let dims: Vec<usize> = node
        .shape()
        .unwrap_or_default()
        .iter()
        .map(|&n| n as usize)
        .collect();
    let size: usize = dims.iter().product();
    Array {
        rows: false,
        dims,
        values: (0..size).map(|_| next()).collect(),
    }
}

fn random(node: &Node, mut random: Random) -> Array {
    let float = |key: &str| node.float(key).unwrap_or_default();
    match node.op {
        Op::UNIFORM => {
            let (low, high) = (float("low"), float("high"));
            generate(node, || low + (high - low) * random.uniform())
        }
        Op::NORMAL => generate(node, || float("std") * random.normal()),
        _ => generate(node, || {
            loop {
                let z = random.normal();
                if z.abs() <= 2.0 {
                    break float("std") * z;
                }
            }
        }),
    }
}

fn twisted(node: &Node) -> Array {
    let whole = |key: &str| node.int(key).unwrap_or_default().unsigned_abs();
    let float = |key: &str| node.float(key).unwrap_or_default();
    let mut twister = MersenneTwister::new(whole("seed"));
    for _ in 0..whole("skip") {
        twister.bits();
    }
    generate(node, || {
        f64::from(twister.uniform(float("low"), float("high")))
    })
}

fn matmul(a: &Array, b: &Array) -> Array {
    let (k, n) = (b.dims[0], b.dims[1]);
    let mut dims = a.dims.clone();
    *dims.last_mut().expect("checked: a matrix at least") = n;
    let row = |row: &[f64]| -> Vec<f64> {
        let sum = |column: usize| (0..k).map(|i| row[i] * b.values[i * n + column]).sum();
        (0..n).map(sum).collect()
    };
    Array {
        rows: a.rows,
        dims,
        values: a.values.chunks_exact(k).flat_map(row).collect(),
    }
}

/// Trailing dimensions broadcast as in NumPy; the rows count as a dimension.
fn broadcast(a: &Array, b: &Array, f: impl Fn(f64, f64) -> f64) -> Array {
    let rank = a.dims.len().max(b.dims.len());
    let size = |x: &Array, dim: usize| match (dim + x.dims.len()).checked_sub(rank) {
        Some(own) => x.dims[own],
        None => 1,
    };
    let dims: Vec<usize> = (0..rank)
        .map(|dim| size(a, dim).max(size(b, dim)))
        .collect();
    let n: usize = dims.iter().product();
    // The element of `x` that corresponds to element `flat` of the result.
    let at = |x: &Array, flat: usize| {
        let (mut rest, mut index, mut stride) = (flat, 0, 1);
        for dim in (0..rank).rev() {
            let (here, own) = (rest % dims[dim], size(x, dim));
            rest /= dims[dim];
            index += stride * if own == 1 { 0 } else { here };
            stride *= own;
        }
        x.values[index]
    };
    let values = (0..n).map(|flat| f(at(a, flat), at(b, flat))).collect();
    Array {
        rows: a.rows || b.rows,
        dims,
        values,
    }
}

fn transpose(x: &Array) -> Array {
    let mut dims = x.dims.clone();
    let rank = dims.len();
    let (n, k) = (dims[rank - 2], dims[rank - 1]);
    dims.swap(rank - 2, rank - 1);
    let turned = |matrix: &[f64]| -> Vec<f64> {
        let element = |at: usize| matrix[at % n * k + at / n];
        (0..n * k).map(element).collect()
    };
    Array {
        rows: x.rows,
        dims,
        values: x.values.chunks_exact(n * k).flat_map(turned).collect(),
    }
}

fn reshape(x: &Array, node: &Node) -> Array {
    let rows = x.dims.iter().copied().take(usize::from(x.rows));
    let sizes = node.shape().unwrap_or_default();
    Array {
        dims: rows
            .chain(sizes.iter().map(|&size| size as usize))
            .collect(),
        ..x.clone()
    }
}

/// The products of the sizes before and after a dimension.
fn around(x: &Array, axis: usize) -> (usize, usize) {
    let product = |dims: &[usize]| dims.iter().product();
    (product(&x.dims[..axis]), product(&x.dims[axis + 1..]))
}

fn concat(all: &[&Array], axis: usize) -> Array {
    let (outer, inner) = around(all[0], axis);
    let mut result = Array {
        values: Vec::new(),
        ..all[0].clone()
    };
    result.dims[axis] = all.iter().map(|x| x.dims[axis]).sum();
    for block in 0..outer {
        for x in all {
            let length = x.dims[axis] * inner;
            result
                .values
                .extend_from_slice(&x.values[block * length..][..length]);
        }
    }
    result
}

fn slice(x: &Array, axis: usize, node: &Node) -> Array {
    let (outer, inner) = around(x, axis);
    let size = |key: &str| node.int(key).unwrap_or_default() as usize;
    let (start, length) = (size("start"), size("length"));
    let mut result = Array {
        values: Vec::new(),
        ..x.clone()
    };
    result.dims[axis] = length;
    for block in 0..outer {
        let first = (block * x.dims[axis] + start) * inner;
        result
            .values
            .extend_from_slice(&x.values[first..][..length * inner]);
    }
    result
}

/// Applies `f` to every line along a dimension.
fn along(x: &Array, axis: usize, f: impl Fn(&[f64]) -> Vec<f64>) -> Array {
    let (outer, inner) = around(x, axis);
    let n = x.dims[axis];
    let mut lines = Vec::with_capacity(outer * inner);
    for block in 0..outer {
        for offset in 0..inner {
            let element = |i: usize| x.values[(block * n + i) * inner + offset];
            lines.push(f(&(0..n).map(element).collect::<Vec<f64>>()));
        }
    }
    let length = lines.first().map_or(n, Vec::len);
    let mut result = Array {
        values: vec![0.0; outer * length * inner],
        ..x.clone()
    };
    result.dims[axis] = length;
    for (line, numbers) in lines.iter().enumerate() {
        for (i, &number) in numbers.iter().enumerate() {
            result.values[(line / inner * length + i) * inner + line % inner] = number;
        }
    }
    result
}

fn softmax(line: &[f64]) -> Vec<f64> {
    let largest = line.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    let powers: Vec<f64> = line.iter().map(|v| (v - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

fn mean(line: &[f64]) -> f64 {
    line.iter().sum::<f64>() / line.len() as f64
}

fn normalise(line: &[f64], eps: f64) -> Vec<f64> {
    let centre = mean(line);
    let squares: Vec<f64> = line.iter().map(|v| (v - centre).powi(2)).collect();
    let deviation = (mean(&squares) + eps).sqrt();
    line.iter().map(|v| (v - centre) / deviation).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The error function, by the series 2/√π·e^(−x²)·Σ 2ⁿx²ⁿ⁺¹/(2n+1)!!, whose terms all have the same
/// sign.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
        n += 1.0;
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

/// Random numbers (SplitMix64) that are determined by seed and node.
pub(crate) struct Random(u64);

impl Random {
    /// A separate stream for each pair.
    pub(crate) fn of(seed: u64, stream: usize) -> Self {
        let mut first = Self(seed ^ (stream as u64).wrapping_mul(0xd134_2543_de82_ef95));
        first.next();
        first
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `[0, 1)`.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number with mean 0 and standard deviation 1 (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
