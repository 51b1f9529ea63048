//! Broken libraries, made from working ones by changing bytes or by building against a changed
//! interface.

use progtune_tests::{
    outside_plugins::{build, marked, patched},
    profile_dir, root,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

const MAGIC: &[u8] = b"PROGTUNE-PLUGIN\n";

/// The system's C library that this process has open.
pub(super) fn libc() -> Vec<u8> {
    let maps = fs::read_to_string("/proc/self/maps").expect("the memory map");
    let path = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains("/libc.so") || path.contains("/libc-"))
        .expect("a C library");
    fs::read(path).expect("a C library")
}

pub(super) fn wrong_magic(good: &[u8]) -> Vec<u8> {
    patched(good, MAGIC, b"PROGTUNE-PLUGIN?")
}

pub(super) fn major_2(good: &[u8]) -> Vec<u8> {
    let header = |major: u32| [MAGIC, &major.to_le_bytes()].concat();
    patched(good, &header(1), &header(2))
}

pub(super) fn missing_symbol(good: &[u8]) -> Vec<u8> {
    patched(
        good,
        b"_1as_0lib_1header_0root_bmodule_bloader",
        b"_1as_0lib_1header_0root_bmodule_bloadxx",
    )
}

pub(super) fn unresolved_import(good: &[u8]) -> Vec<u8> {
    patched(good, b"\0memcpy\0", b"\0memcpz\0")
}

/// The library with its manifest section moved to the end and 100 MB long (ELF, 64 bits,
/// little-endian).
pub(super) fn big_manifest(good: &[u8]) -> Vec<u8> {
    const SIZE: usize = 100_000_000;
    let mut bytes = good.to_vec();
    let number = |bytes: &[u8], at: usize, size: usize| {
        let digits = bytes[at..at + size].iter().rev();
        digits.fold(0, |n, &byte| n << 8 | usize::from(byte))
    };
    let (table, size) = (number(good, 0x28, 8), number(good, 0x3a, 2));
    let (count, names) = (number(good, 0x3c, 2), number(good, 0x3e, 2));
    let names = number(good, table + names * size + 0x18, 8);
    let section = (0..count)
        .map(|index| table + index * size)
        .find(|&at| good[names + number(good, at, 4)..].starts_with(b".progtune\0"))
        .expect("the section");
    bytes[section + 0x18..section + 0x20].copy_from_slice(&(good.len() as u64).to_le_bytes());
    bytes[section + 0x20..section + 0x28].copy_from_slice(&(SIZE as u64).to_le_bytes());
    bytes.resize(good.len() + SIZE, b' ');
    bytes
}

/// `outside-plugins/hostile` built with `panic=abort`, doing `what`.
pub(super) fn panic_abort(what: &str) -> Vec<u8> {
    let interface = root().join("plugin-api");
    let plugin = copied_plugin("hostile", "hostile-abort", &interface);
    // The interface below it may be built to unwind, because the final library decides.
    let library = build(&plugin, "hostile_abort", &["-C", "panic=abort"]);
    marked(&fs::read(library).expect("the library"), what)
}

pub(super) fn changed_record() -> Vec<u8> {
    against_changed(
        "record",
        &[("src/records.rs", "        seed: u64,", "        seed: u32,")],
    )
}

pub(super) fn removed_function() -> Vec<u8> {
    against_changed(
        "function",
        &[
            (
                "src/root.rs",
                "    pub create_schedule: extern \"C\" fn(\n        id: RStr<'_>,\n        options: \
                 RSlice<'_, Attribute>,\n        host: &HostRecord,\n        run: &RunRecord,\n    ) -> RResult<ScheduleObject, \
                 PluginError>,\n",
                "",
            ),
            (
                "src/sdk.rs",
                "            create_schedule: self.create_schedule,\n",
                "",
            ),
        ],
    )
}

pub(super) fn changed_parameter() -> Vec<u8> {
    against_changed(
        "parameter",
        &[
            (
                "src/host.rs",
                "fn(level: u32, message: RStr<'_>)",
                "fn(level: u64, message: RStr<'_>)",
            ),
            (
                "src/contract/synthetic.rs",
                "fn log(_level: u32,",
                "fn log(_level: u64,",
            ),
        ],
    )
}

/// `outside-plugins/alternate` built against a copy of the interface with replaced texts: file,
/// from, to.
fn against_changed(name: &str, changes: &[(&str, &str, &str)]) -> Vec<u8> {
    let interface = folder().join(format!("plugin-api-{name}"));
    copy(&root().join("plugin-api"), &interface);
    for (file, from, to) in changes {
        replace(&interface.join(file), from, to);
    }
    // The copy is not a member of the workspace.
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace");
    let version = text
        .lines()
        .find(|line| line.starts_with("abi_stable"))
        .expect("a version");
    for (from, to) in [
        ("edition.workspace = true", "edition = \"2024\""),
        ("rust-version.workspace = true\n", ""),
        ("license.workspace = true", "license = \"Apache-2.0\""),
        ("[lints]\nworkspace = true\n", "[workspace]\n"),
        ("abi_stable.workspace = true", version),
    ] {
        replace(&interface.join("Cargo.toml"), from, to);
    }
    let plugin = copied_plugin("alternate", &format!("changed-{name}"), &interface);
    let library = build(&plugin, &format!("changed_{name}"), &[]);
    fs::read(library).expect("the library")
}

fn folder() -> PathBuf {
    profile_dir()
        .parent()
        .expect("target")
        .join("outside/changed")
}

/// The manifest for a copy of a plugin from `outside-plugins` with another name, against this
/// interface.
fn copied_plugin(from: &str, name: &str, interface: &Path) -> PathBuf {
    let plugin = folder().join(name);
    copy(&root().join("tests/outside-plugins").join(from), &plugin);
    let manifest = plugin.join("Cargo.toml");
    replace(
        &manifest,
        "../../../plugin-api",
        &interface.to_string_lossy(),
    );
    replace(
        &manifest,
        &format!("name = \"{from}\""),
        &format!("name = \"{name}\""),
    );
    manifest
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).expect("a file");
    assert!(text.contains(from), "{from} in {}", file.display());
    write(file, text.replace(from, to).as_bytes());
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            write(&target, &fs::read(&path).expect("a file"));
        }
    }
}

fn write(file: &Path, bytes: &[u8]) {
    fs::write(file, bytes).expect("a file");
}
