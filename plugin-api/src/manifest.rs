//! The manifest lists what a library offers. It lies in a linker section that the host reads
//! without running the library.
//!
//! [`crate::export_plugin!`] writes a [`PluginSpec`] from literals and turns it into a
//! [`ManifestRecord`] at compile time. All numbers in the record are little-endian. It starts with
//! 16 bytes of magic. A `u32` each follows for the interface's major version, its minor version,
//! the flags and the length of the JSON text. The JSON text comes last.

use crate::{
    open::Value,
    options::{OptionKind, OptionSchema},
};
use abi_stable::std_types::RString;

/// The first bytes of a record.
pub const MAGIC: [u8; 16] = *b"PROGTUNE-PLUGIN\n";
/// The number of bytes before the JSON text.
pub const HEADER_LEN: usize = 32;
/// The name of the section, by platform: ELF, PE (at most eight characters), Mach-O.
pub const SECTIONS: [&str; 3] = [".progtune", ".progtun", "__progtune"];
/// A flag: the library was built with `panic=unwind`, so that a panic becomes an error. Without it
/// a panic ends the process.
pub const FLAG_UNWIND: u32 = 1;
/// The interface's major version, on which host and plugin must agree.
pub const ABI_MAJOR: u32 = number(env!("CARGO_PKG_VERSION_MAJOR"));
/// The interface's minor version; any two minor versions work together.
pub const ABI_MINOR: u32 = number(env!("CARGO_PKG_VERSION_MINOR"));

const fn number(digits: &str) -> u32 {
    let (bytes, mut at, mut value) = (digits.as_bytes(), 0, 0);
    while at < bytes.len() {
        value = value * 10 + (bytes[at] - b'0') as u32;
        at += 1;
    }
    value
}

/// The default of an option, as [`crate::export_plugin!`] writes it. Numbers are kept as written.
#[derive(Debug, Clone, Copy)]
pub enum DefaultSpec {
    /// No default: the user must give the option.
    Required,
    /// A truth value.
    Bool(bool),
    /// A number as a JSON literal.
    Number(&'static str),
    /// A text.
    Str(&'static str),
    /// Numbers as JSON literals.
    Numbers(&'static [&'static str]),
    /// Texts.
    Strs(&'static [&'static str]),
}

/// An option, as [`crate::export_plugin!`] writes it.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// The name.
    pub name: &'static str,
    /// The type.
    pub kind: OptionKind,
    /// The default.
    pub default: DefaultSpec,
    /// The minimum as a JSON literal; empty if there is none.
    pub min: &'static str,
    /// The maximum as a JSON literal; empty if there is none.
    pub max: &'static str,
    /// The allowed texts; empty if any text is allowed.
    pub choices: &'static [&'static str],
    /// One sentence of help.
    pub help: &'static str,
}

/// A schedule or a method, as [`crate::export_plugin!`] writes it.
#[derive(Debug, Clone, Copy)]
pub struct EntrySpec {
    /// The id.
    pub id: &'static str,
    /// `schedule` or `method`.
    pub kind: &'static str,
    /// One line of description.
    pub summary: &'static str,
    /// Its options.
    pub options: &'static [OptionSpec],
}

/// A library, as [`crate::export_plugin!`] writes it.
#[derive(Debug, Clone, Copy)]
pub struct PluginSpec {
    /// The crate's name.
    pub name: &'static str,
    /// The crate's version.
    pub version: &'static str,
    /// The crate's licence.
    pub license: &'static str,
    /// The entries that it offers.
    pub entries: &'static [EntrySpec],
}

/// The record in the section; `N` is the length of the JSON text.
#[repr(C)]
#[derive(Debug)]
pub struct ManifestRecord<const N: usize> {
    magic: [u8; 16],
    abi_major: [u8; 4],
    abi_minor: [u8; 4],
    flags: [u8; 4],
    json_len: [u8; 4],
    json: [u8; N],
}

impl<const N: usize> ManifestRecord<N> {
    /// The record of a library. `unwind` says whether it was built with `panic=unwind`.
    pub const fn new(spec: &PluginSpec, unwind: bool) -> Self {
        let mut json = [0; N];
        assert!(spec.write_json(&mut json) == N);
        Self {
            magic: MAGIC,
            abi_major: ABI_MAJOR.to_le_bytes(),
            abi_minor: ABI_MINOR.to_le_bytes(),
            flags: (if unwind { FLAG_UNWIND } else { 0 }).to_le_bytes(),
            json_len: (N as u32).to_le_bytes(),
            json,
        }
    }

