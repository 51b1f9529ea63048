//! From the bytes of a file to rows: one reader a format, over what they share. Called by tasks, the user's own files, tags
//! and questions.
//!
//! `table` reads rows of cells: `tsv`, `csv` (with `separator`) and `plain_text` give each a `record`, `records` opens them,
//! `header` finds the names of columns. `jsonl` reads objects, over `json_document` and `json_scan`. `columnar` reads parquet and
//! Arrow. `conll` (over `word_lines`) and `word_lists` read sentences of words with tags, `whole_text` a file in one piece.
//! Under the text formats lie `lines`, `text_file` (encodings) and `decompress`. A `raw_row` is what a row of any format
//! becomes, of `cell`s.

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
