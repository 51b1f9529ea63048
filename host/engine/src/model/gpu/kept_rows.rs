//! Rows at boundaries that stay on the device from one epoch to the next. The host's prefix cache
//! owns them, through [`Model::kept_rows`](crate::model::Model::kept_rows).

use super::device_batch::Parts;
use crate::{
    error::Result,
    model::{
        Hidden,
        lane::{Lane, rows::Rows},
    },
};
use std::fmt;

/// Room for rows in the number type of activations, so that they are the bits that were computed.
pub struct KeptRows {
    rows: Rows,
    lane: Lane,
}

impl KeptRows {
    /// Room for `n` rows.
    pub(crate) fn new(lane: &Lane, n: usize, columns: usize) -> Result<Self> {
        Ok(Self {
            rows: lane.rows(n, columns)?,
            lane: lane.clone(),
        })
    }

    /// The size of a row in bytes.
    pub fn row_bytes(&self) -> usize {
        self.rows.columns * self.lane.number.bytes()
    }

    /// Keeps the rows `from` of `hidden`, or all of them, in the places `to`, which are distinct.
    ///
    /// # Errors
    /// If the device fails.
    pub fn write(&self, hidden: &Hidden, from: Option<&[u32]>, to: &[u32]) -> Result<()> {
        let hidden = hidden.shared_rows(&self.lane)?;
        let mut parts = Parts::default();
        let to_at = parts.add_u32(to);
        let from_at = from.map(|from| parts.add_u32(from));
        let ids = parts.upload(&self.lane)?;
        match from_at {
            Some(at) => {
                let chosen = self.lane.gather(&hidden, ids.address() + at, to.len())?;
                self.lane
                    .scatter(&chosen, ids.address() + to_at, &self.rows)
            }
            None => self
                .lane
                .scatter(&hidden, ids.address() + to_at, &self.rows),
        }
    }

    /// Keeps rows that were known before.
    ///
    /// # Errors
    /// If the device fails.
    pub fn write_numbers(&self, numbers: &[f32], to: &[u32]) -> Result<()> {
        let rows = self.lane.rows_with(numbers, to.len())?;
        self.write(&Hidden::on_gpu(rows, &self.lane), None, to)
    }

    /// The rows in these places.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read(&self, ids: &[u32]) -> Result<Hidden> {
        let mut parts = Parts::default();
        parts.add_u32(ids);
        let room = parts.upload(&self.lane)?;
        let rows = self.lane.gather(&self.rows, room.address(), ids.len())?;
        Ok(Hidden::on_gpu(rows, &self.lane))
    }
}

impl fmt::Debug for KeptRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptRows({} × {})", self.rows.n, self.rows.columns)
    }
}
