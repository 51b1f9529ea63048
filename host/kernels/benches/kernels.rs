//! Times every kernel against its naive reference, candle's own operation, and (for products) the
//! `gemm` crate with which candle multiplies: `cargo bench -p progtune-kernels`. Everything runs on
//! one thread, like the kernels in a training step. `item/s` counts floating-point operations for
//! products and attention, and numbers for the rest.

use candle_core::{D, Device, Tensor};
use divan::{Bencher, black_box, counter::ItemsCount};
use progtune_kernels::{
    activation::{self, Activation},
    adamw::{self, Update},
    attention::{self, Qkv, QkvGradients, Sequences},
    cross_entropy,
    dropout::{Dropout, row_key, site_key},
    elementwise, embedding,
    gemm::{PackedColumns, PackedRows, Start, multiply},
    layer_norm::{self, Norm},
    linear::{self, Rows, WeightGradient},
    matrix::{Matrix, naive},
};

fn main() {
    // SAFETY: the process has no other thread yet.
    #[allow(unsafe_code)]
    unsafe {
        progtune_kernels::threads::configure(1);
    }
    divan::main();
}

/// Numbers in (−1, 1).
fn numbers(n: usize) -> Vec<f32> {
    let mut state = 0x9E37_79B9u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn tensor(values: &[f32], shape: (usize, usize)) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).expect("a tensor of that shape")
}

/// m × k × n of the products in MiniLM's and BERT-base's blocks, for the rows of one task.
mod product {
    use super::*;

    const SHAPES: &[(usize, usize, usize)] = &[
        (48, 384, 384),
        (104, 384, 1536),
        (104, 1536, 384),
        (128, 768, 768),
        (128, 768, 3072),
        (128, 3072, 768),
    ];

    fn operands((m, k, n): (usize, usize, usize)) -> (Vec<f32>, Vec<f32>, Vec<f32>, ItemsCount) {
        (
            numbers(m * k),
            numbers(n * k),
            vec![0f32; m * n],
            ItemsCount::new(2 * m * k * n),
        )
    }

    #[divan::bench(args = SHAPES)]
    fn ours(bencher: Bencher, shape: (usize, usize, usize)) {
        let ((m, k, n), (x, w, mut y, flops)) = (shape, operands(shape));
        let mut weight = PackedColumns::default();
        linear::pack_forward(&mut weight, &w, k, n);
        let mut rows = PackedRows::default();
        bencher.counter(flops).bench_local(|| {
            rows.pack(Matrix::new(black_box(&x), m, k));
            multiply(&mut y, n, &rows, &weight, Start::Zero);
        });
    }

    /// The upper bound: both operands packed beforehand.
    #[divan::bench(args = SHAPES)]
    fn ours_packed(bencher: Bencher, shape: (usize, usize, usize)) {
        let ((m, k, n), (x, w, mut y, flops)) = (shape, operands(shape));
        let mut weight = PackedColumns::default();
        linear::pack_forward(&mut weight, &w, k, n);
        let rows = PackedRows::new(Matrix::new(&x, m, k));
        bencher
            .counter(flops)
            .bench_local(|| multiply(black_box(&mut y), n, &rows, &weight, Start::Zero));
    }

    #[divan::bench(args = SHAPES)]
    fn candle(bencher: Bencher, shape: (usize, usize, usize)) {
        let ((m, k, n), (x, w, _, flops)) = (shape, operands(shape));
        let (x, w) = (tensor(&x, (m, k)), tensor(&w, (n, k)));
        bencher.counter(flops).bench_local(|| x.matmul(&w.t()?));
    }

    #[divan::bench(args = &SHAPES[..1])]
    fn reference(bencher: Bencher, shape: (usize, usize, usize)) {
        let ((m, k, n), (x, w, _, flops)) = (shape, operands(shape));
        bencher
            .counter(flops)
            .bench_local(|| naive(Matrix::new(&x, m, k), Matrix::new(&w, n, k).transposed()));
    }

