//! `linear.cu`: gradients of biases against `linear.rs`, and LoRA's low-rank path against its
//! definition in double precision.

use crate::device::{At, BF16, Device, F32, value};
use crate::numbers::{NUMBERS, assert_near, random, random_as};
use progtune_kernels::{
    cuda::{self, Chunked, ColumnSumsArgument, DropoutArgument, Number},
    dropout::{Dropout, mask, row_key, site_key},
    linear::backward_bias,
};

const FILE: &str = "linear.cu";

/// Adds partial sums, `[n_chunks, columns]` each, to the numbers of `sums`.
pub(crate) fn add_up(
    device: &mut Device,
    partial: &[At],
    sums: &[At],
    columns: usize,
    n_chunks: u32,
) {
    let mut targets = ColumnSumsArgument::default();
    for (pair, (&partial, &sum)) in targets.pairs.iter_mut().zip(partial.iter().zip(sums)) {
        *pair = [device.address(partial), device.address(sum)];
    }
    let launch = cuda::column_sums(columns, sums.len());
    let arguments = [value(targets), value(columns as u32), value(n_chunks)];
    device.run_plain(FILE, "column_sums", launch, &arguments);
}

#[test]
fn bias_gradients_equal_the_cpus() {
    for number in NUMBERS {
        for columns in [1, 3, 17, 33, 127, 384, 768, 3072] {
            for rows in [1, 3, 40] {
                check_bias(number, rows, columns);
            }
        }
        check_bias(number, 1500, 40);
    }
}

fn check_bias(number: Number, rows: usize, columns: usize) {
    let d_y = random_as(number, rows * columns, 1);
    let mut want = vec![0.5; columns];
    backward_bias(&mut want, &d_y);
    let device = &mut Device::new(number);
    let Chunked {
        launch,
        rows_per_chunk,
        n_chunks,
    } = cuda::columns(rows, columns, number);
    let d = device.activations(&d_y);
    let partial = device.unwritten_as::<f32>(n_chunks as usize * columns);
    let size = [rows as u32, columns as u32, rows_per_chunk].map(value);
    let arguments = [&[d.into(), partial.into()], &size[..]].concat();
    device.run(FILE, "bias_gradient", launch, &arguments);
    let sum = device.put(&vec![0.5f32; columns]);
    add_up(device, &[partial], &[sum], columns, n_chunks);
    let what = format!("{number:?} {rows} × {columns}: bias");
    assert_near(&device.get(sum), &want, F32, &what);
}

/// A layer with LoRA: `y += B·(s·A·dropout(x))`.
struct Lora {
    number: Number,
    rows: usize,
    inputs: usize,
    outputs: usize,
    rank: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    d_y: Vec<f32>,
    d_x: Vec<f32>,
    a: Vec<f32>,
    b: Vec<f32>,
    mask: Vec<f32>,
    keys: Vec<u64>,
    site: u64,
    p: f32,
}

const S: f32 = 2.0;

/// The results of the definition.
struct Want {
    y: Vec<f32>,
    d_x: Vec<f32>,
    d_a: Vec<f32>,
    d_b: Vec<f32>,
}

impl Lora {
    fn new(number: Number, [rows, inputs, outputs, rank]: [usize; 4], p: f32) -> Self {
        let keys: Vec<u64> = (0..rows as u64).map(|r| row_key(r, 2)).collect();
        let site = site_key(1, 2, 1 << 32);
        let dropout = Dropout {
            p,
            site_key: site,
            row_keys: &keys,
        };
        let mask = if p > 0.0 {
            mask(rows, inputs, &dropout)
        } else {
            vec![1.0; rows * inputs]
        };
        Self {
            number,
            rows,
            inputs,
            outputs,
            rank,
            x: random_as(number, rows * inputs, 1),
            y: random_as(number, rows * outputs, 2),
            d_y: random_as(number, rows * outputs, 3),
            d_x: random_as(number, rows * inputs, 4),
            a: random(rank * inputs, 5).iter().map(|v| v * 0.1).collect(),
            b: random(outputs * rank, 6).iter().map(|v| v * 0.1).collect(),
            mask,
            keys,
            site,
            p,
        }
    }

    fn definition(&self) -> Want {
        let Lora {
            rows,
            inputs,
            outputs,
            rank,
            ..
        } = *self;
        let mut want = Want {
            y: self.y.clone(),
            d_x: self.d_x.clone(),
            d_a: vec![0.0; self.a.len()],
            d_b: vec![0.0; self.b.len()],
        };
        let (mut d_a, mut d_b) = (vec![0f64; self.a.len()], vec![0f64; self.b.len()]);
        for row in 0..rows {
            let x: Vec<f64> = (row * inputs..(row + 1) * inputs)
                .map(|i| f64::from(self.x[i] * self.mask[i]))
                .collect();
            let d_y = &self.d_y[row * outputs..(row + 1) * outputs];
            for r in 0..rank {
                let a = &self.a[r * inputs..(r + 1) * inputs];
                let h = f64::from(S) * x.iter().zip(a).map(|(x, &a)| x * f64::from(a)).sum::<f64>();
                let d_h = f64::from(S)
                    * d_y
                        .iter()
                        .enumerate()
                        .map(|(o, &d)| f64::from(d) * f64::from(self.b[o * rank + r]))
                        .sum::<f64>();
                for (o, &d) in d_y.iter().enumerate() {
                    want.y[row * outputs + o] += (h * f64::from(self.b[o * rank + r])) as f32;
                    d_b[o * rank + r] += f64::from(d) * h;
                }
                for i in 0..inputs {
                    let at = row * inputs + i;
                    want.d_x[at] += (d_h * f64::from(a[i]) * f64::from(self.mask[at])) as f32;
                    d_a[r * inputs + i] += d_h * x[i];
                }
            }
        }
        want.d_a
            .iter_mut()
            .zip(d_a)
            .for_each(|(w, d)| *w = d as f32);
        want.d_b
            .iter_mut()
            .zip(d_b)
            .for_each(|(w, d)| *w = d as f32);
        want
    }

