//! AdamW (Loshchilov & Hutter; the arithmetic of `torch.optim.AdamW`) with state for the current
//! trainable set only.
//!
//! The recipe calls it. Every parameter has its own step count. A parameter that leaves the
//! trainable set loses its state, and one that enters starts without any.

use crate::{
    error::Result,
    model::{
        gpu::optimizer::{self, Updated},
        gradients::{Buffer, Gradients},
        lane::{Lane, arena::Room, figures::Figures, kept_table::KeptTable},
        parameters::{ParameterId, Parameters},
    },
};
use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor};
use progtune_kernels::{
    adamw::{self, Rows, Update},
    cuda::AdamWConstants,
};
use std::{cell::Cell, collections::BTreeMap};

/// The settings of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// β₁.
    pub beta1: f64,
    /// β₂.
    pub beta2: f64,
    /// ε.
    pub eps: f64,
    /// The weight decay of parameters that decay.
    pub weight_decay: f64,
    /// The largest global gradient norm; 0 for no clipping.
    pub max_grad_norm: f64,
}

/// The moments of a parameter.
pub(super) enum Moments {
    Host {
        m: Vec<f32>,
        v: Vec<f32>,
    },
    /// For a table, whose `live` rows have had a gradient.
    Rows {
        m: Vec<f32>,
        v: Vec<f32>,
        live: Vec<bool>,
    },
    Device {
        m: Tensor,
        v: Tensor,
    },
    /// On the device of the GPU path.
    Gpu {
        lane: Lane,
        n: usize,
        m: Room,
        v: Room,
    },
}

/// The state of a parameter.
pub(super) struct State {
    pub(super) step: u64,
    pub(super) moments: Moments,
}

/// The optimizer's state.
pub struct AdamW {
    pub(super) settings: Settings,
    pub(super) states: BTreeMap<ParameterId, State>,
    /// The table of parameters on the device of the GPU path.
    table: KeptTable,
}

impl AdamW {
    /// An optimizer without state.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            states: BTreeMap::new(),
            table: KeptTable::default(),
        }
    }

    /// Drops the state of every parameter that is no longer trainable.
    pub fn retain_trainable(&mut self, parameters: &Parameters) {
        self.states.retain(|&id, _| parameters.is_trainable(id));
    }

    /// The number of parameters that have state.
    pub fn n_states(&self) -> usize {
        self.states.len()
    }

    /// Updates the trainable set once; the gradients are zero afterwards.
    ///
    /// `global_norm` is that of [`AdamW::measure`], by which gradients are clipped. A GPU knows it.
    /// `lr` is the curve's value; `lr_scale` gives each parameter's factor.
    pub fn step(
        &mut self,
        parameters: &Parameters,
        gradients: &mut Gradients,
        global_norm: Option<f64>,
        lr: f64,
        lr_scale: &dyn Fn(ParameterId) -> f64,
    ) -> Result<()> {
        let s = self.settings;
        // As in torch.nn.utils.clip_grad_norm_.
        let clip = match global_norm {
            Some(norm) if s.max_grad_norm > 0.0 => (s.max_grad_norm / (norm + 1e-6)).min(1.0),
            _ => 1.0,
        };
        let lane = gradients.lane().cloned();
        let mut on_gpu = (Vec::new(), Vec::new());
        for id in parameters.trainable() {
            let Some(buffer) = gradients.buffer(id) else {
                continue;
            };
            let state = match self.states.entry(id) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(State::new(parameters, id, buffer, lane.as_ref())?)
                }
            };
            state.step += 1;
            parameters.changed(id);
            let update = Update {
                lr: lr * lr_scale(id),
                beta1: s.beta1,
                beta2: s.beta2,
                eps: s.eps,
                weight_decay: if parameters.infos()[id].decays() {
                    s.weight_decay
                } else {
                    0.0
                },
                step: state.step,
                gradient_scale: clip,
            };
            if let (Some(lane), Buffer::Gpu(g), Moments::Gpu { m, v, .. }) =
                (&lane, &*buffer, &state.moments)
            {
                on_gpu.0.push(Updated {
                    p: lane.queue.address_of(parameters.variable(id).as_tensor())?,
                    g: g.address(),
                    m: m.address(),
                    v: v.address(),
                    copy: lane.copies.renewed(id, parameters.version(id)),
                    n: parameters.infos()[id].size(),
                    group: None,
                });
                on_gpu.1.push(AdamWConstants::new(&update));
                continue;
            }
            apply(parameters, id, buffer, &mut state.moments, &update)?;
        }
        match lane {
            Some(lane) => {
                let (updated, constants) = on_gpu;
                let clip = gradients.figures().map_or(0, Figures::clip);
                optimizer::step(&lane, &updated, &constants, clip, &mut self.table)
            }
            None => Ok(()),
        }
    }
}

