//! The figures of a step: its loss, and the norms of its gradient before clipping. The recipe asks
//! for them before an update; on a GPU it reads those of many steps at once.

use super::AdamW;
use crate::{
    error::Result,
    model::{
        gpu::optimizer::{self, Updated},
        gradients::{Buffer, Gradients},
        parameters::Parameters,
    },
};
use progtune_kernels::adamw;

/// The gradient's norms in a step, before clipping.
#[derive(Debug, Clone)]
pub struct Norms {
    /// The norm over the trainable set.
    pub global: f64,
    /// The norm for each block; NaN for a block without trained parameters.
    pub blocks: Vec<f64>,
}

/// The loss of a step and the norms of its gradient.
#[derive(Debug, Clone)]
pub struct StepFigures {
    /// The sum of the losses of the step's batches.
    pub loss: f64,
    /// The norms.
    pub norms: Norms,
}

impl StepFigures {
    /// Whether loss and global norm are finite, so that the step can be taken.
    pub fn are_finite(&self) -> bool {
        self.loss.is_finite() && self.norms.global.is_finite()
    }
}

impl AdamW {
    /// Completes the figures of a step, from the losses and gradients that were accumulated since
    /// the last one.
    ///
    /// On a GPU it returns `None` without waiting: [`AdamW::read`] returns the figures of all steps
    /// since the last call, and must be called at least every
    /// [`Gradients::most_unread_steps`] steps. A step whose loss or norm is not finite then updates
    /// nothing, and neither does any step after it until the figures are read.
    ///
    /// # Errors
    /// If a device fails.
    pub fn measure(
        &self,
        parameters: &Parameters,
        gradients: &mut Gradients,
        blocks: usize,
    ) -> Result<Option<StepFigures>> {
        if gradients.lane().is_some() {
            self.measure_on_gpu(parameters, gradients)?;
            return Ok(None);
        }
        Ok(Some(StepFigures {
            norms: norms_here(parameters, gradients, blocks)?,
            loss: gradients.take_loss()?,
        }))
    }

    /// The figures of the steps that were measured on a GPU since the last call, in their order.
    /// Waits until the steps are done.
    ///
    /// # Errors
    /// If a device fails.
    pub fn read(parameters: &Parameters, gradients: &mut Gradients) -> Result<Vec<StepFigures>> {
        let Some(gpu) = gradients.on_device() else {
            return Ok(Vec::new());
        };
        let rows = gpu.figures.take(&gpu.lane)?;
        let mut trained = vec![false; gpu.figures.blocks()];
        let infos = parameters.infos();
        for block in parameters.trainable().filter_map(|id| infos[id].block) {
            trained[block] = true;
        }
        let figures = |row: Vec<f64>| StepFigures {
            loss: row[0],
            norms: Norms {
                global: row[1],
                blocks: (row[2..].iter().zip(&trained))
                    .map(|(&norm, &is_trained)| if is_trained { norm } else { f64::NAN })
                    .collect(),
            },
        };
        Ok(rows.into_iter().map(figures).collect())
    }

    /// The norms of the accumulated gradients, added up in name order, wherever they are computed.
    ///
    /// # Errors
    /// If a device fails.
    pub fn norms(
        &self,
        parameters: &Parameters,
        gradients: &mut Gradients,
        blocks: usize,
    ) -> Result<Norms> {
        match self.measure(parameters, gradients, blocks)? {
            Some(figures) => Ok(figures.norms),
            None => {
                let last = Self::read(parameters, gradients)?.pop();
                Ok(last.map_or_else(|| unreachable!("a step was measured"), |last| last.norms))
            }
        }
    }

    fn measure_on_gpu(&self, parameters: &Parameters, gradients: &mut Gradients) -> Result<()> {
        let mut measured = Vec::new();
        for id in parameters.trainable() {
            let Some(Buffer::Gpu(g)) = gradients.buffer(id) else {
                continue;
            };
            let info = &parameters.infos()[id];
            measured.push(Updated {
                p: 0,
                g: g.address(),
                m: 0,
                v: 0,
                copy: 0,
                n: info.size(),
                group: info.block,
            });
        }
        let max_norm = self.settings.max_grad_norm;
        match gradients.on_device() {
            Some(gpu) => optimizer::measure(
                &gpu.lane,
                &measured,
                max_norm,
                &mut gpu.figures,
                &mut gpu.table,
            ),
            None => Ok(()),
        }
    }
}

fn norms_here(parameters: &Parameters, gradients: &mut Gradients, blocks: usize) -> Result<Norms> {
    let mut global = 0f64;
    let mut by_block: Vec<Option<f64>> = vec![None; blocks];
    for id in parameters.trainable() {
        let squares = match gradients.buffer(id) {
            Some(Buffer::Host(g)) => adamw::sum_of_squares(g.values()),
            Some(Buffer::Rows(g)) => adamw::sum_of_squares_rows(&g.values, &g.touched, g.columns),
            Some(Buffer::Device(Some(g))) => f64::from(g.sqr()?.sum_all()?.to_scalar::<f32>()?),
            _ => 0.0,
        };
        global += squares;
        if let Some(block) = parameters.infos()[id].block {
            let sum = &mut by_block[block];
            *sum = Some(sum.map_or(squares, |sum| sum + squares));
        }
    }
    let norm = |squares: Option<f64>| squares.map_or(f64::NAN, f64::sqrt);
    Ok(Norms {
        global: global.sqrt(),
        blocks: by_block.into_iter().map(norm).collect(),
    })
}
