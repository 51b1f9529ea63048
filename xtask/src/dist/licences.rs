//! The licences of the crates linked into the program and its plugins. Checks that `deny.toml`
//! allows them, and collects their texts for `licenses/` in the archive. Called by `dist`.

use super::archive::Tree;
use super::workspace::{Workspace, list, text};
use serde_json::Value;
use spdx::{Expression, LicenseId, Licensee, ParseMode};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The beginnings, in capitals, of the names of files that state the terms of a crate.
const NAMES: [&str; 6] = [
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];
/// The file in rustc's packages with the licences of the standard library's parts.
const OF_THE_STANDARD_LIBRARY: &str = "share/doc/rust/COPYRIGHT-library.html";

const INTRODUCTION: &str = "\
What progtune and its plugins are built from beside progtune's own sources (LICENSE and NOTICE above), under which licences (SPDX),
and where their texts are. Where a package has none, the licence's standard text stands for it, with the authors named here.
";

/// One crate.
struct Crate {
    name: String,
    version: String,
    /// The SPDX expression in its manifest.
    expression: String,
    authors: String,
    /// The address at which its sources are published.
    repository: String,
    /// The name and text of each file that states its terms.
    files: Vec<(String, String)>,
}

/// Adds `licenses/` with an index and every text once. Returns the number of crates.
///
/// # Errors
/// All crates without a licence that `deny.toml` allows.
pub(super) fn collect(
    workspace: &Workspace,
    root: &Path,
    tree: &mut Tree,
) -> Result<usize, String> {
    let allowed = Allowed::read(&root.join("deny.toml"))?;
    let mut crates = vec![standard_library(workspace)];
    for package in workspace.linked() {
        crates.push(Crate::read(package)?);
    }
    let (mut index, mut texts, mut refused) =
        (String::from(INTRODUCTION), Texts::default(), Vec::new());
    for each in &mut crates {
        let licences = match allowed.licences(each) {
            Ok(licences) => licences,
            Err(reason) => {
                refused.push(reason);
                continue;
            }
        };
        let has_none = each.files.is_empty();
        if has_none {
            let standard = licences
                .iter()
                .map(|id| (format!("{}.txt", id.name), id.text().to_owned()));
            each.files = standard.collect();
        }
        let names: Vec<String> = each
            .files
            .iter()
            .map(|(name, text)| texts.name(name, text))
            .collect();
        index.push_str(&format!(
            "\n{} {}: {}\n",
            each.name, each.version, each.expression
        ));
        for (what, value) in [("authors", &each.authors), ("sources", &each.repository)] {
            if !value.is_empty() {
                index.push_str(&format!("    {what}: {value}\n"));
            }
        }
        let what = if has_none { "standard text" } else { "text" };
        index.push_str(&format!("    {what}: {}\n", names.join(", ")));
    }
    if !refused.is_empty() {
        return Err(format!(
            "deny.toml does not allow the licences of linked crates; allow them there, or do without the crates\n  {}",
            refused.join("\n  ")
        ));
    }
    tree.add("licenses/index.txt", index.into_bytes());
    for (name, text) in texts.list {
        tree.add(&format!("licenses/{name}"), text.into_bytes());
    }
    Ok(crates.len())
}

/// Distinct texts, each under its own name.
#[derive(Default)]
struct Texts {
    names: HashMap<String, String>,
    list: Vec<(String, String)>,
}

impl Texts {
    /// The name of a text in `licenses/`: a number, followed by the file name under which it was
    /// found first.
    fn name(&mut self, file: &str, text: &str) -> String {
        let text = text.replace("\r\n", "\n").trim().to_owned() + "\n";
        if let Some(name) = self.names.get(&text) {
            return name.clone();
        }
        let name = format!("{:03}-{file}", self.list.len() + 1);
        self.names.insert(text.clone(), name.clone());
        self.list.push((name.clone(), text));
        name
    }
}

impl Crate {
    fn read(package: &Value) -> Result<Self, String> {
        let directory = Path::new(text(&package["manifest_path"]))
            .parent()
            .unwrap_or(Path::new(""));
        let authors: Vec<&str> = list(&package["authors"]).map(text).collect();
        let named = package["license_file"].as_str();
        Ok(Self {
            name: text(&package["name"]).into(),
            version: text(&package["version"]).into(),
            expression: text(&package["license"]).into(),
            authors: authors.join(", "),
            repository: text(&package["repository"]).into(),
            files: read_files(directory, named)
                .map_err(|error| format!("{}: {error}", directory.display()))?,
        })
    }
}

/// Rust's standard library, which is in every library and program.
fn standard_library(workspace: &Workspace) -> Crate {
    let path = workspace.sysroot.join(OF_THE_STANDARD_LIBRARY);
    // Toolchains that do not come from the Rust project may lack it.
    let file = fs::read_to_string(path).ok();
    Crate {
        name: "Rust's standard library".into(),
        version: workspace.rust_version.clone(),
        expression: "MIT OR Apache-2.0".into(),
        authors: "the Rust project's developers".into(),
        repository: String::new(),
        files: file
            .map(|text| ("COPYRIGHT-library.html".into(), text))
            .into_iter()
            .collect(),
    }
}

/// The texts in a package's directory, sorted by name.
fn read_files(directory: &Path, named: Option<&str>) -> std::io::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_text = NAMES
            .iter()
            .any(|start| name.to_uppercase().starts_with(start))
            && !name.ends_with(".rs");
        if entry.file_type()?.is_file() && (is_text || named == Some(&*name)) {
            let bytes = fs::read(entry.path())?;
            files.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    files.sort();
    Ok(files)
}

