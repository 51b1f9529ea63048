//! The arguments of a command as typed. Created by `cli::parse`. `config` turns them into its top
//! layer, and commands take those that are not keys.

use super::{Declared, Flag, List};
use clap::ArgMatches;
use std::any::Any;

/// The arguments that were typed for a command.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// The command's flags that may set keys.
    flags: Vec<&'static dyn Declared>,
    matches: ArgMatches,
}

impl Arguments {
    /// The arguments of a command that takes `flags`.
    pub fn new(flags: Vec<&'static dyn Declared>, matches: ArgMatches) -> Self {
        Self { flags, matches }
    }

    /// The same arguments, except that only these flags set keys.
    pub fn only(&self, flags: List) -> Self {
        Self {
            flags: flags.to_vec(),
            matches: self.matches.clone(),
        }
    }

    /// The value of an argument that is not a key; `None` if it was not given.
    pub fn one<T: Any + Clone + Send + Sync>(&self, flag: &Flag<T>) -> Option<T> {
        let value = self.matches.try_get_one(flag.about.name);
        value.ok().flatten().cloned()
    }

    /// Whether an argument that takes no value was given.
    pub fn is_on(&self, flag: &Flag<bool>) -> bool {
        self.one(flag).unwrap_or_default()
    }

    /// The value of an argument that clap requires.
    pub fn required<T: Any + Clone + Send + Sync>(&self, flag: &Flag<T>) -> T {
        self.one(flag)
            .expect("clap refuses a command line without a required argument")
    }

    /// The values of an argument that is not a key.
    pub fn all<T: Any + Clone + Send + Sync>(&self, flag: &Flag<Vec<T>>) -> Vec<T> {
        let values = self.matches.try_get_many(flag.about.name);
        let values = values.ok().flatten().map(|values| values.cloned());
        values.map_or_else(Vec::new, Iterator::collect)
    }

    /// The texts that were typed for a flag.
    pub fn texts(&self, flag: &dyn Declared) -> Vec<String> {
        let values = self.matches.try_get_many::<String>(flag.about().name);
        let values = values.ok().flatten().map(|values| values.cloned());
        values.map_or_else(Vec::new, Iterator::collect)
    }

    /// The given flags that set keys, with their texts, in the order of the keys.
    pub fn keys(&self) -> Vec<(&'static dyn Declared, &'static str, Vec<String>)> {
        let given = |flag: &&'static dyn Declared| {
            let texts = self.texts(*flag);
            let key = flag.about().key?;
            (!texts.is_empty()).then_some((*flag, key, texts))
        };
        let mut keys: Vec<_> = self.flags.iter().filter_map(given).collect();
        keys.sort_by_key(|(_, key, _)| *key);
        keys
    }
}
