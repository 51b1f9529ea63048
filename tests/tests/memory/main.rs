//! Memory of runs as the kernel counts it, and whether runs are as plans foresee them. A program of its own, so that
//! nothing else runs beside what is measured.

mod forecast;
mod large_data;
mod memory;
