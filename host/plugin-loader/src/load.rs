//! From a file to a root module.
//!
//! Called by `plugins`, once for each library that a run uses. The steps: read the bytes once; compare their manifest with the one
//! that was listed; write them to a private file named by their hash (overwriting a loaded library in place would kill this
//! process, a rebuild must not) and read that back; try what is unknown in a child process (`probe`); open it (`open`); check the
//! layout of every type of the interface, in the one direction or, for an older plugin, in the other; compare the manifest in
//! memory with the file's. A library stays loaded for the life of the process.

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
