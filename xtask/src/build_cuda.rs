//! `cargo xtask build-cuda`: builds progtune with real CUDA kernels on a machine without a GPU, and
//! checks what can be checked there. Called by `main`, `dist --cuda` and `.ci/run`.
//!
//! The toolkit comes from `tools/fetch_cuda.sh`. CUDA's libraries are replaced by archives that
//! open them at the first call ([`delay_load`]), so that one program serves machines with and
//! without a GPU. The build has a target folder of its own, because candle is another one there.

mod delay_load;

use crate::arguments::{Arguments, Others};
use delay_load::{Library, write_archive};
use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

const HELP: &str = "\
cargo xtask build-cuda [--toolkit DIR] [--profile NAME]
  --toolkit DIR   directory of the CUDA toolkit; it is fetched if it is not there (target/cuda-toolkit)
  --profile NAME  profile of the build (release)
The program and its plugins are then in target/cuda/PROFILE.
";

/// The oldest GPUs that are supported: Ampere, which has bf16. For newer ones the driver compiles
/// candle's PTX, while progtune's own kernels are built for each (`host/kernels/build.rs`).
const COMPUTE_CAP: &str = "80";

const LIBRARIES: [Library; 4] = [
    Library {
        name: "cuda",
        files: &["libcuda.so.1"],
        symbols: include_str!("../build_cuda/cuda.symbols"),
        absent: 34, // CUDA_ERROR_STUB_LIBRARY
    },
    Library {
        name: "cublas",
        files: &["libcublas.so.13", "libcublas.so.12"],
        symbols: include_str!("../build_cuda/cublas.symbols"),
        absent: 1, // CUBLAS_STATUS_NOT_INITIALIZED
    },
    Library {
        name: "cublasLt",
        files: &["libcublasLt.so.13", "libcublasLt.so.12"],
        symbols: include_str!("../build_cuda/cublasLt.symbols"),
        absent: 1, // the same
    },
    Library {
        name: "curand",
        files: &["libcurand.so.10"],
        symbols: include_str!("../build_cuda/curand.symbols"),
        absent: 203, // CURAND_STATUS_INITIALIZATION_FAILED
    },
];

/// A library that cudarc names to the linker and of which nothing is called.
const UNUSED: [&str; 1] = ["nvrtc"];

/// The libraries that the program may need to start, which every Linux has.
const ALLOWED: [&str; 6] = [
    "linux-vdso",
    "libstdc++",
    "libgcc_s",
    "libm.so",
    "libc.so",
    "ld-linux",
];

/// nvcc without paths of this machine, and without the ten kernels that multiply quantised matrices
/// (40 CPU seconds and 3 MB each): progtune never calls them, and they become empty functions.
const NVCC: &str = r#"#!/bin/bash
# Written by `cargo xtask build-cuda`.
args=("$@"); last=${args[-1]}
if [[ $last == *mmq_instance_*.cu ]]; then
    type=$(basename "$last" .cu); type=${type#mmq_instance_}
    source=$(mktemp --suffix=.cu); trap 'rm -f "$source"' EXIT
    echo "extern \"C\" void launch_mmq_gguf_$type() {}" >"$source"
    args[-1]=$source
fi
home=$(dirname "$0"); home=${home%/bin}
# The names of files in assertions must not be those of the machine that builds.
for known in "$home=/cuda" "$OUT_DIR=/target" "$CARGO_MANIFEST_DIR=/crates/$CARGO_PKG_NAME"; do
    args=("-Xcompiler=-ffile-prefix-map=$known" "${args[@]}")
done
"$home/bin/nvcc" "${args[@]}"
"#;

/// Runs the task.
///
/// # Errors
/// If the toolkit cannot be fetched, the build fails, or the program does not behave as it should
/// on a machine without a GPU.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(arguments) = Arguments::read(HELP, Others::Refused, words)? else {
        return Ok(());
    };
    let toolkit = arguments
        .path("--toolkit")
        .unwrap_or_else(|| default_toolkit(root));
    let profile = arguments.value("--profile").unwrap_or("release");
    let start = Instant::now();
    build(root, &environment(root, &toolkit)?, profile)?;
    let folder = if profile == "dev" { "debug" } else { profile };
    let program = root.join("target/cuda").join(folder).join("progtune");
    let bytes = fs::metadata(&program)
        .map_err(|error| format!("{}: {error}", program.display()))?
        .len();
    println!(
        "build-cuda: {} ({:.0} MB) after {:.0} s",
        program.display(),
        bytes as f64 / 1e6,
        start.elapsed().as_secs_f64()
    );
    check(&program)
}

/// The directory of the toolkit if no other is given.
pub(crate) fn default_toolkit(root: &Path) -> PathBuf {
    root.join("target/cuda-toolkit")
}

