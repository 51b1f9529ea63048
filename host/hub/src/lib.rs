//! The Hugging Face hub. Models, adapters and data sets are found by their ids. They are fetched
//! into the cache shared by all of Hugging Face's tools, or read from there. `fetch` calls it for
//! the ids in a command; everything behind `fetch` reads directories.
//!
//! A repository is listed first: one request returns its commit and its files. Then every required
//! file that is not in the cache is fetched from that commit. The cache is enough if the revision
//! is a commit, if the network is forbidden, or if the hub does not answer.
//!
//! The client is our own, on top of `ureq`. The crate `hf-hub` was considered. Its version 0.5
//! checks neither hash nor size, drops the hub's error codes, has no offline mode and depends on an
//! MPL crate. Version 1.0 depends on an asynchronous runtime and more than two hundred crates.

mod address;
mod cache;
mod checksum;
mod client;
mod download;
mod environment;
mod error;
mod fault;
mod hub;
mod named_path;
mod observer;
mod repository;
mod wanted;

// The hub, requests to it, and its errors.
pub use error::{Error, Result};
pub use hub::Hub;
pub use repository::{Kind, Pin, Repository};
pub use wanted::Wanted;
// A path with the id behind it.
pub use named_path::NamedPath;
// The display of a transfer, which the caller provides.
pub use observer::{Observer, Transfer};
// The process: tokens that no message may show, and the files that a snapshot contains.
pub use cache::files_below;
pub use environment::keep_secrets;
