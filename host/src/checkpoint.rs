//! Checkpoints of a run: everything from which it continues as if it had never stopped. Called by
//! the recipe, `resume` and `fork`.
//!
//! A checkpoint is two files in the directory [`DIRECTORY`] of a run, named after the number of
//! completed steps. `step-N.safetensors` holds the parameters that may be trained, the optimizer's
//! moments and the signals that the schedule was told. `step-N.json` holds the rest (`State`) and
//! the hashes of all other files. It is written last, so that a checkpoint is there as a whole or
//! not at all. Its first line has its own length and hash (`envelope`).
//!
//! The base model is not part of it. Its frozen parameters, the data and the plugins are recorded
//! by their hashes (`identity`) and compared when the run continues. Nothing that is a function
//! of these and the configuration is saved: learning rate, random numbers, the order of the
//! batches.

mod changes;
mod envelope;
mod identity;
mod shelf;
mod signals;
mod state;
mod tensors;

pub(crate) use changes::Change;
pub use changes::changes;
pub(crate) use identity::Identity;
pub(crate) use shelf::{Checkpoint, remove_all};
pub use shelf::{DIRECTORY, Shelf};
pub(crate) use state::{Decision, Place, Prefix, Spent, State};
pub(crate) use tensors::tensors_of;
