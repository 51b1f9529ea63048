//! `vector.cu` against its definitions.

use crate::device::{BF16, Device, F32, value};
use crate::numbers::{NUMBERS, assert_near, random, random_as};
use progtune_kernels::cuda::{Chunked, Number, columns, numbers};

const FILE: &str = "vector.cu";

#[test]
fn a_vector_reaches_every_row() {
    for number in NUMBERS {
        let tolerance = if number == Number::F32 { F32 } else { BF16 };
        for (rows, width) in [(1, 1), (5, 3), (3, 17), (600, 33), (40, 384), (7, 768)] {
            let name = format!("{number:?} {rows}×{width}");
            let (x, y) = (
                random_as(number, rows * width, 1),
                random_as(number, rows * width, 2),
            );
            let v = random(width, 3);
            let device = &mut Device::new(number);
            let Chunked {
                launch,
                rows_per_chunk,
                n_chunks,
            } = columns(rows, width, number);
            let size = [rows as u32, width as u32, rows_per_chunk].map(value);
            let (at, vector) = (device.activations(&x), device.put(&v));
            let arguments = [&[at.into(), vector.into(), value(0.5f32)], &size[..]].concat();
            device.run(FILE, "add_vector", launch, &arguments);
            let by_row = |f: &dyn Fn(f32, f32) -> f32| -> Vec<f32> {
                x.iter()
                    .enumerate()
                    .map(|(i, &x)| f(x, v[i % width]))
                    .collect()
            };
            assert_near(
                &device.read(at),
                &by_row(&|x, v| x + 0.5 * v),
                tolerance,
                &name,
            );
            let (at, to) = (device.activations(&x), device.unwritten(rows * width));
            let arguments = [&[at.into(), vector.into(), to.into()], &size[..]].concat();
            device.run(FILE, "multiply_vector", launch, &arguments);
            assert_near(&device.read(to), &by_row(&|x, v| x * v), tolerance, &name);
            let other = device.activations(&y);
            let partial = device.unwritten_as::<f32>(n_chunks as usize * width);
            let arguments = [&[at.into(), other.into(), partial.into()], &size[..]].concat();
            device.run(FILE, "product_sums", launch, &arguments);
            let (mut got, mut want) = (vec![0f32; width], vec![0f32; width]);
            for (i, value) in device.get::<f32>(partial).into_iter().enumerate() {
                got[i % width] += value;
            }
            for (i, (x, y)) in x.iter().zip(&y).enumerate() {
                want[i % width] += x * y;
            }
            assert_near(&got, &want, 1e-5, &name);
        }
    }
}

#[test]
fn blocks_are_transposed() {
    for number in NUMBERS {
        let (rows, n, m) = (5, 3, 7);
        let x = random_as(number, rows * n * m, 1);
        let device = &mut Device::new(number);
        let (from, to) = (device.activations(&x), device.unwritten(x.len()));
        let arguments = [
            from.into(),
            to.into(),
            value(x.len() as u64),
            value(n as u32),
            value(m as u32),
        ];
        device.run(FILE, "swap", numbers(x.len()), &arguments);
        let got = device.read(to);
        for row in 0..rows {
            for (i, j) in (0..n).flat_map(|i| (0..m).map(move |j| (i, j))) {
                let start = row * n * m;
                assert_eq!(got[start + j * n + i], x[start + i * m + j]);
            }
        }
    }
}
