//! A batch on the device: everything of it that a pass reads, in one copy. [`super::pass`] makes
//! it, and `embeddings` and `head` read their parts of it.

use crate::model::lane::{
    arena::Room,
    queue::Address,
    rows::{Lane, Rows},
};
use crate::{
    batch::{Batch, Labels},
    error::Result,
};
use progtune_kernels::cuda::{Arguments, Number, Segments, by_column_tiles};

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
    /// The weight of each label in the loss; 0 for none.
    pub loss_weights: Address,
    /// The rows of the trained tables: words, positions, token types.
    pub tables: [Option<TableRows>; 3],
    /// The number of tokens of the longest sequence.
    pub longest: usize,
}

/// The rows of a table that a batch looked up, sorted, as the backward of the embeddings reads
/// them.
#[derive(Clone, Copy)]
pub(super) struct TableRows {
    order: Address,
    segment_starts: Address,
    ids: Address,
    id_starts: Address,
    n_segments: usize,
    n_ids: usize,
}

impl TableRows {
    /// Adds the rows to a buffer; the addresses are offsets in it.
    fn add(ids: &[u32], parts: &mut Parts) -> Self {
        let segments = Segments::of(ids);
        Self {
            order: parts.add_u32(&segments.order),
            segment_starts: parts.add_u32(&segments.segment_starts),
            ids: parts.add_u32(&segments.ids),
            id_starts: parts.add_u32(&segments.id_starts),
            n_segments: segments.segment_starts.len() - 1,
            n_ids: segments.ids.len(),
        }
    }

    /// The rows in a buffer at this address.
    fn behind(self, start: Address) -> Self {
        Self {
            order: start + self.order,
            segment_starts: start + self.segment_starts,
            ids: start + self.ids,
            id_starts: start + self.id_starts,
            ..self
        }
    }

    /// Adds `d`, the gradients of the rows, to the table's gradient.
    pub(super) fn add_gradient(&self, table: Address, d: &Rows, lane: &Lane) -> Result<()> {
        let sums = lane.floats(self.n_segments * d.columns)?;
        let arguments = Arguments::default()
            .address(d.address())
            .address(self.order)
            .address(self.segment_starts)
            .address(sums.address())
            .size(d.columns);
        let launch = by_column_tiles(self.n_segments, d.columns, lane.number);
        lane.launch_typed("embedding_backward_segments", launch, arguments)?;
        let arguments = Arguments::default()
            .address(sums.address())
            .address(self.ids)
            .address(self.id_starts)
            .address(table)
            .address(0)
            .size(d.columns);
        let launch = by_column_tiles(self.n_ids, d.columns, Number::F32);
        lane.launch_named("embedding_backward_add", launch, arguments)
    }
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

    /// All parts.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// All parts on the device.
    pub(super) fn upload(&self, lane: &Lane) -> Result<Room> {
        lane.bytes(&self.0)
    }
}

/// Everything that a pass needs on the device.
pub(super) struct Content<'a> {
    pub batch: &'a Batch,
    pub first_row_keys: &'a [u64],
    pub first_offsets: &'a [u32],
    /// The number of the head's outputs.
    pub outputs: usize,
    /// The weight of each label in the loss.
    pub loss_weights: Option<&'a [f32]>,
    /// Whether the tables of words, positions and token types get gradients.
    pub trained_tables: [bool; 3],
}

impl Content<'_> {
    /// Copies everything to the device at once.
    pub(super) fn upload(&self, lane: &Lane) -> Result<DeviceBatch> {
        let Content {
            batch,
            first_row_keys,
            first_offsets,
            ..
        } = self;
        let mut parts = Parts::default();
        let offsets = [
            parts.add_u32(&batch.input_ids),
            parts.add_u32(&batch.position_ids),
            parts.add_u32(&batch.token_type_ids),
            parts.add_u64(&batch.row_keys),
            parts.add_u64(first_row_keys),
            parts.add_u32(&batch.offsets),
            parts.add_u32(first_offsets),
            parts.add(label_bytes(&batch.labels, self.outputs)),
        ];
        let weights = self
            .loss_weights
            .map(|weights| parts.add(weights.iter().flat_map(|weight| weight.to_ne_bytes())));
        let ids = [&batch.input_ids, &batch.position_ids, &batch.token_type_ids];
        let mut at = 0;
        let tables = ids.map(|ids| {
            at += 1;
            self.trained_tables[at - 1].then(|| TableRows::add(ids, &mut parts))
        });
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
        let start = room.address();
        Ok(DeviceBatch {
            _room: room,
            input_ids,
            position_ids,
            token_type_ids,
            row_keys,
            first_row_keys,
            offsets,
            first_offsets,
            labels,
            loss_weights: weights.map_or(0, |offset| start + offset),
            tables: tables.map(|table| table.map(|table| table.behind(start))),
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
