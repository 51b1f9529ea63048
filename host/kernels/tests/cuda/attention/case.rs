//! A case of attention: its inputs, the kernels' results, and those of the CPU.

use super::definition::Definition;
use crate::device::{Argument, At, Device, value};
use crate::linear::add_up;
use crate::numbers::{assert_gradient, assert_near, dot, random_as};
use progtune_kernels::{
    attention::{self, Prefix, Qkv, QkvGradients, Scratch, Sequences},
    cuda::{self, AttentionArgument, Number},
    dropout::{Dropout, row_key, site_key},
};

const FILE: &str = "attention.cu";
/// Sums of up to 512 products in another order, and a softmax.
const F32: f32 = 5e-6;
/// Probabilities and scores' gradients are rounded to eight bits before they are multiplied.
const BF16: f32 = 2.5e-2;

/// Sequences and the way in which they are read.
#[derive(Clone)]
pub(super) struct Case {
    /// The number of keys of each sequence.
    pub lengths: Vec<usize>,
    /// Whether only the first token of each sequence has a query.
    pub first_only: bool,
    pub n_prefix: usize,
    pub heads: usize,
    pub head_dim: usize,
    /// The probability of dropout, or 0.
    pub p: f32,
    /// The window, or −1.
    pub window: i32,
    /// Whether q, k and v are columns of the same rows.
    pub packed: bool,
}

/// The rows of a case. They fit bf16, so that both number types have the same.
pub(super) struct Inputs {
    pub q: Vec<f32>,
    pub k: Vec<f32>,
    pub v: Vec<f32>,
    pub prefix: Vec<f32>,
    pub d_context: Vec<f32>,
    pub query_offsets: Vec<u32>,
    pub key_offsets: Vec<u32>,
    pub row_keys: Vec<u64>,
    pub site: u64,
}

pub(super) struct Results {
    pub context: Vec<f32>,
    pub d_q: Vec<f32>,
    pub d_k: Vec<f32>,
    pub d_v: Vec<f32>,
    pub d_prefix: Vec<f32>,
}

fn offsets(lengths: impl Iterator<Item = usize>) -> Vec<u32> {
    let mut offsets = vec![0];
    for length in lengths {
        offsets.push(offsets[offsets.len() - 1] + length as u32);
    }
    offsets
}

impl Case {
    fn hidden(&self) -> usize {
        self.heads * self.head_dim
    }

    fn inputs(&self) -> Inputs {
        let n_queries = |&n: &usize| if self.first_only { n.min(1) } else { n };
        let query_offsets = offsets(self.lengths.iter().map(n_queries));
        let key_offsets = offsets(self.lengths.iter().copied());
        let (queries, keys) = (
            query_offsets[self.lengths.len()],
            key_offsets[self.lengths.len()],
        );
        let rows = |n: u32, seed| random_as(Number::Bf16, n as usize * self.hidden(), seed);
        // Larger queries make some probabilities large.
        let q = rows(queries, 1).iter().map(|v| v * 4.0).collect();
        Inputs {
            q,
            k: rows(keys, 2),
            v: rows(keys, 3),
            prefix: rows(2 * self.n_prefix as u32, 4),
            d_context: rows(queries, 5),
            query_offsets,
            key_offsets,
            row_keys: (0..u64::from(queries)).map(|r| row_key(r, 3)).collect(),
            site: site_key(5, 6, 16),
        }
    }

    /// Compares the kernels with the CPU.
    pub(super) fn check(&self, number: Number) {
        let inputs = self.inputs();
        let (got, want) = (self.run(&inputs, number), self.on_cpu(&inputs));
        self.compare(&got, &want, number);
    }

    /// Compares the kernels of f32 with the definition and finite differences, and those of bf16
    /// with those of f32.
    pub(super) fn check_against_definition(&self) {
        let inputs = self.inputs();
        let got = self.run(&inputs, Number::F32);
        let definition = Definition {
            case: self,
            inputs: &inputs,
        };
        let Inputs {
            q,
            k,
            v,
            prefix,
            d_context,
            ..
        } = &inputs;
        let what = self.what(Number::F32);
        assert_near(
            &got.context,
            &definition.context(q, k, v, prefix),
            F32,
            &what,
        );
        let loss = |q: &[f32], k: &[f32], v: &[f32], prefix: &[f32]| {
            dot(&definition.context(q, k, v, prefix), d_context)
        };
        assert_gradient(q, &got.d_q, &what, |q| loss(q, k, v, prefix));
        assert_gradient(k, &got.d_k, &what, |k| loss(q, k, v, prefix));
        assert_gradient(v, &got.d_v, &what, |v| loss(q, k, v, prefix));
        if self.n_prefix > 0 {
            assert_gradient(prefix, &got.d_prefix, &what, |prefix| loss(q, k, v, prefix));
        }
        let rounded = self.run(&inputs, Number::Bf16);
        self.compare(&rounded, &got, Number::Bf16);
    }