    /// The gradient of a weight over the tokens of a batch: MiniLM's and BERT-base's intermediate
    /// layer.
    #[divan::bench(args = [(1700, 384, 1536), (2048, 768, 3072)])]
    fn weight_gradient(bencher: Bencher, (rows, k, n): (usize, usize, usize)) {
        let (x, d_y, mut d_weight) = (numbers(rows * k), numbers(rows * n), vec![0f32; n * k]);
        let mut columns = PackedColumns::default();
        bencher
            .counter(ItemsCount::new(2 * rows * k * n))
            .bench_local(|| {
                columns.pack(Matrix::new(&x, rows, k));
                linear::backward_weights(vec![WeightGradient {
                    d_weight: &mut d_weight,
                    adds: true,
                    d_y: Rows::F32(&d_y),
                    x: &columns,
                }]);
            });
    }
}

/// Twelve heads over sequences of one length.
mod attention_of {
    use super::*;

    const LENGTHS: &[usize] = &[13, 50, 128];

    struct Case {
        head_dim: usize,
        offsets: Vec<u32>,
        q: Vec<f32>,
        k: Vec<f32>,
        v: Vec<f32>,
    }

    impl Case {
        fn new(length: usize) -> Self {
            let (sequences, head_dim) = (4, 32);
            let n = sequences * length * 12 * head_dim;
            Self {
                head_dim,
                offsets: (0..=sequences).map(|s| (s * length) as u32).collect(),
                q: numbers(n),
                k: numbers(n),
                v: numbers(n),
            }
        }

        fn sequences(&self) -> Sequences<'_> {
            Sequences {
                heads: 12,
                head_dim: self.head_dim,
                query_offsets: &self.offsets,
                key_offsets: &self.offsets,
            }
        }

        fn qkv(&self) -> Qkv<'_> {
            Qkv {
                q: &self.q,
                k: &self.k,
                v: &self.v,
                prefix: None,
            }
        }

        fn flops(&self, products: usize) -> ItemsCount {
            let length = self.offsets[1] as usize;
            ItemsCount::new(products * 2 * length * self.q.len())
        }
    }

    #[divan::bench(args = LENGTHS)]
    fn forward(bencher: Bencher, length: usize) {
        let case = Case::new(length);
        let (mut context, mut sums) = (
            vec![0f32; case.q.len()],
            vec![0f32; case.q.len() / case.head_dim],
        );
        let mut scratch = attention::Scratch::default();
        bencher.counter(case.flops(2)).bench_local(|| {
            attention::forward(
                &mut context,
                &mut sums,
                case.qkv(),
                case.sequences(),
                None,
                &mut scratch,
            );
        });
    }

    #[divan::bench(args = LENGTHS)]
    fn backward(bencher: Bencher, length: usize) {
        let case = Case::new(length);
        let n = case.q.len();
        let (mut context, mut sums) = (vec![0f32; n], vec![0f32; n / case.head_dim]);
        let (mut d_q, mut d_k, mut d_v) = (vec![0f32; n], vec![0f32; n], vec![0f32; n]);
        let mut scratch = attention::Scratch::default();
        attention::forward(
            &mut context,
            &mut sums,
            case.qkv(),
            case.sequences(),
            None,
            &mut scratch,
        );
        bencher.counter(case.flops(5)).bench_local(|| {
            let d_context = &case.q;
            let sequences = case.sequences();
            let gradients = QkvGradients {
                d_q: &mut d_q,
                d_k: &mut d_k,
                d_v: &mut d_v,
                d_prefix: None,
            };
            attention::backward(
                gradients,
                d_context,
                case.qkv(),
                &sums,
                sequences,
                None,
                &mut scratch,
            );
        });
    }

    /// The same with candle's operations, including the rearrangement of heads that they need.
    #[divan::bench(args = LENGTHS)]
    fn candle_forward(bencher: Bencher, length: usize) {
        let case = Case::new(length);
        let shape = (4, length, 12, case.head_dim);
        let of = |values: &[f32]| Tensor::from_slice(values, shape, &Device::Cpu);
        let (q, k, v) = (of(&case.q), of(&case.k), of(&case.v));
        let heads = |x: &candle_core::Result<Tensor>| -> candle_core::Result<Tensor> {
            x.as_ref().expect("a tensor").transpose(1, 2)?.contiguous()
        };
        bencher
            .counter(case.flops(2))
            .bench_local(|| -> candle_core::Result<Tensor> {
                let scores = (heads(&q)?.matmul(&heads(&k)?.t()?)? * 0.1767767)?;
                let context = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&heads(&v)?)?;
                context.transpose(1, 2)?.contiguous()
            });
    }

    #[divan::bench(args = &LENGTHS[..2])]
    fn reference(bencher: Bencher, length: usize) {
        let case = Case::new(length);
        bencher
            .counter(case.flops(2))
            .bench_local(|| attention::naive(case.qkv(), case.sequences(), |_, _, _| 1.0));
    }
}

