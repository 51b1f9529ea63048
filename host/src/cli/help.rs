//! What clap's derive does not say by itself: the default of every flag, taken from `config_keys`, examples for every
//! command, which flags `-h` shows, and which belong to training. Called by `cli`.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command};

use super::training::TrainArgs;
use crate::config_keys::{Key, find_key};

/// The width of help, whatever the terminal's: longer lines are hard to read, and files have no width.
const WIDTH: usize = 80;

/// Flags of which a command has at most so many are all shown by `-h`.
const FEW: usize = 16;

/// What `-h` shows of the commands that have more; `--help` shows all.
const USUAL: &[&str] = &[
    "help",
    "version",
    "model",
    "task",
    "data",
    "adapter",
    "split",
    "input",
    "predictions",
    "train_file",
    "validation_split",
    "schedule",
    "peft",
    "epochs",
    "lr",
    "batch_size",
    "max_length",
    "output",
    "config",
    "predict",
    "svg",
    "json",
    "progress",
    "quiet",
];

/// The examples of each command by its names: what a reader can type with a little of their own put in.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "progtune",
        "\
  progtune --schedule progressive --peft lora
  progtune --train-file reviews.csv --validation-split 0.1 --peft lora
  progtune --model bert --task mrpc --data glue/MRPC --schedule progressive
  progtune --model google-bert/bert-base-uncased --task sst2 --peft lora
  progtune plan --schedule progressive --peft lora
  progtune predict --adapter runs/sample-progressive-lora-seed42 \\
    --input FILE.jsonl",
    ),
    (
        "train",
        "\
  progtune train --schedule progressive --peft lora --peft-opt r=4
  progtune train --train-file reviews.csv --validation-split 0.1
  progtune train --config runs/a/config.toml --seed 43 --output runs/b",
    ),
    (
        "plan",
        "\
  progtune plan --schedule progressive --peft lora
  progtune plan --model bert --task sst2 --schedule grow-from-hb --svg plan.svg
  progtune plan --schedule progressive --predict",
    ),
    (
        "evaluate",
        "\
  progtune evaluate --adapter runs/sample-progressive-lora-seed42
  progtune evaluate --model bert --task mrpc --data glue/MRPC \\
    --adapter a=runs/a --adapter b=runs/b
  progtune evaluate --model runs/own-full-full-seed42 --test-file more.csv",
    ),
    (
        "predict",
        "\
  progtune predict --adapter runs/sample-progressive-lora-seed42 \\
    --input FILE.jsonl
  progtune predict --model runs/own-full-full-seed42 --task own \\
    --input new.csv --output predictions.jsonl",
    ),
    (
        "merge",
        "\
  progtune merge --adapter runs/sample-progressive-lora-seed42 --output merged
  progtune merge --model bert --adapter runs/a --output merged --dtype bf16",
    ),
    (
        "data",
        "\
  progtune data inspect reviews.csv",
    ),
    (
        "data inspect",
        "\
  progtune data inspect reviews.csv
  progtune data inspect --train-file train.csv --test-file test.csv",
    ),
    (
        "plugins",
        "\
  progtune plugins list
  progtune plugins show lora
  progtune plugins new my-schedule --kind schedule",
    ),
    (
        "plugins list",
        "\
  progtune plugins list
  progtune plugins list --json --plugin-dir my-plugins",
    ),
    (
        "plugins show",
        "\
  progtune plugins show progressive
  progtune plugins show lora --model bert",
    ),
    (
        "plugins why",
        "\
  progtune plugins why lora",
    ),
    (
        "plugins lock",
        "\
  progtune plugins lock
  progtune plugins lock lora --plugin my-lora.so",
    ),
    (
        "plugins install",
        "\
  progtune plugins install target/release/libmy_schedule.so
  progtune plugins install target/release/libprogtune_*.so",
    ),
    (
        "plugins remove",
        "\
  progtune plugins remove my-schedule",
    ),
    (
        "plugins new",
        "\
  progtune plugins new my-schedule --kind schedule
  progtune plugins new my-method --kind peft --path crates",
    ),
    (
        "plugins check",
        "\
  progtune plugins check target/debug/libmy_method.so
  progtune plugins check target/debug/libmy_method.so --peft-opt r=4",
    ),
    (
        "completions",
        "\
  progtune completions bash
  progtune completions zsh --plugin-dir my-plugins",
    ),
    (
        "man",
        "\
  progtune man --output ~/.local/share/man/man1",
    ),
];

