//! Copies of a model's parameters in bf16 on the device. The first product that reads a parameter
//! makes its copy, and from then on the optimizer writes it together with the parameter.

use super::{arena::Room, queue::Address};
use crate::{error::Result, model::parameters::ParameterId};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The copies, each with the version of its parameter.
#[derive(Default)]
pub struct Copies(Mutex<HashMap<ParameterId, (u64, Room)>>);

impl Copies {
    fn all(&self) -> MutexGuard<'_, HashMap<ParameterId, (u64, Room)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of a parameter's copy in this version. If there is none, `make` gets the room of
    /// an older one, and returns that of the copy.
    pub(crate) fn address(
        &self,
        id: ParameterId,
        version: u64,
        make: impl FnOnce(Option<Room>) -> Result<Room>,
    ) -> Result<Address> {
        let mut copies = self.all();
        if let Some((kept, room)) = copies.get(&id)
            && *kept == version
        {
            return Ok(room.address());
        }
        let room = make(copies.remove(&id).map(|(_, room)| room))?;
        let address = room.address();
        copies.insert(id, (version, room));
        Ok(address)
    }

    /// The address of a copy that the caller brings to this version; 0 if there is none.
    pub(crate) fn renewed(&self, id: ParameterId, version: u64) -> Address {
        self.all().get_mut(&id).map_or(0, |(kept, room)| {
            *kept = version;
            room.address()
        })
    }

    /// Gives all copies back.
    pub(crate) fn release(&self) {
        self.all().clear();
    }
}
