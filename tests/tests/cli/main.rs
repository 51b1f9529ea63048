//! The commands through the built binary: what runs leave, and how damaged or hostile input is
//! answered. Nothing is lost, leaked or overwritten.

mod bad_input;
mod checkpoints;
mod commands;
mod earlier_version;
mod hugging_face;
mod output_safety;
mod resuming;
mod runs;
mod truth;
