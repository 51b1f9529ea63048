//! The memory of runs as the kernel counts it, and whether runs agree with their plans. A separate
//! program, so that nothing else runs beside the measured command.

mod forecast;
mod large_data;
mod memory_budget;
