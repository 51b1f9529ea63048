//! `progtune plugins new NAME --kind schedule|peft`: writes a plugin crate that builds, passes its
//! own tests and runs by name. Called by `plugins_command`. The templates are in `template/`.

use crate::{
    cli::arguments::{KIND, NAME, NewKind, PATH, PLUGIN_API},
    flags::Arguments,
};
use progtune_engine::{
    Error, Result,
    plugin::{EntryKind, Plugins},
};
use progtune_plugin_api::manifest::{ABI_MAJOR, ABI_MINOR};
use progtune_process::terminal::print;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The interface crate in the sources from which this program was built, which may no longer exist.
/// `None` in a build by `cargo xtask dist`: it is for other machines, and has the crate beside it.
const BUILT_FROM: Option<&str> = match option_env!("PROGTUNE_DIST") {
    Some(_) => None,
    None => Some(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-api")),
};
/// The address of the published sources; empty if they are not published.
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// The names that cargo or rustc reject for a crate.
const RESERVED: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// The arguments of `plugins new`.
pub(super) struct NewArgs {
    name: String,
    kind: NewKind,
    path: Option<PathBuf>,
    plugin_api: Option<PathBuf>,
}

impl NewArgs {
    /// Reads the arguments from the command line.
    pub(super) fn of(arguments: &Arguments) -> Self {
        Self {
            name: arguments.required(&NAME),
            kind: arguments.required(&KIND),
            path: arguments.one(&PATH),
            plugin_api: arguments.one(&PLUGIN_API),
        }
    }
}

/// Writes the crate and prints the next steps.
pub(super) fn run(args: &NewArgs, plugins: &Plugins) -> Result<()> {
    check_name(&args.name)?;
    check_id(args, plugins)?;
    let parent = args.path.clone().unwrap_or_default();
    let directory = parent.join(&args.name);
    if directory.exists() {
        return Err(Error::Usage(format!(
            "{}: this directory already exists; choose another NAME or --path",
            directory.display()
        )));
    }
    let interface = Interface::find(args.plugin_api.as_deref())?;
    let library = format!(
        "{}{}{}",
        std::env::consts::DLL_PREFIX,
        args.name.replace('-', "_"),
        std::env::consts::DLL_SUFFIX
    );
    let (kind, source, flags) = match args.kind {
        NewKind::Schedule => (
            "schedule",
            include_str!("template/schedule.rs.in"),
            format!("--schedule {}", args.name),
        ),
        NewKind::Peft => (
            "PEFT method",
            include_str!("template/method.rs.in"),
            format!("--peft {}", args.name),
        ),
    };
    let filled = |template: &str| {
        let places = [
            ("{{name}}", args.name.as_str()),
            ("{{kind}}", kind),
            ("{{library}}", &library),
            ("{{flags}}", &flags),
            ("{{dependency}}", &interface.dependency),
            ("{{origin}}", &interface.origin),
        ];
        places
            .iter()
            .fold(template.to_owned(), |text, (place, value)| {
                text.replace(place, value)
            })
    };
    let files = [
        ("Cargo.toml", include_str!("template/Cargo.toml.in")),
        ("src/lib.rs", source),
        ("README.md", include_str!("template/README.md.in")),
        (".gitignore", include_str!("template/gitignore.in")),
    ];
    let create = |path: &Path| fs::create_dir_all(path).map_err(Error::io(path, "create"));
    create(&directory.join("src"))?;
    for (name, template) in files {
        let path = directory.join(name);
        fs::write(&path, filled(template)).map_err(Error::io(&path, "write"))?;
    }
    Ok(print(format!(
        "Wrote the {kind} {} to {}; it takes progtune-plugin-api from {}. Next:\n\n  \
         cd {} && cargo test\n  cargo build --release\n  progtune --plugin-dir target/release {flags}\n",
        args.name,
        directory.display(),
        interface.origin,
        directory.display(),
    ))?)
}

fn check_name(name: &str) -> Result<()> {
    let part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let kebab = name.split('-').all(part) && name.as_bytes()[0].is_ascii_lowercase();
    if !kebab || name.len() > 64 {
        return Err(Error::Usage(format!(
            "NAME: expected 1 to 64 lower-case letters and digits in parts joined by '-', a letter first, such as \
             top-half; found '{}'",
            name.chars().take(80).collect::<String>()
        )));
    }
    if RESERVED.contains(&name) {
        Err(Error::Usage(format!(
            "NAME: no crate can be named '{name}', a word reserved by Rust or cargo; choose another, such as my-{name}"
        )))
    } else {
        Ok(())
    }
}

/// Rejects an id that is already taken, which would make every run with it ambiguous.
fn check_id(args: &NewArgs, plugins: &Plugins) -> Result<()> {
    let kind = match args.kind {
        NewKind::Schedule => EntryKind::Schedule,
        NewKind::Peft => EntryKind::Method,
    };
    let taken = plugins
        .entries()
        .iter()
        .find(|entry| entry.kind == kind && entry.id == args.name);
    match taken {
        Some(entry) => Err(Error::Usage(format!(
            "NAME: {} already offers a {kind} '{}'; choose another",
            entry.library, args.name
        ))),
        None => Ok(()),
    }
}

/// The source of the plugin's interface crate.
struct Interface {
    /// The value in `Cargo.toml`.
    dependency: String,
    /// A description for people.
    origin: String,
}

impl Interface {
    /// Finds the interface crate: the given directory, the sources that this program was built from
    /// or came with, their repository, or the registry.
    fn find(given: Option<&Path>) -> Result<Self> {
        let is_there = |directory: &Path| {
            let manifest = fs::read_to_string(directory.join("Cargo.toml"));
            manifest.is_ok_and(|text| text.contains("name = \"progtune-plugin-api\""))
        };
        if let Some(directory) = given {
            return if is_there(directory) {
                Ok(Self::in_directory(directory))
            } else {
                Err(Error::Usage(format!(
                    "--plugin-api {}: expected the directory of the crate progtune-plugin-api, found no \
                     Cargo.toml with that name; omit the flag, or pass the folder plugin-api of progtune's sources",
                    directory.display()
                )))
            };
        }
        let sources = BUILT_FROM
            .map(PathBuf::from)
            .into_iter()
            .chain(beside_program());
        if let Some(directory) = sources.into_iter().find(|directory| is_there(directory)) {
            return Ok(Self::in_directory(&directory));
        }
        let version = format!("{ABI_MAJOR}.{ABI_MINOR}");
        Ok(match REPOSITORY {
            "" => Self {
                dependency: format!("\"{version}\""),
                origin: format!("the package registry, version {version}"),
            },
            repository => Self {
                dependency: format!("{{ git = \"{repository}\", version = \"{version}\" }}"),
                origin: repository.into(),
            },
        })
    }

    fn in_directory(directory: &Path) -> Self {
        let path = directory
            .canonicalize()
            .unwrap_or_else(|_| directory.to_owned());
        // TOML's basic strings use the same escapes as JSON.
        let quoted = serde_json::Value::from(path.to_string_lossy()).to_string();
        Self {
            dependency: format!("{{ path = {quoted} }}"),
            origin: path.display().to_string(),
        }
    }
}

/// The interface crate in the archive of a release.
fn beside_program() -> Option<PathBuf> {
    let program = std::env::current_exe().and_then(|file| file.canonicalize());
    Some(program.ok()?.parent()?.join("plugin-api"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kebab_case_and_no_words_of_rust() {
        for good in ["a", "top-half", "lora2", "x1-y2"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "", "-", "a-", "-a", "a--b", "A", "a_b", "1a", "ä", "a b", "../a", "a/b", "struct",
            "test",
        ] {
            let text = check_name(bad).unwrap_err().to_string();
            assert!(text.starts_with("NAME: "), "{bad}: {text}");
        }
        assert!(check_name(&"x".repeat(65)).is_err());
    }
}
