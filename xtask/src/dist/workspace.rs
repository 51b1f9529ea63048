//! The description of the workspace by `cargo metadata` and `rustc`: version, target, built
//! packages, and the crates linked into them. Called by `dist`, its `licences`, and `check_dist`.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace as cargo resolves it for this machine's target.
pub(crate) struct Workspace {
    metadata: Value,
    triple: String,
    /// The version of rustc, such as `1.95.0`, which is also that of its standard library.
    pub(crate) rust_version: String,
    /// The directory of rustc and its standard library.
    pub(crate) sysroot: PathBuf,
}

/// Cargo in the repository: the one that runs this task.
pub(super) fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

impl Workspace {
    /// Asks rustc and cargo.
    pub(crate) fn read(root: &Path, features: &[&str]) -> Result<Self, String> {
        let rustc = |arguments: &[&str]| {
            let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
            let text = super::succeed(rustc.current_dir(root).args(arguments))?;
            Ok::<_, String>(String::from_utf8_lossy(&text).into_owned())
        };
        let about = rustc(&["-vV"])?;
        let line = |name: &str| {
            let found = about.lines().find_map(|line| line.strip_prefix(name));
            let found = found.map(|value| value.trim().to_owned());
            found.ok_or(format!("rustc -vV: there is no line `{name}`"))
        };
        let triple = line("host:")?;
        let metadata = super::succeed(
            cargo(root)
                .args(["metadata", "--format-version", "1", "--locked"])
                .args(["--filter-platform", &triple])
                .args(features.iter().flat_map(|feature| ["--features", feature])),
        )?;
        Ok(Self {
            metadata: serde_json::from_slice(&metadata)
                .map_err(|error| format!("cargo metadata: {error}"))?,
            triple,
            rust_version: line("release:")?,
            sysroot: PathBuf::from(rustc(&["--print", "sysroot"])?.trim()),
        })
    }

    /// `progtune-VERSION-TRIPLE`: the archive's name and its top directory.
    pub(crate) fn archive_name(&self) -> String {
        let host = self
            .default_members()
            .find(|package| package["name"] == "progtune");
        let version = host
            .and_then(|host| host["version"].as_str())
            .unwrap_or_default();
        format!("progtune-{version}-{}", self.triple)
    }

    /// Cargo's target directory.
    pub(crate) fn target_directory(&self) -> PathBuf {
        PathBuf::from(text(&self.metadata["target_directory"]))
    }

    /// The names of the plugins' libraries, without `lib` and `.so`.
    pub(crate) fn libraries(&self) -> Vec<String> {
        let targets = self
            .default_members()
            .flat_map(|package| list(&package["targets"]));
        let libraries = targets.filter(|target| list(&target["kind"]).any(|kind| kind == "cdylib"));
        libraries
            .map(|target| text(&target["name"]).replace('-', "_"))
            .collect()
    }

    /// The directories with the sources of external packages.
    pub(super) fn package_places(&self) -> BTreeSet<PathBuf> {
        let elsewhere =
            list(&self.metadata["packages"]).filter(|package| !package["source"].is_null());
        let places = elsewhere.map(|package| {
            Path::new(text(&package["manifest_path"]))
                .ancestors()
                .nth(2)
        });
        places.flatten().map(Path::to_owned).collect()
    }

    /// The external packages that are part of the program or a plugin, by name and version. They
    /// are the direct and indirect dependencies of the default members, without those that only
    /// builds or tests need.
    pub(super) fn linked(&self) -> Vec<&Value> {
        let nodes: BTreeMap<&str, &Value> = list(&self.metadata["resolve"]["nodes"])
            .map(|node| (text(&node["id"]), node))
            .collect();
        let mut open: Vec<&str> = list(&self.metadata["workspace_default_members"])
            .map(text)
            .collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let dependencies = nodes
                .get(id)
                .into_iter()
                .flat_map(|node| list(&node["deps"]));
            open.extend(
                dependencies
                    .filter(|dep| is_normal(dep))
                    .map(|dep| text(&dep["pkg"])),
            );
        }
        let packages = list(&self.metadata["packages"]);
        let mut linked: Vec<&Value> = packages
            .filter(|package| seen.contains(text(&package["id"])) && !package["source"].is_null())
            .collect();
        linked.sort_by_key(|package| (text(&package["name"]), text(&package["version"])));
        linked
    }

    fn default_members(&self) -> impl Iterator<Item = &Value> {
        let ids: Vec<&Value> = list(&self.metadata["workspace_default_members"]).collect();
        list(&self.metadata["packages"]).filter(move |package| ids.contains(&&package["id"]))
    }
}

/// Whether the dependency is needed not only by build scripts or tests.
fn is_normal(dependency: &Value) -> bool {
    list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null())
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