    fn what(&self, number: Number) -> String {
        format!(
            "{number:?} {} sequences up to {:?}, {} × {}, prefix {}, p {}, window {}",
            self.lengths.len(),
            self.lengths.iter().max(),
            self.heads,
            self.head_dim,
            self.n_prefix,
            self.p,
            self.window
        )
    }

    fn compare(&self, got: &Results, want: &Results, number: Number) {
        let tolerance = if number == Number::F32 { F32 } else { BF16 };
        for (name, got, want) in [
            ("context", &got.context, &want.context),
            ("d_q", &got.d_q, &want.d_q),
            ("d_k", &got.d_k, &want.d_k),
            ("d_v", &got.d_v, &want.d_v),
            ("d_prefix", &got.d_prefix, &want.d_prefix),
        ] {
            assert_near(
                got,
                want,
                tolerance,
                &format!("{}: {name}", self.what(number)),
            );
        }
    }

    fn on_cpu(&self, inputs: &Inputs) -> Results {
        let prefix = (self.n_prefix > 0).then_some(Prefix {
            rows: &inputs.prefix,
        });
        let qkv = Qkv {
            q: &inputs.q,
            k: &inputs.k,
            v: &inputs.v,
            prefix,
        };
        let sequences = Sequences {
            heads: self.heads,
            head_dim: self.head_dim,
            query_offsets: &inputs.query_offsets,
            key_offsets: &inputs.key_offsets,
        };
        let dropout = Dropout {
            p: self.p,
            site_key: inputs.site,
            row_keys: &inputs.row_keys,
        };
        let dropout = (self.p > 0.0).then_some(&dropout);
        let scratch = &mut Scratch::default();
        let mut results = Results {
            context: vec![0.0; inputs.q.len()],
            d_q: vec![0.0; inputs.q.len()],
            d_k: vec![0.0; inputs.k.len()],
            d_v: vec![0.0; inputs.k.len()],
            d_prefix: vec![0.0; inputs.prefix.len()],
        };
        let mut log_sum_exp = vec![0.0; inputs.row_keys.len() * self.heads];
        attention::forward(
            &mut results.context,
            &mut log_sum_exp,
            qkv,
            sequences,
            dropout,
            scratch,
        );
        let gradients = QkvGradients {
            d_q: &mut results.d_q,
            d_k: &mut results.d_k,
            d_v: &mut results.d_v,
            d_prefix: prefix.map(|_| &mut results.d_prefix[..]),
        };
        attention::backward(
            gradients,
            &inputs.d_context,
            qkv,
            &log_sum_exp,
            sequences,
            dropout,
            scratch,
        );
        results
    }

    /// The rows of q, k and v on the device: the buffers, each with the offset of its first number,
    /// and the strides of queries and of keys.
    fn rows(&self, device: &mut Device, parts: [&[f32]; 3], written: bool) -> Rows {
        let hidden = self.hidden();
        if !self.packed || self.first_only {
            let buffers = parts.map(|part| {
                if written {
                    device.activations(part)
                } else {
                    device.unwritten(part.len())
                }
            });
            return Rows {
                at: buffers.map(|at| (at, 0)),
                strides: [hidden; 2],
            };
        }
        let tokens = parts[0].len() / hidden.max(1);
        let mut all = Vec::new();
        for token in 0..tokens {
            parts
                .iter()
                .for_each(|part| all.extend(&part[token * hidden..(token + 1) * hidden]));
        }
        let at = if written {
            device.activations(&all)
        } else {
            device.unwritten(all.len())
        };
        Rows {
            at: [(at, 0), (at, hidden), (at, 2 * hidden)],
            strides: [3 * hidden; 2],
        }
    }

