//! Texts with labels in files of the user's own. Called by the host; `tags` and `squad` use its parts.
//!
//! `files` reads all files of a request, `data` holds small ones in memory. `find` expands paths, `survey` looks at columns,
//! `choose_columns` picks them, `learn_labels` and `label_form` find out what the labels are, `reader` reads row by row, and
//! `hold_out` keeps rows for validation.

pub(crate) mod choose_columns;
pub(crate) mod data;
pub(crate) mod files;
pub(crate) mod find;
pub(crate) mod hold_out;
pub(crate) mod label_form;
pub(crate) mod learn_labels;
pub(crate) mod reader;
pub(crate) mod survey;
