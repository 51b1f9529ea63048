//! Tests of the command line: the default command, the help, and the command lines that clap
//! refuses.

use clap::error::ErrorKind;

use super::arguments::{ID, JSON};
use super::commands::GLOBAL;
use super::*;
use crate::config::flags::{CONFIG, QUIET, SPLIT};
use crate::config::{find_key, keys, verbosity};
use crate::flags::{Declared, Scope, Takes};

fn parse_line(line: &str) -> Result<Invocation, clap::Error> {
    parse(line.split_whitespace())
}

/// `--help` of a command, unwrapped.
fn help_of(name: &str) -> String {
    let mut command = clap_command().term_width(10_000);
    command.build();
    let command = if name.is_empty() {
        &mut command
    } else {
        command
            .find_subcommand_mut(name)
            .expect("a command of that name")
    };
    command.render_long_help().to_string()
}

/// The help of one flag.
fn line_of<'a>(help: &'a str, flag: &str) -> &'a str {
    let mut lines = help.lines();
    let is_flag = |line: &&str| {
        line.split_whitespace()
            .any(|word| word.trim_end_matches(',').split(['[', '=']).next() == Some(flag))
            && line.trim_start().starts_with('-')
    };
    lines
        .find(is_flag)
        .unwrap_or_else(|| panic!("{flag} is not in\n{help}"));
    lines.next().unwrap_or_default().trim()
}

/// The flags of issue 2, and those added by the design.
const TRAINING_FLAGS: &str = "--model --task --data --schedule --schedule-opt --peft --peft-opt --epochs \
    --batch-size --eval-batch-size --gradient-accumulation-steps --lr --weight-decay --warmup --max-length \
    --max-grad-norm --dropout --seed --no-shuffle --max-train-samples --max-eval-samples --max-steps \
    --init-adapter --plugin-dir --threads --device --output --config --lr-scheduler --adam-beta1 --adam-beta2 \
    --adam-epsilon --no-group-by-length --train-pooler --kernels --overwrite-output --logging-steps \
    --frozen-dropout --batch-tokens --eval-batch-tokens --token-cache";

#[test]
fn help_shows_every_flag_with_its_default() {
    for command in ["", "train", "plan"] {
        let help = help_of(command);
        for flag in TRAINING_FLAGS.split_whitespace() {
            let line = line_of(&help, flag);
            assert!(
                line.contains("[default: ") && line.ends_with(']'),
                "{command} {flag}: {line}"
            );
        }
    }
    for (command, scope) in [
        ("", Scope::Training),
        ("evaluate", Scope::Inference),
        ("predict", Scope::Inference),
    ] {
        let help = help_of(command);
        let is_read = |of: Scope| match of {
            Scope::All => true,
            Scope::Measuring => command != "predict",
            of => of == scope,
        };
        for key in keys().filter(|key| is_read(key.scope)) {
            let line = line_of(&help, &key.flag());
            let default = format!("[default: {}]", key.default_text().unwrap_or_default());
            assert!(line.ends_with(&default), "{command} {}: {line}", key.flag());
        }
    }
    let help = help_of("predict");
    assert!(line_of(&help, "--input").contains("[default: "));
    assert!(line_of(&help, "--output").contains("[default: standard output]"));
}

#[test]
fn help_is_in_groups() {
    let help = help_of("");
    let groups = [
        "Model and data:",
        "Schedule and method:",
        "Optimisation:",
        "Batches and length:",
        "Memory:",
        "Output:",
        "Machine:",
    ];
    let places: Vec<_> = groups.iter().map(|group| help.find(group)).collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{places:?}\n{help}"
    );
    assert!(help.contains("5e-5 full fine-tuning, 1e-3 lora, 1e-3 adapter, 2e-3 bitfit, …"));
}

/// The declared flags of every command.
fn all_flags() -> Vec<&'static dyn Declared> {
    let flags = COMMANDS.iter().flat_map(|described| described.all());
    let global = GLOBAL.iter().flat_map(|(_, list)| list.iter().copied());
    flags.chain(global).collect()
}

#[test]
fn every_flag_is_declared_and_every_key_is_a_flag() {
    let flags = all_flags();
    for key in keys() {
        let is_taken = flags.iter().any(|flag| flag.about().name == key.name);
        assert!(is_taken, "no command takes {}", key.name);
    }
    let command = clap_command();
    let mut commands = vec![&command];
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands());
        for arg in command.get_arguments() {
            let id = arg.get_id().as_str();
            let is_declared = flags.iter().any(|flag| flag.about().name == id);
            assert!(is_declared, "{id} is not declared");
        }
    }
    command.debug_assert();
    completed_command(&InstalledIds::default()).debug_assert();
}

#[test]
fn every_flag_has_help_and_a_default_or_is_required() {
    for flag in all_flags() {
        let about = flag.about();
        let first = about.help.chars().next();
        assert!(
            first.is_some_and(char::is_uppercase) && !about.help.ends_with('.'),
            "{}: {}",
            about.name,
            about.help
        );
        // Help begins with a noun or an imperative, and these words would begin full sentences.
        let word = about.help.split(' ').next().unwrap_or_default();
        let is_verb = [
            "Is", "Are", "Whether", "What", "Who", "Where", "This", "If", "When", "Does",
        ]
        .contains(&word);
        assert!(!is_verb, "{}: {}", about.name, about.help);
        if let Some(key) = about.key {
            assert!(find_key(key).is_some(), "{} sets no key", about.name);
        }
        let is_required = flag.about().argument("", "", false).is_required_set();
        // No picture is drawn by default, and files may be given in another way.
        let may_lack = is_required || ["svg", "files"].contains(&about.name);
        assert!(
            about.default.is_some() || may_lack,
            "{} has no default",
            about.name
        );
        if about.takes == Takes::Switch {
            assert_eq!(flag.names(), ["true", "false"], "{}", about.name);
        }
    }
    assert_eq!(SPLIT.names(), ["validation", "test", "train"]);
}