    /// The kernels' results.
    fn run(&self, inputs: &Inputs, number: Number) -> Results {
        let device = &mut Device::new(number);
        let parts = [&inputs.q[..], &inputs.k, &inputs.v];
        let rows = self.rows(device, parts, true);
        let argument = self.argument(device, inputs, &rows);
        let n_queries = inputs.row_keys.len();
        let context = device.unwritten(inputs.q.len());
        let log_sum_exp = device.unwritten_as::<f32>(n_queries * self.heads);
        let most = self.lengths.iter().copied().max().unwrap_or(0);
        let most_queries = if self.first_only { most.min(1) } else { most };
        let sequences = self.lengths.len();
        let head = cuda::attention_head(self.head_dim).expect("a kernel for this head size");
        let name = |kernel: &str| format!("attention_{kernel}_{}_{head}", number.suffix());
        let launch =
            cuda::attention_queries(most_queries, self.heads, sequences, self.head_dim, number);
        let arguments = [value(argument), context.into(), log_sum_exp.into()];
        device.run_plain(FILE, &name("forward"), launch, &arguments);

        let d_context = device.activations(&inputs.d_context);
        let d_rows = self.rows(device, parts, false);
        let delta = device.unwritten_as::<f32>(n_queries * self.heads);
        let [d_q, d_k, d_v] = d_rows.addresses(device);
        let [d_q_stride, d_kv_stride] = d_rows.strides.map(|stride| value(stride as u32));
        let arguments = [
            value(argument),
            context.into(),
            log_sum_exp.into(),
            d_context.into(),
            d_q,
            delta.into(),
            d_q_stride,
        ];
        device.run_plain(FILE, &name("backward_queries"), launch, &arguments);

        let width = 2 * self.n_prefix * self.hidden();
        let of_sequences = device.unwritten_as::<f32>(sequences * width);
        let of_sequences_argument: Argument = (width > 0).then_some(of_sequences).into();
        let lengths = (self.n_prefix, most);
        let launch = cuda::attention_keys(lengths, self.heads, sequences, self.head_dim, number);
        let arguments = [
            value(argument),
            log_sum_exp.into(),
            d_context.into(),
            delta.into(),
            d_k,
            d_v,
            of_sequences_argument,
            d_kv_stride,
        ];
        device.run_plain(FILE, &name("backward_keys"), launch, &arguments);
        let d_prefix = device.put(&vec![0f32; width]);
        if width > 0 {
            add_up(
                device,
                &[of_sequences],
                &[d_prefix],
                width,
                sequences as u32,
            );
        }
        let lengths = parts.map(<[f32]>::len);
        Results {
            context: device.read(context),
            d_q: d_rows.read(device, 0, lengths[0], self.hidden()),
            d_k: d_rows.read(device, 1, lengths[1], self.hidden()),
            d_v: d_rows.read(device, 2, lengths[2], self.hidden()),
            d_prefix: device.get(d_prefix),
        }
    }

    fn argument(&self, device: &mut Device, inputs: &Inputs, rows: &Rows) -> AttentionArgument {
        let prefix = device.activations(&inputs.prefix);
        let (query_offsets, key_offsets) = (
            device.put(&inputs.query_offsets),
            device.put(&inputs.key_offsets),
        );
        let dropout = device.dropout(self.p, inputs.site, &inputs.row_keys);
        let [q, k, v] = rows
            .at
            .map(|(at, first)| device.address(at) + (first * device.number.bytes()) as u64);
        AttentionArgument {
            q,
            k,
            v,
            prefix: if self.n_prefix > 0 {
                device.address(prefix)
            } else {
                0
            },
            query_offsets: device.address(query_offsets),
            key_offsets: device.address(key_offsets),
            q_stride: rows.strides[0] as u32,
            kv_stride: rows.strides[1] as u32,
            n_prefix: self.n_prefix as u32,
            head_dim: self.head_dim as u32,
            window: self.window,
            unused: 0,
            dropout,
        }
    }
}

/// Queries, keys and values on the device, or their gradients.
struct Rows {
    at: [(At, usize); 3],
    strides: [usize; 2],
}

impl Rows {
    fn addresses(&self, device: &Device) -> [Argument; 3] {
        self.at
            .map(|(at, first)| value(device.address(at) + (first * device.number.bytes()) as u64))
    }

    /// The numbers of one of the three.
    fn read(&self, device: &Device, which: usize, n: usize, hidden: usize) -> Vec<f32> {
        let (at, first) = self.at[which];
        let all = device.read(at);
        let stride = self.strides[which.min(1)];
        (0..n / hidden)
            .flat_map(|row| all[row * stride + first..][..hidden].to_vec())
            .collect()
    }
}
