//! `layer_norm.cu` against `layer_norm.rs`.

use crate::device::{Argument, At, BF16, Device, F32, value};
use crate::linear::add_up;
use crate::numbers::{NUMBERS, assert_gradient, assert_near, dot, random, random_as};
use progtune_kernels::{
    cuda::{Number, row_chunks, rows},
    dropout::{Dropout, apply, mask, row_key, site_key},
    layer_norm::{Norm, backward_gamma, backward_input, forward, naive},
    linear::backward_bias,
};

const FILE: &str = "layer_norm.cu";
const EPS: f32 = 1e-5;

struct Case {
    number: Number,
    rows: usize,
    columns: usize,
    p: f32,
    with_residual: bool,
}

/// The inputs of a case, and what the CPU makes of them.
struct Reference {
    x: Vec<f32>,
    residual: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    keys: Vec<u64>,
    site: u64,
    y: Vec<f32>,
    x_hat: Vec<f32>,
    rstd: Vec<f32>,
}

impl Case {
    fn n(&self) -> usize {
        self.rows * self.columns
    }

    fn tolerance(&self) -> f32 {
        match self.number {
            Number::F32 => F32,
            Number::Bf16 => BF16,
        }
    }

    fn reference(&self) -> Reference {
        let (n, number) = (self.n(), self.number);
        let (x, residual) = (random_as(number, n, 1), random_as(number, n, 2));
        let (gamma, beta) = (random(self.columns, 3), random(self.columns, 4));
        let keys: Vec<u64> = (0..self.rows as u64)
            .map(|r| row_key(r / 5, r % 5))
            .collect();
        let site = site_key(7, 3, 17);
        let (mut y, mut x_hat, mut rstd) = (vec![0.0; n], x.clone(), vec![0.0; self.rows]);
        let dropout = Dropout {
            p: self.p,
            site_key: site,
            row_keys: &keys,
        };
        let norm = Norm {
            gamma: &gamma,
            beta: &beta,
            eps: EPS,
        };
        let residual_rows = self.with_residual.then_some(&residual[..]);
        let drop = (self.p > 0.0).then_some(&dropout);
        forward(&mut y, &mut x_hat, &mut rstd, residual_rows, norm, drop);
        Reference {
            x,
            residual,
            gamma,
            beta,
            keys,
            site,
            y,
            x_hat,
            rstd,
        }
    }

    fn check(&self) {
        let Case {
            number,
            rows: n_rows,
            columns,
            p,
            with_residual,
        } = *self;
        let what = format!("{number:?} {n_rows} × {columns}, p {p}, residual {with_residual}");
        let r = self.reference();
        let device = &mut Device::new(number);
        let x = device.activations(&r.x);
        let residual = with_residual.then(|| device.activations(&r.residual));
        let (gamma, beta) = (device.put(&r.gamma), device.put(&r.beta));
        let (y, x_hat) = (device.unwritten(self.n()), device.unwritten(self.n()));
        let rstd = device.unwritten_as::<f32>(n_rows);
        let dropout = device.dropout(p, r.site, &r.keys);
        let (launch, size) = (
            rows(n_rows, columns, number),
            [value(n_rows as u32), value(columns as u32)],
        );
        let mut arguments: Vec<Argument> = vec![
            x.into(),
            residual.into(),
            gamma.into(),
            beta.into(),
            y.into(),
            x_hat.into(),
            rstd.into(),
        ];
        arguments.extend(size.clone());
        arguments.extend([value(EPS), value(dropout)]);
        device.run(FILE, "layer_norm_forward", launch, &arguments);
        assert_near(
            &device.read(y),
            &r.y,
            self.tolerance(),
            &format!("{what}: y"),
        );
        assert_near(
            &device.read(x_hat),
            &r.x_hat,
            self.tolerance(),
            &format!("{what}: x_hat"),
        );
        assert_near(&device.get(rstd), &r.rstd, F32, &format!("{what}: rstd"));
        let again = device.unwritten(self.n());
        let mut arguments: Vec<Argument> =
            vec![x_hat.into(), gamma.into(), beta.into(), again.into()];
        arguments.extend(size);
        device.run(FILE, "layer_norm_affine", launch, &arguments);
        assert_eq!(device.read(again), device.read(y), "{what}: y again");
        self.check_backward(device, &r, [x_hat, rstd, gamma], &what);
    }

