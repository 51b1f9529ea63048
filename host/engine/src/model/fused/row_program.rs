//! A method's graph on slices, with its own backward: the fused form of the operations in most
//! published methods (low-rank updates, bottlenecks, scalings, Kronecker products). [`super::site`]
//! calls it, and runs other graphs through candle.
//!
//! A graph has two kinds of values. Values with rows are computed by [`forward`] and [`backward`]
//! for the rows of each task. Values without rows are the same for all tasks: they are parameters,
//! or they are *derived*. [`compile`] computes derived values with candle once per pass (DoRA's
//! factors are norms of a whole weight). The tasks add up their gradients like those of a
//! parameter. When all tasks are done, candle takes these back to the parameters
//! ([`RowProgram::derived_backward`]).

mod backward;
mod compile;
mod forward;

use super::partials::{Partials, Target};
use crate::{
    error::Result,
    model::{
        gradients::Gradients,
        graph::{Program, RowContext},
        parameters::{HostSlice, ParameterId, Parameters},
        scratch::{Buffer, Columns, Scratch, Workspace},
    },
};
use candle_core::Tensor;
use progtune_kernels::{
    activation::Activation, dropout, dropout::Dropout, elementwise, gemm::PackedColumns,
    matrix::Matrix,
};

/// A graph ready for one pass. The value of each step is rows of numbers, steps are in evaluation
/// order, and the last one is the result.
#[derive(Debug)]
pub(crate) struct RowProgram {
    steps: Vec<Step>,
    /// Whether the backward reads the value of a step.
    needed: Vec<bool>,
    derived: Vec<Derived>,
}

/// A value without rows that candle computed.
#[derive(Debug)]
struct Derived {
    /// The node in the graph.
    node: usize,
    /// The value: contiguous, with candle's graph if it depends on something trained.
    value: Tensor,
}

/// A value without rows that a step reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fixed {
    Parameter(ParameterId),
    /// A derived value, by its place in [`RowProgram::derived`].
    Derived(usize),
}

/// A matrix by which rows are multiplied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FixedMatrix {
    /// The value.
    pub source: Fixed,
    /// The shape as it is stored.
    pub rows: usize,
    /// The number of columns as it is stored.
    pub columns: usize,
    /// Whether the product is x·Mᵀ.
    pub transposed: bool,
}

/// A step of a program.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// An input of the site, by its place in [`INPUTS`].
    Input(usize),
    /// `x·M`, or `x·Mᵀ`, over the last dimension.
    MatMul {
        x: usize,
        matrix: FixedMatrix,
    },
    /// `a + factor·b`.
    Add {
        a: usize,
        b: usize,
        factor: f32,
    },
    /// `a ⊙ b`.
    Mul {
        a: usize,
        b: usize,
    },
    /// `x + factor·v` along the last dimension.
    AddVector {
        x: usize,
        vector: Fixed,
        factor: f32,
    },
    /// `x ⊙ v` along the last dimension.
    MulVector {
        x: usize,
        vector: Fixed,
    },
    Scale {
        x: usize,
        by: f32,
    },
    Activate {
        x: usize,
        activation: Activation,
    },
    /// The last two dimensions of `[rows, from.0, from.1]` swapped.
    Swap {
        x: usize,
        from: (usize, usize),
    },
    /// LayerNorm over the last dimension, without scale and shift; 0 columns stand for all.
    Normalise {
        x: usize,
        columns: usize,
        eps: f32,
    },
    /// The mask is that of graph node `node`.
    Dropout {
        x: usize,
        node: usize,
        p: f32,
    },
}

/// The names of a site's inputs: `y`, then those of `Others`.
pub const INPUTS: [&str; 3] = ["y", "x", "residual"];

/// The values of a site's inputs besides `y`: `x` and `residual`. They are empty where the site
/// lacks them.
pub(super) type Others<'a> = [&'a [f32]; 2];

/// Everything that a program needs besides its rows.
pub(super) struct Run<'a, 'w> {
    /// The program from which it was compiled.
    pub program: &'a Program,
    /// Its matrices, packed for this direction.
    pub packed: &'a [PackedMatrix<'a>],
    /// The parameters.
    pub parameters: &'a Parameters,
    /// The step, and the keys of the rows.
    pub rows: RowContext<'a>,
    /// The shared memory.
    pub scratch: &'a Scratch,
    /// The task's own memory.
    pub workspace: &'w mut Workspace,
}

impl RowProgram {
    /// The steps in evaluation order.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether the backward reads the value of a step.
    pub(crate) fn is_needed(&self, step: usize) -> bool {
        self.needed[step]
    }

    /// A derived value, with candle's graph if it depends on something trained.
    pub(crate) fn derived_value(&self, at: usize) -> &Tensor {
        &self.derived[at].value
    }

    /// The target of a derived value's gradient.
    pub(crate) fn derived_target(&self, program: &Program, at: usize) -> Target {
        Target::Derived(program.node_key(self.derived[at].node))
    }

    /// The count of numbers of a value without rows.
    pub(crate) fn length(&self, fixed: Fixed, parameters: &Parameters) -> usize {
        match fixed {
            Fixed::Parameter(id) => parameters.infos()[id].size(),
            Fixed::Derived(at) => self.derived[at].value.elem_count(),
        }
    }

