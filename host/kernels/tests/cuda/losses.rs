//! `cross_entropy.cu`, `binary_cross_entropy.cu` and `mean_squared_error.cu` against their CPU
//! twins, with `loss_sum.cu`, which adds up the rows of each.

use crate::device::{At, BF16, Device, F32, value};
use crate::numbers::{NUMBERS, assert_gradient, assert_near, random_as, rounded};
use progtune_kernels::{
    binary_cross_entropy,
    cross_entropy::{self, Weighting},
    cuda::{Number, ONE_BLOCK, numbers, warps},
};

const DENOMINATOR: f32 = 3.0;

fn tolerance(number: Number) -> f32 {
    if number == Number::F32 { F32 } else { BF16 }
}

/// Logits in (−4, 4).
fn logits(number: Number, n: usize) -> Vec<f32> {
    random_as(number, n, 1)
        .iter()
        .map(|v| rounded(number, v * 4.0))
        .collect()
}

/// Σ of the rows' losses, divided, and added to a loss of 1.
fn total(device: &mut Device, row_losses: At, rows: usize) -> f64 {
    let loss = device.put(&[1f64]);
    let arguments = [
        row_losses.into(),
        loss.into(),
        value(f64::from(DENOMINATOR)),
        value(rows as u32),
    ];
    device.run_plain("loss_sum.cu", "loss_sum", ONE_BLOCK, &arguments);
    device.get::<f64>(loss)[0] - 1.0
}

#[track_caller]
fn assert_loss(got: f64, want: f64, what: &str) {
    assert!(
        (got - want).abs() <= 1e-5 * want.abs().max(1.0),
        "{what}: loss {got}, expected {want}"
    );
}

fn check_cross_entropy(number: Number, rows: usize, n: usize, smoothing: f32, weighted: bool) {
    let what = format!("{number:?} {rows} × {n}, smoothing {smoothing}, weighted {weighted}");
    let logits = logits(number, rows * n);
    // Every fourth row is ignored.
    let labels: Vec<i32> = (0..rows)
        .map(|r| if r % 4 == 3 { -1 } else { (r * 5 % n) as i32 })
        .collect();
    let weights: Vec<f32> = (0..n).map(|c| 0.25 + c as f32 / n as f32).collect();
    let weighting = Weighting {
        class_weights: weighted.then_some(&weights[..]),
        label_smoothing: smoothing,
    };
    let (mut loss, mut d) = (0f64, vec![0f32; rows * n]);
    for (r, &label) in labels.iter().enumerate().filter(|(_, label)| **label >= 0) {
        let row = r * n..(r + 1) * n;
        let label = [label as u32];
        let of_row = cross_entropy::forward_backward(
            &mut d[row.clone()],
            &logits[row],
            &label,
            weighting,
            DENOMINATOR,
        );
        loss += f64::from(of_row);
    }
    let device = &mut Device::new(number);
    // The gradient replaces the logits.
    let at = device.activations(&logits);
    let row_losses = device.unwritten_as::<f32>(rows);
    let (label_at, weight_at) = (device.put(&labels), weighted.then(|| device.put(&weights)));
    let arguments = [
        at.into(),
        at.into(),
        row_losses.into(),
        label_at.into(),
        weight_at.into(),
        value(smoothing),
        value(DENOMINATOR),
        value(rows as u32),
        value(n as u32),
    ];
    device.run("cross_entropy.cu", "cross_entropy", warps(rows), &arguments);
    assert_near(&device.read(at), &d, tolerance(number), &what);
    assert_loss(total(device, row_losses, rows), loss, &what);
    if number == Number::F32 && rows == 3 && n < 50 {
        let classes: Vec<u32> = labels.iter().map(|&label| label as u32).collect();
        assert_gradient(&logits, &device.read(at), &what, |logits| {
            cross_entropy::naive(logits, &classes, weighting, DENOMINATOR)
        });
    }
}

#[test]
fn cross_entropy_equals_the_cpus() {
    for number in NUMBERS {
        for n in [1, 2, 3, 17, 33, 127] {
            for rows in [1, 3, 37] {
                for (smoothing, weighted) in [(0.0, false), (0.1, false), (0.0, true), (0.2, true)]
                {
                    check_cross_entropy(number, rows, n, smoothing, weighted);
                }
            }
        }
    }
}

#[test]
fn large_logits_stay_finite() {
    let device = &mut Device::new(Number::F32);
    let (x, d) = (device.put(&[1e4f32, -1e4]), device.unwritten(2));
    let (row_losses, label) = (device.unwritten(1), device.put(&[0i32]));
    let numbers = [value(0f32), value(1f32), value(1u32), value(2u32)];
    let buffers = [
        x.into(),
        d.into(),
        row_losses.into(),
        label.into(),
        None.into(),
    ];
    device.run(
        "cross_entropy.cu",
        "cross_entropy",
        warps(1),
        &[&buffers[..], &numbers].concat(),
    );
    assert_eq!(
        (device.read(row_losses), device.read(d)),
        (vec![0.0], vec![0.0, 0.0])
    );
}

