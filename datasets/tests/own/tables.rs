//! Tables as people keep them. `tables/draws.json` has tables that a script drew and wrote in a drawn format, layout, encoding
//! and compression, with what csv, json, pandas and pyarrow read back; the other tests are about one thing each.

mod draws;
mod headers;
mod kinds;
mod label_forms;

use super::*;
