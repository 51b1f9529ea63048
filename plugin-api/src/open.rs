//! Open enumerations and attribute values: the two ways in which the interface grows without
//! breaking.
//!
//! Every record of this crate uses them. An *open enumeration* is an integer with named constants.
//! A reader can therefore report an unknown number instead of causing undefined behaviour. An
//! [`Attribute`] is a named value in the `ext` tail of a record.

use abi_stable::{
    StableAbi,
    std_types::{RString, RVec},
};

macro_rules! open_enum {
    ($(#[$meta:meta])* $name:ident($repr:ty) { $($(#[$doc:meta])* $constant:ident = $value:expr => $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[repr(transparent)]
        #[derive(::abi_stable::StableAbi, Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $repr);

        impl $name {
            $($(#[$doc])* pub const $constant: Self = Self($value);)*
            /// Every value that this version of the interface names.
            pub const KNOWN: &'static [Self] = &[$(Self::$constant),*];

            /// The name in messages and in printed graphs; `None` for a value of a later version.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$constant => Some($text),)*
                    _ => None,
                }
            }

            /// The value with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::KNOWN.iter().copied().find(|known| known.name() == Some(name))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}#{}", stringify!($name), self.0),
                }
            }
        }
    };
}
pub(crate) use open_enum;

/// A value of an option or an attribute. The set of variants is closed throughout major version 1.
/// Later versions build structured extensions from [`Value::List`] and [`Value::Record`].
#[repr(u8)]
#[derive(StableAbi, Debug, Clone, PartialEq)]
pub enum Value {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Str(RString),
    /// Whole numbers.
    Ints(RVec<i64>),
    /// Numbers.
    Floats(RVec<f64>),
    /// Texts.
    Strs(RVec<RString>),
    /// Raw bytes.
    Bytes(RVec<u8>),
    /// Values of any kind.
    List(RVec<Value>),
    /// Named values.
    Record(RVec<Attribute>),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Str(value.into())
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Str(value.into())
    }
}
impl From<Vec<i64>> for Value {
    fn from(values: Vec<i64>) -> Self {
        Self::Ints(values.into())
    }
}
impl From<Vec<f64>> for Value {
    fn from(values: Vec<f64>) -> Self {
        Self::Floats(values.into())
    }
}
impl From<Vec<String>> for Value {
    fn from(values: Vec<String>) -> Self {
        Self::Strs(values.into_iter().map(RString::from).collect())
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fn list<T: ToString>(values: &[T]) -> String {
            values
                .iter()
                .map(T::to_string)
                .collect::<Vec<_>>()
                .join(",")
        }
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Str(value) => write!(f, "{value}"),
            Self::Ints(values) => f.write_str(&list(values)),
            Self::Floats(values) => f.write_str(&list(values)),
            Self::Strs(values) => f.write_str(&list(values)),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::List(values) => write!(f, "[{}]", list(values)),
            Self::Record(values) => {
                let values: Vec<String> = values
                    .iter()
                    .map(|attribute| format!("{}={}", attribute.key, attribute.value))
                    .collect();
                write!(f, "{{{}}}", values.join(","))
            }
        }
    }
}

/// A named value. A key that begins with `!` is critical: a reader that does not know it must
/// refuse the record. Any other unknown key is ignored.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, PartialEq)]
pub struct Attribute {
    /// The name, with a leading `!` if a reader must understand it.
    pub key: RString,
    /// The value.
    pub value: Value,
}

impl Attribute {
    /// An attribute from a key and anything that converts to a [`Value`].
    pub fn new(key: &str, value: impl Into<Value>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

/// The extension tail of a record, to which later minor versions add.
pub type Ext = RVec<Attribute>;

/// The first critical attribute whose key (without the `!`) is not among `understood`.
pub fn unknown_critical<'a>(ext: &'a [Attribute], understood: &[&str]) -> Option<&'a str> {
    ext.iter()
        .filter_map(|attribute| attribute.key.strip_prefix('!'))
        .find(|key| !understood.contains(key))
}
