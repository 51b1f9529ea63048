//! A flag as clap's argument: with its default in the help and, for shells, the values to complete.
//! Called by `cli`.

use super::{About, Declared, Offers, Takes, WITHOUT_EFFECT};
use clap::{Arg, ArgAction, ValueHint, builder::PossibleValuesParser};

/// The ids that shells complete after `--schedule` and `--peft`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InstalledIds {
    /// The schedules.
    pub schedules: Vec<String>,
    /// The methods, without `none`.
    pub methods: Vec<String>,
}

impl About {
    /// The argument in `command`. With `only_usual`, `-h` shows it only if it is a usual one.
    pub(crate) fn argument(&self, command: &str, heading: &'static str, only_usual: bool) -> Arg {
        let mut meant = self.elsewhere.iter();
        let meant = meant.find(|(commands, ..)| commands.contains(&command));
        let (value, help) =
            meant.map_or((self.value, self.help), |&(_, value, help)| (value, help));
        let arg = Arg::new(self.name)
            .help(match self.default_text() {
                // The help for some commands names a default of its own.
                Some(default) if !help.contains("[default: ") => {
                    format!("{help} [default: {default}]")
                }
                _ => help.to_owned(),
            })
            .hide_short_help(only_usual && !self.is_usual)
            .hide(help == WITHOUT_EFFECT);
        let arg = match heading {
            "" => arg,
            heading => arg.help_heading(heading),
        };
        // Negative numbers are never valid, and the message of `config` is better than "unexpected
        // argument '-1'".
        let arg = arg.allow_negative_numbers(self.key.is_some());
        let arg = match self.takes {
            Takes::Value => arg.value_name(value).action(ArgAction::Set),
            Takes::Values | Takes::Options => arg.value_name(value).action(ArgAction::Append),
            Takes::Switch => arg
                .value_name(value)
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true"),
            Takes::Nothing => arg.action(ArgAction::SetTrue),
        };
        let arg = if self.is_positional {
            arg
        } else {
            arg.long(self.flag().trim_start_matches('-').to_owned())
        };
        (self.adjust)(arg)
    }

    /// The argument for shell completion: each value is one of its names, a file, a directory or
    /// nothing that can be completed. Not for parsing, because a key also accepts values that are
    /// not names.
    pub(crate) fn completed(&self, flag: &dyn Declared, arg: Arg, ids: &InstalledIds) -> Arg {
        let places = arg.get_value_names();
        let Some(place) = places.and_then(|names| names.first()).cloned() else {
            return arg;
        };
        if self.takes == Takes::Switch {
            return as_flag(&arg);
        }
        let names: Vec<String> = match self.offers {
            Offers::Names => flag.names().into_iter().map(String::from).collect(),
            Offers::Some(names) => names().into_iter().map(String::from).collect(),
            Offers::Schedules => ids.schedules.clone(),
            Offers::Methods if ids.methods.is_empty() => vec![],
            Offers::Methods => {
                let none = [String::from("none")];
                none.into_iter().chain(ids.methods.clone()).collect()
            }
            Offers::Plugins => [&ids.schedules[..], &ids.methods[..]].concat(),
        };
        if !names.is_empty() {
            return arg.value_parser(PossibleValuesParser::new(names));
        }
        arg.value_hint(match place.as_str() {
            place if place.contains("FILE") => ValueHint::FilePath,
            place if place.contains("DIR") => ValueHint::DirPath,
            _ => ValueHint::Other,
        })
    }
}

/// Turns a switch into a flag. A switch takes a value only after `=`, so the next word is not its
/// value; completion scripts know that only for flags.
fn as_flag(arg: &Arg) -> Arg {
    let mut flag = Arg::new(arg.get_id().clone()).action(ArgAction::SetTrue);
    flag = flag.help(arg.get_help().cloned().unwrap_or_default());
    match arg.get_long() {
        Some(long) => flag.long(long.to_owned()),
        None => flag,
    }
}
