//! The declaration of a flag: everything about it in one place. `config` declares those that are configuration keys beside
//! the structs that read them, `cli` the arguments of single commands. The clap command, the bottom layer of the
//! configuration, the environment variables, the help, `config.toml` and the shells' completions are made from them.

use progtune_plugin_api::names::did_you_mean;
use std::fmt;

mod argument;
mod arguments;

pub use argument::InstalledIds;
pub use arguments::Arguments;

/// A flag with a value of type `T`.
pub struct Flag<T: 'static> {
    /// Its name, help, default and so on.
    pub about: About,
    /// What its value is read by.
    pub form: Form<T>,
}

/// How the text of a value becomes a `T`.
pub enum Form<T: 'static> {
    /// As it is: texts, paths, plugin options.
    Plain,
    /// By a parser; what it expects, in words.
    Parsed(&'static str, fn(&str) -> Option<T>),
    /// One of some names.
    OneOf(&'static [(&'static str, T)]),
    /// One of some names, or `none`.
    OneOfOrNone(&'static [(&'static str, T)]),
}

/// Plugin options, sorted by name.
pub type Options = Vec<(String, String)>;

/// Everything about a flag but its type.
#[derive(Clone, Copy)]
pub struct About {
    /// The name in snake case; of a key, the key.
    pub name: &'static str,
    /// The key that the flag sets; `None`: it is an argument of single commands.
    pub key: Option<&'static str>,
    /// What comes after `--`, where that is not the name with dashes.
    long: Option<&'static str>,
    /// The name of its value in the help.
    value: &'static str,
    /// Its help, which begins with a noun or an imperative.
    pub help: &'static str,
    /// Its default; `None`: it is required.
    pub default: Option<FlagDefault>,
    /// A value in the form a flag would have, for messages.
    pub example: &'static str,
    /// The commands that read the key.
    pub scope: Scope,
    /// What is typed.
    pub takes: Takes,
    /// Whether it is known by its place, without a name.
    is_positional: bool,
    /// Whether `-h` shows it where a command has many.
    is_usual: bool,
    /// What shells complete beside the names of its form.
    offers: Offers,
    /// Help in the commands that mean it differently.
    elsewhere: &'static [Elsewhere],
    /// What else clap is told.
    adjust: fn(clap::Arg) -> clap::Arg,
}

/// What a flag is worth when nobody sets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FlagDefault {
    /// A value in the form a flag would have.
    Value(&'static str),
    /// Unset, and decided later: how, in words.
    Computed(&'static str),
}

/// The commands that read a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `train`, `plan`, `evaluate` and `predict`.
    All,
    /// `train` and `plan`.
    Training,
    /// `evaluate` and `predict`.
    Inference,
    /// Every command: how it is shown, which is no part of what it does.
    Display,
}

/// What is typed for a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A value.
    Value,
    /// Values, one each time it is given.
    Values,
    /// `NAME=VALUE` each time it is given.
    Options,
    /// Nothing, or `=true` or `=false`.
    Switch,
    /// Nothing, and no key sets it.
    Nothing,
}

/// What shells complete where the form has no names.
#[derive(Clone, Copy)]
pub enum Offers {
    /// Nothing but the names of the form.
    Names,
    /// Some of the values.
    Some(fn() -> Vec<&'static str>),
    /// The schedules that are installed.
    Schedules,
    /// `none`, and the methods that are installed.
    Methods,
    /// The schedules and methods.
    Plugins,
}

/// The help of a flag in some commands: their names, the name of its value, the help.
pub type Elsewhere = (&'static [&'static str], &'static str, &'static str);

/// A flag of any type.
pub trait Declared: Sync {
    /// Everything but its type.
    fn about(&self) -> &About;

    /// The names that its value can be.
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
    /// A configuration key.
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

    /// An argument of single commands, which is no key.
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

    /// With a default value, which is also the example.
    pub const fn default(mut self, value: &'static str) -> Self {
        self.about.default = Some(FlagDefault::Value(value));
        self.about.example = value;
        self
    }

    /// With a default that is decided later, in words.
    pub const fn computed(mut self, words: &'static str) -> Self {
        self.about.default = Some(FlagDefault::Computed(words));
        self
    }

    /// With an example of a value.
    pub const fn example(mut self, value: &'static str) -> Self {
        self.about.example = value;
        self
    }

    /// For the commands of `scope`, which are else those of training.
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.about.scope = scope;
        self
    }

    /// With another form than plain.
    pub const fn form(mut self, form: Form<T>) -> Self {
        self.form = form;
        self
    }

    /// Taking something else than a value.
    pub const fn takes(mut self, takes: Takes) -> Self {
        self.about.takes = takes;
        self
    }

    /// Shown by `-h`.
    pub const fn usual(mut self) -> Self {
        self.about.is_usual = true;
        self
    }

    /// Known by its place, without a name.
    pub const fn positional(mut self) -> Self {
        self.about.is_positional = true;
        self
    }

    /// With what shells complete.
    pub const fn offers(mut self, offers: Offers) -> Self {
        self.about.offers = offers;
        self
    }

    /// With other help in some commands.
    pub const fn elsewhere(mut self, elsewhere: &'static [Elsewhere]) -> Self {
        self.about.elsewhere = elsewhere;
        self
    }

    /// Typed as `--long`.
    pub const fn long(mut self, long: &'static str) -> Self {
        self.about.long = Some(long);
        self
    }

    /// Setting a key that another flag declares.
    pub const fn sets(mut self, key: &'static str) -> Self {
        self.about.key = Some(key);
        self
    }

    /// With what else clap is told.
    pub const fn adjust(mut self, adjust: fn(clap::Arg) -> clap::Arg) -> Self {
        self.about.adjust = adjust;
        self
    }
}

impl Flag<bool> {
    /// A switch that is off by default.
    pub const fn switch(name: &'static str, help: &'static str) -> Self {
        Self::key(name, "BOOL", help)
            .default("false")
            .takes(Takes::Switch)
            .form(Form::OneOf(&[("true", true), ("false", false)]))
    }
}

impl About {
    /// The flag: `--batch-size`.
    pub fn flag(&self) -> String {
        match self.long {
            Some(long) => format!("--{long}"),
            None => flag_of(self.name),
        }
    }

    /// The environment variable: `PROGTUNE_BATCH_SIZE`.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_uppercase())
    }

    /// The default as `--help` prints it; `None`: the flag is required.
    pub fn default_text(&self) -> Option<&'static str> {
        self.default.map(|default| match default {
            FlagDefault::Value(text) | FlagDefault::Computed(text) => text,
        })
    }
}

/// The flag of a name: `batch_size` is `--batch-size`.
pub(crate) fn flag_of(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

/// What the environment variables of progtune begin with.
pub const VARIABLE_PREFIX: &str = "PROGTUNE_";

/// Variables with that prefix which are not keys: the configuration file (as `--config`), the plugin search path, the
/// log filter and where caches lie, and where tests and developer tools find shared data, the real MiniLM and a Python.
pub const OTHER_VARIABLES: &[&str] = &[
    "PROGTUNE_CONFIG",
    "PROGTUNE_PLUGIN_PATH",
    "PROGTUNE_LOG",
    "PROGTUNE_CACHE_DIR",
    "PROGTUNE_SHARED",
    "PROGTUNE_MINILM",
    "PROGTUNE_PYTHON",
];

/// What to do about a name that there is not: the nearest ones, else `otherwise`.
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
