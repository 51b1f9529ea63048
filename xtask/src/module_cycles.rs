//! `cargo xtask module-cycles` finds the modules of a crate that import each other in a circle.
//! Called by `main` and by `tidy`.
//!
//! The rule applies to the modules that one module declares: the imports among them form no cycle.
//! A module includes everything below it. For example, `crate::model::head` naming `crate::graph`
//! is an edge from `model` to `graph`. If it names `crate::model::loss`, that is an edge from
//! `head` to `loss` among the modules of `model`. A child may name its parent's items, and a parent
//! its children's, because Rust's folders work that way. Code for tests does not count.

mod paths;

use paths::{Place, named_in, use_tree, without_tests};
use quote::ToTokens;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A path of module or item names from the crate's root.
type Names = Vec<String>;

/// The names that modules use from each other: the two modules, and each use as `a::b names c::D`.
type Edges = BTreeMap<(String, String), Vec<String>>;

/// The modules of one crate, and the paths that they name.
#[derive(Default)]
struct Crate {
    /// Every module with the paths it names, from the crate's root.
    named: BTreeMap<Names, BTreeSet<Names>>,
    /// The new names that a module's `use` declarations introduce: the path of the name, and the
    /// path for which it stands.
    renamed: BTreeMap<Names, Names>,
}

/// Checks every crate of the workspace. With `--imports` it prints the imports among modules, for
/// all crates or for those in the named folders.
///
/// # Errors
/// The cycles, or a file that cannot be read.
pub(crate) fn run(root: &Path, further: &[String]) -> Result<(), String> {
    if let Some((first, wanted)) = further.split_first()
        && first == "--imports"
    {
        for file in crate_roots(root)? {
            let place = file.strip_prefix(root).unwrap_or(&file);
            if wanted.is_empty() || wanted.iter().any(|start| place.starts_with(start)) {
                println!("{}", place.display());
                print_imports(&parse(&file)?);
            }
        }
        return Ok(());
    }
    let found = all(root)?;
    if found.is_empty() {
        println!("no modules import each other in a circle");
        return Ok(());
    }
    Err(found.join("\n"))
}

/// The cycles of every crate of the workspace: `host/src/lib.rs: 2 modules of …`.
///
/// # Errors
/// If cargo cannot list the crates, or a file cannot be read.
pub(crate) fn all(root: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for file in crate_roots(root)? {
        let place = file.strip_prefix(root).unwrap_or(&file).display();
        let cycles = find(&file)?;
        found.extend(cycles.iter().map(|cycle| format!("{place}: {cycle}")));
    }
    Ok(found)
}

/// Prints the imports among the modules that one module declares, one line per name.
fn print_imports(parsed: &Crate) {
    for (parent, edges) in parsed.edges() {
        for ((from, to), named) in edges {
            let [from, to] = [&from, &to].map(|name| child(&parent, name).join("::"));
            for named in named {
                println!("    {from} -> {to}: {named}");
            }
        }
    }
}