    fn check(&self) {
        let Lora {
            number,
            rows,
            inputs,
            outputs,
            rank,
            p,
            ..
        } = *self;
        let what = format!("{number:?} {rows} × {inputs} → {outputs}, rank {rank}, p {p}");
        let want = self.definition();
        let device = &mut Device::new(number);
        let drop = device.dropout(p, self.site, &self.keys);
        let (x, y) = (device.activations(&self.x), device.activations(&self.y));
        let (d_y, d_x) = (device.activations(&self.d_y), device.activations(&self.d_x));
        let (a, b) = (device.put(&self.a), device.put(&self.b));
        let h = self.down(device, x, a, inputs, 0, drop);
        self.up(device, h, b, y, outputs, 0, DropoutArgument::NONE);
        let d_h = self.down(device, d_y, b, outputs, 1, DropoutArgument::NONE);
        self.up(device, d_h, a, d_x, inputs, 1, drop);
        let d_a = self.gradient(device, x, d_h, inputs, 0, drop);
        let d_b = self.gradient(device, d_y, h, outputs, 1, DropoutArgument::NONE);
        let tolerance = if number == Number::F32 { F32 } else { BF16 };
        assert_near(&device.read(y), &want.y, tolerance, &format!("{what}: y"));
        assert_near(
            &device.read(d_x),
            &want.d_x,
            tolerance,
            &format!("{what}: d_x"),
        );
        // Sums over rows are f32 throughout.
        assert_near(&device.get(d_a), &want.d_a, F32, &format!("{what}: dA"));
        assert_near(&device.get(d_b), &want.d_b, F32, &format!("{what}: dB"));
    }

    fn down(
        &self,
        device: &mut Device,
        x: At,
        weight: At,
        columns: usize,
        transposed: u32,
        drop: DropoutArgument,
    ) -> At {
        let h = device.unwritten_as::<f32>(self.rows * self.rank);
        let size = [
            self.rows as u32,
            columns as u32,
            self.rank as u32,
            transposed,
        ]
        .map(value);
        let arguments = [
            &[x.into(), weight.into(), h.into()],
            &size[..],
            &[value(S), value(drop)],
        ]
        .concat();
        let launch = cuda::low_rank_down(self.rows, self.rank);
        device.run(FILE, "low_rank_down", launch, &arguments);
        h
    }

    #[allow(clippy::too_many_arguments)]
    fn up(
        &self,
        device: &mut Device,
        h: At,
        weight: At,
        y: At,
        columns: usize,
        transposed: u32,
        drop: DropoutArgument,
    ) {
        let size = [
            self.rows as u32,
            columns as u32,
            self.rank as u32,
            transposed,
        ]
        .map(value);
        let arguments = [
            &[h.into(), weight.into(), y.into()],
            &size[..],
            &[value(drop)],
        ]
        .concat();
        device.run(
            FILE,
            "low_rank_up",
            cuda::low_rank_up(self.rows, columns),
            &arguments,
        );
    }

    fn gradient(
        &self,
        device: &mut Device,
        x: At,
        h: At,
        columns: usize,
        transposed: u32,
        drop: DropoutArgument,
    ) -> At {
        let n = self.rank * columns;
        let Chunked {
            launch,
            rows_per_chunk,
            n_chunks,
        } = cuda::low_rank_gradient(self.rows, columns, self.rank, self.number);
        let partial = device.unwritten_as::<f32>(n_chunks as usize * n);
        let size = [
            self.rows as u32,
            columns as u32,
            self.rank as u32,
            rows_per_chunk,
            transposed,
        ]
        .map(value);
        let arguments = [
            &[x.into(), h.into(), partial.into()],
            &size[..],
            &[value(drop)],
        ]
        .concat();
        device.run(FILE, "low_rank_gradient", launch, &arguments);
        let sum = device.put(&vec![0f32; n]);
        add_up(device, &[partial], &[sum], n, n_chunks);
        sum
    }
}

#[test]
fn the_low_rank_path_equals_its_definition() {
    for number in NUMBERS {
        for (size, p) in [
            ([1, 1, 1, 1], 0.0),
            ([3, 17, 33, 2], 0.1),
            ([33, 127, 64, 8], 0.1),
            ([5, 384, 384, 8], 0.1),
            ([7, 768, 3072, 4], 0.0),
            ([70, 96, 40, 19], 0.1),
            ([2, 64, 300, 64], 0.1),
        ] {
            Lora::new(number, size, p).check();
        }
    }
}
