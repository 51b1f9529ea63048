//! Tables as people keep them. `tables/draws.json` contains random tables, each written by a script
//! with a random format, layout, encoding and compression, and the contents that csv, json, pandas
//! and pyarrow read back. The other tests each cover one topic.

mod draws;
mod headers;
mod kinds;
mod label_forms;

use super::*;
