//! `elementwise.cu` and `dropout.cu` against `elementwise.rs` and `dropout.rs`.

use crate::device::{Argument, BF16, Device, F32, value};
use crate::numbers::{NUMBERS, assert_near, from_bf16, random, random_as, to_bf16};
use progtune_kernels::{
    cuda::{Chunked, Number, columns, packs},
    dropout::{Dropout, apply, row_key, site_key},
    elementwise::{add_products, add_scaled, multiply, scale},
};

const FILE: &str = "elementwise.cu";

/// Checks a kernel `a ← f(a, …)` over `n` numbers.
fn check(
    number: Number,
    n: usize,
    kernel: &str,
    more: usize,
    factor: Option<f32>,
    cpu: impl Fn(&mut [f32], &[f32], &[f32]),
) {
    let (a, b, c) = (
        random_as(number, n, 1),
        random_as(number, n, 2),
        random_as(number, n, 3),
    );
    let mut want = a.clone();
    cpu(&mut want, &b, &c);
    let device = &mut Device::new(number);
    let at = device.activations(&a);
    let mut arguments: Vec<Argument> = vec![at.into()];
    for values in [&b, &c].into_iter().take(more) {
        arguments.push(device.activations(values).into());
    }
    arguments.extend(factor.map(value));
    arguments.push(value(n as u64));
    device.run(FILE, kernel, packs(n, number), &arguments);
    let tolerance = if number == Number::F32 { F32 } else { BF16 };
    assert_near(
        &device.read(at),
        &want,
        tolerance,
        &format!("{number:?} {kernel} {n}"),
    );
}

#[test]
fn steps_equal_the_cpus() {
    for number in NUMBERS {
        for n in [1, 3, 8, 17, 33, 127, 384, 1023, 3072] {
            check(number, n, "add_scaled", 1, Some(0.3), |a, b, _| {
                add_scaled(a, b, 0.3)
            });
            check(number, n, "multiply", 1, None, |a, b, _| multiply(a, b));
            check(number, n, "add_products", 2, None, add_products);
            check(number, n, "scale", 0, Some(1.7), |a, _, _| scale(a, 1.7));
        }
    }
}

#[test]
fn conversions_round_to_even() {
    for n in [1, 7, 8, 100, 1027] {
        let mut x = random(n, 4);
        // Exactly between two bfloat16: one goes up, one down.
        x[0] = f32::from_bits(0x3f80_8000);
        x[n - 1] = f32::from_bits(0x3f81_8000);
        let device = &mut Device::new(Number::F32);
        let (from, to, back) = (
            device.put(&x),
            device.unwritten_as::<u16>(n),
            device.unwritten_as::<f32>(n),
        );
        let launch = packs(n, Number::Bf16);
        device.run_plain(
            FILE,
            "to_bf16",
            launch,
            &[from.into(), to.into(), value(n as u64)],
        );
        device.run_plain(
            FILE,
            "to_f32",
            launch,
            &[to.into(), back.into(), value(n as u64)],
        );
        let bits: Vec<u16> = x.iter().map(|&x| to_bf16(x)).collect();
        assert_eq!(device.get::<u16>(to), bits);
        let values: Vec<f32> = bits.into_iter().map(from_bf16).collect();
        assert_eq!(device.get::<f32>(back), values);
    }
}

#[test]
fn rows_are_gathered_and_scattered() {
    for number in NUMBERS {
        for width in [1, 3, 17, 384] {
            let x = random_as(number, 9 * width, 1);
            let ids = [4u32, 0, 8];
            let device = &mut Device::new(number);
            let (all, some) = (device.activations(&x), device.unwritten(3 * width));
            let ids_at = device.put(&ids);
            let Chunked {
                launch,
                rows_per_chunk,
                ..
            } = columns(3, width, number);
            let size = [3, width as u32, rows_per_chunk].map(value);
            let arguments = [&[all.into(), ids_at.into(), some.into()], &size[..]].concat();
            device.run(FILE, "gather_rows", launch, &arguments);
            let gathered: Vec<f32> = ids
                .iter()
                .flat_map(|&id| x[id as usize * width..][..width].to_vec())
                .collect();
            assert_eq!(device.read(some), gathered);
            let target = device.activations(&vec![0.0; 9 * width]);
            let arguments = [&[some.into(), ids_at.into(), target.into()], &size[..]].concat();
            device.run(FILE, "scatter_rows", launch, &arguments);
            let mut want = vec![0.0; 9 * width];
            for &id in &ids {
                let row = id as usize * width..(id as usize + 1) * width;
                want[row.clone()].copy_from_slice(&x[row]);
            }
            assert_eq!(device.read(target), want);
        }
    }
}

/// The masks are the CPU's, bit for bit.
#[test]
fn dropout_has_the_cpus_masks() {
    for number in NUMBERS {
        for (rows, width) in [(1, 1), (3, 17), (37, 33), (600, 5), (3, 384), (2, 3072)] {
            for p in [0.1, 0.5] {
                let keys: Vec<u64> = (0..rows as u64).map(|r| row_key(r, 9 - r % 7)).collect();
                let site = site_key(11, 12, 13);
                let ones = vec![1.0; rows * width];
                let mut want = ones.clone();
                apply(
                    &mut want,
                    width,
                    &Dropout {
                        p,
                        site_key: site,
                        row_keys: &keys,
                    },
                );
                let device = &mut Device::new(number);
                let x = device.activations(&ones);
                let dropout = device.dropout(p, site, &keys);
                let Chunked {
                    launch,
                    rows_per_chunk,
                    ..
                } = columns(rows, width, number);
                let size = [rows as u32, width as u32, rows_per_chunk].map(value);
                let arguments = [&[x.into(), x.into()], &size[..], &[value(dropout)]].concat();
                device.run("dropout.cu", "dropout", launch, &arguments);
                let want: Vec<f32> = want
                    .into_iter()
                    .map(|v| crate::numbers::rounded(number, v))
                    .collect();
                assert_eq!(device.read(x), want, "{number:?} {rows} × {width}");
            }
        }
    }
}
