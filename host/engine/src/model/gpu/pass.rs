//! One batch on its way through the model on the device: the batch there, the parameters'
//! addresses, dropout. Made for every forward; everything else of the GPU path reads it.

use super::device_batch::{Content, DeviceBatch};
use crate::model::lane::{arena::Room, queue::Address, rows::Lane};
use crate::{
    batch::Batch,
    error::Result,
    model::{
        Model,
        config::ModelConfig,
        graph::RowContext,
        layout::Head,
        loss::LossWeighting,
        parameters::{ParameterId, Parameters},
        pass::BlockMode,
        scratch::Scratch,
        step::{DropoutSite, Step},
    },
};
use progtune_kernels::cuda::{DropoutArgument, Number};

/// A model's part on the device.
pub(crate) struct Gpu {
    /// The place of computation.
    pub lane: Lane,
}

impl Gpu {
    /// Gives the copies of parameters and all memory that nobody uses back to the device.
    pub(crate) fn release(&self) {
        self.lane.copies.release();
        self.lane.arena.release();
    }
}

/// One batch on its way through the model.
pub(super) struct Pass<'a> {
    pub gpu: &'a Gpu,
    pub config: &'a ModelConfig,
    pub parameters: &'a Parameters,
    pub weighting: &'a LossWeighting,
    pub batch: &'a Batch,
    pub device: DeviceBatch,
    pub step: Option<Step>,
    pub first_row_keys: Vec<u64>,
    /// Memory here, for the sums that candle takes further.
    pub scratch: &'a Scratch,
}

impl<'a> Pass<'a> {
    /// Copies the batch to the device.
    pub(super) fn new(
        model: &'a Model,
        gpu: &'a Gpu,
        batch: &'a Batch,
        step: Option<Step>,
    ) -> Result<Self> {
        let first = batch.first_tokens().iter();
        let first_row_keys: Vec<u64> = first.map(|&row| batch.row_keys[row as usize]).collect();
        let first_offsets: Vec<u32> = (0..=batch.sequences() as u32).collect();
        let outputs = model.layout.head.outputs();
        let weights = model.loss_weighting.weights();
        let embeddings = &model.layout.embeddings;
        let tables = [embeddings.word, embeddings.position, embeddings.token_type];
        let trains = |id| step.is_some() && model.parameters.is_trainable(id);
        let device = Content {
            batch,
            first_row_keys: &first_row_keys,
            first_offsets: &first_offsets,
            outputs,
            loss_weights: weights.filter(|_| step.is_some()),
            trained_tables: tables.map(trains),
        };
        let device = device.upload(&gpu.lane)?;
        Ok(Self {
            gpu,
            config: &model.config,
            parameters: &model.parameters,
            weighting: &model.loss_weighting,
            batch,
            device,
            step,
            first_row_keys,
            scratch: &model.scratch,
        })
    }

    /// The lane of activations.
    pub(super) fn lane(&self) -> &Lane {
        &self.gpu.lane
    }

    /// The address of a parameter's values, in f32.
    pub(super) fn value(&self, id: ParameterId) -> Result<Address> {
        let tensor = self.parameters.variable(id).as_tensor();
        self.lane().queue.address_of(tensor)
    }

    /// The address of a parameter's values in this type.
    pub(super) fn operand_as(&self, id: ParameterId, number: Number) -> Result<Address> {
        let value = self.value(id)?;
        if number == Number::F32 {
            return Ok(value);
        }
        let lane = self.lane().with(number);
        let n = self.parameters.infos()[id].size();
        let make = |older: Option<Room>| {
            let room = match older {
                Some(room) => room,
                None => lane.arena.room(n * number.bytes())?,
            };
            lane.convert(value, room.address(), n)?;
            Ok(room)
        };
        let version = self.parameters.version(id);
        lane.copies.address(id, version, make)
    }

    /// `n` numbers in f32 in the type of a lane, and what keeps them there.
    pub(super) fn converted(
        &self,
        address: Address,
        n: usize,
        lane: &Lane,
    ) -> Result<(Address, Option<Room>)> {
        if lane.number == Number::F32 {
            return Ok((address, None));
        }
        let room = lane.arena.room(n * lane.number.bytes())?;
        lane.convert(address, room.address(), n)?;
        Ok((room.address(), Some(room)))
    }

    /// `n` numbers in f32, copied from the device.
    pub(super) fn floats_at(&self, address: Address, n: usize) -> Result<Vec<f32>> {
        self.lane().floats_at(address, n)
    }

    /// The keys of the rows that a block computes: on the device, and here.
    pub(super) fn row_keys(&self, mode: BlockMode) -> (Address, &[u64]) {
        if mode.first_only {
            (self.device.first_row_keys, &self.first_row_keys)
        } else {
            (self.device.row_keys, &self.batch.row_keys)
        }
    }

    /// The keys of the rows that the head reads.
    pub(super) fn head_row_keys(&self, head: &Head) -> (Address, &[u64]) {
        if head.every_token {
            (self.device.row_keys, &self.batch.row_keys)
        } else {
            (self.device.first_row_keys, &self.first_row_keys)
        }
    }

    /// The dropout of a place for rows of these keys.
    pub(super) fn dropout(
        &self,
        p: f64,
        site: DropoutSite,
        keys: Address,
        on: bool,
    ) -> DropoutArgument {
        match self.step.filter(|_| on && p > 0.0) {
            Some(step) => DropoutArgument::new(p as f32, step.site_key(site.number()), keys),
            None => DropoutArgument::NONE,
        }
    }

    /// The rows as the programs at a site need them.
    pub(super) fn row_context<'k>(&self, row_keys: &'k [u64], on: bool) -> RowContext<'k> {
        RowContext {
            step: self.step.filter(|_| on),
            row_keys,
        }
    }
}
