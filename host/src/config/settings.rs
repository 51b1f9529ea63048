//! Typed, checked reading of merged configuration values. Called by the `resolve` functions of
//! `config`. The errors about values are created here, with the origin and the advice.

use std::fmt::Display;
use std::path::PathBuf;

use ::config::{Map, Value, ValueKind};

use super::ConfigError;
use crate::flags::hugging_face::{self, Meaning};
use crate::flags::{About, Declared, Flag, Form, Options, advice};

/// The merged layers. Readers take a flag and return the value of its key; keys without a value
/// yield `None`.
#[derive(Debug)]
pub(super) struct Settings {
    values: Map<String, Value>,
}

/// The origin of a value that nobody set, for records.
pub(crate) const DEFAULT: &str = "default";

/// The word that unsets an optional key which a lower layer has set.
const NONE: &str = "none";

impl Settings {
    pub(super) fn new(values: Map<String, Value>) -> Self {
        Self { values }
    }

    fn value(&self, flag: &dyn Declared) -> Option<&Value> {
        self.values.get(flag.about().name)
    }

    /// The origin of the value: a flag, a variable, a file or its default.
    pub(super) fn origin(&self, flag: &dyn Declared) -> String {
        describe_origin(self.value(flag))
    }

    /// The key with the origin of its value; for a table, the key of each entry (`peft_opt.r`).
    pub(super) fn origins(&self, flag: &dyn Declared) -> Vec<(String, String)> {
        let key = flag.about().name;
        let short = |value: Option<&Value>| match describe_origin(value) {
            origin if origin == "its default" => DEFAULT.to_owned(),
            origin => origin,
        };
        match self.value(flag) {
            Some(Value {
                kind: ValueKind::Table(table),
                ..
            }) => {
                let entries = table.iter();
                let entry = |(name, value): (&String, &Value)| {
                    (format!("{key}.{name}"), short(Some(value)))
                };
                entries.map(entry).collect()
            }
            // The elements of a list have the origin.
            value => {
                let first = value.and_then(|value| match &value.kind {
                    ValueKind::Array(items) => items.first(),
                    _ => None,
                });
                let own = value.filter(|value| value.origin().is_some());
                vec![(key.to_owned(), short(own.or(first).or(value)))]
            }
        }
    }

    /// The key with its origin: `lr (from flag --lr)`.
    pub(super) fn named(&self, flag: &dyn Declared) -> String {
        format!("{} (from {})", flag.about().name, self.origin(flag))
    }

    /// Whether a flag, a variable or a file gave the value.
    pub(super) fn is_set(&self, flag: &dyn Declared) -> bool {
        self.origin(flag) != "its default"
    }

    /// The text as given; `None` if unset.
    pub(super) fn optional_text(&self, flag: &Flag<String>) -> Result<Option<String>, ConfigError> {
        self.plain(flag)
    }

    /// A text that has a default.
    pub(super) fn text(&self, flag: &Flag<String>) -> Result<String, ConfigError> {
        self.plain(flag)?
            .ok_or_else(|| self.bad(flag, "a name", NONE))
    }

