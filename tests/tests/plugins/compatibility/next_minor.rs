//! A rehearsal of the version after today's interface: a copy of `plugin-api` with everything that
//! a minor version may add, and the loader built against it. An edit that finds no place in today's
//! sources says so; move it along.

use super::{cargo, interface_fixture, root, sources, succeed, target_dir, write};
use progtune_plugin_api::manifest::ABI_MINOR;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// A file, a text that occurs once in it, and the replacement in the next version.
pub(super) type Edit = (&'static str, &'static str, &'static str);

const EDITS: &[Edit] = &[
    // An operation.
    (
        "plugin-api/src/graph.rs",
        "DETACH = 81 => \"detach\",",
        "DETACH = 81 => \"detach\",\n        /// x³.\n        CUBE = 4000 => \"cube\",",
    ),
    // A signal.
    (
        "plugin-api/src/contract/synthetic.rs",
        "\"block_grad_norm\"]",
        "\"block_grad_norm\", \"validation_loss\"]",
    ),
    // A record's extension.
    (
        "plugin-api/src/authoring.rs",
        "    /// The same with a factor on the learning rate.\n",
        "    /// The family it belongs to.\n    pub fn family(&self) -> &str {\n        let found = self.ext.iter().find(|attribute| \
         attribute.key == \"family\");\n        match found.map(|attribute| &attribute.value) {\n            \
         Some(Value::Str(name)) => name.as_str(),\n            _ => \"\",\n        }\n    }\n\n    /// The same in a \
         family.\n    #[must_use]\n    pub fn with_family(mut self, name: &str) -> Self {\n        \
         self.ext.push(Attribute::new(\"family\", name));\n        self\n    }\n\n    /// The same with a factor on the \
         learning rate.\n",
    ),
    // A trait's method with a default body, and the part that an author implements.
    (
        "plugin-api/src/root.rs",
        "    fn plan(&self, decision: &DecisionRecord) -> Answer<SchedulePlan>;\n",
        "    fn plan(&self, decision: &DecisionRecord) -> Answer<SchedulePlan>;\n    /// The schedule in words.\n    \
         fn describe(&self) -> abi_stable::std_types::RString {\n        abi_stable::std_types::RString::new()\n    }\n",
    ),
    (
        "plugin-api/src/sdk.rs",
        "pub trait Schedule: Send + Sync + 'static {\n",
        "pub trait Schedule: Send + Sync + 'static {\n    /// The schedule in words.\n    fn describe(&self) -> String {\n        \
         String::new()\n    }\n\n",
    ),
    (
        "plugin-api/src/sdk.rs",
        "impl<T: Schedule> ScheduleInterface for Guarded<T> {\n",
        "impl<T: Schedule> ScheduleInterface for Guarded<T> {\n    fn describe(&self) -> abi_stable::std_types::RString {\n        \
         self.value.describe().into()\n    }\n",
    ),
    // A function of the root.
    (
        "plugin-api/src/root.rs",
        "        host: &HostRecord,\n    ) -> RResult<MethodObject, PluginError>,\n",
        "        host: &HostRecord,\n    ) -> RResult<MethodObject, PluginError>,\n    /// A word about an entry.\n    \
         pub explain: extern \"C\" fn(id: RStr<'_>) -> abi_stable::std_types::RString,\n",
    ),
    (
        "plugin-api/src/sdk.rs",
        "            create_method: self.create_method,\n",
        "            create_method: self.create_method,\n            explain,\n",
    ),
    (
        "plugin-api/src/sdk.rs",
        "/// The answer to an id that the library does not offer.\n",
        "extern \"C\" fn explain(id: RStr<'_>) -> abi_stable::std_types::RString {\n    id.into()\n}\n\n\
         /// The answer to an id that the library does not offer.\n",
    ),
    // A function of the host.
    (
        "plugin-api/src/host.rs",
        "    pub cancelled: extern \"C\" fn() -> bool,\n",
        "    pub cancelled: extern \"C\" fn() -> bool,\n    /// Tells how far a long computation is.\n    pub progress: extern \"C\" \
         fn(f64),\n",
    ),
    (
        "plugin-api/src/contract/synthetic.rs",
        "HostApi { log, cancelled }",
        "HostApi { log, cancelled, progress }",
    ),
    (
        "plugin-api/src/contract/synthetic.rs",
        "extern \"C\" fn cancelled() -> bool {\n",
        "extern \"C\" fn progress(_share: f64) {}\nextern \"C\" fn cancelled() -> bool {\n",
    ),
    (
        "host/plugin-loader/src/offer.rs",
        "HostApi { log, cancelled }",
        "HostApi { log, cancelled, progress }",
    ),
    (
        "host/plugin-loader/src/offer.rs",
        "extern \"C\" fn cancelled() -> bool {\n",
        "extern \"C\" fn progress(_share: f64) {}\nextern \"C\" fn cancelled() -> bool {\n",
    ),
];

/// The next version's workspace: `plugin-api`, `host/plain-text`, `host/plugin-loader`,
/// `next-host`.
pub(super) fn workspace() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let members = ["plugin-api", "host/plain-text", "host/plugin-loader", "next-host"];
        let place = workspace_with("next", EDITS, &members, 1);
        let manifest = "[package]\nname = \"next-host\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
                        progtune-plugin-api.workspace = true\nprogtune-plugin-loader = { path = \"../host/plugin-loader\" }\n";
        write(&place.join("next-host/Cargo.toml"), manifest);
        write(&place.join("next-host/src/main.rs"), &interface_fixture("next_host.rs"));
        place
    })
}

