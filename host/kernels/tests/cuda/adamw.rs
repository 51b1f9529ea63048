//! `adamw.cu` against `adamw.rs`: the same bits, given the same gradient scale.

use crate::device::{At, Device, value};
use crate::numbers::{random, to_bf16};
use progtune_kernels::{
    adamw::{Rows, Update, step, step_rows, sum_of_squares},
    cuda::{AdamWChunk, AdamWConstants, Number, adamw_blocks, adamw_rows},
};

const FILE: &str = "adamw.cu";
const MAX_NORM: f64 = 1.0;

fn update(step: u64, weight_decay: f64, gradient_scale: f64) -> Update {
    Update {
        lr: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay,
        step,
        gradient_scale,
    }
}

/// The buffers of a parameter.
#[derive(Clone, Copy)]
struct OnDevice {
    p: At,
    g: At,
    m: At,
    v: At,
    copy: At,
}

impl OnDevice {
    fn new(device: &mut Device, p: &[f32]) -> Self {
        let zeros = vec![0f32; p.len()];
        Self {
            p: device.put(p),
            g: device.put(&zeros),
            m: device.put(&zeros),
            v: device.put(&zeros),
            copy: device.unwritten_as::<u16>(p.len()),
        }
    }

    /// Its chunk from number `start` on.
    fn chunk(&self, device: &Device, start: usize, n: usize, parameter: u32) -> AdamWChunk {
        let at = |at: At, bytes: usize| device.address(at) + (start * bytes) as u64;
        AdamWChunk {
            p: at(self.p, 4),
            g: at(self.g, 4),
            m: at(self.m, 4),
            v: at(self.v, 4),
            copy: at(self.copy, 2),
            n: n as u32,
            parameter,
        }
    }
}

/// The state of a parameter on the CPU.
struct OnCpu {
    p: Vec<f32>,
    m: Vec<f32>,
    v: Vec<f32>,
}

impl OnCpu {
    fn new(p: Vec<f32>) -> Self {
        let zeros = vec![0f32; p.len()];
        Self {
            p,
            m: zeros.clone(),
            v: zeros,
        }
    }

    #[track_caller]
    fn assert_same(&self, device: &Device, there: OnDevice) {
        assert_eq!(device.get::<f32>(there.p), self.p);
        assert_eq!(device.get::<f32>(there.m), self.m);
        assert_eq!(device.get::<f32>(there.v), self.v);
    }
}

/// The outcome of the two launches that measure gradients.
struct Measured {
    /// The global norm and those of two groups.
    norms: Vec<f64>,
    clip: f32,
    clip_at: At,
    mark: u32,
}

/// Measures the gradients in the table, for a step of this loss and an earlier mark.
fn measured(device: &mut Device, table: At, groups: &[i32], loss: f64, mark: u32) -> Measured {
    let n = groups.len();
    let squares = device.unwritten_as::<f64>(n);
    device.run_plain(
        FILE,
        "gradient_squares",
        adamw_blocks(n),
        &[table.into(), squares.into()],
    );
    let (groups, loss, norms) = (
        device.put(groups),
        device.put(&[loss]),
        device.unwritten_as::<f64>(3),
    );
    let (clip, mark) = (device.unwritten_as::<f32>(1), device.put(&[mark]));
    let buffers = [squares, groups, loss, norms, clip, mark].map(Into::into);
    let arguments = [&buffers[..], &[value(MAX_NORM), value(n as u32)]].concat();
    device.run_plain(FILE, "gradient_norms", adamw_blocks(3), &arguments);
    Measured {
        norms: device.get(norms),
        clip: device.get::<f32>(clip)[0],
        clip_at: clip,
        mark: device.get::<u32>(mark)[0],
    }
}

/// Parameters of several sizes, some of more than a chunk, in one launch, over several steps.
#[test]
fn all_parameters_move_as_on_the_cpu() {
    let device = &mut Device::new(Number::F32);
    let sizes = [1usize, 3, 17, AdamWChunk::MOST + 130, 384];
    let decays = [0.0, 0.01, 0.0, 0.01, 0.01];
    let groups_of = [-1, 0, 0, 1, 1];
    let mut cpu: Vec<OnCpu> = (0u64..)
        .zip(sizes)
        .map(|(i, n)| OnCpu::new(random(n, i)))
        .collect();
    let there: Vec<OnDevice> = cpu.iter().map(|c| OnDevice::new(device, &c.p)).collect();
    let (mut chunks, mut groups) = (Vec::new(), Vec::new());
    for (i, (there, &n)) in there.iter().zip(&sizes).enumerate() {
        for start in (0..n).step_by(AdamWChunk::MOST) {
            let length = AdamWChunk::MOST.min(n - start);
            chunks.push(there.chunk(device, start, length, i as u32));
            groups.push(groups_of[i]);
        }
    }
    let table = device.put(&chunks);
    for number in 1..=4u64 {
        let gradients: Vec<Vec<f32>> = (0u64..)
            .zip(sizes)
            .map(|(i, n)| random(n, 100 * number + i))
            .collect();
        for (there, gradient) in there.iter().zip(&gradients) {
            device.overwrite(there.g, gradient);
        }
        let Measured {
            norms,
            clip,
            clip_at,
            mark,
        } = measured(device, table, &groups, 0.5, 0);
        assert_eq!(mark, 0);
        let squares: Vec<f64> = gradients.iter().map(|g| sum_of_squares(g)).collect();
        let want = [
            squares.iter().sum(),
            squares[1] + squares[2],
            squares[3] + squares[4],
        ];
        for (norm, want) in norms.iter().zip(want) {
            let want: f64 = f64::sqrt(want);
            assert!(
                (norm - want).abs() <= 1e-6 * want,
                "norm {norm}, expected {want}"
            );
        }
        assert!((f64::from(clip) - MAX_NORM / (norms[0] + 1e-6)).abs() < 1e-7);
        let updates = decays.map(|decay| update(number, decay, f64::from(clip)));
        let constants = device.put(&updates.each_ref().map(AdamWConstants::new));
        let arguments = [table.into(), constants.into(), clip_at.into()];
        device.run_plain(FILE, "adamw_step", adamw_blocks(chunks.len()), &arguments);
        for (((cpu, g), update), there) in cpu.iter_mut().zip(gradients).zip(&updates).zip(&there) {
            step(&mut cpu.p, &g, &mut cpu.m, &mut cpu.v, update);
            cpu.assert_same(device, *there);
            assert!(device.get::<f32>(there.g).iter().all(|&g| g == 0.0));
            let copy: Vec<u16> = cpu.p.iter().map(|&p| to_bf16(p)).collect();
            assert_eq!(device.get::<u16>(there.copy), copy);
        }
    }
}

