//! `cargo xtask check-kernels`: compiles the CUDA kernels of `host/kernels` with nvcc for three
//! generations of cards, and lists registers, shared memory and spills. Called by `main`. It needs
//! a toolkit (`tools/fetch_cuda.sh`), but no GPU, and proves nothing about running on one.

use crate::arguments::{Arguments, Others};
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const HELP: &str = "\
cargo xtask check-kernels [--cuda DIR] [--record FILE]

  --cuda DIR     toolkit made by tools/fetch_cuda.sh [default: NVCC, or nvcc in PATH]
  --record FILE  write the table to a file, too (xtask/check_kernels/records/DATE.md)

Compiles every .cu file of host/kernels/src for sm_80, sm_89 and sm_90, and to PTX for
compute_80, into target/cuda-kernels. Warnings and spills are errors. Takes about two
CPU minutes.
";

/// The folder of the sources, below the root.
const SOURCES: &str = "host/kernels/src";

/// Ampere, Ada and Hopper.
const CARDS: [&str; 3] = ["sm_80", "sm_89", "sm_90"];
/// The architecture of the PTX, which a driver compiles for every later card.
const PTX: &str = "compute_80";

/// Kernels that may spill, with the reason.
const SPILLS: &[(&str, &str)] = &[];

/// The report of ptxas about a kernel for one card.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Usage {
    registers: usize,
    shared_bytes: usize,
    /// Stack, spill stores and spill loads.
    spilled_bytes: usize,
}

/// The usage of each kernel on each card.
type Table = BTreeMap<String, BTreeMap<String, Usage>>;

/// Compiles every kernel and prints the table.
///
/// # Errors
/// If there is no nvcc, a file does not compile without warnings, or a kernel spills.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(arguments) = Arguments::read(HELP, Others::Refused, words)? else {
        return Ok(());
    };
    let nvcc = nvcc(arguments.path("--cuda"))?;
    let version = version(&nvcc)?;
    let mut by_file: Vec<(String, Table)> = Vec::new();
    for file in sources(root)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        eprintln!("{name}");
        by_file.push((name.into_owned(), compile(root, &nvcc, &file)?));
    }
    let report = report(&version, &by_file);
    print!("{report}");
    if let Some(record) = arguments.path("--record") {
        fs::write(&record, &report)
            .map_err(|error| format!("cannot write {}: {error}", record.display()))?;
    }
    let spilling = spilling(&by_file);
    if spilling.is_empty() {
        return Ok(());
    }
    Err(format!(
        "these kernels spill registers to memory: {}; make them smaller, or name them in SPILLS",
        spilling.join(", ")
    ))
}

/// The compiler of a toolkit, or else of the environment.
fn nvcc(toolkit: Option<PathBuf>) -> Result<PathBuf, String> {
    let Some(dir) = toolkit else {
        return Ok(env::var_os("NVCC").map_or_else(|| "nvcc".into(), PathBuf::from));
    };
    let nvcc = dir.join("nvidia/cu13/bin/nvcc");
    if nvcc.is_file() {
        return Ok(nvcc);
    }
    let dir = dir.display();
    Err(format!(
        "{dir} has no nvidia/cu13/bin/nvcc; make it with `tools/fetch_cuda.sh {dir}`"
    ))
}

/// The toolkit's version, as nvcc reports it.
fn version(nvcc: &Path) -> Result<String, String> {
    let output = Command::new(nvcc).arg("--version").output();
    let output = output.map_err(|error| {
        format!(
            "cannot start {}: {error}; make a toolkit with `tools/fetch_cuda.sh DIR` and pass `--cuda DIR`",
            nvcc.display()
        )
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.contains("release"));
    let version = line.and_then(|line| line.rsplit(' ').next());
    let version = version.and_then(|version| version.strip_prefix('V'));
    version
        .map(str::to_owned)
        .ok_or(format!("{} --version names no release", nvcc.display()))
}

/// Every `.cu` file, in alphabetical order.
fn sources(root: &Path) -> Result<Vec<PathBuf>, String> {
    let folder = root.join(SOURCES);
    let fail = |error: std::io::Error| format!("cannot list {}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|extension| extension == "cu") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("{} has no .cu file", folder.display()));
    }
    Ok(files)
}

/// Compiles a file for every card and to PTX.
fn compile(root: &Path, nvcc: &Path, file: &Path) -> Result<Table, String> {
    let mut table = Table::new();
    for card in CARDS {
        let log = run_nvcc(root, nvcc, file, card, &["-cubin", "-Xptxas", "-v"])?;
        for (kernel, usage) in read_usage(&log) {
            table
                .entry(kernel)
                .or_default()
                .insert(card.to_owned(), usage);
        }
    }
    if table.is_empty() {
        return Err(format!("{} has no kernel", file.display()));
    }
    run_nvcc(root, nvcc, file, PTX, &["-ptx"])?;
    Ok(table)
}

/// Compiles a file for one architecture; returns what the compilers print.
fn run_nvcc(
    root: &Path,
    nvcc: &Path,
    file: &Path,
    architecture: &str,
    options: &[&str],
) -> Result<String, String> {
    let folder = root.join("target/cuda-kernels").join(architecture);
    fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let stem = file.file_stem().unwrap_or_default();
    let kind = options[0].trim_start_matches('-');
    let output = Command::new(nvcc)
        .args(["-std=c++17", "-Werror", "all-warnings"])
        .arg(format!("-arch={architecture}"))
        .args(options)
        .arg("-I")
        .arg(root.join(SOURCES))
        .arg(file)
        .arg("-o")
        .arg(folder.join(stem).with_extension(kind))
        .output()
        .map_err(|error| format!("cannot start {}: {error}", nvcc.display()))?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        let file = file.display();
        return Err(format!("{file} does not compile for {architecture}\n{log}"));
    }
    Ok(log)
}

