//! A table on the device that is the same in most steps, as the addresses of parameters are. The
//! optimizer of the GPU path keeps two.

use super::{Lane, arena::Room, queue::Address};
use crate::error::Result;

/// The table and its bytes; none at first.
#[derive(Default)]
pub(crate) struct KeptTable(Option<(Vec<u8>, Room)>);

impl KeptTable {
    /// The address of a table with these bytes, which are copied there if they have changed.
    pub(crate) fn address(&mut self, bytes: &[u8], lane: &Lane) -> Result<Address> {
        if let Some((known, room)) = &self.0
            && known == bytes
        {
            return Ok(room.address());
        }
        let room = lane.bytes(bytes)?;
        let address = room.address();
        self.0 = Some((bytes.to_vec(), room));
        Ok(address)
    }
}