#[test]
fn training_is_the_default_command() {
    let parsed = parse_line("progtune --schedule progressive --peft lora").unwrap();
    assert_eq!(parsed.command, Command::Train);
    let typed: Vec<_> = parsed.arguments.keys().into_iter().collect();
    let typed: Vec<_> = typed
        .iter()
        .map(|(_, key, texts)| (*key, texts[0].as_str()))
        .collect();
    assert_eq!(typed, [("peft", "lora"), ("schedule", "progressive")]);
    let parsed = parse_line("progtune train").unwrap();
    assert_eq!(parsed.command, Command::Train);
    assert!(parsed.arguments.keys().is_empty());
}

#[test]
fn other_commands() {
    let plan = parse_line("progtune plan --epochs 5 --json").unwrap();
    assert_eq!(plan.command, Command::Plan);
    assert!(plan.arguments.is_on(&JSON));
    assert_eq!(plan.arguments.keys()[0].2, ["5"]);
    let show = parse_line("progtune plugins show lora --plugin-dir d").unwrap();
    assert_eq!(show.command, Command::Plugins(PluginsCommand::Show));
    assert_eq!(show.arguments.required(&ID), "lora");
    assert_eq!(show.arguments.keys()[0].2, ["d"]);
}

#[test]
fn global_flags_stand_anywhere() {
    for line in [
        "progtune -vv --config c plan",
        "progtune plan -vv --config c",
    ] {
        let arguments = parse_line(line).unwrap().arguments;
        assert_eq!(verbosity(&arguments), 2, "{line}");
        assert_eq!(arguments.one(&CONFIG), Some("c".into()), "{line}");
    }
    let quiet = parse_line("progtune --quiet").unwrap();
    assert!(quiet.arguments.is_on(&QUIET));
}

#[test]
fn what_is_misspelt_gets_a_suggestion_and_exit_code_2() {
    for (line, suggestion) in [
        ("progtune --bach-size 8", "--batch-size"),
        ("progtune plam", "plan"),
        ("progtune plugins lst", "list"),
        ("progtune evaluate --adpter d", "--adapter"),
    ] {
        let error = parse_line(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(suggestion), "{line}: {error}");
    }
}

#[test]
fn refused_combinations() {
    for line in [
        "progtune --epochs 3 plan",
        "progtune --epochs 3 --epochs 4",
        "progtune -v --quiet",
        "progtune predict --input f --data d",
        "progtune plugins show",
        "progtune plugins",
        "progtune --epochs",
    ] {
        assert_eq!(parse_line(line).unwrap_err().exit_code(), 2, "{line}");
    }
    let error = parse_line("progtune --epochs 3 plan").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
    assert!(
        error.to_string().contains("progtune plan --epochs"),
        "{error}"
    );
}

#[test]
fn help_and_version_are_no_failures() {
    for line in [
        "progtune --help",
        "progtune -h",
        "progtune --version",
        "progtune plan --help",
    ] {
        assert_eq!(parse_line(line).unwrap_err().exit_code(), 0, "{line}");
    }
}

/// Suggestions go by likeness; if nothing is alike, the message says where to look.
#[test]
fn what_is_like_nothing_gets_no_suggestion() {
    for (line, expected) in [
        (
            "progtune --zebra 1",
            "`progtune` has no flag --zebra; `progtune help train` shows",
        ),
        (
            "progtune plan --dtypes f16",
            "`progtune plan` has no flag --dtypes; `progtune help plan`",
        ),
        (
            "progtune plan --answers d",
            "`progtune plan` has no flag --answers; it is a flag of `progtune evaluate`",
        ),
        (
            "progtune plan --learning-rat 1",
            "has no flag --learning-rat; did you mean '--learning-rate'?",
        ),
        (
            "progtune zebra",
            "`progtune` has no command 'zebra'; `progtune help` lists",
        ),
        (
            "progtune plugins zebra",
            "`progtune plugins` has no command 'zebra'; `progtune help plugins` lists",
        ),
        (
            "progtune plan zebra",
            "`progtune plan` takes no word 'zebra' here",
        ),
        (
            "progtune plugins new x --kind pfet",
            "expected one of schedule, peft; found 'pfet'; did you mean 'peft'?",
        ),
    ] {
        let error = parse_line(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(expected), "{line}: {error}");
    }
}

/// Visits a command and all commands below it, with the words that name each.
fn each(command: &clap::Command, path: &str, see: &mut dyn FnMut(&str, &clap::Command)) {
    see(path, command);
    for below in command.get_subcommands() {
        each(below, &format!("{path} {}", below.get_name()), see);
    }
}

#[test]
fn every_command_has_help_in_80_columns_with_examples() {
    let mut all = clap_command();
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
    let mut command = clap_command().term_width(80);
    let (short, long) = (command.render_help(), command.render_long_help());
    let lines = |text: String| text.lines().count();
    assert!(short.to_string().contains("--help shows every flag"));
    assert!(!short.to_string().contains("--adam-beta1"), "{short}");
    assert!(short.to_string().contains("--schedule"), "{short}");
    let (short, long) = (lines(short.to_string()), lines(long.to_string()));
    assert!(short < 100 && long > 3 * short, "{short} of {long}");
}

#[test]
fn every_example_can_be_typed() {
    for described in COMMANDS {
        let joined = described.examples.replace("\\\n", " ");
        for line in joined.lines() {
            let parsed = parse_line(line);
            assert!(parsed.is_ok(), "{}: {line}", described.path);
        }
    }
}
