//! The manifest of a plugin, read from the file's `.progtune` section. No part of the file is
//! executed or trusted: every number is bounded, and every text is cleaned.
//!
//! Called by `discover` for each candidate file, and by `load` for the bytes that it is about to
//! load.

use crate::printable::printable;
use object::{Object, ObjectSection, ReadRef};
use progtune_plugin_api::{
    manifest::{ABI_MAJOR, FLAG_UNWIND, HEADER_LEN, MAGIC, SECTIONS},
    open::Value,
    options::{OptionKind, OptionSchema},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt};

/// The most sections among which ours is searched for; a library has some dozens. Each name may be
/// long, so that a file with many sections would take long.
const MOST_SECTIONS: usize = 1000;

/// The largest section that is read.
const MAX_SECTION: u64 = 4 << 20;

/// Schedule or PEFT method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A schedule.
    Schedule,
    /// A PEFT method.
    Method,
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Schedule => "schedule",
            Self::Method => "method",
        })
    }
}

/// A library's description of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The crate's name.
    pub name: String,
    /// The crate's version.
    pub version: String,
    /// The crate's licence; may be empty.
    pub license: String,
    /// The minor version of the interface against which it was built.
    pub abi_minor: u32,
    /// Whether a panic in it becomes an error (`panic=unwind`).
    pub unwinds: bool,
    /// Its schedules and methods.
    pub entries: Vec<ManifestEntry>,
    /// The JSON text as it stands in the file.
    pub json: String,
}

/// One schedule or method of a library.
#[derive(Debug, Clone, PartialEq)]
pub struct ManifestEntry {
    /// The id.
    pub id: String,
    /// Schedule or method.
    pub kind: EntryKind,
    /// One line of description.
    pub summary: String,
    /// Its options.
    pub options: Vec<OptionSchema>,
}

/// The reason why a file has no manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoManifest {
    /// It is not a dynamic library of any format.
    NotALibrary(String),
    /// It is a library without the section.
    NotAPlugin,
    /// The section is there but wrong, or of another major version.
    Broken(String),
}

impl fmt::Display for NoManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotALibrary(reason) => write!(
                f,
                "expected a dynamic library, found a damaged file or one of another kind ({reason}); build or copy it \
                 again"
            ),
            Self::NotAPlugin => f.write_str(
                "expected a progtune plugin, found a library without the section .progtune",
            ),
            Self::Broken(reason) => f.write_str(reason),
        }
    }
}

/// Reads the manifest of a library.
///
/// # Errors
/// See [`NoManifest`].
pub fn read<'data, R: ReadRef<'data>>(data: R) -> Result<Manifest, NoManifest> {
    let file = object::File::parse(data)
        .map_err(|error| NoManifest::NotALibrary(error.to_string().to_lowercase()))?;
    let ours = |section: &object::Section<'data, '_, R>| {
        section.name().is_ok_and(|name| SECTIONS.contains(&name))
    };
    let mut sections = file.sections().take(MOST_SECTIONS);
    let section = sections.find(ours).ok_or(NoManifest::NotAPlugin)?;
    if section.size() > MAX_SECTION {
        let size = section.size();
        return Err(NoManifest::Broken(format!(
            "expected a section .progtune of at most {MAX_SECTION} bytes, found {size}; get another build of the plugin"
        )));
    }
    let bytes = section.data().map_err(|error| {
        NoManifest::Broken(format!(
            "its section .progtune cannot be read ({error}): is the file cut off?"
        ))
    })?;
    parse(bytes).map_err(NoManifest::Broken)
}