    fn check_backward(
        &self,
        device: &mut Device,
        r: &Reference,
        [x_hat, rstd, gamma]: [At; 3],
        what: &str,
    ) {
        let Case {
            number, columns, p, ..
        } = *self;
        let d_y = random_as(number, self.n(), 5);
        let x_hat_values = device.read(x_hat);
        // The CPU's gradients, from the same x̂.
        let mut d_sum = d_y.clone();
        backward_input(
            &mut d_sum,
            &x_hat_values,
            &device.get::<f32>(rstd),
            &r.gamma,
        );
        let mut d_x = d_sum.clone();
        if p > 0.0 {
            apply(
                &mut d_x,
                columns,
                &Dropout {
                    p,
                    site_key: r.site,
                    row_keys: &r.keys,
                },
            );
        }
        // Parameters' gradients are added to what is there.
        let mut want = [vec![1.0; columns], vec![2.0; columns], vec![3.0; columns]];
        backward_gamma(&mut want[0], &d_y, &x_hat_values);
        backward_bias(&mut want[1], &d_y);
        backward_bias(&mut want[2], &d_x);
        let (d_sum_there, d_x_there, sums) =
            self.run_backward(device, &d_y, r, [x_hat, rstd, gamma]);
        for (got, want, name) in [(&d_sum_there, &d_sum, "d_sum"), (&d_x_there, &d_x, "d_x")] {
            assert_near(got, want, self.tolerance(), &format!("{what}: {name}"));
        }
        for ((sum, want), name) in sums.iter().zip(&want).zip(["d_gamma", "d_beta", "d_bias"]) {
            assert_near(sum, want, 4.0 * F32, &format!("{what}: {name}"));
        }
        if self.number == Number::F32 && self.n() < 200 && columns > 2 && self.with_residual {
            self.check_differences(&d_x_there, &d_y, r, what);
        }
    }

    /// The kernel's gradients of the sum and of x, and those of γ, β and the bias, which are added
    /// to 1, 2 and 3.
    fn run_backward(
        &self,
        device: &mut Device,
        d_y: &[f32],
        r: &Reference,
        [x_hat, rstd, gamma]: [At; 3],
    ) -> (Vec<f32>, Vec<f32>, [Vec<f32>; 3]) {
        let columns = self.columns;
        // The gradient of the sum replaces that of y.
        let (d, d_x) = (device.activations(d_y), device.unwritten(self.n()));
        let chunked = row_chunks(self.rows, columns, self.number);
        let n_partial = chunked.n_chunks as usize * columns;
        let partial: [At; 3] = [(); 3].map(|()| device.unwritten_as::<f32>(n_partial));
        let dropout = device.dropout(self.p, r.site, &r.keys);
        let buffers = [d, x_hat, rstd, gamma, d, d_x].map(Argument::from);
        let size = [self.rows as u32, columns as u32, chunked.rows_per_chunk].map(value);
        let arguments = [
            &buffers[..],
            &partial.map(Argument::from),
            &size,
            &[value(dropout)],
        ]
        .concat();
        device.run(FILE, "layer_norm_backward", chunked.launch, &arguments);
        let sums = [1.0f32, 2.0, 3.0].map(|start| device.put(&vec![start; columns]));
        add_up(device, &partial, &sums, columns, chunked.n_chunks);
        let sums = sums.map(|sum| device.get::<f32>(sum));
        (device.read(d), device.read(d_x), sums)
    }

    /// The gradient of x against finite differences of the definition.
    fn check_differences(&self, d_x: &[f32], d_y: &[f32], r: &Reference, what: &str) {
        if r.rstd.iter().any(|&rstd| rstd > 5.0) {
            return; // Steep rows make finite differences useless.
        }
        let dropout = Dropout {
            p: self.p,
            site_key: r.site,
            row_keys: &r.keys,
        };
        let mask = if self.p > 0.0 {
            mask(self.rows, self.columns, &dropout)
        } else {
            vec![1.0; self.n()]
        };
        assert_gradient(&r.x, d_x, what, |x| {
            let sum: Vec<f32> = x
                .iter()
                .zip(&mask)
                .zip(&r.residual)
                .map(|((x, m), r)| x * m + r)
                .collect();
            dot(&naive(&sum, &r.gamma, &r.beta, EPS), d_y)
        });
    }
}

#[test]
fn equals_the_cpu() {
    for number in NUMBERS {
        for columns in [1, 3, 17, 33, 127, 384, 768, 3072] {
            for (rows, p, with_residual) in [(1, 0.0, false), (3, 0.1, true), (5, 0.0, true)] {
                Case {
                    number,
                    rows,
                    columns,
                    p,
                    with_residual,
                }
                .check();
            }
        }
    }
}

/// More rows than chunks: a chunk has several rows, and the last one fewer.
#[test]
fn many_rows_are_summed_in_chunks() {
    for number in NUMBERS {
        for (rows, columns) in [(1100, 9), (520, 24)] {
            Case {
                number,
                rows,
                columns,
                p: 0.1,
                with_residual: true,
            }
            .check();
        }
    }
}
