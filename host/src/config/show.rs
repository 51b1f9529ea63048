//! How a command is shown: the part of the configuration that every command has and no result depends on. Resolved by
//! `main` before anything else.

use super::{ConfigError, Sources, layers};
use crate::{cli::GlobalArgs, config_keys::Scope};
use progtune_process::terminal::{self, Mode, Show, colour::ColourChoice};

/// What `--progress` takes; `None`: what suits standard error.
pub(super) const PROGRESS: &[(&str, Option<Mode>)] = &[
    ("auto", None),
    ("plain", Some(Mode::Plain)),
    ("json", Some(Mode::Json)),
    ("none", Some(Mode::Silent)),
];

/// Resolves it. `--quiet` goes over what a variable or file says of progress.
///
/// # Errors
/// As [`super::RunConfig::resolve_train`]; also when `--quiet` stands beside a `--progress` that shows something.
pub fn resolve(args: &GlobalArgs, sources: &Sources) -> Result<Show, ConfigError> {
    let settings = layers::merge(args, sources, Scope::Display)?;
    let asked = settings.choice("progress", PROGRESS)?;
    let colour = settings.choice("color", ColourChoice::NAMES)?;
    let is_flag = args.progress.is_some();
    if let (true, true, Some(Mode::Plain | Mode::Json)) = (args.quiet, is_flag, asked) {
        return Err(ConfigError::Conflict {
            first: "--quiet".into(),
            second: format!(
                "--progress {}",
                args.progress.as_deref().unwrap_or_default()
            ),
            reason: "one leaves out all progress, the other asks for it".into(),
            advice: "remove one of them; --progress none leaves warnings and the report at the end"
                .into(),
        });
    }
    Ok(Show {
        mode: match (args.quiet, asked) {
            (true, _) => Mode::Silent,
            (false, Some(mode)) => mode,
            (false, None) => terminal::automatic_mode(),
        },
        quiet: args.quiet,
        colour,
    })
}

/// What can be told before the arguments are known to be right, so that also what is wrong with them is said as it is
/// asked for: flags that are spelt in full, else the variables.
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
    let progress = PROGRESS.iter().find(|(name, _)| *name == named("progress"));
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

    fn args(line: &str) -> GlobalArgs {
        let words = ["progtune"].into_iter().chain(line.split_whitespace());
        crate::cli::parse(words).unwrap().global
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
                    "--quiet and --progress {progress} exclude each other: one leaves out all progress, the other asks for \
                     it; remove one of them; --progress none leaves warnings and the report at the end"
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