/// Parses the record in the section (the linker may pad it).
///
/// # Errors
/// The fault, in words.
pub fn parse(record: &[u8]) -> Result<Manifest, String> {
    let header = record
        .get(..HEADER_LEN)
        .ok_or("its section .progtune is too short")?;
    let number = |index: usize| {
        let at = MAGIC.len() + 4 * index;
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if header[..MAGIC.len()] != MAGIC {
        return Err("its section .progtune does not begin with the magic bytes of a plugin".into());
    }
    let (major, abi_minor, flags, length) = (number(0), number(1), number(2), number(3) as usize);
    if major != ABI_MAJOR {
        return Err(format!(
            "it is built for version {major}.{abi_minor} of the plugin interface; this program speaks {ABI_MAJOR}.x: \
             get a build of the plugin for {ABI_MAJOR}.x"
        ));
    }
    let json = record[HEADER_LEN..]
        .get(..length)
        .ok_or("the manifest is longer than its section")?;
    let json =
        std::str::from_utf8(json).map_err(|error| format!("the manifest is not UTF-8: {error}"))?;
    let raw: RawManifest =
        serde_json::from_str(json).map_err(|error| format!("the manifest's JSON: {error}"))?;
    let entries = raw
        .entries
        .into_iter()
        .filter_map(|entry| entry.typed().transpose());
    let entries: Vec<ManifestEntry> = entries.collect::<Result<_, _>>()?;
    let mut seen = BTreeSet::new();
    if let Some(twice) = entries
        .iter()
        .find(|entry| !seen.insert((entry.kind, entry.id.as_str())))
    {
        return Err(format!(
            "the manifest lists the {} '{}' twice",
            twice.kind, twice.id
        ));
    }
    Ok(Manifest {
        name: one_line(&raw.name),
        version: one_line(&raw.version),
        license: one_line(&raw.license),
        abi_minor,
        unwinds: flags & FLAG_UNWIND != 0,
        entries,
        json: json.into(),
    })
}

#[derive(Deserialize)]
struct RawManifest {
    name: String,
    version: String,
    #[serde(default)]
    license: String,
    entries: Vec<RawEntry>,
}

#[derive(Deserialize)]
struct RawEntry {
    id: String,
    kind: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    options: Vec<RawOption>,
}

#[derive(Deserialize)]
struct RawOption {
    name: String,
    kind: String,
    default: Option<serde_json::Value>,
    min: Option<f64>,
    max: Option<f64>,
    #[serde(default)]
    choices: Vec<String>,
    #[serde(default)]
    help: String,
}

impl RawEntry {
    /// `None` for a kind of entry from a later version.
    fn typed(self) -> Result<Option<ManifestEntry>, String> {
        let kind = match self.kind.as_str() {
            "schedule" => EntryKind::Schedule,
            "method" => EntryKind::Method,
            _ => return Ok(None),
        };
        let id = name(&self.id)?;
        let options = self
            .options
            .into_iter()
            .map(RawOption::typed)
            .collect::<Result<_, _>>();
        let options = options.map_err(|reason| format!("the manifest's entry '{id}': {reason}"))?;
        Ok(Some(ManifestEntry {
            id,
            kind,
            summary: one_line(&self.summary),
            options,
        }))
    }
}

impl RawOption {
    fn typed(self) -> Result<OptionSchema, String> {
        let name = name(&self.name)?;
        let Some(kind) = OptionKind::from_name(&self.kind) else {
            let kind = one_line(&self.kind);
            return Err(format!(
                "option '{name}': the type '{kind}' is of a later version of the interface; update progtune"
            ));
        };
        let default =
            match &self.default {
                None => None,
                Some(json) => {
                    let value = default_value(kind, json);
                    Some(value.ok_or_else(|| {
                        format!("option '{name}': the default is not of type {kind}")
                    })?)
                }
            };
        let help = one_line(&self.help);
        let schema = OptionSchema {
            name,
            kind,
            default,
            min: self.min,
            max: self.max,
            choices: self.choices,
            help,
        };
        if let Some(default) = &schema.default {
            schema
                .check(default)
                .map_err(|reason| format!("option '{}': the default: {reason}", schema.name))?;
        }
        Ok(schema)
    }
}

fn default_value(kind: OptionKind, json: &serde_json::Value) -> Option<Value> {
    use serde_json::Value as Json;
    let list = || json.as_array().map(Vec::as_slice);
    match kind {
        OptionKind::BOOL => json.as_bool().map(Value::Bool),
        OptionKind::INT => json.as_i64().map(Value::Int),
        OptionKind::FLOAT => json.as_f64().map(Value::Float),
        OptionKind::STR => json.as_str().map(Value::from),
        OptionKind::INTS => list()?
            .iter()
            .map(Json::as_i64)
            .collect::<Option<Vec<_>>>()
            .map(Value::from),
        OptionKind::FLOATS => list()?
            .iter()
            .map(Json::as_f64)
            .collect::<Option<Vec<_>>>()
            .map(Value::from),
        OptionKind::STRS => {
            let texts = list()?.iter().map(|text| text.as_str().map(String::from));
            texts.collect::<Option<Vec<_>>>().map(Value::from)
        }
        _ => None,
    }
}

/// An id or an option's name.
fn name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(plain) {
        Ok(text.into())
    } else {
        Err(format!(
            "the manifest has a name '{}'; expected 1 to 64 letters, digits, '-', '_' or '.'",
            one_line(text).chars().take(80).collect::<String>()
        ))
    }
}

