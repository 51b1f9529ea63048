//! What a task is, and the rows of its splits. Called by the host for named tasks, by `own`, `tags` and `squad` for theirs.
//!
//! A `task` says columns, labels and metrics (`metric`); `named` is the table of the named ones, with `squad`'s two. `locate`
//! finds the files of a split, `rows` opens files, `label` understands a label, and `split` loads a split of a named task.

pub(crate) mod label;
pub(crate) mod locate;
pub(crate) mod metric;
pub(crate) mod named;
pub(crate) mod rows;
pub(crate) mod split;
pub(crate) mod squad;
pub(crate) mod task;