    /// The JSON text.
    pub const fn json(&self) -> &str {
        match std::str::from_utf8(&self.json) {
            Ok(json) => json,
            Err(_) => "",
        }
    }
}

impl PluginSpec {
    /// The length of the JSON text.
    pub const fn json_len(&self) -> usize {
        self.write_json(&mut [])
    }

    /// Writes as much of the JSON text as fits, and returns its full length.
    pub const fn write_json(&self, out: &mut [u8]) -> usize {
        let mut json = Json { out, at: 0 };
        json.raw("{\"name\":");
        json.text(self.name);
        json.raw(",\"version\":");
        json.text(self.version);
        json.raw(",\"license\":");
        json.text(self.license);
        json.raw(",\"abi\":");
        json.text(concat!(
            env!("CARGO_PKG_VERSION_MAJOR"),
            ".",
            env!("CARGO_PKG_VERSION_MINOR")
        ));
        json.raw(",\"entries\":[");
        let mut at = 0;
        while at < self.entries.len() {
            json.separate(at);
            json.entry(&self.entries[at]);
            at += 1;
        }
        json.raw("]}");
        json.at
    }
}

/// Writes JSON in a constant context: counts every byte and keeps those that fit.
struct Json<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Json<'_> {
    const fn byte(&mut self, byte: u8) {
        if self.at < self.out.len() {
            self.out[self.at] = byte;
        }
        self.at += 1;
    }

    const fn raw(&mut self, text: &str) {
        let (bytes, mut at) = (text.as_bytes(), 0);
        while at < bytes.len() {
            self.byte(bytes[at]);
            at += 1;
        }
    }

    const fn separate(&mut self, index: usize) {
        if index > 0 {
            self.byte(b',');
        }
    }

    const fn text(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.byte(b'"');
        let (bytes, mut at) = (text.as_bytes(), 0);
        while at < bytes.len() {
            match bytes[at] {
                byte @ (b'"' | b'\\') => {
                    self.byte(b'\\');
                    self.byte(byte);
                }
                byte @ 0..0x20 => {
                    self.raw("\\u00");
                    self.byte(HEX[(byte >> 4) as usize]);
                    self.byte(HEX[(byte & 15) as usize]);
                }
                byte => self.byte(byte),
            }
            at += 1;
        }
        self.byte(b'"');
    }

    const fn number(&mut self, literal: &str) {
        assert!(
            is_json_number(literal.as_bytes()),
            "write numbers of options like 1, -1, 0.5 or 1e-4"
        );
        self.raw(literal);
    }

    const fn texts(&mut self, texts: &[&str]) {
        self.byte(b'[');
        let mut at = 0;
        while at < texts.len() {
            self.separate(at);
            self.text(texts[at]);
            at += 1;
        }
        self.byte(b']');
    }

    const fn entry(&mut self, entry: &EntrySpec) {
        self.raw("{\"id\":");
        self.text(entry.id);
        self.raw(",\"kind\":");
        self.text(entry.kind);
        self.raw(",\"summary\":");
        self.text(entry.summary);
        self.raw(",\"options\":[");
        let mut at = 0;
        while at < entry.options.len() {
            self.separate(at);
            self.option(&entry.options[at]);
            at += 1;
        }
        self.raw("]}");
    }

    const fn option(&mut self, option: &OptionSpec) {
        self.raw("{\"name\":");
        self.text(option.name);
        self.raw(",\"kind\":");
        match option.kind.name() {
            Some(name) => self.text(name),
            None => panic!("an option of unknown type"),
        }
        self.default_value(&option.default);
        if !option.min.is_empty() {
            self.raw(",\"min\":");
            self.number(option.min);
        }
        if !option.max.is_empty() {
            self.raw(",\"max\":");
            self.number(option.max);
        }
        if !option.choices.is_empty() {
            self.raw(",\"choices\":");
            self.texts(option.choices);
        }
        self.raw(",\"help\":");
        self.text(option.help);
        self.byte(b'}');
    }

    const fn default_value(&mut self, default: &DefaultSpec) {
        if matches!(default, DefaultSpec::Required) {
            return;
        }
        self.raw(",\"default\":");
        match default {
            DefaultSpec::Required => {}
            DefaultSpec::Bool(value) => self.raw(if *value { "true" } else { "false" }),
            DefaultSpec::Number(literal) => self.number(literal),
            DefaultSpec::Str(text) => self.text(text),
            DefaultSpec::Strs(texts) => self.texts(texts),
            DefaultSpec::Numbers(literals) => {
                self.byte(b'[');
                let mut at = 0;
                while at < literals.len() {
                    self.separate(at);
                    self.number(literals[at]);
                    at += 1;
                }
                self.byte(b']');
            }
        }
    }
}