/// Rows of MiniLM's intermediate layer.
mod gelu {
    use super::*;

    const N: usize = 104 * 1536;

    #[divan::bench]
    fn forward(bencher: Bencher) {
        let (x, mut y) = (numbers(N), vec![0f32; N]);
        bencher
            .counter(ItemsCount::new(N))
            .bench_local(|| activation::forward(&mut y, black_box(&x), Activation::Gelu));
    }

    #[divan::bench]
    fn backward(bencher: Bencher) {
        let (x, mut d) = (numbers(N), numbers(N));
        bencher
            .counter(ItemsCount::new(N))
            .bench_local(|| activation::backward(&mut d, black_box(&x), Activation::Gelu));
    }

    #[divan::bench]
    fn candle_forward(bencher: Bencher) {
        let x = tensor(&numbers(N), (104, 1536));
        bencher
            .counter(ItemsCount::new(N))
            .bench_local(|| x.gelu_erf());
    }

    #[divan::bench]
    fn reference(bencher: Bencher) {
        let x = numbers(N);
        bencher.counter(ItemsCount::new(N)).bench_local(|| -> f32 {
            x.iter()
                .map(|&x| activation::naive(x, Activation::Gelu))
                .sum()
        });
    }
}

/// Dropout, residual sum and LayerNorm of MiniLM's rows.
mod sub_layer_end {
    use super::*;

    const ROWS: usize = 104;
    const COLUMNS: usize = 384;
    const N: usize = ROWS * COLUMNS;

    #[divan::bench(args = [false, true])]
    fn forward(bencher: Bencher, with_dropout: bool) {
        let (start, residual, gamma, beta) =
            (numbers(N), numbers(N), numbers(COLUMNS), numbers(COLUMNS));
        let (mut x, mut y, mut rstd) = (start.clone(), vec![0f32; N], vec![0f32; ROWS]);
        let row_keys: Vec<u64> = (0..ROWS as u64).map(|row| row_key(row, 0)).collect();
        let dropout = Dropout {
            p: 0.1,
            site_key: site_key(1, 2, 3),
            row_keys: &row_keys,
        };
        bencher.counter(ItemsCount::new(N)).bench_local(|| {
            x.copy_from_slice(&start);
            let dropout = with_dropout.then_some(&dropout);
            layer_norm::forward(
                &mut y,
                &mut x,
                &mut rstd,
                Some(&residual),
                Norm {
                    gamma: &gamma,
                    beta: &beta,
                    eps: 1e-12,
                },
                dropout,
            );
        });
    }

    #[divan::bench]
    fn backward(bencher: Bencher) {
        let (mut d, x_hat, gamma, rstd) =
            (numbers(N), numbers(N), numbers(COLUMNS), vec![1f32; ROWS]);
        bencher
            .counter(ItemsCount::new(N))
            .bench_local(|| layer_norm::backward_input(black_box(&mut d), &x_hat, &rstd, &gamma));
    }

