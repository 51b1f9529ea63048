//! The first values of a model's parameters, one at a time: those that [`Assembly::build`] gave
//! them. The recipe compares a trained model with them, without a second model in memory.

use super::{Assembly, in_task_order};
use crate::{
    error::{Error, Result},
    labels::LabelMatch,
    model::{description::ParameterInfo, graph::initial_value, weights::Checkpoint},
};
use candle_core::{DType, Tensor};
use std::cell::RefCell;

/// The first values of a model. They are read and computed again from the files and the seed, so
/// they are available at any time of a run.
pub struct InitialValues<'a> {
    assembly: Assembly<'a>,
    checkpoint: RefCell<Checkpoint>,
    /// The order of the rows of the checkpoint's own head, if it is not the task's.
    order: Option<Vec<u32>>,
}

impl<'a> InitialValues<'a> {
    /// Opens the checkpoint of `assembly`.
    ///
    /// # Errors
    /// When the checkpoint cannot be opened.
    pub fn open(assembly: Assembly<'a>) -> Result<Self> {
        let architecture = assembly.config.architecture;
        let checkpoint = assembly.source.checkpoint(architecture)?;
        let order = LabelMatch::of(&assembly.config.labels, assembly.labels).order();
        Ok(Self {
            checkpoint: RefCell::new(checkpoint),
            order,
            assembly,
        })
    }

    /// The first value of a parameter of the model, as f32 on the CPU.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of(&self, info: &ParameterInfo) -> Result<Tensor> {
        let value = match &info.added {
            None => self.base_value(info)?,
            Some(added) => {
                let find = |name: &str| self.named(name);
                let value = initial_value(&added.init, &info.name, self.assembly.seed, &find)?;
                value.broadcast_as(info.shape.as_slice())?.contiguous()?
            }
        };
        let value = match self.assembly.adapter {
            Some(adapter) => {
                let order = self.order.as_deref().filter(|_| adapter.is_peft);
                adapter.applied(&info.name, value, order)?
            }
            None => value,
        };
        Ok(value.to_dtype(DType::F32)?.contiguous()?)
    }

    /// A base value by name, for the graphs of other parameters.
    fn named(&self, name: &str) -> Result<Tensor> {
        let mut infos = self.assembly.model_plan.parameters.iter();
        let info = infos.find(|info| info.name == name && info.added.is_none());
        let info = info.ok_or_else(|| {
            Error::Model(format!("an init graph reads {name}, which the model lacks"))
        })?;
        // Init graphs compute with plain values; candle would record operations on a variable.
        Ok(self.base_value(info)?.detach())
    }

    fn base_value(&self, info: &ParameterInfo) -> Result<Tensor> {
        let read = self.checkpoint.borrow_mut().value(info)?;
        match read {
            Some(value) => in_task_order(info, value, self.order.as_deref()),
            // The checkpoint lacks it, or has the head of another task.
            None => self.assembly.new_head_value(info),
        }
    }
}