/// The `lib.rs`, or else the `main.rs`, of every member of the workspace.
fn crate_roots(root: &Path) -> Result<Vec<PathBuf>, String> {
    let output = Command::new("cargo")
        .current_dir(root)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .output()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| {
        format!(
            "cargo metadata: {error}: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    })?;
    let mut roots = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let source = manifest.with_file_name("src");
        let candidates = [source.join("lib.rs"), source.join("main.rs")];
        roots.extend(candidates.into_iter().find(|file| file.is_file()));
    }
    Ok(roots)
}

/// Describes every cycle in the crate with this root file, one line each: its modules, and one
/// import per step.
///
/// # Errors
/// If a file cannot be read or is not Rust.
fn find(root_file: &Path) -> Result<Vec<String>, String> {
    Ok(parse(root_file)?.cycles())
}

/// Reads the crate with this root file.
fn parse(root_file: &Path) -> Result<Crate, String> {
    let mut parsed = Crate::default();
    let folder = root_file.parent().unwrap_or(Path::new("."));
    parsed.read(root_file, folder, vec![])?;
    Ok(parsed)
}

impl Crate {
    /// Reads a module's file, and the files of the modules that it declares, which are in `folder`.
    fn read(&mut self, file: &Path, folder: &Path, module: Names) -> Result<(), String> {
        let shown = file.display();
        let text = fs::read_to_string(file).map_err(|error| format!("{shown}: {error}"))?;
        let parsed = syn::parse_file(&text).map_err(|error| format!("{shown}: {error}"))?;
        let code = without_tests(parsed.into_token_stream());
        let code = syn::parse2::<syn::File>(code).map_err(|error| format!("{shown}: {error}"))?;
        self.read_items(&code.items, folder, module)
    }

    /// Reads the items of one module.
    fn read_items(
        &mut self,
        items: &[syn::Item],
        folder: &Path,
        module: Names,
    ) -> Result<(), String> {
        self.named.entry(module.clone()).or_default();
        let mut place = Place::new(&module);
        for item in items {
            match item {
                syn::Item::Mod(declared) => place.declare(&declared.ident.to_string()),
                syn::Item::Use(import) => {
                    for (target, name) in use_tree(&import.tree.to_token_stream(), &place) {
                        place.import(&name, &target);
                    }
                }
                _ => (),
            }
        }
        for item in items {
            match item {
                syn::Item::Mod(declared) => {
                    let name = declared.ident.to_string();
                    let inner = child(&module, &name);
                    let inner_folder = folder.join(&name);
                    if let Some((_, items)) = &declared.content {
                        self.read_items(items, &inner_folder, inner)?;
                        continue;
                    }
                    let beside = folder.join(format!("{name}.rs"));
                    let inside = inner_folder.join("mod.rs");
                    let file = if beside.is_file() { beside } else { inside };
                    self.read(&file, &inner_folder, inner)?;
                }
                syn::Item::Use(import) => {
                    for (target, name) in use_tree(&import.tree.to_token_stream(), &place) {
                        self.renamed.insert(child(&module, &name), target.clone());
                        self.name(&module, target);
                    }
                }
                other => {
                    for target in named_in(other.to_token_stream(), &place) {
                        self.name(&module, target);
                    }
                }
            }
        }
        Ok(())
    }

    fn name(&mut self, module: &Names, target: Names) {
        self.named.entry(module.clone()).or_default().insert(target);
    }

    /// The module to which a path leads through re-exports: `crate::Error` is in `error` if the
    /// root says `pub use error::Error`.
    fn module_of(&self, path: &Names) -> Names {
        let mut path = path.clone();
        // A re-export of a re-export is followed. The bound only stops a circle of names.
        for _ in 0..16 {
            let known = (0..=path.len())
                .rev()
                .find(|&n| self.named.contains_key(&path[..n]));
            let depth = known.unwrap_or(0);
            if depth == path.len() {
                break;
            }
            match self.renamed.get(&path[..=depth]) {
                Some(target) if target != &path[..=depth] => {
                    path = target.iter().chain(&path[depth + 1..]).cloned().collect();
                }
                _ => {
                    path.truncate(depth);
                    break;
                }
            }
        }
        path
    }

    /// The edges among the modules that one module declares, by that module.
    fn edges(&self) -> BTreeMap<Names, Edges> {
        let mut levels: BTreeMap<Names, Edges> = BTreeMap::new();
        for (module, targets) in &self.named {
            for target in targets {
                let leads_to = self.module_of(target);
                let shared = module
                    .iter()
                    .zip(&leads_to)
                    .take_while(|(a, b)| a == b)
                    .count();
                let (Some(from), Some(to)) = (module.get(shared), leads_to.get(shared)) else {
                    continue;
                };
                let example = format!("{} names {}", module.join("::"), target.join("::"));
                let level = levels.entry(module[..shared].to_vec()).or_default();
                let named = level.entry((from.clone(), to.clone())).or_default();
                named.push(example);
            }
        }
        levels
    }

    fn cycles(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (parent, edges) in self.edges() {
            for group in circles(&edges) {
                let inside =
                    |(from, to): &(String, String)| group.contains(from) && group.contains(to);
                let steps: Vec<&str> = edges
                    .iter()
                    .filter(|(edge, _)| inside(edge))
                    .filter_map(|(_, named)| named.first().map(String::as_str))
                    .collect();
                let names: Vec<&str> = group.iter().map(String::as_str).collect();
                let place = if parent.is_empty() {
                    "the crate's root".into()
                } else {
                    parent.join("::")
                };
                found.push(format!(
                    "{} modules of {place} import each other in a circle: {}\n    {}",
                    group.len(),
                    names.join(", "),
                    steps.join("\n    ")
                ));
            }
        }
        found
    }
}

/// The groups of more than one module in which each reaches every other.
fn circles(edges: &Edges) -> Vec<BTreeSet<String>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        next.entry(from).or_default().push(to);
    }
    let reach = |start: &str| -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            for &to in next.get(at).into_iter().flatten() {
                if seen.insert(to.to_owned()) {
                    open.push(to);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<String>> =
        next.keys().map(|&at| (at, reach(at))).collect();
    let mut groups: Vec<BTreeSet<String>> = Vec::new();
    for (&at, mine) in &reached {
        let back = |other: &&String| {
            reached
                .get(other.as_str())
                .is_some_and(|set| set.contains(at))
        };
        let group: BTreeSet<String> = mine.iter().filter(back).cloned().collect();
        if group.len() > 1 && !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

fn child(module: &[String], name: &str) -> Names {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

#[cfg(test)]
mod tests;