const fn digits(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at].is_ascii_digit() {
        at += 1;
    }
    at
}

const fn is_json_number(bytes: &[u8]) -> bool {
    let sign = (!bytes.is_empty() && bytes[0] == b'-') as usize;
    let mut at = digits(bytes, sign);
    if at == sign || (at > sign + 1 && bytes[sign] == b'0') {
        return false;
    }
    if at < bytes.len() && bytes[at] == b'.' {
        let fraction = at + 1;
        at = digits(bytes, fraction);
        if at == fraction {
            return false;
        }
    }
    if at < bytes.len() && (bytes[at] == b'e' || bytes[at] == b'E') {
        let mut exponent = at + 1;
        if exponent < bytes.len() && (bytes[exponent] == b'-' || bytes[exponent] == b'+') {
            exponent += 1;
        }
        at = digits(bytes, exponent);
        if at == exponent {
            return false;
        }
    }
    at == bytes.len()
}

impl OptionSpec {
    /// The same as owned data, for the parser of options.
    pub fn schema(&self) -> OptionSchema {
        let float = |literal: &str| literal.parse::<f64>().ok();
        let default = match (self.default, self.kind) {
            (DefaultSpec::Required, _) => None,
            (DefaultSpec::Bool(value), _) => Some(Value::Bool(value)),
            (DefaultSpec::Str(text), _) => Some(Value::from(text)),
            (DefaultSpec::Strs(texts), _) => Some(Value::Strs(
                texts.iter().map(|&t| RString::from(t)).collect(),
            )),
            (DefaultSpec::Number(literal), OptionKind::INT) => literal.parse().ok().map(Value::Int),
            (DefaultSpec::Number(literal), _) => float(literal).map(Value::Float),
            (DefaultSpec::Numbers(literals), OptionKind::INTS) => Some(Value::Ints(
                literals
                    .iter()
                    .filter_map(|literal| literal.parse().ok())
                    .collect(),
            )),
            (DefaultSpec::Numbers(literals), _) => Some(Value::Floats(
                literals
                    .iter()
                    .filter_map(|literal| float(literal))
                    .collect(),
            )),
        };
        OptionSchema {
            name: self.name.into(),
            kind: self.kind,
            default,
            min: float(self.min),
            max: float(self.max),
            choices: self.choices.iter().map(|&choice| choice.into()).collect(),
            help: self.help.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: PluginSpec = PluginSpec {
        name: "a",
        version: "1",
        license: "é\"\\\n",
        entries: &[EntrySpec {
            id: "x",
            kind: "method",
            summary: "s",
            options: &[OptionSpec {
                name: "lr",
                kind: OptionKind::FLOAT,
                default: DefaultSpec::Number("1e-4"),
                min: "0",
                max: "",
                choices: &[],
                help: "",
            }],
        }],
    };
    static RECORD: ManifestRecord<{ SPEC.json_len() }> = ManifestRecord::new(&SPEC, true);

    #[test]
    fn the_record_is_made_at_compile_time() {
        assert_eq!(
            RECORD.json(),
            "{\"name\":\"a\",\"version\":\"1\",\"license\":\"é\\\"\\\\\\u000a\",\"abi\":\"1.1\",\"entries\":[{\"id\":\"x\",\
             \"kind\":\"method\",\"summary\":\"s\",\"options\":[{\"name\":\"lr\",\"kind\":\"float\",\"default\":1e-4,\
             \"min\":0,\"help\":\"\"}]}]}"
        );
        assert_eq!(RECORD.json_len, (RECORD.json().len() as u32).to_le_bytes());
        assert_eq!(std::mem::offset_of!(ManifestRecord<0>, json), HEADER_LEN);
    }

    #[test]
    fn numbers_are_those_of_json() {
        for good in ["0", "-1", "1e-4", "0.5", "12.25E+3"] {
            assert!(is_json_number(good.as_bytes()), "{good}");
        }
        for bad in [
            "", "-", "1.", ".5", "1_000", "0.5f64", "1e", "01", "f64::MAX",
        ] {
            assert!(!is_json_number(bad.as_bytes()), "{bad}");
        }
    }
}
