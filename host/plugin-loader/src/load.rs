//! From a file to a root module. The only `unsafe` code of the plugin modules.
//!
//! Called by `bridge`, once for each library that a run uses. The steps: read the bytes once; compare their manifest with the
//! one that was listed; write them to a private file named by their hash (overwriting a loaded library in place would kill
//! this process, a rebuild must not) and read that back; open it; check the layout of every type of the interface, in the
//! one direction or, for an older plugin, in the other; compare the manifest in memory with the file's.
//! A library stays loaded for the life of the process.
#![allow(unsafe_code)]

use crate::{
    discover::Library,
    fault::{PluginFault, printable},
    manifest,
};
use abi_stable::{
    StableAbi,
    abi_stability::check_layout_compatibility,
    library::{AbiHeaderRef, LibHeader, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL},
};
use progtune_plugin_api::{manifest::ABI_MAJOR, root::PluginModule_Ref};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

/// The libraries of this process by hash.
static LOADED: LazyLock<Mutex<BTreeMap<String, PluginModule_Ref>>> = LazyLock::new(Mutex::default);

/// How long a private copy is kept at least.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Loads a library, or finds it loaded.
///
/// # Errors
/// [`PluginFault::Load`]: what was expected of the file, what was found, what to do.
pub fn load(library: &Library) -> Result<PluginModule_Ref, PluginFault> {
    let fault = |reason: String| PluginFault::load(&library.file, printable(&reason));
    let bytes =
        fs::read(&library.file).map_err(|error| fault(format!("cannot be read: {error}")))?;
    let listed = manifest::read(bytes.as_slice()).map_err(|why| fault(why.to_string()))?;
    let hash = sha256_hex(&bytes);
    if listed != library.manifest || library.sha256_or(&hash) != hash {
        return Err(fault(
            "the file has changed since it was listed; start again".into(),
        ));
    }
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = loaded.get(&hash) {
        return Ok(*module);
    }
    let copy = private_copy(&bytes, &hash)
        .map_err(|error| fault(format!("no private copy of it could be written: {error}")))?;
    let module = open(&copy).and_then(root_module).map_err(fault)?;
    if module.manifest()().as_str() != library.manifest.json {
        return Err(fault(
            "the manifest in its section is not the one in its code: build the plugin again".into(),
        ));
    }
    if !library.manifest.unwinds {
        tracing::warn!("{library} is built with panic=abort: a panic in it ends the program");
    }
    tracing::debug!("loaded {library}, sha256 {hash}");
    loaded.insert(hash, module);
    Ok(module)
}

/// The SHA-256 in hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Writes the bytes to the user's cache, or to a temporary directory where that cannot be, and checks them there.
fn private_copy(bytes: &[u8], hash: &str) -> io::Result<PathBuf> {
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache =
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    let cached = cache.map(|cache| copy_into(&cache.join("progtune/plugins"), bytes, hash));
    match cached {
        Some(Ok(copy)) => Ok(copy),
        // A new directory of ours alone; it stays as long as the library does, which is for good.
        _ => copy_into(
            &tempfile::Builder::new()
                .prefix("progtune-plugins-")
                .tempdir()?
                .keep(),
            bytes,
            hash,
        ),
    }
}

fn copy_into(directory: &Path, bytes: &[u8], hash: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    restrict(directory, 0o700)?;
    let copy = directory.join(format!("{hash}{}", env::consts::DLL_SUFFIX));
    // A file of this name with these bytes is this library, whoever wrote it (nobody else can write to it any more).
    let is_ours = restrict(&copy, 0o500).is_ok();
    if is_ours && fs::read(&copy).is_ok_and(|found| found == bytes) {
        return Ok(copy);
    }
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&copy).map_err(|error| error.error)?;
    prune(directory);
    restrict(&copy, 0o500)?;
    match fs::read(&copy)? == bytes {
        true => Ok(copy),
        false => Err(io::Error::other(format!(
            "{} does not hold what was written",
            copy.display()
        ))),
    }
}

