//! The clap command line, built from the declared commands and flags. Every flag shows its default,
//! and every command has examples. Called by `cli`.

use super::commands::{COMMANDS, Described, GLOBAL, Group, TRAINING};
use crate::flags::Declared;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

/// The maximum width of the help, because longer lines are hard to read and files have no width.
const WIDTH: usize = 80;

/// The largest number of flags that `-h` shows completely. For a command with more flags, `-h`
/// shows the usual ones and `--help` shows all.
const FEW: usize = 16;

/// The end of `progtune --help`.
const SETTINGS: &str = "\
Every flag with a default can also be a key of the --config file (batch_size = 16; options are \
tables: peft_opt = { r = 8 }) or an environment variable (PROGTUNE_BATCH_SIZE=16; \
PROGTUNE_PEFT_OPT='r=8;lora_alpha=16'). Flags override variables, \
and variables override the file. `none` unsets a setting from a lower level. Flags of Hugging \
Face's scripts work where they mean the same (`progtune help transformers`).

Exit codes: 0 success, 2 bad arguments or configuration, 3 bad data or model, 4 a plugin's \
failure, 5 failed training, 130 interrupted by Ctrl-C; 143 a training run by SIGTERM, 129 by SIGHUP.";

/// The conversion applied to each argument.
type Finish<'a> = &'a dyn Fn(&'static dyn Declared, Arg) -> Arg;

/// The whole command line.
pub(super) fn command_line(finish: Finish<'_>) -> Command {
    built(&COMMANDS[0], finish)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .subcommand_value_name("COMMAND")
        .max_term_width(WIDTH)
}

/// A command with all commands below it.
fn built(described: &'static Described, finish: Finish<'_>) -> Command {
    let path = described.path;
    let is_top = path.is_empty();
    let name = path.rsplit(' ').next().filter(|name| !name.is_empty());
    let is_long = described.all().count() > FEW;
    let more = if is_long {
        "\n\n--help shows every flag; `progtune help` lists topics."
    } else {
        ""
    };
    let settings = if is_top {
        format!("\n\n{SETTINGS}")
    } else {
        String::new()
    };
    let examples = format!("Examples:\n  {}", described.examples.trim_start());
    let add = |command: Command, &(heading, list): &Group| {
        command.args(list.iter().map(|&flag| {
            let arg = flag.about().argument(path, heading, is_long);
            finish(flag, arg)
        }))
    };
    let command = Command::new(name.unwrap_or("progtune"))
        .about(described.about)
        .after_help(format!("{examples}{more}"))
        .after_long_help(format!("{examples}{settings}"));
    let command = described.flags.iter().copied().flatten().fold(command, add);
    let command = if is_top {
        GLOBAL.iter().fold(command, add)
    } else {
        command
    };
    let below = COMMANDS.iter().skip(1).filter(|other| {
        let parent = other.path.rsplit_once(' ').map_or("", |(parent, _)| parent);
        parent == path
    });
    let command = command.subcommands(below.map(|other| built(other, finish)));
    let needs_one = described.command.is_none();
    command
        .subcommand_required(needs_one)
        .arg_required_else_help(needs_one)
}

/// The first training flag that was given before a command's name.
pub(super) fn first_training_flag(matches: &ArgMatches) -> Option<String> {
    let flags = TRAINING.iter().flat_map(|(_, list)| list.iter());
    let is_given = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
    flags
        .map(|flag| flag.about())
        .find(|about| is_given(about.name))
        .map(|about| about.flag())
}
