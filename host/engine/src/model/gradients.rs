//! The gradients of the trainable set: one buffer per trainable parameter, owned by the host. The
//! backward passes fill them; the optimizer reads and clears them.

use super::{
    description::ParameterInfo,
    lane::{
        Lane,
        arena::Room,
        figures::{self, Figures},
        kept_table::KeptTable,
    },
    parameters::{HostSlice, ParameterId, Parameters},
};
use crate::error::{Error, Result};
use candle_core::Tensor;
use progtune_kernels::embedding;
use progtune_plugin_api::records::Part;

/// The place of a gradient.
pub(crate) enum Buffer {
    /// On the CPU, where kernels add to it.
    Host(HostGradient),
    /// On the CPU, for a table of which few rows get a gradient in a step.
    Rows(RowGradient),
    /// On a device; `None` until the first gradient of a step.
    Device(Option<Tensor>),
    /// On a device, where the GPU path's kernels add to it.
    Gpu(Room),
}

/// A gradient on the CPU.
pub(crate) struct HostGradient {
    pub values: Vec<f32>,
    /// Whether the gradient is zero, whatever the values are. The first product of a step replaces
    /// them, so that memory is not written only to be read as zeros.
    pub is_zero: bool,
}

impl HostGradient {
    /// The gradient of `n` numbers before anything was added.
    pub(crate) fn zero(n: usize) -> Self {
        Self {
            values: vec![0f32; n],
            is_zero: true,
        }
    }

    /// The values, for adding to them.
    pub(crate) fn values(&mut self) -> &mut [f32] {
        if std::mem::take(&mut self.is_zero) {
            self.values.fill(0.0);
        }
        &mut self.values
    }
}

/// The gradient of an embedding table, which is zero except in the rows that a batch read. The
/// zeros cost neither time nor memory, because pages that nobody writes to do not exist.
#[derive(Debug)]
pub(crate) struct RowGradient {
    /// `[rows, columns]`.
    pub values: Vec<f32>,
    /// The rows that were added to since the last step.
    pub touched: Vec<bool>,
    /// The number of columns.
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
    pub(crate) fn add(&mut self, ids: &[u32], d_y: &[f32]) {
        embedding::backward(&mut self.values, ids, d_y, self.columns);
        for &id in ids {
            self.touched[id as usize] = true;
        }
    }
}

/// A buffer for each trainable parameter, by id. Frozen ones have none.
///
/// ```
/// # use candle_core::{DType, Device, Tensor};
/// # use progtune_engine::model::{Parameters, description::ParameterInfo};
/// # use progtune_plugin_api::records::{Part, Role};
/// use progtune_engine::model::Gradients;
///
/// # let info = |name: &str| ParameterInfo {
/// #     name: name.into(), shape: vec![2], part: Part::HEAD, block: None, role: Role::BIAS,
/// #     lr_scale: 1.0, added: None,
/// # };
/// # let value = Tensor::zeros(2, DType::F32, &Device::Cpu)?;
/// # let mut parameters = Parameters::new(vec![info("a"), info("b")], vec![value.clone(), value])?;
/// // Of the parameters `a` and `b`, the current epoch trains `b`.
/// let (a, b) = (parameters.id("a")?, parameters.id("b")?);
/// parameters.set_trainable(&[b]);
/// let mut gradients = Gradients::new(&parameters);
/// assert!(gradients.host(a).is_none());
/// assert!(gradients.check_reached(&parameters).is_err());
/// assert_eq!(gradients.host(b).map(|sum| sum.len()), Some(2));
/// gradients.check_reached(&parameters)?;
/// gradients.add(b, &Tensor::ones(2, DType::F32, &Device::Cpu)?)?;
/// gradients.clear()?;
/// assert_eq!(gradients.host(b), Some([0.0; 2].as_mut_slice()));
/// # Ok::<(), progtune_engine::Error>(())
/// ```
#[derive(Default)]
pub struct Gradients {
    buffers: Vec<Option<Buffer>>,
    reached: Vec<bool>,
    /// The sum of the losses since the last step, on the CPU.
    loss: f64,
    /// The device of the GPU path.
    gpu: Option<OnGpu>,
}