#[test]
fn small_and_unclipped_norms_keep_the_gradient() {
    let device = &mut Device::new(Number::F32);
    let there = OnDevice::new(device, &[1.0, 2.0]);
    device.overwrite(there.g, &[0.3f32, -0.4]);
    let chunk = there.chunk(device, 0, 2, 0);
    let table = device.put(&[chunk]);
    let found = measured(device, table, &[0], 0.5, 0);
    let norms = found.norms;
    assert!((norms[0] - 0.5).abs() < 1e-7 && norms[1] == norms[0] && norms[2] == 0.0);
    assert_eq!((found.clip, found.mark), (1.0, 0));
}

/// A loss or norm that is not finite, and every step after it, update nothing.
#[test]
fn a_step_that_is_not_finite_stops_all_updates() {
    for (gradient, loss, mark) in [
        (f32::NAN, 0.5, 0),
        (f32::INFINITY, 0.5, 0),
        (0.1, f64::NAN, 0),
        (0.1, f64::NEG_INFINITY, 0),
        (0.1, 0.5, 1),
    ] {
        let device = &mut Device::new(Number::F32);
        let there = OnDevice::new(device, &[1.0, 2.0]);
        device.overwrite(there.g, &[gradient, 0.2]);
        let chunk = there.chunk(device, 0, 2, 0);
        let table = device.put(&[chunk]);
        let found = measured(device, table, &[0], loss, mark);
        assert_eq!((found.clip, found.mark), (-1.0, 1));
        let constants = device.put(&[AdamWConstants::new(&update(1, 0.01, 1.0))]);
        let arguments = [table.into(), constants.into(), found.clip_at.into()];
        device.run_plain(FILE, "adamw_step", adamw_blocks(1), &arguments);
        let (touched, live) = (device.put(&[1u8]), device.put(&[0u8]));
        let buffers = [
            value(chunk),
            constants.into(),
            found.clip_at.into(),
            touched.into(),
            live.into(),
        ];
        let arguments = [&buffers[..], &[value(1u32), value(2u32)]].concat();
        device.run_plain(FILE, "adamw_step_rows", adamw_rows(1), &arguments);
        assert_eq!(device.get::<f32>(there.p), [1.0, 2.0]);
        assert_eq!(device.get::<f32>(there.m), [0.0, 0.0]);
    }
}

/// A table of which few rows have a gradient.
#[test]
fn rows_move_as_on_the_cpu() {
    for columns in [1, 3, 17, 24, 127, 384] {
        let rows = 21;
        let mut cpu = OnCpu::new(random(rows * columns, 1));
        let device = &mut Device::new(Number::F32);
        let there = OnDevice::new(device, &cpu.p);
        let (touched_at, live_at) = (device.put(&vec![0u8; rows]), device.put(&vec![0u8; rows]));
        let mut live = vec![false; rows];
        for number in 1..=5u64 {
            let decay = if number > 3 { 0.01 } else { 0.0 };
            let touched: Vec<bool> = (0..rows as u64)
                .map(|r| (r * 7 + number) % 5 == 0 && r < 14)
                .collect();
            let mut gradient = vec![0f32; rows * columns];
            for row in (0..rows).filter(|&row| touched[row]) {
                let values = random(columns, 100 * number + row as u64);
                gradient[row * columns..(row + 1) * columns].copy_from_slice(&values);
                live[row] = true;
            }
            device.overwrite(there.g, &gradient);
            let marks: Vec<u8> = touched.iter().map(|&touched| touched.into()).collect();
            device.overwrite(touched_at, &marks);
            let update = update(number, decay, 0.7);
            let (constants, clip) = (
                device.put(&[AdamWConstants::new(&update)]),
                device.put(&[0.7f32]),
            );
            let table = value(there.chunk(device, 0, rows * columns, 0));
            let buffers = [
                table,
                constants.into(),
                clip.into(),
                touched_at.into(),
                live_at.into(),
            ];
            let arguments = [&buffers[..], &[value(rows as u32), value(columns as u32)]].concat();
            device.run_plain(FILE, "adamw_step_rows", adamw_rows(rows), &arguments);
            let marks = Rows {
                touched: &touched,
                live: &live,
                columns,
            };
            step_rows(
                &mut cpu.p,
                &mut gradient,
                &mut cpu.m,
                &mut cpu.v,
                marks,
                &update,
            );
            cpu.assert_same(device, there);
            assert_eq!(device.get::<f32>(there.g), gradient);
            assert!(device.get::<u8>(touched_at).iter().all(|&mark| mark == 0));
            let marks: Vec<u8> = live.iter().map(|&live| live.into()).collect();
            assert_eq!(device.get::<u8>(live_at), marks);
        }
    }
}
