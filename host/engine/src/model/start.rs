//! The place where a forward starts, if not at the embeddings, and the rows there. The prefix cache
//! makes it.

use super::{
    Model,
    lane::rows::{Lane, Rows},
    parameters::HostSlice,
    scratch::{Buffer, Scratch},
};
use crate::error::Result;
use candle_core::{Device, Tensor};
use std::sync::Arc;

/// The start of a forward: rows that are known already.
#[derive(Clone)]
pub struct Start {
    /// The boundary: the first block that remains to be computed.
    pub block: usize,
    /// The rows there, in the order of the batch.
    pub hidden: Hidden,
}

/// Rows at a boundary, `[rows, hidden]`, in the place where the model computes.
#[derive(Clone)]
pub struct Hidden(pub(super) Where);

/// That place.
#[derive(Clone)]
pub(super) enum Where {
    /// Of the composed path.
    Tensor(Tensor),
    /// In memory, as rows of so many columns.
    Cpu(Arc<Buffer>, usize),
    /// On the device of the GPU path.
    Gpu(Arc<Rows>, Lane),
}

impl Hidden {
    /// Rows of the fused path.
    pub(super) fn on_cpu(rows: Arc<Buffer>, columns: usize) -> Self {
        Self(Where::Cpu(rows, columns))
    }

    /// Rows of a lane.
    pub(super) fn on_gpu(rows: Rows, lane: &Lane) -> Self {
        Self(Where::Gpu(Arc::new(rows), lane.clone()))
    }

    /// The number of rows.
    pub fn n(&self) -> usize {
        match &self.0 {
            Where::Tensor(tensor) => tensor.dims().first().copied().unwrap_or(0),
            Where::Cpu(rows, columns) => rows.len() / columns,
            Where::Gpu(rows, _) => rows.n,
        }
    }

    /// Calls `f` with the numbers, copied from their device if they are on one.
    ///
    /// # Errors
    /// If a device fails.
    pub fn with_numbers<T>(&self, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
        match &self.0 {
            Where::Tensor(tensor) => {
                let here = tensor.to_device(&Device::Cpu)?.contiguous()?;
                Ok(f(&HostSlice::of(&here)))
            }
            Where::Cpu(rows, _) => Ok(f(rows)),
            Where::Gpu(rows, lane) => Ok(f(&lane.numbers(rows)?)),
        }
    }

    /// A tensor on the model's device.
    pub(super) fn tensor(self, device: &Device) -> Result<Tensor> {
        match self.0 {
            Where::Tensor(tensor) => Ok(tensor),
            Where::Cpu(rows, columns) => {
                let shape = (rows.len() / columns, columns);
                Ok(Tensor::from_slice(&rows, shape, device)?)
            }
            Where::Gpu(rows, lane) => lane.tensor_of(&rows, device),
        }
    }

    /// Rows in memory, for reading.
    pub(super) fn buffer(self, scratch: &Scratch) -> Result<Arc<Buffer>> {
        match self.0 {
            Where::Cpu(rows, _) => Ok(rows),
            _ => self.with_numbers(|numbers| Arc::new(scratch.copy(numbers))),
        }
    }

    /// Rows of a lane, which may be changed.
    pub(super) fn rows(self, lane: &Lane) -> Result<Rows> {
        let shared = self.shared_rows(lane)?;
        drop(self);
        Arc::try_unwrap(shared).or_else(|rows| lane.copy(&rows))
    }

    /// Rows of a lane, for reading.
    pub(super) fn shared_rows(&self, lane: &Lane) -> Result<Arc<Rows>> {
        Ok(match &self.0 {
            Where::Gpu(rows, own) if own.number == lane.number => Arc::clone(rows),
            Where::Gpu(rows, own) => Arc::new(own.converted(rows, lane)?),
            Where::Tensor(tensor) => Arc::new(lane.rows_of(tensor)?),
            Where::Cpu(rows, columns) => Arc::new(lane.rows_with(rows, rows.len() / columns)?),
        })
    }
}

impl Model {
    /// Rows that were known before, in the place where this model computes.
    ///
    /// # Errors
    /// If a device fails.
    pub fn hidden(&self, numbers: Vec<f32>) -> Result<Hidden> {
        let columns = self.config.encoder.hidden_size;
        let n = numbers.len() / columns;
        if let Some(gpu) = &self.gpu {
            return Ok(Hidden::on_gpu(gpu.lane.rows_with(&numbers, n)?, &gpu.lane));
        }
        if self.fused {
            let mut rows = self.scratch.rows(n, columns);
            rows.copy_from_slice(&numbers);
            return Ok(Hidden::on_cpu(Arc::new(rows), columns));
        }
        let device = self.parameters.device();
        Ok(Hidden::from(Tensor::from_vec(
            numbers,
            (n, columns),
            device,
        )?))
    }
}

impl From<Tensor> for Hidden {
    /// Rows of the other paths.
    fn from(tensor: Tensor) -> Self {
        Self(Where::Tensor(tensor))
    }
}