/// The kernels in the output of `ptxas -v`.
fn read_usage(log: &str) -> Vec<(String, Usage)> {
    let mut found: Vec<(String, Usage)> = Vec::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let name = rest.split('\'').next().unwrap_or_default();
            found.push((name.to_owned(), Usage::default()));
        }
        let Some((_, usage)) = found.last_mut() else {
            continue;
        };
        if line.contains("bytes stack frame") {
            usage.spilled_bytes = line.split(',').map(first_number).sum();
        }
        if let Some((_, used)) = line.split_once("Used ") {
            usage.registers = first_number(used);
            let shared = used.split(',').find(|part| part.contains("bytes smem"));
            usage.shared_bytes = shared.map_or(0, first_number);
        }
    }
    found
}

fn first_number(text: &str) -> usize {
    let digits = text.trim_start().split(' ').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// The kernels that spill and are not named.
fn spilling(by_file: &[(String, Table)]) -> Vec<String> {
    let kernels = by_file.iter().flat_map(|(_, table)| table);
    let spilling = kernels.filter(|(kernel, cards)| {
        let spills = cards.values().any(|usage| usage.spilled_bytes > 0);
        spills && !SPILLS.iter().any(|(named, _)| named == kernel)
    });
    spilling.map(|(kernel, _)| kernel.clone()).collect()
}

/// The table in Markdown.
fn report(version: &str, by_file: &[(String, Table)]) -> String {
    let n_kernels: usize = by_file.iter().map(|(_, table)| table.len()).sum();
    let mut text = format!(
        "# CUDA kernels, compiled\n\n`cargo xtask check-kernels` with nvcc {version}: {n_kernels} kernels in {} files, for {}, and as \
         PTX for {PTX}.\nNothing here has run on a GPU. Shared memory and spills (with stack) are the largest over the cards, in bytes.\n\n\
         | file | kernel | registers {} | shared memory | spilled |\n|---|---|---|---|---|\n",
        by_file.len(),
        CARDS.join(", "),
        CARDS.join(" / "),
    );
    for (file, table) in by_file {
        for (kernel, cards) in table {
            let registers: Vec<String> = CARDS
                .iter()
                .map(|card| {
                    cards
                        .get(*card)
                        .map_or("-".into(), |usage| usage.registers.to_string())
                })
                .collect();
            let most = |of: fn(&Usage) -> usize| cards.values().map(of).max().unwrap_or(0);
            text.push_str(&format!(
                "| {file} | {kernel} | {} | {} | {} |\n",
                registers.join(" / "),
                most(|usage| usage.shared_bytes),
                most(|usage| usage.spilled_bytes)
            ));
        }
    }
    for (kernel, reason) in SPILLS {
        text.push_str(&format!("\n`{kernel}` spills: {reason}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'first' for 'sm_80'
ptxas info    : Function properties for first
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 126 registers, used 1 barriers, 36864 bytes smem, 464 bytes cmem[0]
ptxas info    : Compile time = 177.740 ms
ptxas info    : Compiling entry function 'second' for 'sm_80'
ptxas info    : Function properties for second
    64 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 28 registers, used 0 barriers, 424 bytes cmem[0]
";

    #[test]
    fn usage_is_read_and_spills_are_named() {
        let usage = read_usage(LOG);
        let of = |registers, shared_bytes, spilled_bytes| Usage {
            registers,
            shared_bytes,
            spilled_bytes,
        };
        assert_eq!(usage[0], ("first".into(), of(126, 36864, 0)));
        assert_eq!(usage[1], ("second".into(), of(28, 0, 76)));
        let mut table = Table::new();
        for (kernel, usage) in usage {
            table.insert(kernel, BTreeMap::from([("sm_80".to_owned(), usage)]));
        }
        let by_file = [("x.cu".to_owned(), table)];
        assert_eq!(spilling(&by_file), ["second"]);
        let report = report("13.0.88", &by_file);
        assert!(report.contains("| x.cu | first | 126 / - / - | 36864 | 0 |"));
        assert!(report.contains("2 kernels in 1 files"));
    }
}
