//! Versions of the plugin interface, older and newer than today's. Plugins of 1.0 and of the next
//! minor version run in today's host, and today's plugins in a host of the next version. A plugin
//! that needs something an earlier host lacks is refused by name, before any weight is read.

mod layout;
mod next_minor;

use progtune_plugin_api::manifest::ABI_MINOR;
use progtune_tests::{
    command_line::CommandLine,
    fixture,
    outside::{build, cargo, succeed, target_dir},
    profile_dir, read_json, root,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Writes a file unless it already has this text, so that cargo rebuilds nothing.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn sources() -> PathBuf {
    target_dir().join("sources")
}

/// A plugin's crate with this source and interface. Returns a directory that contains only its
/// library.
fn plugin(name: &str, source: &str, interface: &Path) -> PathBuf {
    let directory = sources().join("plugins").join(name);
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n[lib]\n\
         crate-type = [\"cdylib\"]\n\n[dependencies]\nprogtune-plugin-api = {{ path = {:?} }}\n",
        interface.to_str().unwrap()
    );
    write(&directory.join("Cargo.toml"), &manifest);
    write(&directory.join("src/lib.rs"), source);
    let library = build(&directory);
    let alone = target_dir().join("alone").join(name);
    fs::create_dir_all(&alone).unwrap();
    fs::copy(&library, alone.join(library.file_name().unwrap())).unwrap();
    alone
}

fn interface_fixture(name: &str) -> String {
    fs::read_to_string(fixture("interface").join(name)).unwrap()
}

/// The directory of the plugin for interface 1.0.
fn old_plugin() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        fs::create_dir_all(sources()).unwrap();
        let package = fixture("interface").join("progtune-plugin-api-1.0.0.crate");
        succeed(
            Command::new("tar")
                .arg("xzf")
                .arg(package)
                .arg("-C")
                .arg(sources()),
        );
        let interface = sources().join("progtune-plugin-api-1.0.0");
        plugin(
            "old-plugin",
            &interface_fixture("old_plugin.rs"),
            &interface,
        )
    })
}

/// The directory of the plugin for the next version.
fn next_plugin() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let interface = next_minor::workspace().join("plugin-api");
        plugin(
            "next-plugin",
            &interface_fixture("next_plugin.rs"),
            &interface,
        )
    })
}

fn train(plugins: &Path, output: &Path) -> CommandLine {
    CommandLine::train("bert", output)
        .path("--plugin-dir", plugins)
        .words("--epochs 2 --max-train-samples 16 --max-eval-samples 8")
}

fn shown(plugins: &Path, id: &str) -> String {
    CommandLine::new("plugins show")
        .words(id)
        .path("--plugin-dir", plugins)
        .run()
}

#[test]
fn a_plugin_of_interface_1_0_trains_in_this_host() {
    assert!(shown(old_plugin(), "old-method").contains("old-plugin 0.1.0"));
    let output = tempfile::tempdir().unwrap();
    let run = output.path().join("run");
    train(old_plugin(), &run)
        .words("--schedule old-schedule --peft old-method")
        .run();
    let plan = read_json(&run.join("plan.json"));
    assert_eq!(
        (&plan["schedule"], &plan["peft"]),
        (&"old-schedule".into(), &"old-method".into())
    );
    assert!(run.join("all_results.json").is_file());
    // Today's contract on an older plugin.
    for library in fs::read_dir(old_plugin()).unwrap() {
        CommandLine::new("plugins check")
            .path("--id", "old-method")
            .words(library.unwrap().path().to_str().unwrap())
            .run();
    }
}

#[test]
fn a_plugin_of_the_next_version_trains_in_this_host() {
    let output = tempfile::tempdir().unwrap();
    let run = output.path().join("run");
    train(next_plugin(), &run)
        .words("--schedule next-schedule --peft next-method")
        .run();
    assert!(run.join("all_results.json").is_file());
}

/// The weights are not valid at all: reading them would give an error about them.
#[test]
fn what_this_host_lacks_is_refused_by_name_before_a_weight_is_read() {
    let place = tempfile::tempdir().unwrap();
    let model = place.path().join("model");
    progtune_tests::outside::copy_directory(&fixture("parity/bert"), &model);
    fs::write(model.join("model.safetensors"), "no weights").unwrap();
    let output = place.path().join("run");
    let train = || {
        CommandLine::train_on(&model, &fixture("parity/data"), &output)
            .path("--plugin-dir", next_plugin())
            .words("--epochs 2")
    };
    train().words("--schedule full").fail(3);
    let here = format!("(plugin interface 1.{ABI_MINOR}) lacks");
    let text = train()
        .words("--schedule full --peft next-operation")
        .fail(4);
    assert!(
        text.contains(&format!("{here} the graph operation 'cube'")),
        "{text}"
    );
    assert!(text.contains("plugin next-plugin 0.1.0 ("), "{text}");
    assert!(text.contains("update progtune"), "{text}");
    let text = train().words("--schedule next-signal").fail(4);
    assert!(
        text.contains(&format!("{here} the signal 'validation_loss'")),
        "{text}"
    );
    assert!(!text.contains("fault of the plugin"), "{text}");
}

#[test]
fn todays_and_older_plugins_run_in_a_host_of_the_next_version() {
    let host = next_minor::host();
    // Only plugins: the build directory contains other libraries too.
    let todays = target_dir().join("alone/todays");
    fs::create_dir_all(&todays).unwrap();
    let ours = [
        "schedule_progressive",
        "schedule_single_block",
        "peft_adapter",
        "peft_lora",
    ];
    for library in
        ours.map(|name| progtune_tests::outside_plugins::library_name(&format!("progtune_{name}")))
    {
        fs::copy(profile_dir().join(&library), todays.join(&library)).unwrap();
    }
    let mut run = Command::new(host);
    run.args([old_plugin(), next_plugin(), &todays]);
    run.env("XDG_DATA_HOME", target_dir().join("no-user-plugins"));
    let said = succeed(&mut run);
    assert!(!said.contains("REFUSED"), "{said}");
    let next = ABI_MINOR + 1;
    for line in [
        format!("schedule progressive of 1.{ABI_MINOR}: ["),
        format!(
            "method lora of 1.{ABI_MINOR}: 8 parameters, 0 of a family, 4 rewrites, cubes: false"
        ),
        format!("method adapter of 1.{ABI_MINOR}: "),
        "schedule old-schedule of 1.0: [".into(),
        "method old-method of 1.0: 4 parameters, 0 of a family, 4 rewrites, cubes: false".into(),
        format!("schedule next-schedule of 1.{next}: ["),
        format!(
            "method next-operation of 1.{next}: 2 parameters, 2 of a family, 2 rewrites, cubes: true"
        ),
    ] {
        assert!(said.contains(&line), "no line '{line}…' in\n{said}");
    }
    // The new trait method: the plugin's own answer, or the default if a plugin has none.
    let line = |id: &str| said.lines().find(|line| line.contains(id)).unwrap();
    assert!(
        line("schedule next-schedule").ends_with("'follows validation_loss'"),
        "{said}"
    );
    assert!(line("schedule old-schedule").ends_with("''"), "{said}");
    assert!(line("schedule progressive").ends_with("''"), "{said}");
}
