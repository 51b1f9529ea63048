//! AdamW on the device: the norms of all gradients and the clip factor in two launches, and the
//! update of all parameters in one. [`crate::optim::AdamW`] calls it.

use super::device_batch::Parts;
use crate::error::Result;
use crate::model::lane::{
    Lane, arena::Room, figures::Figures, kept_table::KeptTable, queue::Address,
};
use progtune_kernels::cuda::{self, AdamWChunk, AdamWConstants, Arguments};

/// A parameter in an update. Its numbers are f32.
pub(crate) struct Updated {
    /// The address of the values.
    pub p: u64,
    /// The address of the gradient.
    pub g: u64,
    /// The address of the first moments.
    pub m: u64,
    /// The address of the second moments.
    pub v: u64,
    /// The address of the copy in bf16; 0 for none.
    pub copy: u64,
    /// The count of values.
    pub n: usize,
    /// The block that it belongs to, for the norms.
    pub group: Option<usize>,
}

/// The chunks of these parameters, in order.
fn chunks(parameters: &[Updated]) -> impl Iterator<Item = AdamWChunk> {
    parameters
        .iter()
        .enumerate()
        .flat_map(|(number, parameter)| {
            let starts = (0..parameter.n).step_by(AdamWChunk::MOST);
            starts.map(move |start| {
                let at = |address: u64| address + 4 * start as u64;
                AdamWChunk {
                    p: at(parameter.p),
                    g: at(parameter.g),
                    m: at(parameter.m),
                    v: at(parameter.v),
                    copy: match parameter.copy {
                        0 => 0,
                        copy => copy + 2 * start as u64,
                    },
                    n: AdamWChunk::MOST.min(parameter.n - start) as u32,
                    parameter: number as u32,
                }
            })
        })
}

/// Writes the norms of the gradients and the factor that clips them to `max_norm` to the figures of
/// the step, and completes it. `kept` holds the table of the gradients.
pub(crate) fn measure(
    lane: &Lane,
    parameters: &[Updated],
    max_norm: f64,
    figures: &mut Figures,
    kept: &mut KeptTable,
) -> Result<()> {
    let chunks: Vec<AdamWChunk> = chunks(parameters).collect();
    let of = |chunk: &AdamWChunk| parameters[chunk.parameter as usize].group;
    let ids: Vec<u32> = chunks
        .iter()
        .map(|chunk| of(chunk).map_or(u32::MAX, |group| group as u32))
        .collect();
    let mut parts = Parts::default();
    let table = parts.add(
        chunks
            .iter()
            .flat_map(AdamWChunk::words)
            .flat_map(u64::to_ne_bytes),
    );
    let ids = parts.add_u32(&ids);
    let start = kept.address(parts.bytes(), lane)?;
    let squares = lane.arena.room(8 * chunks.len())?;
    let arguments = Arguments::default()
        .address(start + table)
        .address(squares.address());
    lane.launch_named(
        "gradient_squares",
        cuda::adamw_blocks(chunks.len()),
        arguments,
    )?;
    let arguments = Arguments::default()
        .address(squares.address())
        .address(start + ids)
        .address(figures.loss())
        .address(figures.norms())
        .address(figures.clip())
        .address(figures.mark())
        .f64(max_norm)
        .size(chunks.len());
    let launch = cuda::adamw_blocks(1 + figures.blocks());
    lane.launch_named("gradient_norms", launch, arguments)?;
    figures.complete_step();
    Ok(())
}

/// Updates every parameter once; their gradients are zero afterwards. The gradients are multiplied
/// by the factor at `clip` first; nothing happens if it is below zero. `kept` holds the table of
/// the parameters.
pub(crate) fn step(
    lane: &Lane,
    parameters: &[Updated],
    constants: &[AdamWConstants],
    clip: Address,
    kept: &mut KeptTable,
) -> Result<()> {
    let chunks: Vec<AdamWChunk> = chunks(parameters).collect();
    let mut table = Parts::default();
    table.add(
        chunks
            .iter()
            .flat_map(AdamWChunk::words)
            .flat_map(u64::to_ne_bytes),
    );
    let table = kept.address(table.bytes(), lane)?;
    let mut parts = Parts::default();
    let constants = parts.add(
        constants
            .iter()
            .flat_map(AdamWConstants::words)
            .flat_map(u64::to_ne_bytes),
    );
    let room: Room = parts.upload(lane)?;
    let arguments = Arguments::default()
        .address(table)
        .address(room.address() + constants)
        .address(clip);
    lane.launch_named("adamw_step", cuda::adamw_blocks(chunks.len()), arguments)
}
