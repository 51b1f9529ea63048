//! A device with memory of its own, as the GPU path sees it: the [`queue`] of its work, the
//! [`arena`] of its memory, and [`rows`] of numbers with the launches on them; `transfer` copies
//! numbers there and back.

pub mod arena;
mod copies;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
pub(crate) mod figures;
pub(crate) mod kept_table;
pub mod queue;
pub mod rows;
mod transfer;

pub use rows::Lane;