/// The variables with which cargo builds for CUDA. Fetches the toolkit if it is not there.
///
/// # Errors
/// If the toolkit cannot be fetched or completed.
pub(crate) fn environment(
    root: &Path,
    toolkit: &Path,
) -> Result<Vec<(&'static str, OsString)>, String> {
    let home = prepare(root, toolkit)?;
    let old = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(home.join("bin")).chain(env::split_paths(&old)));
    Ok(vec![
        ("PATH", path.map_err(|error| error.to_string())?),
        ("NVCC", home.join("bin/nvcc-few").into()),
        ("CUDA_COMPUTE_CAP", COMPUTE_CAP.into()),
        ("CUDA_PATH", home.clone().into()),
        ("CUDA_HOME", home.into()),
    ])
}

/// The terms under which CUDA's static runtime, a part of the program, may be passed on.
///
/// # Errors
/// If the toolkit lacks them.
pub(crate) fn runtime_licence(toolkit: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", toolkit.display());
    let mut entries = fs::read_dir(toolkit).map_err(failed)?.flatten();
    let package = entries.find(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("nvidia_cuda_runtime-")
    });
    let package = package.ok_or_else(|| format!("{}: has no runtime", toolkit.display()))?;
    fs::read(package.path().join("licenses/License.txt")).map_err(failed)
}

/// The toolkit's home, with the archives and the compiler that the build uses.
fn prepare(root: &Path, toolkit: &Path) -> Result<PathBuf, String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("the toolkit is for Linux on x86-64: run this there".into());
    }
    let mut fetch = Command::new(root.join("tools/fetch_cuda.sh"));
    succeed(fetch.arg(toolkit))?;
    let home = toolkit.join("nvidia/cu13");
    let home = fs::canonicalize(&home).map_err(|error| format!("{}: {error}", home.display()))?;
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    let stubs = home.join("lib/stubs");
    fs::create_dir_all(&stubs).map_err(failed(&stubs))?;
    if !home.join("lib64").exists() {
        symlink("lib", home.join("lib64")).map_err(failed(&home))?;
    }
    for library in &LIBRARIES {
        write_archive(&stubs, library)?;
    }
    for unused in UNUSED {
        let archive = stubs.join(format!("lib{unused}.a"));
        fs::write(&archive, "!<arch>\n").map_err(failed(&archive))?;
    }
    let runtime = stubs.join("libcudart.a");
    fs::copy(home.join("lib/libcudart_static.a"), &runtime).map_err(failed(&runtime))?;
    let nvcc = home.join("bin/nvcc-few");
    // An equal file is left alone, so that nothing is built again because of its time.
    if fs::read_to_string(&nvcc).ok().as_deref() != Some(NVCC) {
        fs::write(&nvcc, NVCC).map_err(failed(&nvcc))?;
    }
    fs::set_permissions(&nvcc, fs::Permissions::from_mode(0o755)).map_err(failed(&nvcc))?;
    Ok(home)
}

/// Builds the program for CUDA, and the plugins, which are the same as for the CPU.
fn build(root: &Path, environment: &[(&str, OsString)], profile: &str) -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(root)
        .args([
            "build",
            "--locked",
            "--workspace",
            "--exclude",
            "progtune-tests",
            "--exclude",
            "xtask",
        ])
        .args(["--features", "progtune/cuda", "--profile", profile])
        .arg("--target-dir")
        .arg(root.join("target/cuda"))
        .envs(environment.iter().map(|(name, value)| (name, value)));
    succeed(&mut command)
}

/// Checks that the program starts here, names the missing driver, and needs no library of CUDA.
fn check(program: &Path) -> Result<(), String> {
    let needed = output(Command::new("ldd").arg(program))?.1;
    let foreign = needed
        .lines()
        .map(str::trim)
        .find(|line| !ALLOWED.iter().any(|name| line.contains(name)));
    if let Some(line) = foreign {
        return Err(format!("{}: needs {line}", program.display()));
    }
    println!(
        "ldd names only libraries that every Linux has:\n{}",
        needed.trim_end()
    );
    let mut train = Command::new(program);
    let (code, said) =
        output(train.args(["train", "--device", "cuda", "--output", "/nonexistent/run"]))?;
    if Path::new("/dev/nvidia0").exists() {
        println!("a GPU is here: `cargo xtask check-gpu` uses it");
        return Ok(());
    }
    if code != Some(2) || !said.contains("libcuda.so.1") || said.lines().count() != 1 {
        return Err(format!(
            "--device cuda without a driver: expected one error and exit code 2, found {code:?}: {said}"
        ));
    }
    println!("without a driver: {}", said.trim_end());
    Ok(())
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{:?}: {status}", command.get_program()))
    }
}

/// The exit code of a command, and everything that it printed.
fn output(command: &mut Command) -> Result<(Option<i32>, String), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let text = [output.stdout, output.stderr].concat();
    Ok((
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}
