//! Hashes of everything that the rows at a boundary depend on: the inputs, the computation, and
//! every parameter below. Rows in a file are used only under the key with which they were written.
//! Called by the prefix cache when its entries are on disk.

use progtune_engine::{
    Result,
    model::{Model, ParameterId, fingerprint},
};
use progtune_pipeline::token_store::Examples;
use sha2::{Digest, Sha256};

/// The first 16 bytes of a SHA-256, which suffice to distinguish keys.
pub(super) type Key = [u8; 16];

/// The keys of one run. Hashes of parameters are remembered until the parameters are trained.
#[derive(Debug)]
pub(super) struct Keys {
    /// The hash of the inputs and the computation.
    run: [u8; 32],
    /// The hash of each parameter, if it is known.
    parameters: Vec<Option<[u8; 32]>>,
}

impl Keys {
    /// Prepares keys for the examples of all splits, in order; `dtype` is that of the entries.
    pub(super) fn new(model: &Model, splits: &[&Examples], dtype: &str) -> Self {
        let mut hash = Sha256::new();
        let version = env!("CARGO_PKG_VERSION");
        let machine = (std::env::consts::ARCH, cfg!(target_endian = "big"));
        hash.update(format!("{version} {machine:?} {dtype}\n"));
        hash.update(model.computation());
        for split in splits {
            hash.update((split.len() as u64).to_le_bytes());
            hash.update(split.summary().fingerprint);
        }
        Self {
            run: hash.finalize().into(),
            parameters: vec![None; model.parameters.len()],
        }
    }

    /// The key of only the inputs and the computation.
    pub(super) fn of_run(&self) -> &[u8; 32] {
        &self.run
    }

    /// The key of the rows at a boundary for the current parameters.
    ///
    /// # Errors
    /// Fails if a parameter cannot be copied from its device.
    pub(super) fn at(&mut self, model: &Model, boundary: usize) -> Result<Key> {
        let mut hash = Sha256::new();
        hash.update(self.run);
        hash.update((boundary as u64).to_le_bytes());
        for id in model.parameters_below(boundary) {
            hash.update(self.parameter(model, id)?);
        }
        let whole: [u8; 32] = hash.finalize().into();
        let mut key = Key::default();
        key.copy_from_slice(&whole[..16]);
        Ok(key)
    }

    fn parameter(&mut self, model: &Model, id: ParameterId) -> Result<[u8; 32]> {
        if let Some(known) = self.parameters[id] {
            return Ok(known);
        }
        let hash = fingerprint::of_parameter(&model.parameters, id)?;
        Ok(*self.parameters[id].insert(hash))
    }

    /// Forgets the hashes of parameters that may have changed.
    pub(super) fn forget(&mut self, ids: impl IntoIterator<Item = ParameterId>) {
        for id in ids {
            self.parameters[id] = None;
        }
    }
}
