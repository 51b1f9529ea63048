//! The declaration of a flag, which holds everything about it in one place. `config` declares the
//! configuration keys beside the structs that read them; `cli` declares the arguments of single
//! commands. The declarations yield the clap command, the bottom layer of the configuration and the
//! environment variables. They also yield the help, `config.toml` and the shells' completions.

use progtune_kernels::simd;
use progtune_plugin_api::names::did_you_mean;
use std::fmt;

mod argument;
mod arguments;
pub mod hugging_face;

pub use argument::InstalledIds;
pub use arguments::Arguments;

/// A flag with a value of type `T`.
pub struct Flag<T: 'static> {
    /// The name, help, default and so on.
    pub about: About,
    /// The form of the value.
    pub form: Form<T>,
}

/// The conversion of a value's text to a `T`.
pub enum Form<T: 'static> {
    /// The text itself: for texts, paths and plugin options.
    Plain,
    /// A description of the expected value, and its parser.
    Parsed(&'static str, fn(&str) -> Option<T>),
    /// One of several names.
    OneOf(&'static [(&'static str, T)]),
    /// One of several names, or `none`.
    OneOfOrNone(&'static [(&'static str, T)]),
}

/// Plugin options, sorted by name.
pub type Options = Vec<(String, String)>;

/// Everything about a flag except its type.
#[derive(Clone, Copy)]
pub struct About {
    /// The name in snake case; for a key, also the key.
    pub name: &'static str,
    /// The key that the flag sets; `None` for an argument of single commands.
    pub key: Option<&'static str>,
    /// The long form after `--`, if it is not the name with dashes.
    long: Option<&'static str>,
    /// The name of the value in the help.
    value: &'static str,
    /// The help, which begins with a noun or an imperative.
    pub help: &'static str,
    /// The default; `None` if the flag is required.
    pub default: Option<FlagDefault>,
    /// An example of a value, in the form it has on the command line; for messages.
    pub example: &'static str,
    /// The commands that read the key.
    pub scope: Scope,
    /// The number and form of the values on the command line.
    pub takes: Takes,
    /// Whether the argument is positional.
    is_positional: bool,
    /// Whether `-h` shows the flag for a command with many flags.
    is_usual: bool,
    /// The values that shells complete, in addition to the names of the form.
    offers: Offers,
    /// The help in commands where the flag has another meaning.
    elsewhere: &'static [Elsewhere],
    /// Further settings of the clap argument.
    adjust: fn(clap::Arg) -> clap::Arg,
}

/// The value of a flag that nobody sets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FlagDefault {
    /// A value, in the form it has on the command line.
    Value(&'static str),
    /// No value, because it is determined later; a description of how.
    Computed(&'static str),
}

/// The commands that read a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `train`, `plan`, `evaluate` and `predict`.
    All,
    /// `train` and `plan`.
    Training,
    /// `train`, `plan` and `evaluate`.
    Measuring,
    /// `evaluate` and `predict`.
    Inference,
    /// Every command: settings of the display, on which no result depends.
    Display,
}

impl Scope {
    /// Whether a training run reads the key.
    pub fn is_of_training(self) -> bool {
        matches!(self, Self::All | Self::Training | Self::Measuring)
    }
}

/// The values of a flag on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// One value.
    Value,
    /// Several values, one per use of the flag.
    Values,
    /// One `NAME=VALUE` per use of the flag.
    Options,
    /// No value, or `=true` or `=false`.
    Switch,
    /// No value; the flag is not a key.
    Nothing,
}

/// The values that shells complete if the form has no names.
#[derive(Clone, Copy)]
pub enum Offers {
    /// Only the names of the form.
    Names,
    /// Some of the values.
    Some(fn() -> Vec<&'static str>),
    /// The installed schedules.
    Schedules,
    /// `none` and the installed methods.
    Methods,
    /// The installed schedules and methods.
    Plugins,
}

/// The help of a flag in certain commands: their names, the name of the value, the help.
pub type Elsewhere = (&'static [&'static str], &'static str, &'static str);

/// The help of a flag in commands that accept it without effect; they do not show it.
pub(crate) const WITHOUT_EFFECT: &str = "";

/// A flag of any type.
pub trait Declared: Sync {
    /// Everything about the flag except its type.
    fn about(&self) -> &About;

    /// The names that the value can be.
    fn names(&self) -> Vec<&'static str>;
}

impl fmt::Debug for dyn Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.about().flag())
    }
}

/// Flags in the order of the help.
pub type List = &'static [&'static dyn Declared];

impl<T: Sync> Declared for Flag<T> {
    fn about(&self) -> &About {
        &self.about
    }

    fn names(&self) -> Vec<&'static str> {
        match self.form {
            Form::OneOf(names) | Form::OneOfOrNone(names) => {
                names.iter().map(|(name, _)| *name).collect()
            }
            Form::Plain | Form::Parsed(..) => Vec::new(),
        }
    }
}

impl<T> Flag<T> {
    /// Declares a configuration key.
    pub const fn key(name: &'static str, value: &'static str, help: &'static str) -> Self {
        let flag = Self::argument(name, value, help);
        Self {
            about: About {
                key: Some(name),
                ..flag.about
            },
            ..flag
        }
    }

