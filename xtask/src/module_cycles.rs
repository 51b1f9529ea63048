//! `cargo xtask module-cycles`: which modules of a crate import each other in a circle. Called by `main`.
//!
//! The rule: among the modules that one module declares, imports form no cycle; what lies below a module counts as part of it. So
//! `crate::model::head` naming `crate::graph` is an edge from `model` to `graph`, and naming `crate::model::loss` one from `head` to
//! `loss` among the modules of `model`. A child may name what its parent holds, and a parent its children: that is how Rust's
//! folders work. Code for tests only does not count.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
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

/// The modules of one crate, and what they name.
#[derive(Default)]
struct Crate {
    /// Every module with the paths it names, from the crate's root.
    named: BTreeMap<Names, BTreeSet<Names>>,
    /// What a module's `use` declarations call something else's: the path of the name, and the path it stands for.
    renamed: BTreeMap<Names, Names>,
}

/// Looks into every crate of the workspace.
///
/// # Errors
/// The cycles; or that a file cannot be read.
pub(crate) fn run(root: &Path, _further: &[String]) -> Result<(), String> {
    let mut found = Vec::new();
    for crate_root in crate_roots(root)? {
        let shown = crate_root
            .strip_prefix(root)
            .unwrap_or(&crate_root)
            .display();
        let cycles = find(&crate_root)?;
        found.extend(cycles.iter().map(|cycle| format!("{shown}: {cycle}")));
    }
    if found.is_empty() {
        println!("no modules import each other in a circle");
        return Ok(());
    }
    Err(found.join("\n"))
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

/// Describes every cycle in the crate whose root file this is, one line each: its modules, and one import per step.
///
/// # Errors
/// When a file cannot be read or is not Rust.
fn find(root_file: &Path) -> Result<Vec<String>, String> {
    let mut parsed = Crate::default();
    let folder = root_file.parent().unwrap_or(Path::new("."));
    parsed.read(root_file, folder, vec![])?;
    Ok(parsed.cycles())
}

impl Crate {
    /// Reads a module's file and the files of the modules it declares, which lie in `folder`.
    fn read(&mut self, file: &Path, folder: &Path, module: Names) -> Result<(), String> {
        let shown = file.display();
        let text = fs::read_to_string(file).map_err(|error| format!("{shown}: {error}"))?;
        let parsed = syn::parse_file(&text).map_err(|error| format!("{shown}: {error}"))?;
        self.named.entry(module.clone()).or_default();
        let declared = |item: &syn::Item| match item {
            syn::Item::Mod(module) => Some(module.ident.to_string()),
            _ => None,
        };
        let children: BTreeSet<String> = parsed.items.iter().filter_map(declared).collect();
        for item in parsed.items.iter().filter(|item| !is_for_tests(item)) {
            match item {
                syn::Item::Mod(declared) if declared.content.is_none() => {
                    let name = declared.ident.to_string();
                    let beside = folder.join(format!("{name}.rs"));
                    let inside = folder.join(&name).join("mod.rs");
                    let file = if beside.is_file() { beside } else { inside };
                    self.read(&file, &folder.join(&name), child(&module, &name))?;
                }
                syn::Item::Use(import) => {
                    let tokens = import.tree.to_token_stream();
                    for (target, name) in use_tree(&tokens, &module, &children) {
                        let visible = child(&module, &name);
                        self.renamed.insert(visible, target.clone());
                        self.name(&module, target);
                    }
                }
                other => {
                    for target in paths(other.to_token_stream(), &module) {
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

    /// The module that a path leads into, through re-exports: `crate::Error` is `error`'s where the root says `pub use error::Error`.
    fn module_of(&self, path: &Names) -> Names {
        let mut path = path.clone();
        // A re-export of a re-export is followed; the bound only stops a circle of names.
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

    /// The edges among the modules that one module declares: from, to, and an example.
    fn edges(&self) -> BTreeMap<Names, BTreeMap<(String, String), String>> {
        let mut levels: BTreeMap<Names, BTreeMap<(String, String), String>> = BTreeMap::new();
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
                level.entry((from.clone(), to.clone())).or_insert(example);
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
                    .map(|(_, example)| example.as_str())
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
fn circles(edges: &BTreeMap<(String, String), String>) -> Vec<BTreeSet<String>> {
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

/// Whether an item is behind `#[cfg(test)]`.
fn is_for_tests(item: &syn::Item) -> bool {
    let tokens = item.to_token_stream().into_iter().collect::<Vec<_>>();
    // Attributes come first; each is `#` and a group.
    tokens
        .chunks(2)
        .take_while(|pair| pair[0].to_string() == "#")
        .any(|pair| {
            let text: String = pair.iter().map(ToString::to_string).collect();
            text.replace(' ', "") == "#[cfg(test)]"
        })
}

/// Every path in the tokens that begins with `crate`, `self` or `super`, from the crate's root.
fn paths(tokens: TokenStream, module: &Names) -> Vec<Names> {
    let mut found = Vec::new();
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => found.extend(paths(group.stream(), module)),
            TokenTree::Ident(_) => {
                let end = end_of_path(&tokens, at);
                let path: TokenStream = tokens[at..end].iter().cloned().collect();
                found.extend(
                    use_tree(&path, module, &BTreeSet::new())
                        .into_iter()
                        .map(|(target, _)| target),
                );
                at = end.max(at + 1);
                continue;
            }
            _ => (),
        }
        at += 1;
    }
    found
}

/// One past the last token of `a::b::c` or `a::{…}` that begins at `at`.
fn end_of_path(tokens: &[TokenTree], at: usize) -> usize {
    let is_colon = |at: usize| tokens.get(at).is_some_and(|token| token.to_string() == ":");
    let mut end = at + 1;
    while is_colon(end) && is_colon(end + 1) {
        match tokens.get(end + 2) {
            Some(TokenTree::Ident(_)) => end += 3,
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                return end + 3;
            }
            _ => break,
        }
    }
    end
}

/// The paths of a `use` tree that begin with `crate`, `self` or `super`, from the crate's root, each with the name it gets.
fn use_tree(
    tokens: &TokenStream,
    module: &Names,
    children: &BTreeSet<String>,
) -> Vec<(Names, String)> {
    let mut found = Vec::new();
    branches(tokens, &mut vec![], &mut found);
    found
        .into_iter()
        .filter_map(|(path, name)| {
            let mut from = match path.first().map(String::as_str)? {
                "crate" => vec![],
                "self" => module.clone(),
                "super" => module[..module.len().checked_sub(1)?].to_vec(),
                // `use inner::X` of a module declared here.
                first if children.contains(first) => child(module, first),
                _ => return None,
            };
            for part in &path[1..] {
                match part.as_str() {
                    "super" => drop(from.pop()),
                    "self" => (),
                    _ => from.push(part.clone()),
                }
            }
            Some((from, name))
        })
        .collect()
}

/// Follows a `use` tree to its leaves.
fn branches(tokens: &TokenStream, before: &mut Names, found: &mut Vec<(Names, String)>) {
    let depth = before.len();
    let mut name = None;
    let mut is_rename = false;
    for token in tokens.clone() {
        match token {
            TokenTree::Ident(ident) if ident == "as" => is_rename = true,
            TokenTree::Ident(ident) if is_rename => name = Some(ident.to_string()),
            TokenTree::Ident(ident) => before.push(ident.to_string()),
            TokenTree::Group(group) => {
                let mut part = TokenStream::new();
                for inner in group.stream() {
                    if inner.to_string() == "," {
                        branches(&part, before, found);
                        part = TokenStream::new();
                    } else {
                        part.extend([inner]);
                    }
                }
                branches(&part, before, found);
                before.truncate(depth);
                return;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => (),
        }
    }
    if before.len() > depth {
        let last = before.last().cloned().unwrap_or_default();
        found.push((before.clone(), name.unwrap_or(last)));
    }
    before.truncate(depth);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cycles of a crate made of these files.
    fn cycles_of(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        find(&folder.path().join("lib.rs")).unwrap()
    }

    #[test]
    fn imports_one_way_are_no_cycle() {
        let none: Vec<String> = vec![];
        let files = [
            ("lib.rs", "mod a; mod b; pub use b::B;"),
            ("a.rs", "use crate::b::B; fn f() { crate::b::g() }"),
            (
                "b.rs",
                "pub struct B; #[cfg(test)] mod tests { use crate::a::f; }",
            ),
        ];
        assert_eq!(cycles_of(&files), none);
        // A folder and what is in it may name each other.
        let folder = [
            ("lib.rs", "mod a;"),
            ("a.rs", "mod inner; pub use inner::X; pub struct Y;"),
            ("a/inner.rs", "use super::Y; pub struct X(Y);"),
        ];
        assert_eq!(cycles_of(&folder), none);
    }

    #[test]
    fn cycles_are_found_in_every_form() {
        for (what, a, b) in [
            ("use", "use crate::b::B;", "use crate::a::A;"),
            (
                "group",
                "use crate::{b::{self, B}};",
                "use super::a::{A as C};",
            ),
            ("path", "fn f() { crate::b::g() }", "type A = crate::a::A;"),
            (
                "macro",
                "fn f() { println!(\"{}\", crate::b::g()) }",
                "use crate::a;",
            ),
            ("re-export", "use crate::B;", "use crate::a::A;"),
        ] {
            let root = "mod a; mod b; pub use b::B;";
            let found = cycles_of(&[("lib.rs", root), ("a.rs", a), ("b.rs", b)]);
            assert_eq!(found.len(), 1, "{what}: {found:?}");
            assert!(
                found[0].starts_with("2 modules of the crate's root"),
                "{found:?}"
            );
        }
        let nested = cycles_of(&[
            ("lib.rs", "mod m;"),
            ("m/mod.rs", "mod x; mod y;"),
            ("m/x.rs", "use super::y::Y;"),
            ("m/y.rs", "use crate::m::x::X;"),
        ]);
        assert_eq!(nested.len(), 1, "{nested:?}");
        assert!(nested[0].starts_with("2 modules of m import"), "{nested:?}");
    }
}