/// The licences that `deny.toml` allows.
struct Allowed {
    everyone: Vec<Licensee>,
    /// The exceptions, by crate name.
    exceptions: HashMap<String, Vec<Licensee>>,
}

impl Allowed {
    fn read(path: &Path) -> Result<Self, String> {
        let failed = |what: String| format!("{}: {what}", path.display());
        let content = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        Self::parse(&content).map_err(failed)
    }

    fn parse(content: &str) -> Result<Self, String> {
        let table: toml::Table = content.parse().map_err(|error| format!("{error}"))?;
        let licences = |value: Option<&toml::Value>| {
            let names = value
                .and_then(toml::Value::as_array)
                .ok_or("expected a list `allow` of licences")?;
            let names = names.iter().map(|name| name.as_str().unwrap_or_default());
            names
                .map(|name| {
                    Licensee::parse(name)
                        .map_err(|error| format!("licence `{name}`: {}", error.reason))
                })
                .collect::<Result<Vec<_>, String>>()
        };
        let section = table.get("licenses").ok_or("expected a table [licenses]")?;
        let mut exceptions = HashMap::new();
        for exception in section
            .get("exceptions")
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
        {
            let name = exception.get("crate").and_then(toml::Value::as_str);
            let name = name.ok_or("an exception: expected `crate`, a name")?;
            exceptions.insert(name.to_owned(), licences(exception.get("allow"))?);
        }
        Ok(Self {
            everyone: licences(section.get("allow"))?,
            exceptions,
        })
    }

    /// The allowed licences in a crate's expression, if they suffice.
    fn licences(&self, each: &Crate) -> Result<Vec<LicenseId>, String> {
        let named = format!("{} {}", each.name, each.version);
        // Older manifests use `/` for OR.
        let expression =
            Expression::parse_mode(&each.expression, ParseMode::LAX).map_err(|error| {
                format!(
                    "{named}: `{}` is not an SPDX expression: {}",
                    each.expression, error.reason
                )
            })?;
        let further = self.exceptions.get(&each.name);
        let all = || self.everyone.iter().chain(further.into_iter().flatten());
        let mut taken = Vec::new();
        let suffices = expression.evaluate(|required| {
            let allowed = all().any(|licensee| licensee.satisfies(required));
            if allowed && let Some(id) = required.license.id() {
                taken.push(id);
            }
            allowed
        });
        if suffices {
            Ok(taken)
        } else {
            Err(format!("{named}: {}", each.expression))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn licences_of(name: &str, expression: &str) -> Result<Vec<String>, String> {
        let deny = "[licenses]\nallow = [\"MIT\", \"Apache-2.0\", \"ISC\"]\nexceptions = [{ allow = [\"MPL-2.0\"], crate = \"odd\" }]";
        let each = Crate {
            name: name.into(),
            version: "1.0.0".into(),
            expression: expression.into(),
            authors: String::new(),
            repository: String::new(),
            files: vec![],
        };
        let ids = Allowed::parse(deny)?.licences(&each)?;
        Ok(ids.iter().map(|id| id.name.to_owned()).collect())
    }

    #[test]
    fn what_is_not_allowed_is_refused_by_name() {
        let of = |names: &[&str]| Ok(names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(licences_of("a", "MIT"), of(&["MIT"]));
        assert_eq!(
            licences_of("a", "MIT/Apache-2.0"),
            of(&["MIT", "Apache-2.0"])
        );
        assert_eq!(licences_of("a", "GPL-3.0-only OR MIT"), of(&["MIT"]));
        assert_eq!(licences_of("odd", "MPL-2.0"), of(&["MPL-2.0"]));
        for (expression, expected) in [
            ("MPL-2.0", "a 1.0.0: MPL-2.0"),
            ("MIT AND GPL-3.0-only", "a 1.0.0: MIT AND GPL-3.0-only"),
            ("Apache-2.0 WITH LLVM-exception", "a 1.0.0: Apache-2.0 WITH"),
            ("", "a 1.0.0: `` is not an SPDX expression"),
            ("my own", "a 1.0.0: `my own` is not an SPDX expression"),
        ] {
            let error = licences_of("a", expression).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_text_is_there_once() {
        let mut texts = Texts::default();
        assert_eq!(
            texts.name("LICENSE-MIT", "one\r\ntwo\n\n"),
            "001-LICENSE-MIT"
        );
        assert_eq!(texts.name("COPYING", "other"), "002-COPYING");
        assert_eq!(texts.name("LICENSE", "one\ntwo"), "001-LICENSE-MIT");
        assert_eq!(texts.list.len(), 2);
    }

    #[test]
    fn files_of_terms_are_found_in_any_spelling() {
        let place = tempfile::tempdir().unwrap();
        for name in [
            "License.txt",
            "COPYING",
            "license.rs",
            "README.md",
            "TERMS",
            "notice",
        ] {
            fs::write(place.path().join(name), name).unwrap();
        }
        let names = |named| -> Vec<String> {
            let files = read_files(place.path(), named).unwrap();
            files.into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(None), ["COPYING", "License.txt", "notice"]);
        assert_eq!(
            names(Some("TERMS")),
            ["COPYING", "License.txt", "TERMS", "notice"]
        );
    }
}
