//! `cargo xtask check-cuda`: type-checks `--features cuda` of package progtune on a machine without
//! a GPU or a CUDA toolkit. Called by `main`.
//!
//! Only candle-kernels' build script needs `nvcc`, to turn `.cu` files into PTX and objects that
//! `cargo check` never reads. A stub that writes empty ones is enough. Nothing built this way can
//! run, so it has its own target folder.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compute capability to check for: 8.0 (Ampere), the oldest with all of candle's bf16 kernels.
const COMPUTE_CAP: &str = "80";
/// The toolkit version whose bindings cudarc should use, in its own notation: 12.8.
const CUDA_VERSION: &str = "12080";

/// Answers the calls to `nvcc` by cudaforge, the build helper of candle-kernels. `--ptx` writes
/// `X.ptx` into the output directory for each `X.cu`; `-c` and `--lib` write the file named by
/// `-o`.
const STUB_NVCC: &str = r#"#!/bin/sh
# Written by `cargo xtask check-cuda`: stands in for nvcc and writes empty files, for type-checking only.
ptx=no; dir=.; out=; sources=
while [ $# -gt 0 ]; do
    case "$1" in
        --version) echo "Cuda compilation tools, release 12.8, V12.8.0"; exit 0 ;;
        --list-gpu-code) echo "sm_80"; exit 0 ;;
        --ptx) ptx=yes ;;
        --output-directory) dir=$2; shift ;;
        --output-directory=*) dir=${1#*=} ;;
        -o) out=$2; shift ;;
        *.cu) sources="$sources $(basename "$1" .cu)" ;;
    esac
    shift
done
if [ $ptx = yes ]; then
    for name in $sources; do : >"$dir/$name.ptx" || exit 1; done
elif [ -n "$out" ]; then
    : >"$out" || exit 1
fi
"#;

/// Runs `cargo check --package progtune --features cuda` with the stub in place of `nvcc`;
/// `further` is passed to cargo.
///
/// # Errors
/// If the stub cannot be written, or cargo reports an error (which its own output describes).
pub(crate) fn run(root: &Path, further: &[String]) -> Result<(), String> {
    if !cfg!(unix) {
        return Err("the stub nvcc is a shell script: run this on Linux or macOS".into());
    }
    let target = root.join("target").join("cuda-check");
    let bin = target.join("bin");
    let nvcc = write_stub(&bin)?;
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args([
            "check",
            "--locked",
            "--package",
            "progtune",
            "--features",
            "cuda",
        ])
        .args(further)
        .env("NVCC", &nvcc)
        .env("PATH", path_with(&bin)?)
        .env("CUDA_COMPUTE_CAP", COMPUTE_CAP)
        .env("CUDARC_CUDA_VERSION", CUDA_VERSION)
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if !status.success() {
        return Err(format!(
            "the cuda feature does not type-check (cargo check: {status})"
        ));
    }
    println!("check-cuda: the cuda feature type-checks; nothing here has run on a GPU");
    Ok(())
}

/// Writes the stub as an executable `bin/nvcc` and returns its path.
fn write_stub(bin: &Path) -> Result<PathBuf, String> {
    let nvcc = bin.join("nvcc");
    let fail = |error: std::io::Error| format!("cannot write {}: {error}", nvcc.display());
    fs::create_dir_all(bin).map_err(fail)?;
    // An identical stub is left alone, so that its modification time does not make cargo rebuild
    // the kernels.
    if fs::read_to_string(&nvcc).is_ok_and(|old| old == STUB_NVCC) {
        return Ok(nvcc);
    }
    fs::write(&nvcc, STUB_NVCC).map_err(fail)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&nvcc, fs::Permissions::from_mode(0o755)).map_err(fail)?;
    }
    Ok(nvcc)
}

/// `PATH` with `bin` before everything else.
fn path_with(bin: &Path) -> Result<OsString, String> {
    let old = env::var_os("PATH").unwrap_or_default();
    env::join_paths(std::iter::once(bin.to_path_buf()).chain(env::split_paths(&old)))
        .map_err(|error| format!("cannot put {} into PATH: {error}", bin.display()))
}