    /// Declares an argument of single commands, which is not a key.
    pub const fn argument(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self {
            about: About {
                name,
                key: None,
                long: None,
                value,
                help,
                default: None,
                example: "",
                scope: Scope::Training,
                takes: Takes::Value,
                is_positional: false,
                is_usual: false,
                offers: Offers::Names,
                elsewhere: &[],
                adjust: |arg| arg,
            },
            form: Form::Plain,
        }
    }

    /// Sets the default value, which is also the example.
    pub const fn default(mut self, value: &'static str) -> Self {
        self.about.default = Some(FlagDefault::Value(value));
        self.about.example = value;
        self
    }

    /// Describes a default that is determined later.
    pub const fn computed(mut self, words: &'static str) -> Self {
        self.about.default = Some(FlagDefault::Computed(words));
        self
    }

    /// Sets the example of a value.
    pub const fn example(mut self, value: &'static str) -> Self {
        self.about.example = value;
        self
    }

    /// Sets the commands that read the key; the default is [`Scope::Training`].
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.about.scope = scope;
        self
    }

    /// Sets the form; the default is [`Form::Plain`].
    pub const fn form(mut self, form: Form<T>) -> Self {
        self.form = form;
        self
    }

    /// Sets the values on the command line; the default is one value.
    pub const fn takes(mut self, takes: Takes) -> Self {
        self.about.takes = takes;
        self
    }

    /// Makes `-h` show the flag.
    pub const fn usual(mut self) -> Self {
        self.about.is_usual = true;
        self
    }

    /// Makes the argument positional.
    pub const fn positional(mut self) -> Self {
        self.about.is_positional = true;
        self
    }

    /// Sets the values that shells complete.
    pub const fn offers(mut self, offers: Offers) -> Self {
        self.about.offers = offers;
        self
    }

    /// Sets the help for certain commands.
    pub const fn elsewhere(mut self, elsewhere: &'static [Elsewhere]) -> Self {
        self.about.elsewhere = elsewhere;
        self
    }

    /// Sets the long form, without `--`.
    pub const fn long(mut self, long: &'static str) -> Self {
        self.about.long = Some(long);
        self
    }

    /// Sets the key, which another flag declares.
    pub const fn sets(mut self, key: &'static str) -> Self {
        self.about.key = Some(key);
        self
    }

    /// Adds settings of the clap argument.
    pub(crate) const fn adjust(mut self, adjust: fn(clap::Arg) -> clap::Arg) -> Self {
        self.about.adjust = adjust;
        self
    }
}

impl Flag<bool> {
    /// Declares a switch that is off by default.
    pub const fn switch(name: &'static str, help: &'static str) -> Self {
        Self::key(name, "BOOL", help)
            .default("false")
            .takes(Takes::Switch)
            .form(Form::OneOf(&[("true", true), ("false", false)]))
    }
}

impl About {
    /// The flag on the command line, such as `--batch-size`.
    pub fn flag(&self) -> String {
        match self.long {
            Some(long) => format!("--{long}"),
            None => flag_of(self.name),
        }
    }

    /// The environment variable, such as `PROGTUNE_BATCH_SIZE`.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_uppercase())
    }

    /// Whether the argument is positional, so that its name is not typed.
    pub(crate) fn is_positional(&self) -> bool {
        self.is_positional
    }

    /// The default as `--help` prints it; `None` if the flag is required.
    pub(crate) fn default_text(&self) -> Option<&'static str> {
        self.default.map(|default| match default {
            FlagDefault::Value(text) | FlagDefault::Computed(text) => text,
        })
    }
}

/// The flag for a name: `--batch-size` for `batch_size`.
pub(crate) fn flag_of(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

/// The prefix of progtune's environment variables.
pub(crate) const VARIABLE_PREFIX: &str = "PROGTUNE_";

/// The variables with that prefix that are not keys. They name the configuration file (as
/// `--config` does), the plugin search path, the log filter, the caches' directory, the size of
/// kept tokens and the instruction set. The last ones are for tests and developer tools: shared
/// data, the real MiniLM, a Python, and failures of the file system.
pub const OTHER_VARIABLES: &[&str] = &[
    "PROGTUNE_CONFIG",
    "PROGTUNE_PLUGIN_PATH",
    "PROGTUNE_LOG",
    "PROGTUNE_CACHE_DIR",
    "PROGTUNE_CACHE_SIZE",
    simd::VARIABLE,
    "PROGTUNE_SHARED",
    "PROGTUNE_MINILM",
    "PROGTUNE_PYTHON",
    #[cfg(feature = "faults")]
    "PROGTUNE_FAULT",
    #[cfg(feature = "faults")]
    "PROGTUNE_FAULT_LOG",
];

/// The advice for an unknown name: the most similar candidates, otherwise `otherwise`.
pub(crate) fn advice<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
    otherwise: &str,
) -> String {
    match did_you_mean(name, candidates).strip_prefix("; ") {
        Some(near) => near.to_owned(),
        None => otherwise.to_owned(),
    }
}
