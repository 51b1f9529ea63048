//! The gradients of what is trained: one buffer a trainable parameter, owned by the host.
//! Filled by the backward passes, read and cleared by the optimizer.

use super::parameters::{HostSlice, ParameterId, Parameters};
use crate::error::{Error, Result};
use candle_core::Tensor;
use progtune_kernels::embedding;
use progtune_plugin_api::records::Part;

/// Where a gradient lives.
#[derive(Debug)]
pub enum Buffer {
    /// On the CPU: kernels add into it.
    Host(Vec<f32>),
    /// On the CPU, a table of which few rows get a gradient at a step.
    Rows(RowGradient),
    /// On a device: `None` until the first gradient of a step.
    Device(Option<Tensor>),
}

/// The gradient of an embedding table: zero but for the rows that a batch read. The zeros cost neither time nor memory:
/// pages that nobody writes to are not there.
#[derive(Debug)]
pub struct RowGradient {
    /// `[rows, columns]`.
    pub values: Vec<f32>,
    /// Which rows were added to since the last step.
    pub touched: Vec<bool>,
    /// Columns.
    pub columns: usize,
}

impl RowGradient {
    fn new(rows: usize, columns: usize) -> Self {
        Self {
            values: vec![0f32; rows * columns],
            touched: vec![false; rows],
            columns,
        }
    }

    /// Adds `d_y`, `[tokens, columns]`, to the rows that `ids` looked up.
    pub fn add(&mut self, ids: &[u32], d_y: &[f32]) {
        embedding::backward(&mut self.values, ids, d_y, self.columns);
        for &id in ids {
            self.touched[id as usize] = true;
        }
    }
}

/// A buffer for each trainable parameter, by id; nothing for frozen ones.
#[derive(Debug, Default)]
pub struct Gradients {
    buffers: Vec<Option<Buffer>>,
    reached: Vec<bool>,
}

impl Gradients {
    /// Buffers for exactly the parameters that are trainable now, all zero.
    pub fn new(parameters: &Parameters) -> Self {
        let on_host = parameters.device().is_cpu();
        let buffer = |id: ParameterId| {
            let info = &parameters.infos()[id];
            let table = info.part == Part::EMBEDDINGS && info.added.is_none();
            parameters.is_trainable(id).then(|| match info.shape[..] {
                _ if !on_host => Buffer::Device(None),
                [rows, columns] if table => Buffer::Rows(RowGradient::new(rows, columns)),
                _ => Buffer::Host(vec![0f32; info.size()]),
            })
        };
        Self {
            buffers: (0..parameters.len()).map(buffer).collect(),
            reached: vec![false; parameters.len()],
        }
    }

    /// The buffer of a trainable parameter on the CPU, to add a gradient into; `None` for a frozen one.
    pub fn host(&mut self, id: ParameterId) -> Option<&mut [f32]> {
        match &mut self.buffers[id] {
            Some(Buffer::Host(buffer)) => {
                self.reached[id] = true;
                Some(buffer)
            }
            Some(Buffer::Rows(rows)) => {
                self.reached[id] = true;
                rows.touched.fill(true);
                Some(&mut rows.values)
            }
            _ => None,
        }
    }

    /// The gradient of a trainable table on the CPU, to add rows to.
    pub fn rows(&mut self, id: ParameterId) -> Option<&mut RowGradient> {
        match &mut self.buffers[id] {
            Some(Buffer::Rows(rows)) => {
                self.reached[id] = true;
                Some(rows)
            }
            _ => None,
        }
    }

    /// Takes a trainable parameter's buffer out, to add to several at a time; [`Gradients::put`] brings it back.
    pub fn take(&mut self, id: ParameterId) -> Option<Vec<f32>> {
        self.host(id)?;
        match &mut self.buffers[id] {
            Some(Buffer::Host(buffer)) => Some(std::mem::take(buffer)),
            _ => None,
        }
    }

    /// Brings a buffer back that [`Gradients::take`] took out.
    pub fn put(&mut self, id: ParameterId, buffer: Vec<f32>) {
        self.buffers[id] = Some(Buffer::Host(buffer));
    }

    /// Adds a gradient that candle computed. Nothing happens for a frozen parameter.
    pub fn add(&mut self, id: ParameterId, gradient: &Tensor) -> Result<()> {
        if let Some(sum) = self.host(id) {
            let gradient = gradient.contiguous()?;
            for (sum, value) in sum.iter_mut().zip(HostSlice::of(&gradient).iter()) {
                *sum += value;
            }
        } else if let Some(Buffer::Device(sum)) = &mut self.buffers[id] {
            self.reached[id] = true;
            *sum = Some(match sum.take() {
                Some(sum) => (sum + gradient)?,
                None => gradient.detach(),
            });
        }
        Ok(())
    }

    /// The buffer of a trainable parameter.
    pub fn buffer(&mut self, id: ParameterId) -> Option<&mut Buffer> {
        self.buffers[id].as_mut()
    }

    /// One gradient as a tensor of the parameter's shape, for tests and inspection.
    pub fn tensor(&self, id: ParameterId, parameters: &Parameters) -> Result<Option<Tensor>> {
        let shape = parameters.infos()[id].shape.as_slice();
        Ok(match &self.buffers[id] {
            Some(Buffer::Host(buffer) | Buffer::Rows(RowGradient { values: buffer, .. })) => {
                Some(Tensor::from_slice(buffer, shape, parameters.device())?)
            }
            Some(Buffer::Device(gradient)) => gradient.clone(),
            None => None,
        })
    }

    /// Checks that every trainable parameter was reached since the last call, and starts over.
    ///
    /// # Errors
    /// Names those that were not: training them would silently do nothing.
    pub fn check_reached(&mut self, parameters: &Parameters) -> Result<()> {
        let missed: Vec<&str> = parameters
            .trainable()
            .filter(|&id| !self.reached[id])
            .map(|id| parameters.infos()[id].name.as_str())
            .collect();
        self.reached.fill(false);
        if missed.is_empty() {
            return Ok(());
        }
        Err(Error::Training(format!(
            "no gradient reached {} trainable parameter(s): {}; the method adds or unfreezes them but the loss \
             does not depend on them",
            missed.len(),
            missed
                .iter()
                .take(5)
                .copied()
                .collect::<Vec<_>>()
                .join(", ")
        )))
    }
}