fn one_line(text: &str) -> String {
    printable(text).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(magic: &[u8], numbers: [u32; 3], json: &str) -> Vec<u8> {
        let mut record = magic.to_vec();
        for number in numbers.into_iter().chain([json.len() as u32]) {
            record.extend(number.to_le_bytes());
        }
        record.extend(json.as_bytes());
        record
    }

    const JSON: &str = r#"{"name":"n","version":"1","license":"MIT","later":{},"entries":[
        {"id":"x","kind":"schedule","summary":"s\u001b[31m","options":[
            {"name":"r","kind":"int","default":8,"min":1,"help":"h"},
            {"name":"t","kind":"strs","default":["a"],"help":""},
            {"name":"p","kind":"float","help":""}]},
        {"id":"y","kind":"of a later version"}]}"#;

    #[test]
    fn a_record_is_read_with_padding_and_unknown_keys() {
        let mut bytes = record(&MAGIC, [1, 7, 1], JSON);
        bytes.extend([0; 9]);
        let manifest = parse(&bytes).unwrap();
        assert_eq!(
            (manifest.abi_minor, manifest.unwinds, manifest.entries.len()),
            (7, true, 1)
        );
        let entry = &manifest.entries[0];
        assert_eq!(entry.summary, "s\\u{1b}[31m");
        assert_eq!(entry.options[0].default, Some(Value::Int(8)));
        assert_eq!(entry.options[2].default, None);
    }

    #[test]
    fn whatever_is_wrong_is_an_error() {
        let bytes = record(&MAGIC, [1, 0, 1], JSON);
        for length in [0, 10, HEADER_LEN, bytes.len() - 1] {
            assert!(parse(&bytes[..length]).is_err());
        }
        assert!(
            parse(&record(b"PROGTUNE-PLUGIN?", [1, 0, 1], JSON))
                .unwrap_err()
                .contains("magic")
        );
        assert!(
            parse(&record(&MAGIC, [2, 0, 1], JSON))
                .unwrap_err()
                .contains("version 2.0")
        );
        let broken = [
            JSON.replace("\"x\"", "\"x y\""),
            JSON.replace("\"x\"", "\"\""),
            JSON.replace(":8,", ":0,"),
            JSON.replace(":8,", ":\"8\","),
            JSON.replace("\"int\"", "\"complex\""),
            JSON.replace(
                "\"y\",\"kind\":\"of a later version\"",
                "\"x\",\"kind\":\"schedule\"",
            ),
            "[".repeat(100_000),
        ];
        for json in broken {
            assert!(
                parse(&record(&MAGIC, [1, 0, 1], &json)).is_err(),
                "{json:.200}"
            );
        }
        assert!(matches!(
            read(&b"a text file"[..]),
            Err(NoManifest::NotALibrary(_))
        ));
        assert!(matches!(read(&b""[..]), Err(NoManifest::NotALibrary(_))));
    }
}
