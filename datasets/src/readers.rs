//! From the bytes of a file to rows: one reader per format, built on shared layers. Called by
//! tasks, the user's own files, tags and questions.
//!
//! `table` reads rows of cells. `tsv`, `csv` (with `separator`) and `plain_text` each deliver a
//! `record`; `records` opens them, and `header` finds the names of columns. `jsonl` reads objects,
//! using `json_document` and `json_scan`. `columnar` reads parquet and Arrow. `conll` (using
//! `word_lines`) and `word_lists` read sentences of tagged words; `whole_text` reads a file in one
//! piece. Below the text formats lie `lines`, `text_file` (encodings) and `decompress`. A row of
//! any format becomes a `raw_row` of `cell`s.

pub(crate) mod cell;
pub(crate) mod columnar;
pub(crate) mod conll;
pub(crate) mod csv;
pub(crate) mod decompress;
pub(crate) mod foreign;
pub(crate) mod header;
pub(crate) mod hub_names;
pub(crate) mod json_document;
pub(crate) mod json_scan;
pub(crate) mod json_value;
pub(crate) mod jsonl;
pub(crate) mod lines;
pub(crate) mod plain_text;
pub(crate) mod raw_row;
pub(crate) mod record;
pub(crate) mod records;
pub(crate) mod separator;
pub(crate) mod table;
pub(crate) mod text_file;
pub(crate) mod tsv;
pub(crate) mod usual_columns;
pub(crate) mod whole_text;
pub(crate) mod word_lines;
pub(crate) mod word_lists;
