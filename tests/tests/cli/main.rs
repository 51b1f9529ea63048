//! The commands through the built binary: what runs leave, what damaged or hostile input is answered with, and that
//! nothing is lost, leaked or overwritten.

mod bad_input;
mod checkpoints;
mod commands;
mod output_safety;
mod truth;
