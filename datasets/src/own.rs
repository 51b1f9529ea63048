//! Texts with labels in the user's own files. Called by the host; `tags` and `squad` use its parts.
//!
//! `files` reads all files of a request, with the `facts` about them; `data` holds small ones in
//! memory. `find` expands paths, and `recognise` tells a format by its content. `survey` inspects
//! columns, `headerless` decides whether they have names, and `choose_columns` picks them, or has
//! `proposal` say which flags would. `learn_labels` and `label_form` determine the labels, `reader`
//! reads row by row, and `hold_out` holds out rows for validation.

pub(crate) mod choose_columns;
pub(crate) mod data;
pub(crate) mod facts;
pub(crate) mod files;
pub(crate) mod find;
pub(crate) mod headerless;
pub(crate) mod hold_out;
pub(crate) mod label_form;
pub(crate) mod learn_labels;
pub(crate) mod proposal;
pub(crate) mod reader;
pub(crate) mod recognise;
pub(crate) mod survey;
