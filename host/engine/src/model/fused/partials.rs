//! The parameter gradients of one task, added up in task order when all tasks are done. Sums over
//! rows therefore do not depend on which thread was first.

use crate::model::{
    gradients::Gradients,
    parameters::{ParameterId, Parameters},
    scratch::{Buffer, Scratch},
};

/// The target of a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A parameter.
    Parameter(ParameterId),
    /// A value without rows that a program computes from parameters, by the key of its node.
    Derived(u64),
    /// The rows of the key/value prefix.
    Prefix,
}

/// The gradients of small things: biases, LayerNorms, and the parameters that a method adds.
pub(super) struct Partials<'a> {
    parameters: &'a Parameters,
    scratch: &'a Scratch,
    sums: Vec<(Target, Buffer)>,
}

impl<'a> Partials<'a> {
    /// No gradients yet.
    pub(super) fn new(parameters: &'a Parameters, scratch: &'a Scratch) -> Self {
        Self {
            parameters,
            scratch,
            sums: Vec::new(),
        }
    }

    /// Whether the parameter's gradient is wanted.
    pub(super) fn wants(&self, id: ParameterId) -> bool {
        self.parameters.is_trainable(id)
    }

    /// The sum to which a parameter's gradient is added, initially zero; `None` for a frozen one.
    pub(super) fn sum(&mut self, id: ParameterId) -> Option<&mut [f32]> {
        if !self.wants(id) {
            return None;
        }
        let n = self.parameters.infos()[id].size();
        Some(self.target(Target::Parameter(id), n))
    }

    /// The sum of `n` numbers to which a target's gradient is added, initially zero.
    pub(super) fn target(&mut self, target: Target, n: usize) -> &mut [f32] {
        let at = match self.sums.iter().position(|(other, _)| *other == target) {
            Some(at) => at,
            None => {
                let mut zeros = self.scratch.take(n);
                zeros.fill(0.0);
                self.sums.push((target, zeros));
                self.sums.len() - 1
            }
        };
        &mut self.sums[at].1
    }

    /// Adds the parameters' sums of all tasks to the step's gradients; returns the sums of the
    /// other targets.
    pub(super) fn collect(tasks: Vec<Self>, gradients: &mut Gradients) -> Vec<(Target, Buffer)> {
        let mut others: Vec<(Target, Buffer)> = Vec::new();
        for (target, sum) in tasks.into_iter().flat_map(|task| task.sums) {
            if let Target::Parameter(id) = target {
                if let Some(total) = gradients.host(id) {
                    add(total, &sum);
                }
                continue;
            }
            match others.iter_mut().find(|(other, _)| *other == target) {
                Some((_, total)) => add(total, &sum),
                None => others.push((target, sum)),
            }
        }
        others
    }
}

fn add(total: &mut [f32], sum: &[f32]) {
    total.iter_mut().zip(sum).for_each(|(t, s)| *t += s);
}
