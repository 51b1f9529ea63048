//! `activation.cu` against `activation.rs`, for every activation.

use crate::device::{Argument, At, BF16, Device, F32, value};
use crate::linear::add_up;
use crate::numbers::{NUMBERS, assert_near, random, random_as, rounded};
use progtune_kernels::{
    activation::{Activation, backward, forward},
    cuda::{Chunked, Number, columns},
    linear::backward_bias,
};

const FILE: &str = "activation.cu";

/// Every activation, in the order of its numbers.
const ALL: [Activation; 16] = [
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::GeluClipped,
    Activation::QuickGelu,
    Activation::Relu,
    Activation::ReluSquared,
    Activation::Relu6,
    Activation::LeakyRelu,
    Activation::Silu,
    Activation::HardSwish,
    Activation::Mish,
    Activation::SqrtSoftplus,
    Activation::Laplace,
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Linear,
];

struct Case {
    number: Number,
    rows: usize,
    columns: usize,
    activation: Activation,
    with_bias: bool,
}

impl Case {
    fn run(&self, device: &mut Device, kernel: &str, buffers: &[Argument]) -> u32 {
        let Chunked {
            launch,
            rows_per_chunk,
            n_chunks,
        } = columns(self.rows, self.columns, self.number);
        let numbers = [
            self.rows as u32,
            self.columns as u32,
            rows_per_chunk,
            self.activation as u32,
        ];
        let arguments = [buffers, &numbers.map(value)[..]].concat();
        device.run(FILE, kernel, launch, &arguments);
        n_chunks
    }

    fn check(&self, x: &[f32]) {
        let Case {
            number,
            rows,
            columns,
            activation,
            with_bias,
        } = *self;
        let what = format!("{number:?} {activation:?} {rows} × {columns}, bias {with_bias}");
        let tolerance = if number == Number::F32 { F32 } else { BF16 };
        let bias = if with_bias {
            random(columns, 3)
        } else {
            vec![0.0; columns]
        };
        let u: Vec<f32> = x
            .iter()
            .enumerate()
            .map(|(i, x)| rounded(number, x + bias[i % columns]))
            .collect();
        let mut y = vec![0.0; u.len()];
        forward(&mut y, &u, activation);
        let device = &mut Device::new(number);
        let device_u = device.activations(x);
        let device_bias = with_bias.then(|| device.put(&bias));
        let device_y = device.unwritten(u.len());
        self.run(
            device,
            "bias_activation_forward",
            &[device_u.into(), device_bias.into(), device_y.into()],
        );
        assert_eq!(device.read(device_u), u, "{what}: u");
        assert_near(&device.read(device_y), &y, tolerance, &format!("{what}: y"));
        self.check_backward(device, device_u, &u, &what);
    }

    fn check_backward(&self, device: &mut Device, device_u: At, u: &[f32], what: &str) {
        let tolerance = if self.number == Number::F32 {
            F32
        } else {
            BF16
        };
        let d_y = random_as(self.number, u.len(), 4);
        let mut d_u = d_y.clone();
        backward(&mut d_u, u, self.activation);
        let mut d_bias = vec![1.0; self.columns];
        backward_bias(&mut d_bias, &d_u);
        let d = device.activations(&d_y);
        let most = self.rows * self.columns;
        let partial = device.unwritten_as::<f32>(most);
        let n_chunks = self.run(
            device,
            "bias_activation_backward",
            &[d.into(), device_u.into(), partial.into()],
        );
        assert_near(&device.read(d), &d_u, tolerance, &format!("{what}: d_u"));
        let sum = device.put(&vec![1f32; self.columns]);
        add_up(device, &[partial], &[sum], self.columns, n_chunks);
        assert_near(
            &device.get(sum),
            &d_bias,
            4.0 * F32,
            &format!("{what}: d_bias"),
        );
    }
}

#[test]
fn every_activation_equals_the_cpus() {
    for number in NUMBERS {
        for activation in ALL {
            let x: Vec<f32> = random_as(number, 5 * 33, 1)
                .iter()
                .map(|v| rounded(number, v * 8.0))
                .collect();
            Case {
                number,
                rows: 5,
                columns: 33,
                activation,
                with_bias: true,
            }
            .check(&x);
            Case {
                number,
                rows: 3,
                columns: 55,
                activation,
                with_bias: false,
            }
            .check(&x);
        }
    }
}

#[test]
fn every_width_equals_the_cpus() {
    for number in NUMBERS {
        for columns in [1, 3, 17, 127, 384, 768, 3072] {
            for rows in [1, 3] {
                let x = random_as(number, rows * columns, 2);
                let activation = Activation::Gelu;
                Case {
                    number,
                    rows,
                    columns,
                    activation,
                    with_bias: true,
                }
                .check(&x);
            }
        }
        let x = random_as(number, 1100 * 8, 2);
        let activation = Activation::Tanh;
        Case {
            number,
            rows: 1100,
            columns: 8,
            activation,
            with_bias: true,
        }
        .check(&x);
    }
}

/// Slopes at kinks, and numbers whose exponential overflows.
#[test]
fn kinks_and_large_numbers_equal_the_cpus() {
    for activation in ALL {
        let x = [
            -1e10f32, -1000.0, -90.0, -30.0, -3.0, 0.0, 3.0, 6.0, 30.0, 90.0, 1000.0,
        ];
        for x in x {
            let case = Case {
                number: Number::F32,
                rows: 1,
                columns: 1,
                activation,
                with_bias: false,
            };
            case.check(&[x]);
        }
    }
}
