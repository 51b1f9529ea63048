//! What clap's derive does not say by itself: the default of every flag, taken from `config::keys`, the examples, and
//! which flags belong to training. Called by `cli`.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command};

use super::training::TrainArgs;
use crate::config::keys::{Key, find_key};

/// The end of `progtune --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  progtune --schedule progressive --peft lora
  progtune --model DIR --task mrpc --data DIR --schedule progressive --peft lora --peft-opt r=8
  progtune --model google-bert/bert-base-uncased --task sst2 --schedule progressive --peft lora
  progtune plan --model DIR --task sst2 --schedule grow-from-hb --peft adapter
  progtune evaluate --model DIR --adapter runs/sample-progressive-lora-seed42
  progtune evaluate --model DIR --task mrpc --data DIR --adapter a=runs/a --adapter b=runs/b
  progtune merge --model DIR --adapter runs/mrpc-progressive-lora-seed42 --output merged
  progtune plugins show lora

Every flag with a default can also be a key of the --config file (batch_size = 16; options are \
tables: peft_opt = { r = 8 }) or an environment variable (PROGTUNE_BATCH_SIZE=16; \
PROGTUNE_PEFT_OPT='r=8;lora_alpha=16'). Flags go over variables, variables over the file. \
`none` unsets what a lower one has set.

Exit codes: 0 success, 2 bad arguments or configuration, 3 bad data or model, 4 a plugin's \
failure, 5 failed training, 130 interrupted.";

/// Ends the help of every flag that is a configuration key with its default, in this command and all below it.
pub(super) fn with_defaults(command: Command) -> Command {
    command
        .mut_args(with_default)
        .mut_subcommands(with_defaults)
}

fn with_default(arg: Arg) -> Arg {
    let Some(key) = find_key(arg.get_id().as_str()) else {
        return arg;
    };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    // Negative numbers are wrong everywhere, which `config` says better than "unexpected argument '-1'".
    arg.help(format!("{help} [default: {}]", key.default_text()))
        .hide_default_value(true)
        .allow_negative_numbers(true)
}

/// The first flag of training that was given at the top level, before a command's name.
pub(super) fn first_training_flag(matches: &ArgMatches) -> Option<String> {
    let training = TrainArgs::augment_args(Command::new("train"));
    training
        .get_arguments()
        .map(|arg| arg.get_id().as_str())
        .find(|id| matches.value_source(id) == Some(ValueSource::CommandLine))
        .map(|id| find_key(id).map_or_else(|| id.to_string(), Key::flag))
}
