//! One batch on its way through the model on the device: the batch there, the parameters'
//! addresses, dropout. Made for every forward; everything else of the GPU path reads it.

use crate::model::lane::{
    arena::Room,
    queue::Address,
    rows::{Lane, Rows},
};
use crate::{
    batch::{Batch, Labels},
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
use progtune_kernels::cuda::{DropoutArgument, Number, Segments};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// A model's part on the device: the lane, and copies of parameters in the type of activations.
pub(crate) struct Gpu {
    /// The place of computation.
    pub lane: Lane,
    copies: Mutex<HashMap<ParameterId, (u64, Room)>>,
}

impl Gpu {
    /// A model's part on a device, before any copy.
    pub(crate) fn new(lane: Lane) -> Self {
        Self {
            lane,
            copies: Mutex::default(),
        }
    }

    /// Gives the copies and all memory that nobody uses back to the device.
    pub(crate) fn release(&self) {
        self.copies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.lane.arena.release();
    }
}

/// The parts of a batch on the device.
pub(super) struct DeviceBatch {
    /// Keeps the memory.
    _room: Room,
    pub input_ids: Address,
    pub position_ids: Address,
    pub token_type_ids: Address,
    /// Keys of all rows, and of first tokens.
    pub row_keys: Address,
    pub first_row_keys: Address,
    /// Row offsets of the sequences. Without the last one they are the rows of first tokens.
    pub offsets: Address,
    /// 0, 1, 2, …: the offsets of sequences of one row.
    pub first_offsets: Address,
    pub labels: Address,
    /// The number of tokens of the longest sequence.
    pub longest: usize,
}

/// Parts of one buffer, each at a multiple of 16 bytes.
#[derive(Default)]
pub(super) struct Parts(Vec<u8>);

impl Parts {
    /// Adds bytes and returns their offset.
    pub(super) fn add(&mut self, bytes: impl IntoIterator<Item = u8>) -> u64 {
        self.0.resize(self.0.len().next_multiple_of(16), 0);
        let offset = self.0.len() as u64;
        self.0.extend(bytes);
        offset
    }

    /// Adds numbers and returns their offset.
    pub(super) fn add_u32(&mut self, numbers: &[u32]) -> u64 {
        self.add(numbers.iter().flat_map(|number| number.to_ne_bytes()))
    }

    fn add_u64(&mut self, numbers: &[u64]) -> u64 {
        self.add(numbers.iter().flat_map(|number| number.to_ne_bytes()))
    }

    /// All parts on the device.
    pub(super) fn upload(&self, lane: &Lane) -> Result<Room> {
        lane.bytes(&self.0)
    }
}

impl DeviceBatch {
    fn new(
        batch: &Batch,
        lane: &Lane,
        first_row_keys: &[u64],
        first_offsets: &[u32],
        outputs: usize,
    ) -> Result<Self> {
        let mut parts = Parts::default();
        let offsets = [
            parts.add_u32(&batch.input_ids),
            parts.add_u32(&batch.position_ids),
            parts.add_u32(&batch.token_type_ids),
            parts.add_u64(&batch.row_keys),
            parts.add_u64(first_row_keys),
            parts.add_u32(&batch.offsets),
            parts.add_u32(first_offsets),
            parts.add(label_bytes(&batch.labels, outputs)),
        ];
        let room = parts.upload(lane)?;
        let at = offsets.map(|offset| room.address() + offset);
        let [
            input_ids,
            position_ids,
            token_type_ids,
            row_keys,
            first_row_keys,
            offsets,
            first_offsets,
            labels,
        ] = at;
        let lengths = batch
            .offsets
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as usize);
        Ok(Self {
            _room: room,
            input_ids,
            position_ids,
            token_type_ids,
            row_keys,
            first_row_keys,
            offsets,
            first_offsets,
            labels,
            longest: lengths.max().unwrap_or(0),
        })
    }
}

/// Labels as the kernels of the losses read them.
fn label_bytes(labels: &Labels, outputs: usize) -> Vec<u8> {
    match labels {
        Labels::None => Vec::new(),
        Labels::Classes(classes) => classes
            .iter()
            .flat_map(|class| class.to_ne_bytes())
            .collect(),
        Labels::Tags(tags) => {
            let ids = tags.iter().map(|tag| tag.map_or(-1, |tag| tag as i32));
            ids.flat_map(i32::to_ne_bytes).collect()
        }
        Labels::Sets(sets) => {
            let mut holds = vec![0u8; sets.len() * outputs];
            for (row, set) in holds.chunks_mut(outputs.max(1)).zip(sets) {
                set.iter().for_each(|&label| row[label as usize] = 1);
            }
            holds
        }
        Labels::Scores(scores) => scores
            .iter()
            .flat_map(|score| score.to_ne_bytes())
            .collect(),
        Labels::Spans(spans) => spans
            .as_flattened()
            .iter()
            .flat_map(|token| token.to_ne_bytes())
            .collect(),
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
        let device = DeviceBatch::new(batch, &gpu.lane, &first_row_keys, &first_offsets, outputs)?;
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
        let version = self.parameters.version(id);
        let mut copies = self
            .gpu
            .copies
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((kept, room)) = copies.get(&id)
            && *kept == version
        {
            return Ok(room.address());
        }
        let n = self.parameters.infos()[id].size();
        let lane = self.lane().with(number);
        let room = match copies.remove(&id) {
            Some((_, room)) => room,
            None => lane.arena.room(n * number.bytes())?,
        };
        lane.convert(value, room.address(), n)?;
        let address = room.address();
        copies.insert(id, (version, room));
        Ok(address)
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

    /// Adds `d`, the gradients of rows that `ids` looked up, to a table's gradient.
    pub(super) fn add_rows(&self, table: Address, ids: &[u32], d: &Rows) -> Result<()> {
        use progtune_kernels::cuda::{Arguments, by_column_tiles};
        let lane = self.lane();
        let segments = Segments::of(ids);
        let mut parts = Parts::default();
        let offsets = [
            parts.add_u32(&segments.order),
            parts.add_u32(&segments.segment_starts),
            parts.add_u32(&segments.ids),
            parts.add_u32(&segments.id_starts),
        ];
        let room = parts.upload(lane)?;
        let [order, starts, ids, id_starts] = offsets.map(|offset| room.address() + offset);
        let n_segments = segments.segment_starts.len() - 1;
        let sums = lane.floats(n_segments * d.columns)?;
        let arguments = Arguments::default()
            .address(d.address())
            .address(order)
            .address(starts)
            .address(sums.address())
            .size(d.columns);
        let launch = by_column_tiles(n_segments, d.columns, lane.number);
        lane.launch_typed("embedding_backward_segments", launch, arguments)?;
        let arguments = Arguments::default()
            .address(sums.address())
            .address(ids)
            .address(id_starts)
            .address(table)
            .address(0)
            .size(d.columns);
        let launch = by_column_tiles(segments.ids.len(), d.columns, Number::F32);
        lane.launch_named("embedding_backward_add", launch, arguments)
    }
}
