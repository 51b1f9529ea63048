//! Tables as people keep them. `tables/draws.json` contains random tables, which a script wrote
//! with random formats, layouts, encodings and compressions. With each come the contents that csv,
//! json, pandas and pyarrow read back. The other tests each cover one topic.

mod draws;
mod headers;
mod kinds;
mod label_forms;

use super::*;
