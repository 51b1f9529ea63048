//! Parameter gradients of one task, added up in task order when all tasks are done. Made by the tasks of a block's
//! backward, so that sums over rows do not depend on which thread was first.

use super::scratch::{Buffer, Scratch};
use crate::model::{
    gradients::Gradients,
    parameters::{ParameterId, Parameters},
};

/// Gradients of small parameters: biases, LayerNorms, what a method adds.
pub struct Partials<'a> {
    parameters: &'a Parameters,
    scratch: &'a Scratch,
    sums: Vec<(ParameterId, Buffer)>,
}

impl<'a> Partials<'a> {
    /// None yet.
    pub fn new(parameters: &'a Parameters, scratch: &'a Scratch) -> Self {
        Self {
            parameters,
            scratch,
            sums: Vec::new(),
        }
    }

    /// Whether the parameter's gradient is wanted.
    pub fn wants(&self, id: ParameterId) -> bool {
        self.parameters.is_trainable(id)
    }

    /// The sum of a parameter to add to, zeros at first; `None` for a frozen one.
    pub fn sum(&mut self, id: ParameterId) -> Option<&mut [f32]> {
        if !self.wants(id) {
            return None;
        }
        let at = match self.sums.iter().position(|(other, _)| *other == id) {
            Some(at) => at,
            None => {
                let mut zeros = self.scratch.take(self.parameters.infos()[id].size());
                zeros.fill(0.0);
                self.sums.push((id, zeros));
                self.sums.len() - 1
            }
        };
        Some(&mut self.sums[at].1)
    }

    /// Adds everything to the step's gradients.
    pub fn add_to(self, gradients: &mut Gradients) {
        for (id, sum) in self.sums {
            if let Some(total) = gradients.host(id) {
                total.iter_mut().zip(sum.iter()).for_each(|(t, s)| *t += s);
            }
        }
    }
}
