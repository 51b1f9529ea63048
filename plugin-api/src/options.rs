//! The declaration of an entry's options, the single rule that converts `K=V` texts to values, and
//! the typed view of the result for authors.
//!
//! The host resolves the user's input before it calls a plugin; the contract test resolves in the
//! same way.

use crate::{
    names::did_you_mean,
    open::{Attribute, Value, open_enum},
    records::{ErrorCode, PluginError},
};
use abi_stable::std_types::RString;

open_enum!(
    /// The type of an option.
    OptionKind(u16) {
        /// `true` or `false`.
        BOOL = 1 => "bool",
        /// A whole number.
        INT = 2 => "int",
        /// A finite number.
        FLOAT = 3 => "float",
        /// A text.
        STR = 4 => "str",
        /// Whole numbers, separated by commas.
        INTS = 5 => "ints",
        /// Numbers, separated by commas.
        FLOATS = 6 => "floats",
        /// Texts, separated by commas.
        STRS = 7 => "strs",
    }
);

/// One option as declared by its entry. Owned, because the host reads it from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionSchema {
    /// The name that the user types.
    pub name: String,
    /// Its type.
    pub kind: OptionKind,
    /// The value used if the user gives none; an option without it is required.
    pub default: Option<Value>,
    /// The minimum of a number, or of each number in a list.
    pub min: Option<f64>,
    /// The maximum of a number, or of each number in a list.
    pub max: Option<f64>,
    /// The allowed texts (for each element of a list); empty if any text is allowed.
    pub choices: Vec<String>,
    /// One sentence for `plugins show`.
    pub help: String,
}

impl OptionSchema {
    /// The value that a text stands for in this option.
    ///
    /// # Errors
    /// If the text is of the wrong type, out of range or not among the choices; the message says
    /// what was expected.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        let refused = |expected: &str| format!("expected {expected}, found '{}'", shortened(text));
        let list = || {
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
        };
        let value = match self.kind {
            OptionKind::BOOL => Value::Bool(text.parse().map_err(|_| refused("true or false"))?),
            OptionKind::INT => Value::Int(text.parse().map_err(|_| refused("a whole number"))?),
            OptionKind::FLOAT => Value::Float(text.parse().map_err(|_| refused("a number"))?),
            OptionKind::STR => Value::from(text),
            OptionKind::INTS => {
                let numbers: Result<Vec<i64>, _> = list().map(str::parse).collect();
                Value::from(numbers.map_err(|_| refused("whole numbers separated by commas"))?)
            }
            OptionKind::FLOATS => {
                let numbers: Result<Vec<f64>, _> = list().map(str::parse).collect();
                Value::from(numbers.map_err(|_| refused("numbers separated by commas"))?)
            }
            OptionKind::STRS => Value::from(list().map(String::from).collect::<Vec<_>>()),
            other => {
                return Err(format!(
                    "its type ({other}) is of a later version of the interface"
                ));
            }
        };
        self.check(&value)?;
        Ok(value)
    }

    /// Checks a value's type, range and choices.
    ///
    /// # Errors
    /// If the value is invalid; the message says what was expected.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let (numbers, texts): (Vec<f64>, Vec<&str>) = match (self.kind, value) {
            (OptionKind::BOOL, Value::Bool(_)) => Default::default(),
            (OptionKind::INT, Value::Int(number)) => (vec![*number as f64], vec![]),
            (OptionKind::FLOAT, Value::Float(number)) => (vec![*number], vec![]),
            (OptionKind::STR, Value::Str(text)) => (vec![], vec![text.as_str()]),
            (OptionKind::INTS, Value::Ints(numbers)) => {
                (numbers.iter().map(|&n| n as f64).collect(), vec![])
            }
            (OptionKind::FLOATS, Value::Floats(numbers)) => (numbers.to_vec(), vec![]),
            (OptionKind::STRS, Value::Strs(texts)) => {
                (vec![], texts.iter().map(RString::as_str).collect())
            }
            _ => return Err(format!("expected {}, found '{value}'", self.kind)),
        };
        for number in numbers {
            let low_enough = self.max.is_none_or(|max| number <= max);
            if !(number.is_finite() && low_enough && self.min.is_none_or(|min| number >= min)) {
                return Err(format!("expected {}, found {number}", self.range()));
            }
        }
        for text in texts {
            if !self.choices.is_empty() && !self.choices.iter().any(|choice| choice == text) {
                let near = did_you_mean(text, self.choices.iter().map(String::as_str));
                let choices = self.choices.join(", ");
                return Err(format!(
                    "expected one of {choices}; found '{}'{near}",
                    shortened(text)
                ));
            }
        }
        Ok(())
    }

    /// The texts that stand for a value, in words: `a whole number from 1 to 16`, `one of a, b`,
    /// `texts, separated by commas`.
    pub fn expects(&self) -> String {
        let range = match (self.min, self.max) {
            (Some(min), Some(max)) => format!(" from {min} to {max}"),
            (Some(min), None) => format!(" of at least {min}"),
            (None, Some(max)) => format!(" of at most {max}"),
            (None, None) => String::new(),
        };
        let choices = self.choices.join(", ");
        match self.kind {
            OptionKind::BOOL => "true or false".into(),
            OptionKind::INT => format!("a whole number{range}"),
            OptionKind::FLOAT => format!("a number{range}"),
            OptionKind::INTS => format!("whole numbers{range}, separated by commas"),
            OptionKind::FLOATS => format!("numbers{range}, separated by commas"),
            OptionKind::STR if choices.is_empty() => "a text".into(),
            OptionKind::STR => format!("one of {choices}"),
            OptionKind::STRS if choices.is_empty() => "texts, separated by commas".into(),
            OptionKind::STRS => format!("any of {choices}, separated by commas"),
            other => format!("a value of the type {other}, of a later version of the interface"),
        }
    }

    /// The range in words: `a number from 0 to 1`.
    pub fn range(&self) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) => format!("a number from {min} to {max}"),
            (Some(min), None) => format!("a number of at least {min}"),
            (None, Some(max)) => format!("a number of at most {max}"),
            (None, None) => "a finite number".into(),
        }
    }
}

