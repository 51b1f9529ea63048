//! Compiles the CUDA kernels with nvcc if the feature `cuda` is on; does nothing otherwise.
//!
//! Each `.cu` file becomes one image with machine code for Ampere, Ada and Hopper, and PTX, which
//! the driver compiles for later cards. nvcc is `NVCC`, or `CUDA_HOME/bin/nvcc`, or nvcc in `PATH`.

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

/// Ampere, Ada and Hopper; `cargo xtask check-kernels` lists their registers.
const CARDS: [&str; 3] = ["80", "89", "90"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    println!("cargo::rerun-if-changed=src");
    for variable in ["NVCC", "CUDA_HOME"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let files = sources();
    // One nvcc uses one core most of the time.
    let at_a_time = thread::available_parallelism().map_or(1, usize::from);
    for files in files.chunks(at_a_time) {
        thread::scope(|scope| {
            for file in files {
                scope.spawn(|| compile(file, &out.join(name_of(file)).with_extension("fatbin")));
            }
        });
    }
    let mut text = String::from("const IMAGES: &[(&str, &[u8])] = &[\n");
    for file in &files {
        let name = name_of(file);
        writeln!(text, "    (\"{name}\", include_bytes!(\"{name}.fatbin\")),")
            .expect("a text can be written to");
    }
    text.push_str("];\n");
    let images = out.join("images.rs");
    fs::write(&images, text).unwrap_or_else(|error| panic!("{}: {error}", images.display()));
}

fn name_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// Every `.cu` file, in alphabetical order.
fn sources() -> Vec<PathBuf> {
    let entries = fs::read_dir("src").unwrap_or_else(|error| panic!("src: {error}"));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry of src").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cu"))
        .collect();
    files.sort();
    files
}

fn nvcc() -> PathBuf {
    if let Some(nvcc) = env::var_os("NVCC") {
        return nvcc.into();
    }
    let home = env::var_os("CUDA_HOME").map(PathBuf::from);
    home.map_or_else(|| "nvcc".into(), |home| home.join("bin/nvcc"))
}

fn compile(file: &Path, image: &Path) {
    let mut command = Command::new(nvcc());
    command.args(["-fatbin", "-O3", "-std=c++17", "-I", "src"]);
    for card in CARDS {
        command.arg(format!("-gencode=arch=compute_{card},code=sm_{card}"));
    }
    let ptx = CARDS[0];
    command.arg(format!("-gencode=arch=compute_{ptx},code=compute_{ptx}"));
    let output = command.arg("-o").arg(image).arg(file).output();
    let output = output.unwrap_or_else(|error| {
        panic!(
            "the feature cuda needs nvcc, and {:?} does not start: {error}; \
             `cargo xtask build-cuda` fetches a toolkit and builds with it",
            nvcc()
        )
    });
    assert!(
        output.status.success(),
        "nvcc does not compile {}:\n{}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}
