//! Turns a file into a root module. Called by `plugins`, once for each library that a run uses.
//!
//! The steps are:
//!
//! 1. Read the bytes once, and compare their manifest with the one that was listed.
//! 2. Write them to a private file named by their hash, and read that back. Overwriting a loaded
//!    library in place would kill this process, and a rebuild must not.
//! 3. Try an unknown library in a child process (`probe`).
//! 4. Open it (`open`).
//! 5. Check the layout of every type of the interface, in one direction or, for an older plugin, in
//!    the other.
//! 6. Compare the manifest in memory with that of the file.
//!
//! A library stays loaded for the life of the process.

use crate::{
    cache::Cache,
    discover::Library,
    fault::PluginFault,
    isolation::{Launch, Limits, Server},
    open::root,
    printable::printable,
    private::{Private, checked, private_copy},
    probe::{Probe, Trial, Tried},
};
use progtune_plugin_api::root::PluginModule_Ref;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// The libraries of this process by hash.
static LOADED: LazyLock<Mutex<BTreeMap<String, PluginModule_Ref>>> = LazyLock::new(Mutex::default);

/// A library that can be called.
pub(crate) enum Loaded {
    /// In this process: its root module.
    Here(PluginModule_Ref),
    /// In a process of its own: the server that calls it.
    There(Arc<Server>),
}

/// The conditions for opening a library, and the process that opens it.
pub(crate) struct Terms<'a> {
    /// The place of private copies and verdicts.
    pub(crate) cache: &'a Cache,
    /// The program that tries it; `None` if it is not tried.
    pub(crate) probe: Option<&'a Probe>,
    /// The trials that it must have passed.
    pub(crate) trials: &'a [Trial],
    /// The program that serves it in a process of its own, with the limits of that process; `None`
    /// to open it in this process.
    pub(crate) isolated: Option<(&'a Path, Limits)>,
}

/// Loads a library, or finds it loaded. It is opened after its trials have passed in a child
/// process, now or earlier.
///
/// # Errors
/// [`PluginFault::Load`] with the expectation, the finding, and what to do.
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
            library: Private::new(library, hash, terms.cache, copy),
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
