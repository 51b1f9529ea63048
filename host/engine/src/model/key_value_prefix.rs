//! The key/value prefix: keys and values that a method places before those of every sequence. Both
//! paths of the model call it.

use super::{graph::RowContext, layout::Site, parameters::Parameters, pass::Pass};
use crate::error::Result;
use candle_core::Tensor;

/// The rows of the key/value prefix, `[prefix, 2·hidden]`.
pub(super) fn key_value_prefix(site: &Site, pass: &Pass<'_>) -> Result<Option<Tensor>> {
    key_value_prefix_of(site, pass.parameters)
}

/// The rows as [`key_value_prefix`], for a pass of any path.
pub(super) fn key_value_prefix_of(site: &Site, parameters: &Parameters) -> Result<Option<Tensor>> {
    let rows = RowContext {
        step: None,
        row_keys: &[],
    };
    let programs = site.prefixes.iter();
    let prefixes: Vec<Tensor> = programs
        .map(|program| program.run(&[], parameters, rows))
        .collect::<Result<_>>()?;
    Ok(if prefixes.is_empty() {
        None
    } else {
        Some(Tensor::cat(&prefixes, 0)?.contiguous()?)
    })
}
