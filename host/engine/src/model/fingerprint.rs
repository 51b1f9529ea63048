//! Hashes of parameters: they identify values without holding them. The prefix cache and the
//! checkpoints of runs call it.

use super::parameters::{HostSlice, ParameterId, Parameters};
use crate::error::Result;
use candle_core::Device;
use sha2::{Digest, Sha256};

/// The numbers that are hashed at a time.
const PIECE: usize = 1 << 14;

/// The SHA-256 of a parameter's name and values, which are hashed as little-endian f32.
///
/// # Errors
/// When the values cannot be copied from their device.
pub fn of_parameter(parameters: &Parameters, id: ParameterId) -> Result<[u8; 32]> {
    let variable = parameters.variable(id).as_detached_tensor();
    let value = variable.to_device(&Device::Cpu)?.contiguous()?;
    let mut hash = Sha256::new();
    hash.update(&parameters.infos()[id].name);
    let mut bytes = Vec::with_capacity(4 * PIECE);
    for piece in HostSlice::of(&value).chunks(PIECE) {
        bytes.clear();
        bytes.extend(piece.iter().flat_map(|number| number.to_le_bytes()));
        hash.update(&bytes);
    }
    Ok(hash.finalize().into())
}

/// The SHA-256 over the hashes of several parameters, in this order.
///
/// # Errors
/// As for [`of_parameter`].
pub fn of_parameters(
    parameters: &Parameters,
    ids: impl IntoIterator<Item = ParameterId>,
) -> Result<[u8; 32]> {
    let mut hash = Sha256::new();
    for id in ids {
        hash.update(of_parameter(parameters, id)?);
    }
    Ok(hash.finalize().into())
}
