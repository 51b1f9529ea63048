//! The CPU path: blocks on `progtune-kernels` with a hand-written backward. [`super::Model`] calls
//! it.
//!
//! A block's forward returns a tape with the values that its backward needs. The backward consumes
//! the tape, so a block's memory is free as soon as its gradients are done. Rows are cut into tasks
//! (`groups`) that go through a whole block on one thread. `block` lists the steps.

mod attention;
mod backward;
mod block;
mod context;
mod embeddings;
mod feed_forward;
mod forward;
mod groups;
mod half_rows;
mod head;
mod kept_rows;
mod key_value_prefix;
mod linear;
mod partials;
mod row_program;
mod run;
mod saved;
mod site;
mod sub_layer;
mod tape;
mod tasks;
mod trial;
mod weight_gradients;

pub(super) use embeddings::check_ids;
pub use groups::most_task_rows;
pub(super) use linear::RewrittenWeight;
pub(super) use partials::Target;
pub use row_program::INPUTS;
pub(super) use row_program::{
    Fixed, FixedMatrix, RowProgram, Step as GraphStep, derived_backward_of,
};
pub(super) use run::{logits, prefix, train};
pub use trial::run as run_program;
