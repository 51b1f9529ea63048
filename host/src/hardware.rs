//! The machine of a run, for its records: processor, instruction set, threads, device. Recorded by
//! `run_record`; `verify` takes the instruction set.

use crate::config::MachineConfig;
use progtune_engine::model::{ComputePath, Precision};
use progtune_kernels::{
    gemm::Operands,
    simd::{Level, level},
};
use serde_json::{Value, json};

/// The name of the instruction set that the kernels use here for products of this precision. The
/// numbers of f32 do not depend on whether the processor has BF16.
pub(crate) fn simd_name(precision: Precision) -> &'static str {
    match (precision.operands(), level()) {
        (Operands::F32, Level::Avx512Bf16) => Level::Avx512.name(),
        (_, level) => level.name(),
    }
}

/// The machine, as `run.json` records it.
pub(crate) fn to_json(machine: &MachineConfig) -> Value {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    json!({
        "processor": processor(),
        "architecture": std::env::consts::ARCH,
        "system": std::env::consts::OS,
        "simd": simd_name(machine.precision),
        "cores": cores,
        "threads": machine.threads.unwrap_or(cores),
        "memory_bytes": memory_bytes(),
        "device": machine.device.to_string(),
        "kernels": if machine.path() == ComputePath::Composed { "composed" } else { "fused" },
        "precision": machine.precision_name(),
    })
}

/// The name of the processor; `None` if the system does not tell.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    value_of(&text, "model name")
}

/// The size of the memory; `None` if the system does not tell.
fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let size = value_of(&text, "MemTotal")?;
    let kib: u64 = size.strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The first value of a name in lines such as `name : value`.
fn value_of(text: &str, name: &str) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    let found = pairs.find(|(key, _)| key.trim() == name)?;
    Some(found.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_lines_are_read() {
        let text = "processor\t: 0\nmodel name\t: Some CPU: fast\n\nMemTotal:  2048 kB\n";
        assert_eq!(value_of(text, "model name").unwrap(), "Some CPU: fast");
        assert_eq!(value_of(text, "MemTotal").unwrap(), "2048 kB");
        assert_eq!(value_of(text, "missing"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_memory() {
        assert!(memory_bytes().unwrap() > 1 << 20);
    }
}
