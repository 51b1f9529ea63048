//! Opens a library: from a private copy to a root module whose types are those of the interface.
//! Called by `load`, and by the child processes that try or serve a library.
#![allow(unsafe_code)]

use crate::printable::printable;
use abi_stable::{
    StableAbi,
    abi_stability::check_layout_compatibility,
    library::{AbiHeaderRef, LibHeader, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL},
};
use progtune_plugin_api::{manifest::ABI_MAJOR, root::PluginModule_Ref};
use std::path::Path;

/// Opens a private copy and checks its types and its manifest, whose text was listed. `stage` is
/// called with the name of each step before it.
pub(crate) fn root(
    copy: &Path,
    listed: &str,
    stage: &dyn Fn(&str),
) -> Result<PluginModule_Ref, String> {
    stage("while opening the library, which runs its constructors");
    let header = open(copy)?;
    stage("while checking its root module");
    let module = root_module(header)?;
    stage("while asking for its manifest");
    if module.manifest()().as_str() == listed {
        Ok(module)
    } else {
        Err("the manifest in its section is not the one in its code: build the plugin again".into())
    }
}

/// Opens the library, runs its initialisers, and finds the header of its root module.
fn open(file: &Path) -> Result<&'static LibHeader, String> {
    #[cfg(unix)]
    let library = {
        use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
        // SAFETY: initialisers run here and may do anything. Plugins are not sandboxed, as the
        // documentation says. Format, hash and manifest have been checked, which is all that can be
        // checked beforehand.
        unsafe { Library::open(Some(file), RTLD_NOW | RTLD_LOCAL) }
    };
    #[cfg(not(unix))]
    // SAFETY: as above.
    let library = unsafe { libloading::Library::new(file) };
    let library = library.map_err(|error| {
        format!(
            "the system cannot load it: {}; build it again for this system",
            with_sources(&error)
        )
    })?;
    // Never unloaded: its code, its tables and its allocations stay valid for every later use.
    let library = Box::leak(Box::new(library));
    // SAFETY: a library with our manifest section exports an abi_stable header under this name.
    // `upgrade` checks its magic bytes and abi_stable's version before it reads anything else.
    let header =
        unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) };
    let header: AbiHeaderRef = *header.map_err(|_| {
        "it does not export the root module that export_plugin! writes; build it again".to_string()
    })?;
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
        Err(error) => return Err(does_not_start(&error)),
    };
    // abi_stable requires that the plugin has at least our fields. An older 1.x has fewer, so the
    // check is repeated in the other direction.
    let layout = header
        .layout()
        .ok_or("it is built without layout information")?;
    match check_layout_compatibility(layout, <PluginModule_Ref as StableAbi>::LAYOUT).into_result()
    {
        // SAFETY: every type that the plugin knows was compared with ours and agrees. It lacks only
        // trailing members of prefix types (functions, trait methods), whose absence the accessors
        // and default bodies check at run time.
        Ok(()) => unsafe { header.init_root_module_with_unchecked_layout::<PluginModule_Ref>() }
            .map_err(|error| does_not_start(&error)),
        Err(_) => Err(format!(
            "its types are not those of the plugin interface ({}); build it against progtune-plugin-api {ABI_MAJOR}.x",
            layout_error(&newer_or_same)
        )),
    }
}

/// The failure of the code that makes the root module. Of abi_stable's text only the reason is
/// kept.
fn does_not_start(error: &LibraryError) -> String {
    let reason = match error {
        LibraryError::RootModule { err, .. } => err.to_string(),
        other => other.to_string(),
    };
    format!(
        "its root module does not start: {}; get another build of the plugin, or tell its author",
        first_lines(&reason)
    )
}

/// The innermost path of types and the errors there, from abi_stable's text of 5 to 40 kB.
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
    // abi_stable's own types between ours help no reader.
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
        .map(|error| {
            let line = first_lines(error).replace(" Expected: ", ": expected ");
            line.replace(" Found: ", ", found ")
        })
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
