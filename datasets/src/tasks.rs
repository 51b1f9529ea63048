//! The definitions of tasks, and the rows of their splits. Called by the host for named tasks, and
//! by `own`, `tags` and `squad` for theirs.
//!
//! A `task` defines columns, labels and metrics (`metric`). `named` is the table of named tasks,
//! including `squad`'s two. `locate` finds the files of a split, `rows` opens files, `label`
//! interprets a label, and `split` loads a split of a named task.

pub(crate) mod label;
pub(crate) mod locate;
pub(crate) mod metric;
pub(crate) mod named;
pub(crate) mod rows;
pub(crate) mod split;
pub(crate) mod squad;
pub(crate) mod task;