    /// candle's own operation, which has no backward.
    #[divan::bench]
    fn candle_forward(bencher: Bencher) {
        let (x, residual) = (
            tensor(&numbers(N), (ROWS, COLUMNS)),
            tensor(&numbers(N), (ROWS, COLUMNS)),
        );
        let vector =
            || Tensor::from_vec(numbers(COLUMNS), COLUMNS, &Device::Cpu).expect("a vector");
        let (gamma, beta) = (vector(), vector());
        bencher
            .counter(ItemsCount::new(N))
            .bench_local(|| candle_nn::ops::layer_norm(&(&x + &residual)?, &gamma, &beta, 1e-12));
    }

    #[divan::bench]
    fn reference(bencher: Bencher) {
        let (x, gamma, beta) = (numbers(N), numbers(COLUMNS), numbers(COLUMNS));
        bencher
            .counter(ItemsCount::new(N))
            .bench_local(|| layer_norm::naive(&x, &gamma, &beta, 1e-12));
    }
}

/// The rest: optimizer, embedding, loss, element-wise steps.
mod others {
    use super::*;

    const N: usize = 384 * 1536;
    const UPDATE: Update = Update {
        lr: 1e-4,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
        step: 3,
        gradient_scale: 1.0,
    };

    #[divan::bench]
    fn adamw_step(bencher: Bencher) {
        let (mut p, g, mut m, mut v) = (numbers(N), numbers(N), vec![0f32; N], vec![0f32; N]);
        bencher
            .counter(ItemsCount::new(N))
            .bench_local(|| adamw::step(&mut p, &g, &mut m, &mut v, &UPDATE));
    }

    #[divan::bench]
    fn adamw_reference(bencher: Bencher) {
        let (p, g) = (numbers(N), numbers(N));
        bencher.counter(ItemsCount::new(N)).bench_local(|| -> f64 {
            let pairs = p.iter().zip(&g);
            pairs
                .map(|(&p, &g)| adamw::naive(f64::from(p), f64::from(g), 0.0, 0.0, &UPDATE).0)
                .sum()
        });
    }

    #[divan::bench]
    fn gradient_norm(bencher: Bencher) {
        let g = numbers(N);
        bencher
            .counter(ItemsCount::new(N))
            .bench_local(|| adamw::sum_of_squares(&g));
    }

    #[divan::bench]
    fn embedding_forward(bencher: Bencher) {
        let (table, ids) = (
            numbers(8000 * 384),
            (0..512).map(|i| i * 7919 % 8000).collect::<Vec<u32>>(),
        );
        let mut y = vec![0f32; ids.len() * 384];
        bencher
            .counter(ItemsCount::new(y.len()))
            .bench_local(|| embedding::forward(&mut y, 384, &[(&table, &ids)]));
    }

    #[divan::bench]
    fn embedding_backward(bencher: Bencher) {
        let (mut table, ids) = (
            numbers(8000 * 384),
            (0..512).map(|i| i * 7919 % 8000).collect::<Vec<u32>>(),
        );
        let d_y = numbers(ids.len() * 384);
        bencher
            .counter(ItemsCount::new(d_y.len()))
            .bench_local(|| embedding::backward(&mut table, &ids, &d_y, 384));
    }

    #[divan::bench]
    fn cross_entropy_of_two_classes(bencher: Bencher) {
        let (logits, classes, mut d) = (numbers(64), vec![1u32; 32], vec![0f32; 64]);
        bencher
            .counter(ItemsCount::new(logits.len()))
            .bench_local(|| {
                cross_entropy::forward_backward(
                    &mut d,
                    black_box(&logits),
                    &classes,
                    Default::default(),
                    32.0,
                )
            });
    }

    #[divan::bench]
    fn add_scaled(bencher: Bencher) {
        let (mut a, b) = (numbers(104 * 384), numbers(104 * 384));
        bencher
            .counter(ItemsCount::new(b.len()))
            .bench_local(|| elementwise::add_scaled(&mut a, black_box(&b), 0.5));
    }
}
