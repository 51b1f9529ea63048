//! From a file to a root module.
//!
//! Called by `plugins`, once for each library that a run uses, and by the child process that tries one. The steps: read the
//! bytes once; compare their manifest with the one that was listed; write them to a private file named by their hash
//! (overwriting a loaded library in place would kill this process, a rebuild must not) and read that back; try what is
//! unknown in a child process (`probe`); open it; check the layout of every type of the interface, in the one direction or,
//! for an older plugin, in the other; compare the manifest in memory with the file's. A library stays loaded for the life of
//! the process.
#![allow(unsafe_code)]

use crate::{
    cache::{Cache, PrivateCopy},
    digest::sha256_hex,
    discover::Library,
    fault::{PluginFault, printable},
    isolation::{Launch, Limits, Server},
    manifest,
    probe::{Probe, Trial, Tried},
};
use abi_stable::{
    StableAbi,
    abi_stability::check_layout_compatibility,
    library::{AbiHeaderRef, LibHeader, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL},
};
use progtune_plugin_api::{manifest::ABI_MAJOR, root::PluginModule_Ref};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// The libraries of this process by hash.
static LOADED: LazyLock<Mutex<BTreeMap<String, PluginModule_Ref>>> = LazyLock::new(Mutex::default);

/// A library that can be called: in this process or in one of its own.
pub(crate) enum Loaded {
    /// Its root module.
    Here(PluginModule_Ref),
    /// Who calls it.
    There(Arc<Server>),
}

/// What is done with a library before it is opened, and where that happens.
pub(crate) struct Terms<'a> {
    /// Where private copies and verdicts are.
    pub(crate) cache: &'a Cache,
    /// Who tries it; `None`: nobody.
    pub(crate) probe: Option<&'a Probe>,
    /// What is tried, unless it has passed already.
    pub(crate) trials: &'a [Trial],
    /// The program that serves it in a process of its own, and what that one may use; `None`: it is opened here.
    pub(crate) isolated: Option<(&'a Path, Limits)>,
}

/// Loads a library, or finds it loaded. Before it is opened, its trials have passed in a child process, now or earlier.
///
/// # Errors
/// [`PluginFault::Load`]: what was expected of the file, what was found, what to do.
pub(crate) fn load(library: &Arc<Library>, terms: &Terms<'_>) -> Result<Loaded, PluginFault> {
    let fault = |reason: String| PluginFault::load(&library.file, printable(&reason));
    let (bytes, hash) = checked(library).map_err(&fault)?;
    let unknown: Vec<&Trial> = match terms.probe {
        Some(_) => terms
            .trials
            .iter()
            .filter(|trial| terms.cache.verdict(&hash, trial) != Some(Tried::Passed))
            .collect(),
        None => vec![],
    };
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = loaded.get(&hash).copied();
    if let (Some(module), true, None) = (known, unknown.is_empty(), terms.isolated) {
        return Ok(Loaded::Here(module));
    }
    let copy = private_copy(terms.cache, &bytes, &hash).map_err(&fault)?;
    for trial in unknown {
        if let Some(probe) = terms.probe {
            probe
                .run(&copy.path, &hash, trial, terms.cache)
                .map_err(&fault)?;
        }
    }
    if let Some((executable, limits)) = terms.isolated {
        drop(loaded);
        let server = Server::of(Launch {
            executable: executable.into(),
            limits,
            library: Private {
                library: Arc::clone(library),
                hash,
                cache: terms.cache.clone(),
                first: Mutex::new(Some(copy)),
            },
        });
        return server.map(Loaded::There).map_err(fault);
    }
    if let Some(module) = known {
        return Ok(Loaded::Here(module));
    }
    let module = root(&copy.path, &library.manifest.json, &|_| ()).map_err(fault)?;
    if !library.manifest.unwinds {
        tracing::warn!("{library} is built with panic=abort: a panic in it ends the program");
    }
    tracing::debug!("loaded {library}, sha256 {hash}");
    loaded.insert(hash, module);
    Ok(Loaded::Here(module))
}

/// The bytes of a library as it was listed, and their hash.
fn checked(library: &Library) -> Result<(Vec<u8>, String), String> {
    let bytes = fs::read(&library.file).map_err(|error| format!("cannot be read: {error}"))?;
    let listed = manifest::read(bytes.as_slice()).map_err(|why| why.to_string())?;
    let hash = sha256_hex(&bytes);
    match listed == library.manifest && library.sha256_or(&hash) == hash {
        true => Ok((bytes, hash)),
        false => Err("the file has changed since it was listed; start again".into()),
    }
}

fn private_copy(cache: &Cache, bytes: &[u8], hash: &str) -> Result<PrivateCopy, String> {
    cache
        .copy(bytes, hash)
        .map_err(|error| format!("no private copy of it could be written: {error}"))
}

/// A library of which private copies are made as they are needed.
pub(crate) struct Private {
    library: Arc<Library>,
    hash: String,
    cache: Cache,
    /// The first one, made already.
    first: Mutex<Option<PrivateCopy>>,
}

impl Private {
    /// A copy. It may be a temporary one, which goes when it is dropped.
    pub(crate) fn copy(&self) -> Result<PrivateCopy, String> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copy) = first.take() {
            return Ok(copy);
        }
        let (bytes, hash) = checked(&self.library)?;
        private_copy(&self.cache, &bytes, &hash)
    }

    /// The hash of its bytes.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// The manifest as it was listed.
    pub(crate) fn manifest(&self) -> &str {
        &self.library.manifest.json
    }
}

impl std::fmt::Display for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.library.fmt(f)
    }
}

/// Opens a private copy and checks its types and its manifest, whose text was listed. `stage` is told what comes next.
pub(crate) fn root(
    copy: &Path,
    listed: &str,
    stage: &dyn Fn(&str),
) -> Result<PluginModule_Ref, String> {
    stage("when it was opened, which runs its constructors");
    let header = open(copy)?;
    stage("when its root module was checked");
    let module = root_module(header)?;
    stage("when it was asked for its manifest");
    match module.manifest()().as_str() == listed {
        true => Ok(module),
        false => Err(
            "the manifest in its section is not the one in its code: build the plugin again".into(),
        ),
    }
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
    let before = innermost.split("Layout of expected type").next();
    let names = before.unwrap_or_default().lines().filter_map(|line| {
        let line = line.trim();
        let name = line
            .strip_prefix("type:")
            .or_else(|| line.strip_prefix("field_name:"))?;
        let name = name.split(['<', ' ']).next().unwrap_or(name);
        Some(name.strip_suffix("_TO").unwrap_or(name))
    });
    // What abi_stable puts between our own types says nothing to anyone.
    let plumbing = |name: &&str| {
        name.bytes().all(|byte| byte.is_ascii_digit())
            || name.starts_with("__")
            || name.starts_with("field_")
            || [
                "AFunctionPointer",
                "PrefixRef",
                "RObject",
                "RResult",
                "VTable",
                "obj",
                "vtable",
            ]
            .contains(name)
    };
    let path: Vec<&str> = names.filter(|name| !plumbing(name)).collect();
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
