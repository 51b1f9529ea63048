//! The arguments of a task, read by the rules of the task's own help text. Called by the tasks.
//!
//! A line of the help that begins with two spaces and a flag declares the flag. `  --seed N  text`
//! takes a value; `  --full    text` does not. A flag may be given several times.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

/// The arguments that the help does not declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// There are none.
    Refused,
    /// Words that are no flags.
    Words,
    /// Anything, which the task passes on.
    Anything,
}

/// The arguments of one call.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// Flags in the order in which they were given; the value of a switch is empty.
    flags: Vec<(String, String)>,
    others: Vec<String>,
}

impl Arguments {
    /// Reads the words of a command line. `None` after `--help`, which is answered here.
    ///
    /// # Errors
    /// If a flag is unknown or lacks its value; the message ends with the usage.
    pub(crate) fn read(
        help: &str,
        others: Others,
        words: &[String],
    ) -> Result<Option<Self>, String> {
        let mut read = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--help" || word == "-h" {
                print!("{help}");
                return Ok(None);
            }
            let is_allowed = match others {
                Others::Refused => false,
                Others::Words => !word.starts_with('-'),
                Others::Anything => true,
            };
            match declared(help).find(|(flag, _)| flag == word) {
                Some((flag, "")) => read.flags.push((flag.into(), String::new())),
                Some((flag, form)) => {
                    let missing = || format!("{flag}: expected {form} after it\n{}", usage(help));
                    let value = words.next().ok_or_else(missing)?;
                    read.flags.push((flag.into(), value.clone()));
                }
                None if is_allowed => read.others.push(word.clone()),
                None => return Err(format!("{word}: no such argument\n{}", usage(help))),
            }
        }
        Ok(Some(read))
    }

    /// Whether a flag was given.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.value(flag).is_some()
    }

    /// All values of a flag.
    pub(crate) fn values(&self, flag: &str) -> impl Iterator<Item = &str> {
        let given = self.flags.iter().filter(move |(name, _)| name == flag);
        given.map(|(_, value)| value.as_str())
    }

    /// The value of a flag that was given; the last one counts.
    pub(crate) fn value(&self, flag: &str) -> Option<&str> {
        self.values(flag).last()
    }

    /// The value of a flag that names a file or a directory.
    pub(crate) fn path(&self, flag: &str) -> Option<PathBuf> {
        self.value(flag).map(PathBuf::from)
    }

    /// All values of a flag that are whole numbers.
    ///
    /// # Errors
    /// If one is no number, or less than `least`.
    pub(crate) fn numbers<T>(&self, flag: &str, least: T) -> Result<Vec<T>, String>
    where
        T: FromStr + PartialOrd + Display,
    {
        let number = |text: &str| {
            let number = text.parse::<T>().ok().filter(|number| *number >= least);
            number.ok_or_else(|| format!("{flag} {text}: expected a whole number from {least}"))
        };
        self.values(flag).map(number).collect()
    }

    /// The value of a flag that is a whole number.
    ///
    /// # Errors
    /// If it is no number, or less than `least`.
    pub(crate) fn number<T>(&self, flag: &str, least: T) -> Result<Option<T>, String>
    where
        T: FromStr + PartialOrd + Display,
    {
        Ok(self.numbers(flag, least)?.pop())
    }

    /// The arguments that the help does not declare.
    pub(crate) fn others(&self) -> &[String] {
        &self.others
    }
}

/// The flags that a help text declares, each with the form of its value, which is empty for a
/// switch.
fn declared(help: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = help.lines().filter_map(|line| line.strip_prefix("  "));
    let flags = lines.filter(|line| line.starts_with("--"));
    flags.map(|line| {
        let (flag, rest) = line.split_once(' ').unwrap_or((line, ""));
        (flag, rest.split(' ').next().unwrap_or(""))
    })
}

/// The lines of a help text before the explanations.
fn usage(help: &str) -> String {
    let is_usage =
        |line: &&str| !line.is_empty() && (!line.starts_with("  ") || line.starts_with("   "));
    let lines: Vec<&str> = help.lines().take_while(is_usage).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "\
cargo xtask paint [--colour NAME]… [--coats N] [--thin]
                  [FILE]…
  --colour NAME  colour, as in `--shade`
  --coats N      coats of paint [default: 2]
  --thin         with water
  FILE           file to paint
";

    fn read(others: Others, line: &str) -> Result<Option<Arguments>, String> {
        let words: Vec<String> = line.split_whitespace().map(Into::into).collect();
        Arguments::read(HELP, others, &words)
    }

    #[test]
    fn flags_are_those_of_the_help() {
        let line = "--colour red --thin a --coats 3 --colour blue b";
        let read = read(Others::Words, line).unwrap().unwrap();
        assert_eq!(read.value("--colour"), Some("blue"));
        assert_eq!(read.values("--colour").collect::<Vec<_>>(), ["red", "blue"]);
        assert_eq!(read.path("--colour"), Some("blue".into()));
        assert_eq!(read.number("--coats", 1), Ok(Some(3)));
        assert!(read.has("--thin"));
        assert_eq!(read.others(), ["a", "b"]);
    }

    #[test]
    fn absent_flags_have_no_value() {
        let read = read(Others::Refused, "").unwrap().unwrap();
        assert!(!read.has("--thin") && read.value("--colour").is_none());
        assert_eq!(read.number("--coats", 1u64), Ok(None));
    }

    #[test]
    fn what_cannot_be_read_is_answered_with_the_usage() {
        let usage =
            "cargo xtask paint [--colour NAME]… [--coats N] [--thin]\n                  [FILE]…";
        for (others, line, message) in [
            (Others::Refused, "a", "a: no such argument"),
            (Others::Words, "--shade", "--shade: no such argument"),
            (Others::Anything, "--coats", "--coats: expected N after it"),
        ] {
            let error = read(others, line).unwrap_err();
            assert_eq!(error, format!("{message}\n{usage}"));
        }
        let passed_on = read(Others::Anything, "--shade 3 --thin").unwrap().unwrap();
        assert_eq!(passed_on.others(), ["--shade", "3"]);
        assert!(read(Others::Refused, "--help").unwrap().is_none());
    }

    #[test]
    fn numbers_have_a_least_value() {
        let coats = |value: &str| {
            let read = read(Others::Refused, &format!("--coats {value}"));
            read.unwrap().unwrap().number("--coats", 1u32)
        };
        assert_eq!(coats("1"), Ok(Some(1)));
        for value in ["0", "many", "-1"] {
            let message = format!("--coats {value}: expected a whole number from 1");
            assert_eq!(coats(value), Err(message));
        }
    }
}
