//! Attention with a local window by its definition, in double precision.

use super::case::{Case, Inputs};
use progtune_kernels::{attention::first_channel, dropout::apply_row};

/// A case whose rows may be replaced.
pub(super) struct Definition<'a> {
    pub case: &'a Case,
    pub inputs: &'a Inputs,
}

impl Definition<'_> {
    /// dropout(softmax(q·kᵀ/√d))·v over the keys within the window, and the prefix.
    pub(super) fn context(&self, q: &[f32], k: &[f32], v: &[f32], prefix: &[f32]) -> Vec<f32> {
        let Case {
            heads,
            head_dim,
            n_prefix,
            ..
        } = *self.case;
        let hidden = heads * head_dim;
        let mut context = vec![0f32; q.len()];
        let offsets = self
            .inputs
            .query_offsets
            .windows(2)
            .zip(self.inputs.key_offsets.windows(2));
        for (queries, keys) in offsets {
            let n_keys = (keys[1] - keys[0]) as usize;
            // Number `column` of key (`half` 0) or value (1) j, the prefix's first.
            let at = |half: usize, j: usize, column: usize| {
                f64::from(match j.checked_sub(n_prefix) {
                    None => prefix[(2 * j + half) * hidden + column],
                    Some(own) => [k, v][half][(keys[0] as usize + own) * hidden + column],
                })
            };
            for (i, row) in (queries[0] as usize..queries[1] as usize).enumerate() {
                for head in 0..heads {
                    let columns = head * head_dim..(head + 1) * head_dim;
                    let score = |j: usize| {
                        let terms = columns
                            .clone()
                            .map(|c| f64::from(q[row * hidden + c]) * at(0, j, c));
                        (terms.sum::<f64>() / (head_dim as f64).sqrt()).exp()
                    };
                    let read: Vec<usize> = (0..n_prefix + n_keys)
                        .filter(|&j| self.reads(i, j))
                        .collect();
                    let weights: Vec<f64> = read.iter().map(|&j| score(j)).collect();
                    let total: f64 = weights.iter().sum();
                    for (&j, weight) in read.iter().zip(weights) {
                        let p = weight / total * self.mask(row, head, j);
                        for c in columns.clone() {
                            context[row * hidden + c] += (p * at(1, j, c)) as f32;
                        }
                    }
                }
            }
        }
        context
    }

    fn reads(&self, i: usize, j: usize) -> bool {
        let window = self.case.window;
        match j.checked_sub(self.case.n_prefix) {
            None => true,
            Some(own) => window < 0 || i.abs_diff(own) <= window as usize,
        }
    }

    fn mask(&self, row: usize, head: usize, j: usize) -> f64 {
        let mut one = [1f32];
        if self.case.p > 0.0 {
            let channel = first_channel(head) + j as u32;
            apply_row(
                &mut one,
                self.case.p,
                self.inputs.site,
                self.inputs.row_keys[row],
                channel,
            );
        }
        f64::from(one[0])
    }
}