/// The loss of answers: the mean of the cross-entropies of their first and last token, as in the
/// engine's fused head.
#[test]
fn spans_equal_the_cpus() {
    for number in NUMBERS {
        let offsets = [0u32, 1, 18, 51, 181];
        let spans = [[0u32, 0], [3, 16], [0, 32], [100, 129]];
        let logits = logits(number, 2 * 181);
        let (mut loss, mut d) = (0f64, vec![0f32; logits.len()]);
        for (rows, span) in offsets.windows(2).zip(&spans) {
            let rows = rows[0] as usize..rows[1] as usize;
            for end in 0..2 {
                let column: Vec<f32> = rows.clone().map(|row| logits[2 * row + end]).collect();
                let mut d_column = vec![0f32; column.len()];
                let label = [span[end]];
                let weighting = Weighting::default();
                let half = 2.0 * DENOMINATOR;
                loss += f64::from(cross_entropy::forward_backward(
                    &mut d_column,
                    &column,
                    &label,
                    weighting,
                    half,
                ));
                rows.clone()
                    .zip(d_column)
                    .for_each(|(row, value)| d[2 * row + end] = value);
            }
        }
        let device = &mut Device::new(number);
        let (x, d_x) = (device.activations(&logits), device.unwritten(logits.len()));
        let row_losses = device.unwritten_as::<f32>(8);
        let (offsets_at, spans_at) = (device.put(&offsets), device.put(&spans));
        let buffers = [
            x.into(),
            d_x.into(),
            row_losses.into(),
            offsets_at.into(),
            spans_at.into(),
        ];
        let arguments = [&buffers[..], &[value(DENOMINATOR), value(4u32)]].concat();
        device.run(
            "cross_entropy.cu",
            "span_cross_entropy",
            warps(8),
            &arguments,
        );
        assert_near(&device.read(d_x), &d, tolerance(number), "spans");
        assert_loss(total(device, row_losses, 8), loss, "spans");
    }
}

#[test]
fn binary_cross_entropy_equals_the_cpus() {
    for number in NUMBERS {
        for (rows, n) in [(1, 1), (3, 3), (5, 17), (9, 33), (2, 127)] {
            for weighted in [false, true] {
                let what = format!("{number:?} {rows} × {n}, weighted {weighted}");
                let mut logits = logits(number, rows * n);
                logits[0] = rounded(number, 1e4);
                let targets: Vec<u8> = (0..rows * n).map(|i| u8::from(i * 7 % 3 == 0)).collect();
                let set = |row: &[u8]| (0..n as u32).filter(|&i| row[i as usize] == 1).collect();
                let sets: Vec<Vec<u32>> = targets.chunks(n).map(set).collect();
                let weights: Vec<f32> = (0..n).map(|c| 0.5 + c as f32 / n as f32).collect();
                let mut d = vec![0f32; rows * n];
                let positive = weighted.then_some(&weights[..]);
                let loss = binary_cross_entropy::forward_backward(
                    &mut d,
                    &logits,
                    &sets,
                    positive,
                    DENOMINATOR,
                );
                let device = &mut Device::new(number);
                let x = device.activations(&logits);
                let (row_losses, target_at) =
                    (device.unwritten_as::<f32>(rows), device.put(&targets));
                let weight_at = weighted.then(|| device.put(&weights));
                let buffers = [
                    x.into(),
                    x.into(),
                    row_losses.into(),
                    target_at.into(),
                    weight_at.into(),
                ];
                let size = [value(DENOMINATOR), value(rows as u32), value(n as u32)];
                let arguments = [&buffers[..], &size].concat();
                device.run(
                    "binary_cross_entropy.cu",
                    "binary_cross_entropy",
                    warps(rows),
                    &arguments,
                );
                assert_near(&device.read(x), &d, tolerance(number), &what);
                assert_loss(total(device, row_losses, rows), f64::from(loss), &what);
            }
        }
    }
}

#[test]
fn squared_errors_are_those_of_the_fused_head() {
    for number in NUMBERS {
        for rows in [1, 3, 17, 300] {
            let (logits, scores) = (logits(number, rows), crate::numbers::random(rows, 2));
            let errors: Vec<f32> = logits.iter().zip(&scores).map(|(x, s)| x - s).collect();
            let d: Vec<f32> = errors.iter().map(|e| 2.0 * e / DENOMINATOR).collect();
            let squares: f64 = errors.iter().map(|&e| f64::from(e) * f64::from(e)).sum();
            let device = &mut Device::new(number);
            let (x, d_x) = (device.activations(&logits), device.unwritten(rows));
            let (row_losses, scores_at) = (device.unwritten_as::<f32>(rows), device.put(&scores));
            let buffers = [x.into(), d_x.into(), row_losses.into(), scores_at.into()];
            let arguments = [&buffers[..], &[value(DENOMINATOR), value(rows as u32)]].concat();
            device.run(
                "mean_squared_error.cu",
                "mean_squared_error",
                numbers(rows),
                &arguments,
            );
            assert_near(&device.read(d_x), &d, tolerance(number), "d_logits");
            assert_loss(
                total(device, row_losses, rows),
                squares / f64::from(DENOMINATOR),
                "squares",
            );
        }
    }
}