/// The end of `progtune --help`.
const SETTINGS: &str = "\
Every flag with a default can also be a key of the --config file (batch_size = 16; options are \
tables: peft_opt = { r = 8 }) or an environment variable (PROGTUNE_BATCH_SIZE=16; \
PROGTUNE_PEFT_OPT='r=8;lora_alpha=16'). Flags override variables, \
and variables override the file. `none` unsets a setting from a lower level.

Exit codes: 0 success, 2 bad arguments or configuration, 3 bad data or model, 4 a plugin's \
failure, 5 failed training, 130 interrupted.";

/// The command line with all that: in this command and in all below it.
pub(super) fn dressed(command: Command) -> Command {
    dressed_at(command.max_term_width(WIDTH), "progtune")
}

fn dressed_at(command: Command, path: &str) -> Command {
    let flags = command.get_arguments().filter(|arg| !arg.is_global_set());
    let is_long = flags.count() > FEW;
    let mut command = command.mut_args(|arg| {
        let id = arg.get_id().as_str();
        let is_usual = !is_long || USUAL.contains(&id);
        with_default(arg).hide_short_help(!is_usual)
    });
    let examples = EXAMPLES.iter().find(|(name, _)| *name == path);
    if let Some((_, examples)) = examples {
        let examples = format!("Examples:\n  {}", examples.trim_start());
        let settings = match path {
            "progtune" => format!("\n\n{SETTINGS}"),
            _ => String::new(),
        };
        let more = match is_long {
            true => "\n\n--help shows every flag.",
            false => "",
        };
        command = command
            .after_help(format!("{examples}{more}"))
            .after_long_help(format!("{examples}{settings}"));
    }
    command.mut_subcommands(|below| {
        let path = match path {
            "progtune" => below.get_name().to_owned(),
            above => format!("{above} {}", below.get_name()),
        };
        dressed_at(below, &path)
    })
}

/// Ends the help of a flag that is a configuration key with its default.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A command and all below it, with the words that name each.
    fn each(command: &Command, path: &str, see: &mut dyn FnMut(&str, &Command)) {
        see(path, command);
        for below in command.get_subcommands() {
            let path = match path {
                "progtune" => below.get_name().to_owned(),
                above => format!("{above} {}", below.get_name()),
            };
            each(below, &path, see);
        }
    }

    #[test]
    fn every_command_has_help_in_80_columns_with_examples() {
        let mut all = crate::cli::clap_command();
        all.build();
        each(&all, "progtune", &mut |path, command| {
            let mut command = command.clone().term_width(80);
            let (short, long) = (command.render_help(), command.render_long_help());
            for help in [short.to_string(), long.to_string()] {
                let wide = help.lines().find(|line| line.chars().count() > 80);
                assert_eq!(wide, None, "{path}");
                assert!(help.contains("Examples:\n  progtune"), "{path}: {help}");
            }
        });
    }

    #[test]
    fn short_help_is_short_and_names_the_long_one() {
        let mut command = crate::cli::clap_command().term_width(80);
        let (short, long) = (command.render_help(), command.render_long_help());
        let lines = |text: String| text.lines().count();
        assert!(short.to_string().contains("--help shows every flag"));
        assert!(!short.to_string().contains("--adam-beta1"), "{short}");
        assert!(short.to_string().contains("--schedule"), "{short}");
        let (short, long) = (lines(short.to_string()), lines(long.to_string()));
        assert!(short < 90 && long > 3 * short, "{short} of {long}");
    }

    #[test]
    fn every_example_can_be_typed() {
        for (name, examples) in EXAMPLES {
            let joined = examples.replace("\\\n", " ");
            for line in joined.lines() {
                let words = line.split_whitespace();
                let parsed = crate::cli::parse(words);
                assert!(parsed.is_ok(), "{name}: {line}: {}", parsed.unwrap_err());
            }
        }
    }
}