    /// The matrices of the program, packed for one pass, one for each step that multiplies.
    pub(super) fn pack<'s>(
        &self,
        parameters: &Parameters,
        scratch: &'s Scratch,
        backward: bool,
    ) -> Vec<PackedMatrix<'s>> {
        let pack = |matrix: FixedMatrix| {
            let values = self.fixed(matrix.source, parameters);
            let (rows, columns) = (matrix.rows, matrix.columns);
            let mut space = scratch.columns(rows.min(columns), rows.max(columns));
            let stored = Matrix::new(&values, rows, columns);
            space.space().pack_here(if matrix.transposed != backward {
                stored.transposed()
            } else {
                stored
            });
            space
        };
        let steps = self.steps.iter().enumerate();
        let matrices = steps.filter_map(|(step, kind)| match *kind {
            Step::MatMul { matrix, .. } => Some(PackedMatrix {
                step,
                columns: pack(matrix),
            }),
            _ => None,
        });
        matrices.collect()
    }

    /// The numbers of a value without rows.
    fn fixed<'v>(&'v self, source: Fixed, parameters: &'v Parameters) -> HostSlice<'v> {
        match source {
            Fixed::Parameter(id) => parameters.host(id),
            Fixed::Derived(at) => HostSlice::of(&self.derived[at].value),
        }
    }

    /// The sum to which the gradient of a value without rows is added; `None` when it depends on
    /// nothing trained.
    fn sum<'p>(
        &self,
        source: Fixed,
        program: &Program,
        partials: &'p mut Partials<'_>,
    ) -> Option<&'p mut [f32]> {
        match source {
            Fixed::Parameter(id) => partials.sum(id),
            Fixed::Derived(at) => {
                let Derived { node, value } = &self.derived[at];
                let target = Target::Derived(program.node_key(*node));
                let n = value.elem_count();
                value.track_op().then(|| partials.target(target, n))
            }
        }
    }

    /// Takes the gradients of derived values, added up over all tasks, back to the parameters.
    pub(super) fn derived_backward(
        &self,
        program: &Program,
        sums: &[(Target, Buffer)],
        parameters: &Parameters,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let mut seed: Option<Tensor> = None;
        for Derived { node, value } in &self.derived {
            let target = Target::Derived(program.node_key(*node));
            let Some((_, d)) = sums.iter().find(|(other, _)| *other == target) else {
                continue;
            };
            let d = Tensor::from_slice(d, value.dims(), value.device())?;
            let product = (value * &d)?.sum_all()?;
            seed = Some(match seed {
                Some(seed) => (seed + product)?,
                None => product,
            });
        }
        let Some(seed) = seed else { return Ok(()) };
        let store = seed.backward()?;
        for id in program.parameters() {
            let trained = parameters.is_trainable(id);
            if let Some(gradient) = store.get(parameters.variable(id)).filter(|_| trained) {
                gradients.add(id, gradient)?;
            }
        }
        Ok(())
    }
}

/// Takes the gradients of a program's derived values, added up over all rows, back to the
/// parameters.
pub(crate) fn derived_backward_of(
    program: &Program,
    sums: &[(Target, Buffer)],
    parameters: &Parameters,
    gradients: &mut Gradients,
) -> Result<()> {
    if sums.is_empty() {
        return Ok(());
    }
    match RowProgram::compile(program, parameters)? {
        Some(compiled) => compiled.derived_backward(program, sums, parameters, gradients),
        None => Ok(()),
    }
}

/// A matrix of a program, packed for the forward or the backward.
pub(super) struct PackedMatrix<'s> {
    step: usize,
    columns: Columns<'s>,
}

fn packed_of<'p>(packed: &'p [PackedMatrix<'_>], step: usize) -> &'p PackedColumns {
    let found = packed.iter().find(|matrix| matrix.step == step);
    &found.expect("`pack` makes one for every product").columns
}

fn by_row(data: &mut [f32], vector: &[f32], f: impl Fn(&mut [f32], &[f32])) {
    for row in data.chunks_exact_mut(vector.len()) {
        f(row, vector);
    }
}

fn drop_out(data: &mut [f32], program: &Program, node: usize, p: f32, rows: RowContext<'_>) {
    let Some(step) = rows.step.filter(|_| p > 0.0 && !rows.row_keys.is_empty()) else {
        return;
    };
    let dropout = Dropout {
        p,
        site_key: program.dropout_key(node, step),
        row_keys: rows.row_keys,
    };
    dropout::apply(data, data.len() / rows.row_keys.len(), &dropout);
}

/// Each `[from.0, from.1]` block of `x`, transposed.
fn swap(out: &mut [f32], x: &[f32], from: (usize, usize)) {
    let (n, m) = from;
    for (out, x) in out.chunks_exact_mut(n * m).zip(x.chunks_exact(n * m)) {
        for (j, out) in out.chunks_exact_mut(n).enumerate() {
            for (i, out) in out.iter_mut().enumerate() {
                *out = x[i * m + j];
            }
        }
    }
}

fn add_gradient(sum: &mut Option<Buffer>, gradient: Buffer) {
    match sum {
        Some(sum) => elementwise::add_scaled(sum, &gradient, 1.0),
        None => *sum = Some(gradient),
    }
}