/// An edited copy of some members of the repository, with the interface's minor version raised by
/// `more`.
pub(super) fn workspace_with(name: &str, edits: &[Edit], members: &[&str], more: u32) -> PathBuf {
    let place = sources().join(name);
    let mut left: Vec<&Edit> = edits.iter().collect();
    for member in members.iter().filter(|member| root().join(member).is_dir()) {
        copy(&root(), &place, Path::new(member), &mut left, more);
    }
    let missing: Vec<&str> = left.iter().map(|edit| edit.0).collect();
    assert!(
        missing.is_empty(),
        "edits of files that are not there: {missing:?}"
    );
    let whole = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    // The profiles are for the numeric crates, which are not here.
    let text = whole.split("# Numbers are crunched").next().unwrap();
    let elsewhere =
        |line: &&str| !line.starts_with("default-members") && !line.starts_with("exclude");
    let members = format!("members = {members:?}");
    let text: Vec<&str> = text
        .lines()
        .filter(elsewhere)
        .map(|line| {
            if line.starts_with("members") {
                &members
            } else {
                line
            }
        })
        .collect();
    write(&place.join("Cargo.toml"), &text.join("\n"));
    // Cargo takes the entries that these members need, and removes the rest.
    if !place.join("Cargo.lock").exists() {
        fs::copy(root().join("Cargo.lock"), place.join("Cargo.lock")).unwrap();
    }
    place
}

/// The next version's host, built.
pub(super) fn host() -> PathBuf {
    succeed(cargo("build", &workspace().join("next-host")).arg("--release"));
    let name = format!("next-host{}", std::env::consts::EXE_SUFFIX);
    // By itself: libraries beside an executable count as shipped with it.
    let alone = target_dir().join("alone/next-host");
    fs::create_dir_all(&alone).unwrap();
    fs::copy(target_dir().join("release").join(&name), alone.join(&name)).unwrap();
    alone.join(name)
}

fn copy(from: &Path, to: &Path, directory: &Path, edits: &mut Vec<&Edit>, more: u32) {
    for entry in fs::read_dir(from.join(directory)).unwrap() {
        let path = entry.unwrap().path();
        let relative = directory.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(from, to, &relative, edits, more);
            continue;
        }
        let mut text = fs::read_to_string(&path).unwrap();
        edits.retain(|(file, before, after)| {
            let here = Path::new(file) == relative;
            if here {
                let found = text.matches(before).count();
                assert_eq!(found, 1, "{file} holds {found} times: {before}");
                text = text.replace(before, after);
            }
            !here
        });
        if relative == Path::new("plugin-api/Cargo.toml") {
            let (now, next) = (
                format!("\"1.{ABI_MINOR}.0\""),
                format!("\"1.{}.0\"", ABI_MINOR + more),
            );
            assert!(text.contains(&now), "{text}");
            text = text.replacen(&now, &next, 1);
        }
        write(&to.join(relative), &text);
    }
}