    /// A path; `none` unsets it.
    pub(super) fn path(&self, flag: &Flag<PathBuf>) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.plain(flag)?.map(PathBuf::from))
    }

    fn plain(&self, flag: &dyn Declared) -> Result<Option<String>, ConfigError> {
        let Some(text) = self.scalar(flag, "a text")? else {
            return Ok(None);
        };
        if text.trim().is_empty() {
            return Err(self.bad(flag, "a text that is not empty", &text));
        }
        Ok((text != NONE).then_some(text))
    }

    /// The id of a schedule or method, also as Hugging Face's tools write it (`LORA`). A word that
    /// could be an id stays as it is, since a plugin may have it.
    pub(super) fn id(&self, flag: &Flag<String>) -> Result<Option<String>, ConfigError> {
        let Some(id) = self.plain(flag)? else {
            return Ok(None);
        };
        let is_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if id.chars().all(is_id) {
            return Ok(Some(id));
        }
        let own = id.to_lowercase().replace('_', "-");
        match hugging_face::value(flag.about.name, &id) {
            Some(Meaning::Same([same, ..])) => Ok(Some((*same).to_owned())),
            _ if own == NONE => Ok(None),
            _ if own.chars().all(is_id) => Ok(Some(own)),
            _ => Ok(Some(id)),
        }
    }

    /// A value with a default, read in the form that its flag declares.
    pub(super) fn get<T: Clone + Sync>(&self, flag: &Flag<T>) -> Result<T, ConfigError> {
        let expected = match flag.form {
            Form::Parsed(expected, _) => expected,
            Form::Plain | Form::OneOf(_) | Form::OneOfOrNone(_) => "a name",
        };
        self.find(flag)?
            .ok_or_else(|| self.bad(flag, expected, NONE))
    }

    /// A value that may be unset, read in the form that its flag declares.
    pub(super) fn find<T: Clone + Sync>(&self, flag: &Flag<T>) -> Result<Option<T>, ConfigError> {
        match flag.form {
            Form::Plain => Ok(None),
            Form::Parsed(expected, parse) => self.parsed(flag, expected, parse),
            Form::OneOf(names) => self.one_of(flag, names),
            Form::OneOfOrNone(names) => match self.plain(flag)? {
                Some(_) => self.one_of(flag, names),
                None => Ok(None),
            },
        }
    }

    fn parsed<T>(
        &self,
        flag: &dyn Declared,
        expected: &str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.scalar(flag, expected)? else {
            return Ok(None);
        };
        let text = text.trim();
        if text == NONE {
            return Ok(None);
        }
        parse(text)
            .map(Some)
            .ok_or_else(|| self.bad(flag, expected, text))
    }

    /// One of several names. The error for any other name suggests the nearest one.
    fn one_of<T: Clone>(
        &self,
        flag: &dyn Declared,
        names: &[(&'static str, T)],
    ) -> Result<Option<T>, ConfigError> {
        let list = names
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let expected = format!("one of {list}");
        let Some(text) = self.scalar(flag, &expected)? else {
            return Ok(None);
        };
        // Python writes `True`, and PEFT names in capitals.
        let find = |text: &str| {
            let mut names = names.iter();
            let found = names.find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
            found.map(|(_, value)| value.clone())
        };
        if let Some(value) = find(&text) {
            return Ok(Some(value));
        }
        let meaning = hugging_face::value(flag.about().name, &text);
        if let Some(Meaning::Same([name, ..])) = meaning {
            return Ok(find(name));
        }
        let mut error = self.bad(flag, &expected, &text);
        if let ConfigError::BadValue { advice: said, .. } = &mut error {
            *said = match meaning.and_then(|meaning| meaning.answer(&text)) {
                Some(answer) => answer,
                None => advice(&text, names.iter().map(|(name, _)| *name), said),
            };
        }
        Err(error)
    }

    /// Refuses a text that has another meaning in Hugging Face's tools, and says what to do.
    pub(super) fn refuse_word(
        &self,
        flag: &dyn Declared,
        expected: &str,
        text: &str,
    ) -> Result<(), ConfigError> {
        let meaning = hugging_face::value(flag.about().name, text);
        let Some(answer) = meaning.and_then(|meaning| meaning.answer(text)) else {
            return Ok(());
        };
        let mut error = self.bad(flag, expected, text);
        if let ConfigError::BadValue { advice: said, .. } = &mut error {
            *said = answer;
        }
        Err(error)
    }

    /// Paths, given as an array or as a single text.
    pub(super) fn paths(&self, flag: &Flag<Vec<PathBuf>>) -> Result<Vec<PathBuf>, ConfigError> {
        let expected = "a path or an array of paths";
        let Some(value) = self.value(flag) else {
            return Ok(Vec::new());
        };
        let items = match &value.kind {
            ValueKind::Nil => return Ok(Vec::new()),
            ValueKind::Array(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        items
            .iter()
            .map(|item| match &item.kind {
                ValueKind::String(path) if !path.trim().is_empty() => Ok(PathBuf::from(path)),
                _ => Err(self.bad(flag, expected, &describe_found(item))),
            })
            .collect()
    }

    /// Plugin options, sorted by name. Each value becomes the text that it would be on the command
    /// line.
    pub(super) fn options(&self, flag: &Flag<Options>) -> Result<Options, ConfigError> {
        let expected = "a table such as { r = 8 }";
        let Some(value) = self.value(flag) else {
            return Ok(Vec::new());
        };
        let ValueKind::Table(table) = &value.kind else {
            return Err(self.bad(flag, expected, &describe_found(value)));
        };
        let mut options = Vec::with_capacity(table.len());
        for (name, value) in table {
            let text = option_text(value).ok_or_else(|| {
                let expected = "a text, number, true or false, or an array of these";
                bad_value(
                    &format!("{}.{name}", flag.about.name),
                    Some(value),
                    expected,
                    &describe_found(value),
                    &flag.about,
                )
            })?;
            options.push((name.clone(), text));
        }
        options.sort();
        Ok(options)
    }

    /// The value as one text, for any scalar type of TOML.
    fn scalar(&self, flag: &dyn Declared, expected: &str) -> Result<Option<String>, ConfigError> {
        let Some(value) = self.value(flag) else {
            return Ok(None);
        };
        match scalar_text(value) {
            Some(text) => Ok(Some(text)),
            None if matches!(value.kind, ValueKind::Nil) => Ok(None),
            None => Err(self.bad(flag, expected, &describe_found(value))),
        }
    }

    /// The error for this flag's value.
    pub(super) fn bad(&self, flag: &dyn Declared, expected: &str, found: &str) -> ConfigError {
        let about = flag.about();
        bad_value(about.name, self.value(flag), expected, found, about)
    }
}

/// A plugin option as text: scalars as printed, arrays separated by commas.
fn option_text(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Array(items) => items
            .iter()
            .map(scalar_text)
            .collect::<Option<Vec<_>>>()
            .map(|items| items.join(",")),
        _ => scalar_text(value),
    }
}

pub(super) fn scalar_text(value: &Value) -> Option<String> {
    fn text(value: impl Display) -> Option<String> {
        Some(value.to_string())
    }
    match &value.kind {
        ValueKind::String(value) => text(value),
        ValueKind::Boolean(value) => text(value),
        ValueKind::I64(value) => text(value),
        ValueKind::I128(value) => text(value),
        ValueKind::U64(value) => text(value),
        ValueKind::U128(value) => text(value),
        ValueKind::Float(value) => text(value),
        ValueKind::Nil | ValueKind::Table(_) | ValueKind::Array(_) => None,
    }
}

fn describe_found(value: &Value) -> String {
    match &value.kind {
        ValueKind::Nil => "nothing".into(),
        ValueKind::Table(_) => "a table".into(),
        ValueKind::Array(_) => "an array".into(),
        _ => scalar_text(value).unwrap_or_default(),
    }
}

/// Describes an origin. The layers here write `flag --x`, `environment variable X` and `its
/// default`; any other origin is the path of a file.
fn describe_origin(value: Option<&Value>) -> String {
    let first = value.and_then(|value| match &value.kind {
        // A merged table has no origin, but its entries do.
        ValueKind::Table(table) if value.origin().is_none() => table
            .iter()
            .min_by(|a, b| a.0.cmp(b.0))
            .and_then(|(_, entry)| entry.origin()),
        _ => value.origin(),
    });
    match first {
        None => "its default".into(),
        Some(own)
            if own.starts_with("flag --")
                || own.starts_with("environment variable ")
                || own == "its default" =>
        {
            own.into()
        }
        Some(path) => format!("file {path}"),
    }
}

fn bad_value(
    name: &str,
    value: Option<&Value>,
    expected: &str,
    found: &str,
    key: &About,
) -> ConfigError {
    let origin = describe_origin(value);
    let example = key.example;
    let advice = if origin.starts_with("environment") {
        format!("set it to something like {}={example}", key.variable())
    } else if origin.starts_with("file") {
        let quoted = if example.parse::<f64>().is_ok() || example == "false" {
            example.to_string()
        } else {
            format!("{example:?}")
        };
        match example.split_once('=') {
            Some((name, value)) => format!(
                "write something like `{} = {{ {name} = {value} }}`",
                key.name
            ),
            None => format!("write something like `{} = {quoted}`", key.name),
        }
    } else if example == "false" {
        format!("give {0} alone, or {0}=false", key.flag())
    } else {
        format!("give something like {} {example}", key.flag())
    };
    let found =
        if found.starts_with("a table") || found.starts_with("an array") || found == "nothing" {
            found.to_string()
        } else {
            format!("`{found}`")
        };
    ConfigError::BadValue {
        key: name.into(),
        origin,
        expected: expected.into(),
        found,
        advice,
    }
}
