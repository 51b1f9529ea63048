//! `cargo xtask dist`: builds the program and its plugins with the profile `dist`, and packs them
//! as `progtune-VERSION-TRIPLE.tar.gz`, which runs wherever it is unpacked. Called by `main`;
//! `check_dist` tries the result.
//!
//! The program is at the top with `plugins/` beside it, because it looks there for shipped plugins,
//! after resolving links. The folder can be anywhere, be on `PATH`, or have a link to its program
//! on `PATH`.

mod archive;
mod licences;
mod workspace;

use self::archive::Tree;
pub(crate) use self::workspace::Workspace;
use crate::arguments::{Arguments, Others};
use crate::build_cuda;
use flate2::read::GzDecoder;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

const HELP: &str = "\
cargo xtask dist [--cuda] [--target-dir DIR] [--output DIR]
  --cuda            build for CUDA as `cargo xtask build-cuda` does; the archive's name ends in -cuda
  --target-dir DIR  cargo's build directory [default: the workspace's; with --cuda, cuda in it]
  --output DIR      directory for the archive [default: dist in the workspace's target directory]
The time in the archive is SOURCE_DATE_EPOCH, or that of the last commit. RUSTFLAGS are not used.
";

/// The locations of the shells' completion scripts below a prefix such as `/usr/local`.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/progtune"),
    ("zsh", "share/zsh/site-functions/_progtune"),
    ("fish", "share/fish/vendor_completions.d/progtune.fish"),
];

/// The files taken unchanged from the repository; `docs` only if it exists.
const DOCUMENTS: [&str; 4] = ["LICENSE", "NOTICE", "README.md", "docs"];

/// Builds, gathers and packs.
///
/// # Errors
/// If cargo fails, `deny.toml` does not allow a crate's licence, or a file cannot be read or
/// written.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(arguments) = Arguments::read(HELP, Others::Refused, words)? else {
        return Ok(());
    };
    let features: &[&str] = if arguments.has("--cuda") {
        &["progtune/cuda"]
    } else {
        &[]
    };
    let workspace = Workspace::read(root, features)?;
    let own = workspace.target_directory();
    let mut target = arguments
        .path("--target-dir")
        .unwrap_or_else(|| own.clone());
    let mut name = workspace.archive_name();
    let mut environment = Vec::new();
    let mut tree = Tree::default();
    if arguments.has("--cuda") {
        // Candle is another one there.
        target.push("cuda");
        name += "-cuda";
        let toolkit = build_cuda::default_toolkit(root);
        environment = build_cuda::environment(root, &toolkit)?;
        tree.add(
            "licenses/cuda-runtime.txt",
            build_cuda::runtime_licence(&toolkit)?,
        );
    }
    // This precedes the build because it is quick and may fail.
    let crates = licences::collect(&workspace, root, &mut tree)?;
    println!("dist: the licences of {crates} crates are allowed and their texts were found");
    build(root, &workspace, features, &environment, &target)?;
    add_built(&workspace, &target.join("dist"), &mut tree)?;
    add_documents(root, &mut tree)?;
    add_interface(root, &target, &mut tree)?;
    add_what_it_says_of_itself(&mut tree)?;
    let bytes = tree.pack(&name, time_of_commit(root)?)?;
    let output = arguments
        .path("--output")
        .unwrap_or_else(|| own.join("dist"));
    let path = output.join(format!("{name}.tar.gz"));
    fs::create_dir_all(&output)
        .and_then(|()| fs::write(&path, &bytes))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    println!("dist: {} ({} bytes)", path.display(), bytes.len());
    Ok(())
}

/// Builds host and plugins, which are the workspace's default members. They contain no path of this
/// machine: rustc replaces the paths of sources, and the host is told that it will be distributed.
fn build(
    root: &Path,
    workspace: &Workspace,
    features: &[&str],
    environment: &[(&str, OsString)],
    target: &Path,
) -> Result<(), String> {
    // If several prefixes match, rustc uses the last.
    let mut places = vec![
        (root.to_owned(), "/progtune"),
        (target.to_owned(), "/target"),
    ];
    places.extend(
        workspace
            .package_places()
            .into_iter()
            .map(|place| (place, "/crates")),
    );
    places.push((workspace.sysroot.clone(), "/rust"));
    let flags: Vec<String> = places
        .iter()
        .map(|(place, name)| format!("--remap-path-prefix={}={name}", place.display()))
        .collect();
    succeed(
        workspace::cargo(root)
            .args(["build", "--locked", "--profile", "dist", "--target-dir"])
            .arg(target)
            .args(features.iter().flat_map(|feature| ["--features", feature]))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
            .env("PROGTUNE_DIST", "1"),
    )
    .map(drop)
}

