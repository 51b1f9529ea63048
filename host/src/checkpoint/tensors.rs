//! The tensors of a checkpoint: parameters, the optimizer's moments, and the signals.

use super::{Checkpoint, signals};
use crate::prefix_cache::{Kept, PrefixCache};
use candle_core::DType;
use progtune_engine::{
    Error, Result,
    model::{
        Gradients, HostSlice, Model,
        tensor_writer::{Content, Entry},
    },
    optim::{AdamW, ParameterState},
};
use progtune_plugin_api::records::SignalRecord;
use std::collections::BTreeMap;

const SIGNALS: &str = "signals";
/// The rows of the prefix cache, and their entries.
const ROWS: &str = "prefix_cache.rows";
const ENTRIES: &str = "prefix_cache.entries";

fn parameter(name: &str) -> String {
    format!("parameter/{name}")
}

/// The names of a parameter's moments, and of its rows that have had a gradient.
fn moments(name: &str) -> [String; 3] {
    ["m", "v", "live"].map(|moment| format!("adamw.{moment}/{name}"))
}

/// The tensors of a checkpoint, and the number of updates of each parameter by name. `candidates`
/// are the parameters that may be trained.
///
/// # Errors
/// Fails if numbers cannot be copied from their device.
pub(crate) fn tensors_of<'a>(
    model: &Model,
    candidates: &[usize],
    optimizer: &'a AdamW,
    history: &[SignalRecord],
    cache: &'a mut PrefixCache,
) -> Result<(Vec<Entry<'a>>, BTreeMap<String, u64>)> {
    let infos = model.parameters.infos();
    let mut entries: Vec<Entry<'_>> = candidates
        .iter()
        .map(|&id| Entry {
            name: parameter(&infos[id].name),
            shape: infos[id].shape.clone(),
            content: Content::Tensor(
                model.parameters.variable(id).as_detached_tensor(),
                DType::F32,
            ),
        })
        .collect();
    let mut steps = BTreeMap::new();
    for state in optimizer.states() {
        let (id, ParameterState { step, m, v, live }) = state?;
        let info = &infos[id];
        steps.insert(info.name.clone(), step);
        let [m_name, v_name, live_name] = moments(&info.name);
        for (name, numbers) in [(m_name, m), (v_name, v)] {
            entries.push(Entry {
                name,
                shape: info.shape.clone(),
                content: Content::Numbers(numbers),
            });
        }
        if let Some(live) = live {
            let bytes: Vec<u8> = live.iter().map(|&live| u8::from(live)).collect();
            entries.push(Entry {
                name: live_name,
                shape: vec![bytes.len()],
                content: Content::Bytes(bytes.into()),
            });
        }
    }
    let bytes = signals::to_bytes(history);
    entries.push(Entry {
        name: SIGNALS.into(),
        shape: vec![bytes.len()],
        content: Content::Bytes(bytes.into()),
    });
    let kept = cache.kept();
    if kept.numbers() > 0 {
        let bytes = kept.to_bytes();
        entries.push(Entry {
            name: ENTRIES.into(),
            shape: vec![bytes.len()],
            content: Content::Bytes(bytes.into()),
        });
        entries.push(Entry {
            name: ROWS.into(),
            shape: vec![kept.numbers()],
            content: Content::Stream(Box::new(move |take| cache.read_kept(&kept, take))),
        });
    }
    Ok((entries, steps))
}

impl Checkpoint {
    /// Gives the parameters that may be trained the values of the checkpoint.
    ///
    /// # Errors
    /// Fails if one is absent or has another shape, because the method's options have changed.
    pub(crate) fn restore_parameters(&mut self, model: &Model, candidates: &[usize]) -> Result<()> {
        let shapes = self.tensors.shapes();
        let shapes: BTreeMap<String, Vec<usize>> = shapes
            .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
            .collect();
        for &id in candidates {
            let info = &model.parameters.infos()[id];
            let key = parameter(&info.name);
            if shapes.get(&key) != Some(&info.shape) {
                return Err(Error::Usage(format!(
                    "{}: expected the parameter {} of shape {:?}, found {}: another model or other options of the method made \
                     the checkpoint; use those",
                    self.path.display(),
                    info.name,
                    info.shape,
                    shapes
                        .get(&key)
                        .map_or("none".into(), |shape| format!("{shape:?}"))
                )));
            }
            model.parameters.set(id, &self.tensors.read(&key)?)?;
        }
        Ok(())
    }

    /// Gives the optimizer the state of every parameter that is trainable now.
    ///
    /// # Errors
    /// Fails if it does not fit.
    pub(crate) fn restore_optimizer(
        &mut self,
        model: &Model,
        gradients: &mut Gradients,
        optimizer: &mut AdamW,
    ) -> Result<()> {
        let parameters = &model.parameters;
        let trainable: Vec<usize> = parameters.trainable().collect();
        for id in trainable {
            let name = &parameters.infos()[id].name;
            let Some(&step) = self.state.optimizer_steps.get(name) else {
                continue;
            };
            let [m, v, live] = moments(name);
            let mut numbers = |name: &str| -> Result<Vec<f32>> {
                Ok(HostSlice::of(&self.tensors.read(name)?).to_vec())
            };
            let (m, v) = (numbers(&m)?, numbers(&v)?);
            let has_rows = self.tensors.shapes().any(|(known, _)| known == live);
            let live = has_rows.then(|| self.tensors.bytes(&live)).transpose()?;
            let saved = ParameterState {
                step,
                m: m.into(),
                v: v.into(),
                live: live.map(|live| live.iter().map(|&byte| byte != 0).collect()),
            };
            optimizer.restore(parameters, gradients, id, saved)?;
        }
        Ok(())
    }

    /// Gives the prefix cache the rows that it held, if it is not exact without them.
    ///
    /// # Errors
    /// Fails if they cannot be read.
    pub(crate) fn restore_cache(&mut self, model: &Model, cache: &mut PrefixCache) -> Result<()> {
        if !self.tensors.shapes().any(|(name, _)| name == ENTRIES) {
            return Ok(());
        }
        let kept = Kept::from_bytes(&self.tensors.bytes(ENTRIES)?).unwrap_or_default();
        let tensors = &mut self.tensors;
        cache.restore(model, &kept, &mut |start, count| {
            tensors.part(ROWS, start, count)
        })
    }

    /// The observations that the schedule was told.
    ///
    /// # Errors
    /// Fails if they cannot be read.
    pub fn history(&mut self) -> Result<Vec<SignalRecord>> {
        let bytes = self.tensors.bytes(SIGNALS)?;
        signals::from_bytes(&bytes).ok_or_else(|| {
            Error::Model(format!(
                "{}: the signals of the schedule are damaged; use an earlier checkpoint",
                self.path.display()
            ))
        })
    }
}
