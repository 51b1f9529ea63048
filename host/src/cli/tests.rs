//! Tests of the command line: the default command, the help, and what clap refuses.

use clap::error::ErrorKind;

use super::*;
use crate::config_keys::{KEYS, KeyDefault, Scope};

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
        for key in KEYS
            .iter()
            .filter(|key| key.scope == scope || key.scope == Scope::All)
        {
            let line = line_of(&help, &key.flag());
            let default = format!("[default: {}]", key.default_text());
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
    assert!(help.contains("5e-5 full fine-tuning, 5e-4 lora, 1e-3 bitfit, 1e-4 adapter, …"));
}

#[test]
fn every_key_is_a_flag_and_every_value_flag_a_key() {
    let command = clap_command();
    let mut commands = vec![&command];
    commands.extend(command.get_subcommands());
    for key in KEYS {
        let known = commands
            .iter()
            .any(|c| c.get_arguments().any(|arg| arg.get_id() == key.name));
        assert!(known, "{} has no flag", key.name);
        if let KeyDefault::Value(text) = key.default {
            assert!(!text.is_empty());
        }
    }
    let others = [
        "help",
        "version",
        "config",
        "verbose",
        "quiet",
        "json",
        "input",
        "predictions",
        "answers",
        "predict",
        "svg",
        "head_task",
        "merged",
        "dtype",
        "shell",
        "pages",
    ];
    for arg in commands.iter().flat_map(|c| c.get_arguments()) {
        let id = arg.get_id().as_str();
        assert!(
            others.contains(&id) || KEYS.iter().any(|key| key.name == id),
            "{id} is no key"
        );
    }
    command.debug_assert();
    completed_command(&InstalledIds::default(), crate::config::choices).debug_assert();
}

#[test]
fn training_is_the_default_command() {
    let line = "--schedule progressive --peft lora";
    let without = parse_line(&format!("progtune {line}")).unwrap();
    assert_eq!(
        without,
        parse_line(&format!("progtune train {line}")).unwrap()
    );
    let Command::Train(args) = without.command else {
        panic!("not training")
    };
    assert_eq!(args.schedule.schedule.as_deref(), Some("progressive"));
    assert_eq!(args.schedule.peft.as_deref(), Some("lora"));
    assert_eq!(
        parse_line("progtune").unwrap().command,
        Command::Train(Box::default())
    );
}

#[test]
fn other_commands() {
    let Command::Plan(args) = parse_line("progtune plan --epochs 5 --json")
        .unwrap()
        .command
    else {
        panic!("not plan")
    };
    assert!(args.json && args.train.optimisation.epochs.as_deref() == Some("5"));
    let Command::Plugins(PluginsCommand::Show(args)) =
        parse_line("progtune plugins show lora --plugin-dir d")
            .unwrap()
            .command
    else {
        panic!("not show")
    };
    assert_eq!(
        (args.id.as_str(), args.sources.plugin_dir),
        ("lora", vec!["d".to_string()])
    );
    assert!(matches!(
        parse_line("progtune plugins list --json").unwrap().command,
        Command::Plugins(PluginsCommand::List(ListArgs { json: true, .. }))
    ));
}

#[test]
fn global_flags_stand_anywhere() {
    for line in [
        "progtune -vv --config c plan",
        "progtune plan -vv --config c",
    ] {
        let global = parse_line(line).unwrap().global;
        assert_eq!(
            (global.verbose, global.config),
            (2, Some("c".into())),
            "{line}"
        );
    }
    assert!(parse_line("progtune --quiet").unwrap().global.quiet);
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