/// The gradients' part on the device of the GPU path.
pub(crate) struct OnGpu {
    pub lane: Lane,
    /// The sizes of all parameters.
    sizes: Vec<usize>,
    /// The losses and norms of the steps that nobody has read.
    pub figures: Figures,
    /// The table of the buffers' addresses, for the norms.
    pub table: KeptTable,
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
                _ => Buffer::Host(HostGradient::zero(info.size())),
            })
        };
        Self {
            buffers: (0..parameters.len()).map(buffer).collect(),
            reached: vec![false; parameters.len()],
            loss: 0.0,
            gpu: None,
        }
    }

    /// Buffers on the device of the GPU path for exactly the parameters that are trainable now, all
    /// zero, of a model with this number of blocks.
    ///
    /// # Errors
    /// If the device has no more memory.
    pub fn on_gpu(parameters: &Parameters, lane: &Lane, blocks: usize) -> Result<Self> {
        let sizes: Vec<usize> = parameters.infos().iter().map(ParameterInfo::size).collect();
        let buffer = |id: ParameterId| {
            let wanted = parameters.is_trainable(id);
            wanted
                .then(|| lane.zeros(sizes[id]).map(Buffer::Gpu))
                .transpose()
        };
        Ok(Self {
            buffers: (0..parameters.len()).map(buffer).collect::<Result<_>>()?,
            reached: vec![false; parameters.len()],
            loss: 0.0,
            gpu: Some(OnGpu {
                lane: lane.clone(),
                sizes,
                figures: Figures::new(lane, blocks)?,
                table: KeptTable::default(),
            }),
        })
    }

    /// The address of a trainable parameter's gradient on the device, for adding to it; `None` for
    /// a frozen one.
    pub fn address(&mut self, id: ParameterId) -> Option<u64> {
        match &self.buffers[id] {
            Some(Buffer::Gpu(room)) => {
                self.reached[id] = true;
                Some(room.address())
            }
            _ => None,
        }
    }

    /// The device of the GPU path, if the gradients are there.
    pub fn lane(&self) -> Option<&Lane> {
        self.gpu.as_ref().map(|gpu| &gpu.lane)
    }

    /// The losses and norms of steps on the device, if the gradients are there.
    pub(crate) fn figures(&self) -> Option<&Figures> {
        self.gpu.as_ref().map(|gpu| &gpu.figures)
    }

    /// The part on the device, if the gradients are there.
    pub(crate) fn on_device(&mut self) -> Option<&mut OnGpu> {
        self.gpu.as_mut()
    }

    /// The most steps whose losses and norms may wait for [`crate::optim::AdamW::read`]; 1 where
    /// they are known at once.
    pub fn most_unread_steps(&self) -> usize {
        if self.gpu.is_some() { figures::MOST } else { 1 }
    }

    /// Adds the loss of a batch.
    pub(crate) fn add_loss(&mut self, loss: f64) {
        self.loss += loss;
    }

    /// The sum of the losses since the last step, which becomes zero.
    ///
    /// # Errors
    /// If a device fails.
    pub(crate) fn take_loss(&mut self) -> Result<f64> {
        match &self.gpu {
            Some(gpu) => gpu.figures.take_loss(&gpu.lane),
            None => Ok(std::mem::take(&mut self.loss)),
        }
    }

    /// The buffer of a trainable parameter on the CPU, for adding a gradient; `None` for a frozen
    /// one.
    pub fn host(&mut self, id: ParameterId) -> Option<&mut [f32]> {
        match &mut self.buffers[id] {
            Some(Buffer::Host(buffer)) => {
                self.reached[id] = true;
                Some(buffer.values())
            }
            Some(Buffer::Rows(rows)) => {
                self.reached[id] = true;
                rows.touched.fill(true);
                Some(&mut rows.values)
            }
            _ => None,
        }
    }

    /// The gradient of a trainable table on the CPU, for adding rows.
    pub(crate) fn rows(&mut self, id: ParameterId) -> Option<&mut RowGradient> {
        match &mut self.buffers[id] {
            Some(Buffer::Rows(rows)) => {
                self.reached[id] = true;
                Some(rows)
            }
            _ => None,
        }
    }

    /// Takes a trainable parameter's buffer out, so that several can be added to at a time.
    /// [`Gradients::put`] returns it.
    pub(crate) fn take(&mut self, id: ParameterId) -> Option<HostGradient> {
        match &mut self.buffers[id] {
            Some(Buffer::Host(buffer)) => {
                self.reached[id] = true;
                Some(std::mem::replace(buffer, HostGradient::zero(0)))
            }
            _ => None,
        }
    }

    /// Returns the values that [`Gradients::take`] took out, with what was added.
    pub(crate) fn put(&mut self, id: ParameterId, values: Vec<f32>) {
        let is_zero = false;
        self.buffers[id] = Some(Buffer::Host(HostGradient { values, is_zero }));
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
        } else if let (Some(sum), Some(gpu)) = (self.address(id), &self.gpu) {
            gpu.lane.add_tensor(sum, gradient)?;
        }
        Ok(())
    }

    /// The buffer of a trainable parameter.
    pub(crate) fn buffer(&mut self, id: ParameterId) -> Option<&mut Buffer> {
        self.buffers[id].as_mut()
    }

    /// Sets all gradients and the loss to zero, as after a step of the optimizer.
    ///
    /// # Errors
    /// If a device fails.
    pub fn clear(&mut self) -> Result<()> {
        self.loss = 0.0;
        if let Some(gpu) = &self.gpu {
            gpu.figures.forget(&gpu.lane)?;
        }
        for (id, buffer) in self.buffers.iter_mut().enumerate() {
            match buffer {
                Some(Buffer::Host(gradient)) => gradient.is_zero = true,
                Some(Buffer::Rows(rows)) => {
                    let all = rows.values.chunks_exact_mut(rows.columns.max(1));
                    for (row, touched) in all.zip(&mut rows.touched) {
                        // Rows that nobody added to are zero, and their pages may not exist.
                        if std::mem::take(touched) {
                            row.fill(0.0);
                        }
                    }
                }
                Some(Buffer::Device(gradient)) => *gradient = None,
                Some(Buffer::Gpu(room)) => {
                    if let Some(OnGpu { lane, sizes, .. }) = &self.gpu {
                        lane.queue.clear(room.address(), 4 * sizes[id])?;
                    }
                }
                None => {}
            }
        }
        Ok(())
    }

    /// One gradient as a tensor of the parameter's shape, for tests and inspection.
    pub fn tensor(&self, id: ParameterId, parameters: &Parameters) -> Result<Option<Tensor>> {
        let shape = parameters.infos()[id].shape.as_slice();
        Ok(match &self.buffers[id] {
            Some(Buffer::Host(HostGradient { is_zero: true, .. })) => {
                Some(parameters.variable(id).zeros_like()?)
            }
            Some(
                Buffer::Host(HostGradient { values, .. })
                | Buffer::Rows(RowGradient { values, .. }),
            ) => Some(Tensor::from_slice(values, shape, parameters.device())?),
            Some(Buffer::Device(gradient)) => gradient.clone(),
            Some(Buffer::Gpu(room)) => match &self.gpu {
                Some(OnGpu { lane, sizes, .. }) => {
                    let numbers = lane.floats_at(room.address(), sizes[id])?;
                    Some(Tensor::from_vec(numbers, shape, parameters.device())?)
                }
                None => None,
            },
            None => None,
        })
    }

    /// Checks that every trainable parameter was reached since the last call, and starts over.
    ///
    /// # Errors
    /// When some were not, with their names: training them would silently do nothing.
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