/// The option at fault, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionFault {
    /// The option's name as typed.
    pub name: String,
    /// The reason.
    pub reason: String,
}

/// Converts the user's input to the full set of values, in the order of the declaration.
///
/// # Errors
/// The first option that is not declared, given twice, of the wrong type, out of range, or missing.
pub fn resolve(
    declared: &[OptionSchema],
    given: &[(String, String)],
) -> Result<Vec<Attribute>, OptionFault> {
    let fault = |name: &str, reason: String| OptionFault {
        name: shortened(name),
        reason,
    };
    for (index, (name, _)) in given.iter().enumerate() {
        if !declared.iter().any(|option| option.name == *name) {
            let names = || declared.iter().map(|option| option.name.as_str());
            let reason = if declared.is_empty() {
                "there is no such option, nor any other".to_string()
            } else {
                format!(
                    "there is no such option; available: {}{}",
                    names().collect::<Vec<_>>().join(", "),
                    did_you_mean(name, names())
                )
            };
            return Err(fault(name, reason));
        }
        if given[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(fault(name, "given twice; give it once".into()));
        }
    }
    let value_of = |option: &OptionSchema| {
        let typed = given.iter().find(|(name, _)| *name == option.name);
        let value = match (typed, &option.default) {
            (Some((_, text)), _) => option.parse(text),
            (None, Some(default)) => option.check(default).map(|()| default.clone()),
            (None, None) => Err(format!("required, and not given; it is {}", option.help)),
        };
        value
            .map(|value| Attribute {
                key: option.name.as_str().into(),
                value,
            })
            .map_err(|reason| fault(&option.name, reason))
    };
    declared.iter().map(value_of).collect()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        None => text.into(),
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
    }
}

/// The options of one entry, as passed to an author's `create` function: checked against the
/// declaration, with defaults filled in. A getter fails only if the declaration lacks the option or
/// its type differs.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a>(&'a [Attribute]);

impl<'a> Options<'a> {
    /// A view of resolved options.
    pub fn new(values: &'a [Attribute]) -> Self {
        Self(values)
    }

    /// The value, whatever its type.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.0
            .iter()
            .find(|option| option.key.as_str() == name)
            .map(|option| &option.value)
    }

    /// A truth value.
    ///
    /// # Errors
    /// [`ErrorCode::INTERNAL`] if no option with this name and type is declared. The other getters
    /// return the same error.
    pub fn bool(&self, name: &str) -> Result<bool, PluginError> {
        match self.get(name) {
            Some(Value::Bool(value)) => Ok(*value),
            other => Err(not_declared(name, "bool", other)),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// As for [`Options::bool`].
    pub fn int(&self, name: &str) -> Result<i64, PluginError> {
        match self.get(name) {
            Some(Value::Int(value)) => Ok(*value),
            other => Err(not_declared(name, "int", other)),
        }
    }

    /// A whole number as a size.
    ///
    /// # Errors
    /// As for [`Options::bool`], and [`ErrorCode::BAD_OPTION`] for a negative number.
    pub fn size(&self, name: &str) -> Result<u64, PluginError> {
        let value = self.int(name)?;
        u64::try_from(value).map_err(|_| {
            PluginError::bad_option(name, format!("expected at least 0, found {value}"))
        })
    }

    /// A number.
    ///
    /// # Errors
    /// As for [`Options::bool`].
    pub fn float(&self, name: &str) -> Result<f64, PluginError> {
        match self.get(name) {
            Some(Value::Float(value)) => Ok(*value),
            other => Err(not_declared(name, "float", other)),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// As for [`Options::bool`].
    pub fn str(&self, name: &str) -> Result<&'a str, PluginError> {
        match self.get(name) {
            Some(Value::Str(value)) => Ok(value.as_str()),
            other => Err(not_declared(name, "str", other)),
        }
    }

    /// Texts.
    ///
    /// # Errors
    /// As for [`Options::bool`].
    pub fn strs(&self, name: &str) -> Result<Vec<&'a str>, PluginError> {
        match self.get(name) {
            Some(Value::Strs(values)) => Ok(values.iter().map(RString::as_str).collect()),
            other => Err(not_declared(name, "strs", other)),
        }
    }

    /// Whole numbers.
    ///
    /// # Errors
    /// As for [`Options::bool`].
    pub fn ints(&self, name: &str) -> Result<&'a [i64], PluginError> {
        match self.get(name) {
            Some(Value::Ints(values)) => Ok(values.as_slice()),
            other => Err(not_declared(name, "ints", other)),
        }
    }

    /// Numbers.
    ///
    /// # Errors
    /// As for [`Options::bool`].
    pub fn floats(&self, name: &str) -> Result<&'a [f64], PluginError> {
        match self.get(name) {
            Some(Value::Floats(values)) => Ok(values.as_slice()),
            other => Err(not_declared(name, "floats", other)),
        }
    }
}

