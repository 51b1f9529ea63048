//! AdamW's state as plain numbers, for checkpoints: taken from a run, and given to the one that
//! continues it. The recipe calls it.

use super::adamw::{AdamW, Moments, State};
use crate::{
    error::{Error, Result},
    model::{
        gradients::{Buffer, Gradients},
        lane::arena::Room,
        parameters::{ParameterId, Parameters},
    },
};
use candle_core::Tensor;
use std::borrow::Cow;

/// The state of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterState<'a> {
    /// The number of updates.
    pub step: u64,
    /// The first moment; as many numbers as the parameter has.
    pub m: Cow<'a, [f32]>,
    /// The second moment.
    pub v: Cow<'a, [f32]>,
    /// For a table on the CPU, whether each row has had a gradient.
    pub live: Option<Cow<'a, [bool]>>,
}

impl AdamW {
    /// The state of every parameter that has one, by id.
    ///
    /// # Errors
    /// When numbers cannot be copied from their device.
    pub fn states(&self) -> impl Iterator<Item = Result<(ParameterId, ParameterState<'_>)>> {
        self.states.iter().map(|(&id, state)| {
            let step = state.step;
            Ok((id, state.moments.numbers(step)?))
        })
    }

    /// Gives a trainable parameter the state that it had in a checkpoint.
    ///
    /// # Errors
    /// When the state is not one of this parameter, or cannot be copied to its device.
    pub fn restore(
        &mut self,
        parameters: &Parameters,
        gradients: &mut Gradients,
        id: ParameterId,
        saved: ParameterState<'_>,
    ) -> Result<()> {
        let info = &parameters.infos()[id];
        let rows = info.shape.first().copied().unwrap_or(1);
        let fits = saved.m.len() == info.size()
            && saved.v.len() == info.size()
            && saved.live.as_ref().is_none_or(|live| live.len() == rows);
        let unfit = || {
            Error::Model(format!(
                "the optimizer's state of {} is not that of a parameter of shape {:?}",
                info.name, info.shape
            ))
        };
        let lane = gradients.lane().cloned();
        let moments = match (gradients.buffer(id), saved.live) {
            (Some(Buffer::Gpu(_)), None) if fits => {
                let Some(lane) = lane else {
                    return Err(unfit());
                };
                let room = |numbers: &[f32]| {
                    let bytes = numbers.iter().flat_map(|number| number.to_ne_bytes());
                    lane.bytes(&bytes.collect::<Vec<u8>>())
                };
                Moments::Gpu {
                    n: info.size(),
                    m: room(&saved.m)?,
                    v: room(&saved.v)?,
                    lane,
                }
            }
            (Some(Buffer::Host(_)), None) if fits => Moments::Host {
                m: saved.m.into_owned(),
                v: saved.v.into_owned(),
            },
            (Some(Buffer::Rows(_)), Some(live)) if fits => Moments::Rows {
                m: saved.m.into_owned(),
                v: saved.v.into_owned(),
                live: live.into_owned(),
            },
            (Some(Buffer::Device(_)), None) if fits => {
                let tensor = |numbers: Cow<'_, [f32]>| {
                    let shape = info.shape.as_slice();
                    Tensor::from_vec(numbers.into_owned(), shape, parameters.device())
                };
                Moments::Device {
                    m: tensor(saved.m)?,
                    v: tensor(saved.v)?,
                }
            }
            _ => return Err(unfit()),
        };
        let step = saved.step;
        self.states.insert(id, State { step, moments });
        Ok(())
    }
}

impl Moments {
    fn numbers(&self, step: u64) -> Result<ParameterState<'_>> {
        let (m, v, live) = match self {
            Self::Host { m, v } => (Cow::from(m), Cow::from(v), None),
            Self::Rows { m, v, live } => (Cow::from(m), Cow::from(v), Some(Cow::from(live))),
            Self::Device { m, v } => {
                let numbers = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
                (Cow::from(numbers(m)?), Cow::from(numbers(v)?), None)
            }
            Self::Gpu { lane, n, m, v } => {
                let numbers = |room: &Room| lane.floats_at(room.address(), *n);
                (Cow::from(numbers(m)?), Cow::from(numbers(v)?), None)
            }
        };
        Ok(ParameterState { step, m, v, live })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::description::ParameterInfo,
        optim::{Norms, Settings},
    };
    use candle_core::{DType, Device};
    use progtune_plugin_api::records::{Part, Role};

    fn parameters() -> Parameters {
        let info = |name: &str, part, shape: &[usize]| ParameterInfo {
            name: name.into(),
            shape: shape.to_vec(),
            part,
            block: None,
            role: Role::WEIGHT,
            lr_scale: 1.0,
            added: None,
        };
        let infos = vec![
            info("a", Part::HEAD, &[2]),
            info("table", Part::EMBEDDINGS, &[3, 2]),
        ];
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let mut parameters = Parameters::new(infos, vec![zeros(&[2]), zeros(&[3, 2])]).unwrap();
        parameters.set_trainable(&[0, 1]);
        parameters
    }

    fn settings() -> Settings {
        Settings {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            max_grad_norm: 1.0,
        }
    }

    /// A step with gradients that differ in every step and leave one row of the table untouched.
    fn step(parameters: &Parameters, gradients: &mut Gradients, optimizer: &mut AdamW, at: f32) {
        gradients.host(0).unwrap().copy_from_slice(&[at, -0.3]);
        let rows = gradients.rows(1).unwrap();
        rows.add(&[0, 2], &[0.1, at, 0.2, -at]);
        let norms = optimizer.norms(parameters, gradients, 0).unwrap();
        optimizer
            .step(parameters, gradients, Some(norms.global), 0.1, &|_| 1.0)
            .unwrap();
        let _: Norms = norms;
    }

    #[test]
    fn a_restored_optimizer_continues_with_the_same_bits() {
        let (whole, cut) = (parameters(), parameters());
        let mut gradients = [Gradients::new(&whole), Gradients::new(&cut)];
        let mut optimizer = AdamW::new(settings());
        for at in [0.5, 0.7] {
            step(&whole, &mut gradients[0], &mut optimizer, at);
        }
        let mut restored = AdamW::new(settings());
        for id in 0..2 {
            let value = whole.variable(id).as_detached_tensor().copy().unwrap();
            cut.set(id, &value).unwrap();
        }
        for state in optimizer.states() {
            let (id, state) = state.unwrap();
            assert_eq!((state.step, state.live.is_some()), (2, id == 1));
            restored
                .restore(&cut, &mut gradients[1], id, state)
                .unwrap();
        }
        step(&whole, &mut gradients[0], &mut optimizer, 0.9);
        step(&cut, &mut gradients[1], &mut restored, 0.9);
        for id in 0..2 {
            assert_eq!(*whole.host(id), *cut.host(id));
        }
    }

    #[test]
    fn the_state_of_another_parameter_is_refused() {
        let parameters = parameters();
        let mut gradients = Gradients::new(&parameters);
        let mut optimizer = AdamW::new(settings());
        let state = |n: usize, live: Option<usize>| ParameterState {
            step: 1,
            m: vec![0.0; n].into(),
            v: vec![0.0; n].into(),
            live: live.map(|n| vec![true; n].into()),
        };
        for (id, wrong) in [
            (0, state(3, None)),
            (0, state(2, Some(2))),
            (1, state(6, None)),
            (1, state(6, Some(2))),
        ] {
            let outcome = optimizer.restore(&parameters, &mut gradients, id, wrong);
            assert!(outcome.unwrap_err().to_string().contains("of shape"));
        }
        assert_eq!(optimizer.n_states(), 0);
    }
}
