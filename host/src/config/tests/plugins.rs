//! Tests of the search path for plugins and of their isolation.

use super::*;

#[test]
fn plugin_directories_come_from_flags_variables_and_files() {
    let separated = std::env::join_paths(["a", "b"])
        .unwrap()
        .into_string()
        .unwrap();
    let config = resolve_with(&[], &[("PROGTUNE_PLUGIN_DIR", &separated)], "").unwrap();
    assert_eq!(
        config.plugins.directories,
        [PathBuf::from("a"), PathBuf::from("b")]
    );
    let config = resolve_with(&["--plugin-dir", "c", "--plugin-dir", "d"], &[], "").unwrap();
    assert_eq!(
        config.plugins.directories,
        [PathBuf::from("c"), PathBuf::from("d")]
    );
    let config = resolve_with(&[], &[], "plugin_dir = \"e\"\n").unwrap();
    assert_eq!(config.plugins.directories, [PathBuf::from("e")]);
    let flags = "--plugin g --plugin-dir f --lock l --locked --plugin-isolation none";
    let flags: Vec<&str> = flags.split(' ').collect();
    let arguments = arguments(&["plugins", "list"], &flags);
    let expected = PluginSources {
        files: vec!["g".into()],
        directories: vec!["f".into()],
        lock: Some("l".into()),
        locked: true,
        isolation: Isolation::None,
    };
    let resolved = resolve_plugins(&arguments, &Sources::default());
    assert_eq!(resolved.unwrap(), expected);
}
