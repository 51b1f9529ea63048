//! Rows that a backward keeps for the weight gradients, in the form in which products read them.
//! The tasks of [`super::backward`] write them, and [`super::weight_gradients`] reads them.

use super::groups::split;
use crate::model::scratch::{Buffer, Scratch};
use progtune_kernels::{
    bf16::{Bf16, narrow},
    gemm::Operands,
    linear::Rows,
};
use std::ops::Range;

/// Room for rows, in the form in which products read them.
pub(super) enum Room {
    F32(Buffer),
    Bf16(Buffer<Bf16>),
}

impl Room {
    pub(super) fn new(rows: usize, columns: usize, scratch: &Scratch) -> Self {
        match scratch.operands() {
            Operands::F32 => Self::F32(scratch.rows(rows, columns)),
            Operands::Bf16 => Self::Bf16(scratch.halves(rows, columns)),
        }
    }

    /// The rows of each range; the ranges follow each other.
    pub(super) fn split(&mut self, ranges: Vec<Range<usize>>, columns: usize) -> Vec<Piece<'_>> {
        let ranges = ranges.into_iter();
        match self {
            Self::F32(rows) => {
                let pieces = split(rows, ranges, columns).into_iter();
                pieces.map(Piece::F32).collect()
            }
            Self::Bf16(rows) => {
                let pieces = split(rows, ranges, columns).into_iter();
                pieces.map(Piece::Bf16).collect()
            }
        }
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        match self {
            Self::F32(rows) => Rows::F32(rows),
            Self::Bf16(rows) => Rows::Bf16(rows),
        }
    }
}

/// Room for the rows of one task.
pub(super) enum Piece<'a> {
    F32(&'a mut [f32]),
    Bf16(&'a mut [Bf16]),
}

impl Piece<'_> {
    /// Keeps rows.
    pub(super) fn keep(self, rows: &[f32]) {
        match self {
            Self::F32(kept) => kept.copy_from_slice(rows),
            Self::Bf16(kept) => narrow(kept, rows),
        }
    }
}
