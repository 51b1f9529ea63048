//! The arguments of single commands that are not configuration keys. Arguments that `config` reads
//! are declared there.

use crate::flags::{Flag, Offers, Takes};
use clap::{ValueEnum, value_parser};
use clap_complete::Shell;
use std::path::PathBuf;

/// The argument `--json` of several commands.
pub static JSON: Flag<bool> = Flag::argument("json", "", "Print JSON")
    .computed("a table")
    .takes(Takes::Nothing)
    .usual()
    .elsewhere(&[(&["plan"], "", "Print the plan as JSON")]);

/// The run of `resume`, `fork` and `replay`.
pub(crate) static RUN: Flag<PathBuf> = Flag::argument("run", "DIR", "Directory of the run")
    .positional()
    .adjust(|arg| arg.required(true).value_parser(value_parser!(PathBuf)));

/// The argument `fork --at`.
pub(crate) static AT: Flag<u32> = Flag::argument(
    "at",
    "EPOCH",
    "Begin with the state at the end of this epoch",
)
.computed("the run's newest checkpoint")
.usual()
.adjust(|arg| arg.value_parser(value_parser!(u32).range(1..)));

/// The argument `plan --svg`.
pub static SVG: Flag<PathBuf> = Flag::argument(
    "svg",
    "FILE",
    "SVG file for a picture of the plan, blocks by epochs",
)
.usual()
.adjust(|arg| arg.value_parser(value_parser!(PathBuf)));

/// The argument `plan --predict`.
pub static PREDICT: Flag<bool> = Flag::argument(
    "predict",
    "",
    "Predict time and peak memory per epoch on this machine, after a calibration of a few seconds",
)
.computed("off")
.takes(Takes::Nothing)
.usual();

/// The directory of `show` and `check`.
pub static RUN_DIRECTORY: Flag<PathBuf> =
    Flag::argument("run_directory", "DIR", "Directory of a run")
        .positional()
        .elsewhere(&[(
            &["check"],
            "DIR",
            "Directory of a result: a run's, or a saved model or adapter",
        )])
        .adjust(|arg| arg.required(true).value_parser(value_parser!(PathBuf)));

/// The id that a command concerns.
pub(crate) static ID: Flag<String> = Flag::argument("id", "ID", "Id of the schedule or method")
    .positional()
    .offers(Offers::Plugins)
    .elsewhere(&[
        (
            &["plugins show"],
            "ID",
            "Id of the schedule or method, as `plugins list` prints it",
        ),
        (
            &["plugins remove"],
            "ID",
            "Id of a schedule or method that the library offers",
        ),
    ])
    .adjust(|arg| arg.required(true));

/// The ids of `plugins lock`.
pub(crate) static IDS: Flag<Vec<String>> =
    Flag::argument("ids", "ID", "Ids to pin in the existing file")
        .computed("everything found, in a new file")
        .takes(Takes::Values)
        .positional()
        .offers(Offers::Plugins)
        .adjust(|arg| arg.num_args(1..));

/// The files of `plugins install`.
pub(crate) static LIBRARIES: Flag<Vec<PathBuf>> = Flag::argument("files", "FILE", "The libraries")
    .takes(Takes::Values)
    .positional()
    .adjust(|arg| {
        let arg = arg.num_args(1..).required(true);
        arg.value_parser(value_parser!(PathBuf))
    });

/// The argument `plugins install --force`.
pub(crate) static FORCE: Flag<bool> = Flag::argument(
    "force",
    "",
    "Install them even if another plugin offers one of their ids",
)
.computed("off")
.takes(Takes::Nothing);

/// The name of `plugins new`.
pub(crate) static NAME: Flag<String> = Flag::argument(
    "name",
    "NAME",
    "Name of the crate and id of the schedule or method: lower-case letters, digits and -",
)
.positional()
.adjust(|arg| arg.required(true));

/// The argument `plugins new --kind`.
pub(crate) static KIND: Flag<NewKind> = Flag::argument(
    "kind",
    "KIND",
    "Kind of plugin: a schedule (decides which parameters each epoch trains) or a PEFT method (decides what is trained inside the \
     model)",
)
.adjust(|arg| arg.required(true).value_parser(value_parser!(NewKind)));

/// The argument `plugins new --path`.
pub(crate) static PATH: Flag<PathBuf> =
    Flag::argument("path", "DIR", "Parent directory of the new crate")
        .computed(".")
        .adjust(|arg| arg.value_parser(value_parser!(PathBuf)));

/// The argument `plugins new --plugin-api`.
pub(crate) static PLUGIN_API: Flag<PathBuf> = Flag::argument(
    "plugin_api",
    "DIR",
    "Directory of the crate progtune-plugin-api",
)
.computed("the sources progtune was built from or came with, else their public repository")
.adjust(|arg| arg.value_parser(value_parser!(PathBuf)));

/// The file of `plugins check`.
pub(crate) static LIBRARY: Flag<PathBuf> = Flag::argument("file", "FILE", "The built library")
    .positional()
    .adjust(|arg| arg.required(true).value_parser(value_parser!(PathBuf)));

/// The argument `plugins check --id`.
pub(crate) static ONLY_ID: Flag<String> =
    Flag::argument("id", "ID", "Check only this schedule or method")
        .computed("all in the library")
        .offers(Offers::Plugins);

/// The words of `help`.
pub static ABOUT: Flag<Vec<String>> = Flag::argument(
    "about",
    "TOPIC",
    "Topic, command or flag, also one of Hugging Face's",
)
.computed("the list of topics")
.takes(Takes::Values)
.positional()
.offers(Offers::Some(crate::help_topics::names))
.adjust(|arg| arg.num_args(1..));

/// The shell of `completions`.
pub static SHELL: Flag<Shell> = Flag::argument("shell", "SHELL", "The shell")
    .positional()
    .adjust(|arg| arg.required(true).value_parser(value_parser!(Shell)));

/// The argument `man --output`, distinct from the key `output`, which is training's run directory.
pub static PAGES: Flag<PathBuf> = Flag::argument(
    "pages",
    "DIR",
    "Directory for the pages, one per command; created if it does not exist",
)
.long("output")
.adjust(|arg| arg.required(true).value_parser(value_parser!(PathBuf)));

/// The kinds of plugins that `progtune plugins new` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NewKind {
    /// A schedule.
    Schedule,
    /// A PEFT method.
    #[value(alias = "method")]
    Peft,
}
