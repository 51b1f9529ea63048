//! Libraries whose types differ from the interface's are refused in one readable line that names
//! the type.

use super::{
    interface_fixture,
    next_minor::{Edit, workspace_with},
    plugin,
};
use progtune_plugin_api::contract::run_record;

const VARIANTS: &[(&str, &[Edit], &[&str])] = &[
    (
        "changed-record",
        &[
            (
                "plugin-api/src/records.rs",
                "        interval_steps: u64,\n",
                "        interval_steps: u64,\n        /// More.\n        more: u64,\n",
            ),
            (
                "plugin-api/src/authoring.rs",
                "            interval_steps: 0,\n",
                "            interval_steps: 0,\n            more: 0,\n",
            ),
        ],
        &[
            "ScheduleInterface > traits > ScheduleTraits: ",
            "too many fields",
        ],
    ),
    (
        "removed-function",
        &[
            (
                "plugin-api/src/root.rs",
                "    pub manifest: extern",
                "    pub about: extern",
            ),
            (
                "plugin-api/src/sdk.rs",
                "            manifest,\n",
                "            about: manifest,\n",
            ),
        ],
        &["PluginModule", "manifest"],
    ),
    (
        "changed-type",
        &[
            (
                "plugin-api/src/root.rs",
                "    pub manifest: extern \"C\" fn() -> RStr<'static>,",
                "    pub manifest: extern \"C\" fn() -> u64,",
            ),
            (
                "plugin-api/src/sdk.rs",
                "            manifest,\n",
                "            manifest: number,\n",
            ),
            (
                "plugin-api/src/sdk.rs",
                "/// The answer to an id that the library does not offer.\n",
                "extern \"C\" fn number() -> u64 {\n    7\n}\n\n/// The answer to an id that the library does not offer.\n",
            ),
            (
                "plugin-api/src/sdk.rs",
                "(self, manifest: extern",
                "(self, _: extern",
            ),
        ],
        &["PluginModule", "u64"],
    ),
];

#[test]
fn other_types_are_refused_in_one_line() {
    for (name, edits, expected) in VARIANTS {
        let interface = workspace_with(name, edits, &["plugin-api"], 0).join("plugin-api");
        let directory = plugin(
            &format!("plugin-{name}"),
            &interface_fixture("old_plugin.rs"),
            &interface,
        );
        let plugins = progtune_engine::plugin::discover(&[directory]).unwrap();
        let fault = plugins
            .schedule("old-schedule", &[], run_record(2, 2, "", true))
            .unwrap_err();
        let text = fault.to_string();
        assert_eq!(fault.exit_code(), 4, "{text}");
        assert!(
            text.contains("its types are not those of the plugin interface (at "),
            "{text}"
        );
        assert!(
            text.contains("build it against progtune-plugin-api 1.x"),
            "{text}"
        );
        for word in *expected {
            assert!(text.contains(word), "{name}: no '{word}' in {text}");
        }
        assert!(
            !text.contains('\n') && text.len() < 1000,
            "{name}: {} bytes: {text}",
            text.len()
        );
    }
}
