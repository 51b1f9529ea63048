//! `RunConfig` as a TOML file: the `config.toml` of a run directory. Written by `recipe`; passed to
//! `--config`, it yields the same `RunConfig`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{RunConfig, keys};
use crate::flags::{Declared, FlagDefault, Options};
use progtune_hub::NamedPath;
use toml::Value;

/// The beginning of the file, which identifies it.
pub(crate) const FIRST_LINE: &str = "# The resolved configuration of a progtune run";

impl RunConfig {
    /// The configuration as TOML, with one line per key in the order of `--help`. An unset key is a
    /// comment that says how its value is determined. TOML cannot express a path that is not UTF-8,
    /// so such a path loses its invalid bytes. Flags, variables and files never yield one.
    pub(crate) fn to_toml(&self) -> String {
        let mut lines = format!("{FIRST_LINE}; `progtune --config FILE` runs it again.\n");
        let mut tables = String::new();
        let written = self.written();
        for key in keys() {
            match (written.values.get(key.name), key.default) {
                (Some(Value::Table(table)), _) if table.is_empty() => {}
                // Tables come last because in TOML, every key after a table's header belongs to the
                // table.
                (Some(Value::Table(table)), _) => {
                    // A table of texts can always be written as TOML.
                    let lines = toml::to_string(table).unwrap_or_default();
                    tables.push_str(&format!("\n[{}]\n{lines}", key.name));
                }
                (Some(value), _) => lines.push_str(&format!("{} = {value}\n", key.name)),
                (None, Some(FlagDefault::Computed(words))) if key.scope.is_of_training() => {
                    lines.push_str(&format!("# {}: {words}\n", key.name));
                }
                (None, _) => {}
            }
        }
        lines + &tables
    }
}

/// The values of keys in TOML; an unset key has none.
#[derive(Debug, Default)]
pub(super) struct Written {
    values: BTreeMap<&'static str, Value>,
}

impl Written {
    /// The keys whose values are not those in `other`; the entries of a table count one by one
    /// (`peft_opt.r`).
    pub(super) fn differing(&self, other: &Self) -> Vec<String> {
        let mut keys = Vec::new();
        for (&key, value) in &self.values {
            match (value, other.values.get(key)) {
                (Value::Table(table), before) => {
                    let before = before.and_then(Value::as_table);
                    let is_new = |name: &&String| {
                        before.and_then(|before| before.get(*name)) != table.get(*name)
                    };
                    let new = table.keys().filter(is_new);
                    keys.extend(new.map(|name| format!("{key}.{name}")));
                }
                (value, Some(before)) if value == before => {}
                _ => keys.push(key.to_owned()),
            }
        }
        keys
    }

    /// Sets the key of a flag.
    pub(super) fn set(&mut self, flag: &dyn Declared, value: impl IntoToml) {
        self.values.insert(flag.about().name, value.into_toml());
    }

    /// Sets the key of a flag if there is a value.
    pub(super) fn set_if(&mut self, flag: &dyn Declared, value: Option<impl IntoToml>) {
        if let Some(value) = value {
            self.set(flag, value);
        }
    }

    /// Sets a table of plugin options.
    pub(super) fn set_options(&mut self, flag: &dyn Declared, options: &Options) {
        let text = |(name, value): &(String, String)| (name.clone(), Value::String(value.clone()));
        let table = Value::Table(options.iter().map(text).collect());
        self.values.insert(flag.about().name, table);
    }
}

/// A value that can be written as TOML.
pub(super) trait IntoToml {
    fn into_toml(self) -> Value;
}

impl IntoToml for bool {
    fn into_toml(self) -> Value {
        Value::Boolean(self)
    }
}

impl IntoToml for f64 {
    fn into_toml(self) -> Value {
        Value::Float(self)
    }
}

/// TOML's integers end below 2^63, so a larger one is written as text, which can be read as well.
impl IntoToml for u64 {
    fn into_toml(self) -> Value {
        i64::try_from(self).map_or_else(|_| Value::String(self.to_string()), Value::Integer)
    }
}

impl IntoToml for usize {
    fn into_toml(self) -> Value {
        (self as u64).into_toml()
    }
}

impl IntoToml for String {
    fn into_toml(self) -> Value {
        Value::String(self)
    }
}

impl IntoToml for &String {
    fn into_toml(self) -> Value {
        Value::String(self.clone())
    }
}

impl IntoToml for &str {
    fn into_toml(self) -> Value {
        Value::String(self.to_owned())
    }
}

impl IntoToml for &NamedPath {
    fn into_toml(self) -> Value {
        Value::String(self.typed())
    }
}

impl IntoToml for &Path {
    fn into_toml(self) -> Value {
        NamedPath::new(self).typed().into_toml()
    }
}

impl IntoToml for &[PathBuf] {
    fn into_toml(self) -> Value {
        Value::Array(self.iter().map(|path| path.as_path().into_toml()).collect())
    }
}

impl IntoToml for &[String] {
    fn into_toml(self) -> Value {
        Value::Array(self.iter().map(IntoToml::into_toml).collect())
    }
}