/// Removes the copies of earlier builds, so that a cache does not grow with every rebuild. Whoever has one loaded keeps it;
/// whoever needs one again writes it again.
fn prune(directory: &Path) {
    let old = |file: &fs::DirEntry| {
        let written = file
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok();
        written
            .and_then(|time| time.elapsed().ok())
            .is_some_and(|age| age > KEPT)
    };
    for file in fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(old)
    {
        let _ = fs::remove_file(file.path());
    }
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // Fails when the file is another user's: then the next place is tried.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn restrict(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Opens the library, runs its initialisers, and finds the header of its root module.
fn open(file: &Path) -> Result<&'static LibHeader, String> {
    #[cfg(unix)]
    let library = {
        use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
        // SAFETY: initialisers run here and may do anything: plugins are not sandboxed, the documentation says so.
        // What can be checked beforehand (format, hash, manifest) has been.
        unsafe { Library::open(Some(file), RTLD_NOW | RTLD_LOCAL) }
    };
    #[cfg(not(unix))]
    // SAFETY: as above.
    let library = unsafe { libloading::Library::new(file) };
    let library =
        library.map_err(|error| format!("the system cannot load it: {}", with_sources(&error)))?;
    // Never unloaded: its code, its tables and what it allocated stay valid for every later use.
    let library = Box::leak(Box::new(library));
    // SAFETY: a library with our manifest section exports an abi_stable header under this name; `upgrade` checks its
    // magic bytes and abi_stable's version before anything else of it is read.
    let header =
        unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) };
    let header: AbiHeaderRef = *header
        .map_err(|_| "it does not export the root module that export_plugin! writes".to_string())?;
    header.upgrade().map_err(|_| {
        "it is built with another version of abi_stable; expected 0.11: build it again".into()
    })
}

/// Checks the layout of the interface's types and initialises the root module.
fn root_module(header: &'static LibHeader) -> Result<PluginModule_Ref, String> {
    let newer_or_same = match header.init_root_module::<PluginModule_Ref>() {
        Ok(module) => return Ok(module),
        Err(LibraryError::AbiInstability(error)) => error.to_string(),
        Err(LibraryError::IncompatibleVersionNumber {
            expected_version,
            actual_version,
            ..
        }) => {
            return Err(format!(
                "it is built for version {actual_version} of the plugin interface; this program speaks {expected_version}"
            ));
        }
        Err(error) => {
            return Err(format!(
                "its root module does not start: {}",
                first_lines(&error.to_string())
            ));
        }
    };
    // abi_stable wants the plugin to have at least our fields; an older 1.x has fewer. Ask the other way round.
    let layout = header
        .layout()
        .ok_or("it is built without layout information")?;
    match check_layout_compatibility(layout, <PluginModule_Ref as StableAbi>::LAYOUT).into_result()
    {
        // SAFETY: every type that the plugin knows was compared with ours and agrees; what it lacks are trailing members of
        // prefix types (functions, trait methods), whose absence the accessors and default bodies check at run time.
        Ok(()) => unsafe { header.init_root_module_with_unchecked_layout::<PluginModule_Ref>() }
            .map_err(|error| {
                format!(
                    "its root module does not start: {}",
                    first_lines(&error.to_string())
                )
            }),
        Err(_) => Err(format!(
            "its types are not those of the plugin interface ({}): build it against progtune-plugin-api {ABI_MAJOR}.x",
            layout_error(&newer_or_same)
        )),
    }
}

/// The innermost path of types and the errors there, of abi_stable's text of 5 to 40 kB.
fn layout_error(text: &str) -> String {
    let innermost = text.rsplit("error(s)inside:").next().unwrap_or(text);
    let path = innermost
        .split("Layout of expected type")
        .next()
        .unwrap_or_default()
        .lines()
        .filter_map(|line| {
            let line = line.trim();
            line.strip_prefix("type:")
                .or_else(|| line.strip_prefix("field_name:"))
                .filter(|name| name.len() > 1)
        });
    let path: Vec<&str> = path.collect();
    let errors: Vec<String> = innermost
        .split("\nError:")
        .skip(1)
        .map(first_lines)
        .collect();
    printable(&format!("at {}: {}", path.join(" > "), errors.join("; ")))
        .chars()
        .take(600)
        .collect()
}

fn first_lines(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .take(6)
        .collect();
    lines.join(" ")
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let causes =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}