impl State {
    fn new(
        parameters: &Parameters,
        id: ParameterId,
        gradient: &Buffer,
        lane: Option<&Lane>,
    ) -> Result<Self> {
        let zeros = || vec![0f32; parameters.infos()[id].size()];
        let moments = match gradient {
            Buffer::Host(_) => Moments::Host {
                m: zeros(),
                v: zeros(),
            },
            Buffer::Rows(rows) => Moments::Rows {
                m: zeros(),
                v: zeros(),
                live: vec![false; rows.touched.len()],
            },
            Buffer::Gpu(_) => {
                let Some(lane) = lane else {
                    unreachable!("gradients on the device know it")
                };
                let size = parameters.infos()[id].size();
                Moments::Gpu {
                    lane: lane.clone(),
                    n: size,
                    m: lane.zeros(size)?,
                    v: lane.zeros(size)?,
                }
            }
            Buffer::Device(_) => {
                let zeros = parameters.variable(id).zeros_like()?;
                Moments::Device {
                    m: zeros.clone(),
                    v: zeros,
                }
            }
        };
        Ok(Self { step: 0, moments })
    }
}

/// Updates one parameter once; its gradient is zero afterwards.
fn apply(
    parameters: &Parameters,
    id: ParameterId,
    gradient: &mut Buffer,
    moments: &mut Moments,
    update: &Update,
) -> Result<()> {
    match (gradient, moments) {
        (Buffer::Host(g), Moments::Host { m, v }) => {
            update_host(parameters, id, |p| adamw::step(p, g.values(), m, v, update))?;
            g.is_zero = true;
            Ok(())
        }
        (Buffer::Rows(g), Moments::Rows { m, v, live }) => {
            let touched = live.iter_mut().zip(&g.touched);
            touched.for_each(|(live, &touched)| *live |= touched);
            update_host(parameters, id, |p| {
                let rows = Rows {
                    touched: &g.touched,
                    live,
                    columns: g.columns,
                };
                adamw::step_rows(p, &mut g.values, m, v, rows, update);
            })?;
            g.touched.fill(false);
            Ok(())
        }
        (Buffer::Device(g), Moments::Device { m, v }) => match g.take() {
            Some(g) => update_on_device(parameters, id, &g, m, v, update),
            None => Ok(()),
        },
        _ => unreachable!("gradients and moments are made for the same device"),
    }
}

/// Lets `f` change a parameter's values in place.
fn update_host(parameters: &Parameters, id: ParameterId, f: impl FnOnce(&mut [f32])) -> Result<()> {
    Ok(parameters
        .variable(id)
        .inplace_op1(&HostUpdate(Cell::new(Some(f))))?)
}

/// A function on a variable's own storage.
struct HostUpdate<F>(Cell<Option<F>>);

impl<F: FnOnce(&mut [f32])> InplaceOp1 for HostUpdate<F> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets())
        else {
            candle_core::bail!("AdamW updates contiguous f32 parameters");
        };
        if let Some(f) = self.0.take() {
            f(&mut values[start..end]);
        }
        Ok(())
    }
}

/// The same update from candle's primitives.
fn update_on_device(
    parameters: &Parameters,
    id: ParameterId,
    g: &Tensor,
    m: &mut Tensor,
    v: &mut Tensor,
    u: &Update,
) -> Result<()> {
    let g = (g * u.gradient_scale)?;
    *m = ((&*m * u.beta1)? + (&g * (1.0 - u.beta1))?)?;
    *v = ((&*v * u.beta2)? + (g.sqr()? * (1.0 - u.beta2))?)?;
    let m_hat = (&*m / (1.0 - u.beta1.powi(u.step as i32)))?;
    let v_hat = (&*v / (1.0 - u.beta2.powi(u.step as i32)))?;
    let decayed = (parameters.variable(id).as_detached_tensor() * (1.0 - u.lr * u.weight_decay))?;
    let moved = (m_hat / (v_hat.sqrt()? + u.eps)?)?;
    Ok(parameters.variable(id).set(&(decayed - (moved * u.lr)?)?)?)
}