fn add_built(workspace: &Workspace, built: &Path, tree: &mut Tree) -> Result<(), String> {
    let program = format!("progtune{EXE_SUFFIX}");
    tree.add_executable(&program, read(&built.join(&program))?);
    for library in workspace.libraries() {
        let file = format!("{DLL_PREFIX}{library}{DLL_SUFFIX}");
        tree.add(&format!("plugins/{file}"), read(&built.join(&file))?);
    }
    Ok(())
}

fn add_documents(root: &Path, tree: &mut Tree) -> Result<(), String> {
    let mut list = Command::new("git");
    list.current_dir(root)
        .args(["ls-files", "-z", "--"])
        .args(DOCUMENTS);
    let list = String::from_utf8_lossy(&succeed(&mut list)?).into_owned();
    for path in list.split_terminator('\0') {
        tree.add(path, read(&root.join(path))?);
    }
    Ok(())
}

/// Adds the crate against which plugins are written, as cargo packages it: `progtune plugins new`
/// takes it from there.
fn add_interface(root: &Path, target: &Path, tree: &mut Tree) -> Result<(), String> {
    const PACKAGE: &str = "progtune-plugin-api";
    let mut package = workspace::cargo(root);
    package
        .args([
            "package",
            "--quiet",
            "--offline",
            "--no-verify",
            "--allow-dirty",
            "--package",
            PACKAGE,
        ])
        .arg("--target-dir")
        .arg(target);
    succeed(&mut package)?;
    let manifest =
        String::from_utf8_lossy(&read(&root.join("plugin-api/Cargo.toml"))?).into_owned();
    let manifest: toml::Table = manifest
        .parse()
        .map_err(|error| format!("plugin-api/Cargo.toml: {error}"))?;
    let version = manifest["package"]["version"].as_str().unwrap_or_default();
    let file = target.join(format!("package/{PACKAGE}-{version}.crate"));
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let package = read(&file)?;
    let mut packed = tar::Archive::new(GzDecoder::new(&*package));
    for entry in packed.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let path = entry.path().map_err(failed)?.into_owned();
        let inside: PathBuf = path.components().skip(1).collect();
        // The files that cargo adds for registries are of no use for building a plugin.
        if inside == Path::new("Cargo.toml") || inside.starts_with("src") {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(failed)?;
            tree.add(&format!("plugin-api/{}", inside.display()), bytes);
        }
    }
    Ok(())
}

/// Adds completions and manual pages, which the program itself generates, beside its future
/// plugins.
fn add_what_it_says_of_itself(tree: &mut Tree) -> Result<(), String> {
    let place = tempfile::tempdir().map_err(|error| format!("a temporary directory: {error}"))?;
    tree.write_to(place.path())?;
    let progtune = || {
        let mut command = Command::new(place.path().join(format!("progtune{EXE_SUFFIX}")));
        // The user's own plugins must not take part.
        command.env_clear().env("HOME", place.path());
        command
    };
    for (shell, path) in COMPLETIONS {
        let script = succeed(progtune().args(["completions", shell]))?;
        tree.add(path, script);
    }
    let pages = place.path().join("man");
    succeed(progtune().args(["man", "--output"]).arg(&pages))?;
    let failed = |error: std::io::Error| format!("{}: {error}", pages.display());
    for page in fs::read_dir(&pages).map_err(failed)? {
        let page = page.map_err(failed)?;
        let path = format!("share/man/man1/{}", page.file_name().display());
        tree.add(&path, read(&page.path())?);
    }
    Ok(())
}

/// The time of all files in the archive, in seconds since 1970.
fn time_of_commit(root: &Path) -> Result<u64, String> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        let number = epoch.parse();
        return number.map_err(|_| {
            format!("SOURCE_DATE_EPOCH: expected whole seconds since 1970, found `{epoch}`")
        });
    }
    let mut log = Command::new("git");
    let text = succeed(log.current_dir(root).args(["log", "-1", "--format=%ct"]))?;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    text.parse().map_err(|_| {
        format!(
            "git log: expected the time of the last commit, found `{text}`; set SOURCE_DATE_EPOCH"
        )
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Runs a command, which must succeed, and returns its output. Its errors go to the terminal.
fn succeed(command: &mut Command) -> Result<Vec<u8>, String> {
    let program = command.get_program().display().to_string();
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{program}: {}", output.status))
    }
}