fn not_declared(name: &str, kind: &str, found: Option<&Value>) -> PluginError {
    let found = found.map_or("nothing".into(), |value| format!("'{value}'"));
    PluginError::new(
        ErrorCode::INTERNAL,
        format!("it reads an option '{name}' of type {kind}, found {found}"),
    )
    .with_help("declare it in export_plugin!")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(name: &str, kind: OptionKind, default: Option<Value>) -> OptionSchema {
        let (name, help) = (name.to_string(), "a test".to_string());
        OptionSchema {
            name,
            kind,
            default,
            min: None,
            max: None,
            choices: vec![],
            help,
        }
    }

    fn given(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.into(), value.into())]
    }

    #[test]
    fn defaults_fill_in_and_texts_are_typed() {
        let declared = [
            OptionSchema {
                min: Some(1.0),
                ..schema("r", OptionKind::INT, Some(Value::Int(8)))
            },
            schema(
                "targets",
                OptionKind::STRS,
                Some(Value::from(vec!["query".to_string()])),
            ),
        ];
        let values = resolve(&declared, &given("targets", "key, value,")).unwrap();
        assert_eq!(Options::new(&values).int("r").unwrap(), 8);
        assert_eq!(
            Options::new(&values).strs("targets").unwrap(),
            ["key", "value"]
        );
        assert!(Options::new(&values).bool("r").is_err());
        let reason =
            |name: &str, value: &str| resolve(&declared, &given(name, value)).unwrap_err().reason;
        assert!(
            reason("target", "x").contains("did you mean 'targets'"),
            "{}",
            reason("target", "x")
        );
        assert_eq!(reason("r", "0"), "expected a number of at least 1, found 0");
        assert_eq!(
            reason("r", "eight"),
            "expected a whole number, found 'eight'"
        );
        assert_eq!(reason("r", ""), "expected a whole number, found ''");
        let twice = [given("r", "1"), given("r", "2")].concat();
        assert_eq!(
            resolve(&declared, &twice).unwrap_err().reason,
            "given twice; give it once"
        );
        assert!(reason(&"x".repeat(100_000_000), "").len() < 400);
    }

    #[test]
    fn what_an_option_expects_is_in_words() {
        let int = schema("r", OptionKind::INT, None);
        assert_eq!(int.expects(), "a whole number");
        let ranged = OptionSchema {
            min: Some(1.0),
            max: Some(16.0),
            ..schema("r", OptionKind::INTS, None)
        };
        let words = "whole numbers from 1 to 16, separated by commas";
        assert_eq!(ranged.expects(), words);
        let choice = OptionSchema {
            choices: vec!["auto".into(), "houlsby".into()],
            ..schema("c", OptionKind::STR, None)
        };
        assert_eq!(choice.expects(), "one of auto, houlsby");
        assert_eq!(
            schema("b", OptionKind::BOOL, None).expects(),
            "true or false"
        );
    }

    #[test]
    fn not_a_number_is_no_number_and_required_is_required() {
        let declared = [schema("p", OptionKind::FLOAT, None)];
        assert!(resolve(&declared, &given("p", "NaN")).is_err());
        assert!(resolve(&declared, &given("p", "inf")).is_err());
        assert!(
            resolve(&declared, &[])
                .unwrap_err()
                .reason
                .starts_with("required")
        );
        let choice = OptionSchema {
            choices: vec!["auto".into()],
            ..schema("c", OptionKind::STR, None)
        };
        assert_eq!(
            choice.parse("aut").unwrap_err(),
            "expected one of auto; found 'aut'; did you mean 'auto'?"
        );
    }
}
