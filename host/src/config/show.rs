//! The display of a command: the part of the configuration that every command has and on which no
//! result depends. Resolved by `main` before anything else.

use super::{ConfigError, DISPLAY, Sources, layers};
use crate::flags::{Arguments, Flag, Form, Scope, Takes};
use clap::ArgAction;
use progtune_process::terminal::{self, ColourChoice, Mode, Show};

pub(crate) static VERBOSE: Flag<u8> =
    Flag::argument("verbose", "", "Show more of the log; -vv shows still more")
        .computed("warnings")
        .takes(Takes::Nothing)
        .adjust(|arg| {
            let arg = arg.global(true).short('v').action(ArgAction::Count);
            arg.conflicts_with("quiet")
        });

pub(crate) static QUIET: Flag<bool> = Flag::argument(
    "quiet",
    "",
    "Show only errors and the requested output: no progress, no warnings, no report at the end of a run",
)
.computed("off")
.takes(Takes::Nothing)
.usual()
.adjust(|arg| arg.global(true));

pub(crate) static PROGRESS: Flag<Option<Mode>> = Flag::key(
    "progress",
    "HOW",
    "Show progress as a bar in a terminal and lines elsewhere (auto), as lines (plain), as JSON with one event per line (json), \
     or not at all (none)",
)
.default("auto")
.scope(Scope::Display)
.usual()
.form(Form::OneOf(MODES))
.adjust(|arg| arg.global(true));

pub(crate) static COLOR: Flag<ColourChoice> = Flag::key(
    "color",
    "WHEN",
    "Use colours: auto (in a terminal, unless NO_COLOR is set), always or never",
)
.default("auto")
.scope(Scope::Display)
.form(Form::OneOf(ColourChoice::NAMES))
.adjust(|arg| arg.global(true));

/// The values of `--progress`; `None` chooses by the kind of standard error.
const MODES: &[(&str, Option<Mode>)] = &[
    ("auto", None),
    ("plain", Some(Mode::Plain)),
    ("json", Some(Mode::Json)),
    ("none", Some(Mode::Silent)),
];

/// The number of times that `-v` was given.
pub fn verbosity(arguments: &Arguments) -> u8 {
    arguments.one(&VERBOSE).unwrap_or_default()
}

/// Resolves the display settings. `--quiet` overrides a variable's or file's setting of `progress`.
///
/// # Errors
/// Fails like [`super::RunConfig::resolve_train`], or if `--quiet` is combined with a `--progress`
/// that shows something.
pub fn resolve(arguments: &Arguments, sources: &Sources) -> Result<Show, ConfigError> {
    let arguments = arguments.only(DISPLAY);
    let settings = layers::merge(&arguments, sources, Scope::Display)?;
    let asked = settings.get(&PROGRESS)?;
    let colour = settings.get(&COLOR)?;
    let quiet = arguments.is_on(&QUIET);
    let typed = arguments.texts(&PROGRESS).pop();
    if let (true, Some(typed), Some(Mode::Plain | Mode::Json)) = (quiet, typed, asked) {
        return Err(ConfigError::Conflict {
            first: "--quiet".into(),
            second: format!("--progress {typed}"),
            reason: "one turns progress off, the other asks for it".into(),
            advice: "remove one of them; --progress none keeps warnings and the report at the end"
                .into(),
        });
    }
    Ok(Show {
        mode: match (quiet, asked) {
            (true, _) => Mode::Silent,
            (false, Some(mode)) => mode,
            (false, None) => terminal::automatic_mode(),
        },
        quiet,
        colour,
    })
}

/// Guesses the display settings before the arguments are checked, so that errors about them are
/// displayed as requested. Uses flags that are written in full, otherwise the variables.
pub fn guessed(arguments: &[String], variable: &dyn Fn(&str) -> Option<String>) -> Show {
    let given = |name: &str| {
        let flag = format!("--{name}");
        let after = arguments.iter().position(|word| *word == flag);
        let after = after.and_then(|at| arguments.get(at + 1)).cloned();
        let with = arguments
            .iter()
            .find_map(|word| word.strip_prefix(&format!("{flag}=")));
        after
            .or(with.map(str::to_owned))
            .or_else(|| variable(&format!("PROGTUNE_{}", name.to_uppercase())))
    };
    let named = |name: &str| given(name).unwrap_or_default();
    let progress = MODES.iter().find(|(name, _)| *name == named("progress"));
    let colour = ColourChoice::NAMES
        .iter()
        .find(|(name, _)| *name == named("color"));
    Show {
        mode: match progress {
            Some((_, Some(mode))) => *mode,
            _ => Mode::Plain,
        },
        quiet: false,
        colour: colour.map_or(ColourChoice::Auto, |&(_, choice)| choice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Arguments {
        let words = ["progtune"].into_iter().chain(line.split_whitespace());
        crate::cli::parse(words).unwrap().arguments
    }

    fn with(variables: &[(&str, &str)]) -> Sources {
        let pair = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
        Sources {
            file: None,
            variables: variables.iter().map(pair).collect(),
        }
    }

    #[test]
    fn flags_go_over_variables() {
        let json = with(&[("PROGTUNE_PROGRESS", "json"), ("PROGTUNE_COLOR", "never")]);
        let mode = |line: &str, sources: &Sources| {
            let show = resolve(&args(line), sources).unwrap();
            (show.mode, show.quiet, show.colour)
        };
        let (never, auto) = (ColourChoice::Never, ColourChoice::Auto);
        assert_eq!(mode("plan", &json), (Mode::Json, false, never));
        assert_eq!(
            mode("plan --progress plain --color auto", &json),
            (Mode::Plain, false, auto)
        );
        assert_eq!(mode("--quiet plan", &json), (Mode::Silent, true, never));
        let none = with(&[]);
        assert_eq!(mode("--progress none", &none), (Mode::Silent, false, auto));
        assert_eq!(
            mode("--quiet --progress none", &none),
            (Mode::Silent, true, auto)
        );
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        for progress in ["plain", "json"] {
            let line = format!("--quiet --progress {progress}");
            let error = resolve(&args(&line), &with(&[])).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "--quiet and --progress {progress} exclude each other: one turns progress off, the other asks for \
                     it; remove one of them; --progress none keeps warnings and the report at the end"
                )
            );
        }
        let error = resolve(&args("--progress jsn"), &with(&[])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("flag --progress") && text.contains("json"),
            "{text}"
        );
    }

    #[test]
    fn what_is_wrong_with_arguments_is_said_as_they_ask() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let guess = |line: &str, variable: Option<&str>| {
            let variable = |name: &str| match name {
                "PROGTUNE_PROGRESS" => variable.map(str::to_owned),
                _ => None,
            };
            guessed(&words(line), &variable)
        };
        assert_eq!(guess("p --progress json --epochz", None).mode, Mode::Json);
        assert_eq!(guess("p --progress=json --epochz", None).mode, Mode::Json);
        assert_eq!(guess("p --epochz", Some("json")).mode, Mode::Json);
        assert_eq!(guess("p --progress", None).mode, Mode::Plain);
        assert_eq!(guess("p --progress plain", Some("json")).mode, Mode::Plain);
        assert_eq!(guess("p --color=never", None).colour, ColourChoice::Never);
    }
}
