//! The compile errors of `export_plugin!`: each says in words which field of which entry or option
//! is missing. One crate has all mistakes, each in a module of its own, and cargo reports them
//! together.

use progtune_tests::{outside::cargo, root};
use std::fs;

/// A mistake, and what the compiler says about it.
const MISTAKES: &[(&str, &str)] = &[
    (
        "schedule: []",
        "expected `schedules: [ … ]` or `methods: [ … ]`, found `schedule`",
    ),
    ("schedules: 3", "`schedules` is a list in brackets"),
    (
        "methods: [], schedules: []",
        "write `schedules: [ … ]` before `methods: [ … ]`",
    ),
    (
        r#"schedules: [{ summary: "s", options: [], create: create }]"#,
        "an entry begins with its id in quotes",
    ),
    (
        r#"schedules: [{ id: "no-summary", options: [], create: create }]"#,
        "the entry 'no-summary' has no `summary` after `id`",
    ),
    (
        r#"methods: [{ id: "no-options", summary: "s", create: create }]"#,
        "the entry 'no-options' has no `options` after `summary`",
    ),
    (
        r#"methods: [{ id: "no-list", summary: "s", options: 1, create: create }]"#,
        "the `options` of the entry 'no-list' are a list in brackets",
    ),
    (
        r#"schedules: [{ id: "no-create", summary: "s", options: [] }]"#,
        "the entry 'no-create' has no `create` after `options`",
    ),
    (
        r#"schedules: [{ id: "more", summary: "s", options: [], create: create, help: "h" }]"#,
        "the entry 'more' ends with one function after `create`",
    ),
    (
        r#"schedules: [{ id: "a", summary: "s", options: [{ name: "k", kind: Int }], create: create }]"#,
        "the option 'k' is not complete",
    ),
    (
        r#"schedules: [{ id: "a", summary: "s", options: [{ name: "n", default: 1, help: "h" }], create: create }]"#,
        "the option 'n' has no `kind` after `name`",
    ),
    (
        r#"schedules: [{ id: "a", summary: "s", options: [{ kind: Int, help: "h" }], create: create }]"#,
        "an option begins with its name in quotes",
    ),
    (
        r#"schedules: [{ id: "a", summary: "s", options: [{ name: "k", kind: Number, help: "h" }], create: create }]"#,
        "there is no option kind `Number`; the kinds are Bool, Int",
    ),
    (
        r#"schedules: [{ id: "a", summary: "s", options: [{ name: "k", kind: Strs, default: "x", help: "h" }], create: create }]"#,
        "is no default for an option of the kind Strs",
    ),
];

/// Mistakes that the compiler finds once the macros are expanded.
const LATER: &[(&str, &str)] = &[
    (
        r#"schedules: [{ id: "Top_Half", summary: "s", options: [], create: create }]"#,
        "an id has lower-case letters and digits in parts joined by -",
    ),
    (
        r#"schedules: [
            { id: "same", summary: "s", options: [], create: create },
            { id: "same", summary: "s", options: [], create: create },
        ]"#,
        "two schedules or two methods have the same id",
    ),
    (
        r#"schedules: [{ id: "a", summary: "s", options: [
            { name: "k", kind: Int, default: 1, help: "h" }, { name: "k", kind: Int, default: 1, help: "h" },
        ], create: create }]"#,
        "two options of an entry have the same name",
    ),
    (
        r#"schedules: [{ id: "a", summary: "s", options: [
            { name: "k", kind: Str, default: "c", choices: ["a", "b"], help: "h" },
        ], create: create }]"#,
        "the default of an option must be one of its choices",
    ),
    (
        r#"schedules: [{ id: "a", summary: "s", options: [], create: |_, _, _| Ok(3) }]"#,
        "`{integer}` is not a schedule",
    ),
];

/// The compiler's messages about a crate with these mistakes.
fn messages(name: &str, mistakes: &[(&str, &str)]) -> String {
    let place = tempfile::tempdir().unwrap();
    let interface = root().join("plugin-api").canonicalize().unwrap();
    let manifest = format!(
        "[package]\nname = \"{name}\"\nedition = \"2024\"\nlicense = \"Apache-2.0\"\n[workspace]\n\
         [dependencies]\nprogtune-plugin-api = {{ path = {interface:?} }}\n"
    );
    let modules = mistakes.iter().enumerate().map(|(at, (mistake, _))| {
        format!(
            "mod m{at} {{\n\
             use progtune_plugin_api::prelude::*;\n\
             #[allow(dead_code)]\n\
             fn create(o: &Options, _: &HostRecord, r: &RunRecord) -> Result<impl Schedule + use<>, PluginError> {{\n\
             BlocksByEpoch::new(o, r, |r, _| 0..r.blocks)\n}}\n\
             export_plugin! {{ {mistake} }}\n}}\n"
        )
    });
    fs::create_dir(place.path().join("src")).unwrap();
    fs::write(place.path().join("Cargo.toml"), manifest).unwrap();
    fs::write(place.path().join("src/lib.rs"), modules.collect::<String>()).unwrap();
    let output = cargo("check", place.path()).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn mistakes_in_the_macro_are_named() {
    for (name, mistakes) in [("mistakes", MISTAKES), ("later-mistakes", LATER)] {
        let said = messages(name, mistakes);
        for (mistake, expected) in mistakes {
            assert!(said.contains(expected), "{mistake}: {expected}\nin {said}");
        }
        assert!(!said.contains("no rules expected"), "{said}");
    }
}
