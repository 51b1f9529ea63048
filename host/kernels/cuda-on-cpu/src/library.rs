//! The kernels of a `.cu` file as functions of this process: a C++ compiler builds the file
//! unchanged against `host_shim.h`.
#![allow(unsafe_code)]

use libloading::Library;
use progtune_kernels::cuda::Launch;
use std::{
    collections::BTreeMap,
    ffi::{CStr, OsString, c_char, c_void},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

/// `shim::Launch` of the shim.
#[repr(C)]
struct HostLaunch {
    grid: [u32; 3],
    block: [u32; 3],
    order: u64,
}

type Entry = unsafe extern "C" fn(*const HostLaunch, *const *mut c_void, u32) -> *const c_char;

/// Optimised, so that the tests take seconds. Products and sums are not contracted, so that
/// `__fmul_rn` and its like do what they say.
const OPTIONS: &[&str] = &[
    "-std=c++17",
    "-O2",
    "-ffp-contract=off",
    "-fPIC",
    "-shared",
    "-Wno-unknown-pragmas",
];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../src")
}

/// The files with kernels.
const FILES: [&str; 13] = [
    "activation.cu",
    "adamw.cu",
    "attention.cu",
    "binary_cross_entropy.cu",
    "cross_entropy.cu",
    "dropout.cu",
    "elementwise.cu",
    "embedding.cu",
    "layer_norm.cu",
    "linear.cu",
    "loss_sum.cu",
    "mean_squared_error.cu",
    "vector.cu",
];

/// The file that declares a kernel of this name.
pub fn file_of(kernel: &str) -> Option<&'static Path> {
    let suffixes = ["_f32", "_bf16"].iter();
    let base = suffixes
        .filter_map(|suffix| Some(kernel.split_once(suffix)?.0))
        .next();
    let base = base
        .filter(|_| !kernel.starts_with("to_"))
        .unwrap_or(kernel);
    let declares = |text: &str| {
        text.contains(&format!("HOST_LAUNCH({base}_##"))
            || text.contains(&format!("HOST_LAUNCH({base})"))
    };
    let found = FILES.iter().find(|file| {
        let text = fs::read_to_string(sources().join(file));
        text.is_ok_and(|text| declares(&text))
    });
    found.map(Path::new)
}

/// Runs a kernel of `file`, a path below `src`, with the arguments at `arguments`. `order` chooses
/// the turns of threads and blocks; see the shim. Returns the message of a fault.
///
/// # Safety
/// Each argument must be the kernel's, and the memory behind pointers as large as the kernel
/// expects for this launch.
pub unsafe fn launch(
    file: &Path,
    kernel: &str,
    launch: Launch,
    order: u64,
    arguments: &[*mut c_void],
) -> Result<(), String> {
    let given = (arguments.as_ptr(), arguments.len() as u32);
    // SAFETY: the caller's promise.
    unsafe { enter(file, kernel, launch, order, given) }
}

/// Runs a kernel as [`launch`] does, with as many arguments as it has. `cuLaunchKernel` does not
/// know their number either.
///
/// # Safety
/// As for [`launch`], and no argument may be missing.
pub unsafe fn launch_any(
    file: &Path,
    kernel: &str,
    launch: Launch,
    arguments: *const *mut c_void,
) -> Result<(), String> {
    // SAFETY: the caller's promise.
    unsafe { enter(file, kernel, launch, 0, (arguments, ANY_NUMBER)) }
}

/// `shim::ANY_NUMBER`.
const ANY_NUMBER: u32 = u32::MAX;

unsafe fn enter(
    file: &Path,
    kernel: &str,
    launch: Launch,
    order: u64,
    (arguments, count): (*const *mut c_void, u32),
) -> Result<(), String> {
    let library = opened(file);
    let name = format!("host_launch_{kernel}");
    // SAFETY: the macro HOST_LAUNCH of the shim declares every `host_launch_` with this type.
    let entry = unsafe { library.get::<Entry>(name.as_bytes()) };
    let entry = entry.unwrap_or_else(|error| panic!("{} has no {name}: {error}", file.display()));
    let at = HostLaunch {
        grid: launch.grid,
        block: launch.block,
        order,
    };
    // SAFETY: `at` and the arguments live until the call returns; the rest is the caller's promise.
    let fault = unsafe { entry(&at, arguments, count) };
    if fault.is_null() {
        return Ok(());
    }
    // SAFETY: a fault is a string of the library with a 0 at its end. It lasts until this thread
    // launches again.
    Err(unsafe { CStr::from_ptr(fault) }
        .to_string_lossy()
        .into_owned())
}

/// The library of a file, compiled and opened at the first call.
fn opened(file: &Path) -> &'static Library {
    static LIBRARIES: Mutex<BTreeMap<PathBuf, &'static Library>> = Mutex::new(BTreeMap::new());
    // A test that failed while it compiled leaves the map as it was.
    let mut libraries = LIBRARIES
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    if let Some(library) = libraries.get(file) {
        return library;
    }
    let path = compile(file);
    // SAFETY: the library is made of this crate's sources and has no initialiser but those of the
    // C++ run time. It is never closed.
    let library = unsafe { Library::new(path.as_path()) };
    let library = library.unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()));
    let library: &'static Library = Box::leak(Box::new(library));
    libraries.insert(file.to_path_buf(), library);
    library
}

/// The folder of compiled kernels, beside the test program.
fn folder() -> PathBuf {
    let program = std::env::current_exe().expect("the test program has a path");
    let folder = program.parent().expect("the test program is in a folder");
    folder.join("cuda_kernels")
}

/// Compiles a file into a library beside the test program. It is kept there under a
/// hash of everything it is made of.
fn compile(file: &Path) -> PathBuf {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let folder = folder();
    fs::create_dir_all(&folder).expect("the tests' folder can be made");
    let stem = file
        .file_stem()
        .expect("a file has a name")
        .to_string_lossy();
    let library = folder.join(format!("{stem}-{:016x}.so", key(file, &compiler)));
    if library.exists() {
        return library;
    }
    let part = folder.join(format!("{stem}-{}.part", std::process::id()));
    let output = Command::new(&compiler)
        .args(OPTIONS)
        .arg("-I")
        .arg(sources())
        .args(["-x", "c++"])
        .arg(sources().join(file))
        .arg("-o")
        .arg(&part)
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "the tests of the CUDA kernels need a C++17 compiler, and {compiler:?} does not start: {error}\n\
                 Install one (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++), or name it in CXX."
            )
        });
    assert!(
        output.status.success(),
        "{compiler:?} does not compile {}:\n{}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    fs::rename(&part, &library).expect("the compiled library can be renamed");
    library
}

/// A hash of the compiler's name, its options, the file, and the headers.
fn key(file: &Path, compiler: &OsString) -> u64 {
    let mut hasher = DefaultHasher::new();
    (compiler, OPTIONS).hash(&mut hasher);
    let mut read = |path: &Path| {
        let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, text).hash(&mut hasher);
    };
    read(&sources().join(file));
    let headers = fs::read_dir(sources().join("cuda")).expect("src/cuda can be listed");
    let mut headers: Vec<PathBuf> = headers
        .map(|entry| entry.expect("an entry").path())
        .collect();
    headers.retain(|path| path.extension().is_some_and(|e| e == "cuh" || e == "h"));
    headers.sort();
    headers.iter().for_each(|path| read(path));
    hasher.finish()
}
