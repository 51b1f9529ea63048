//! Invalid arguments and configuration, and files that are not plugins: exit code 2, nothing
//! written.

use super::*;
use progtune_tests::fails;

/// A dynamic library of the system that is not a plugin.
fn foreign_library() -> Vec<u8> {
    let maps = fs::read_to_string("/proc/self/maps").expect("Linux");
    let path = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains("libc.so"));
    fs::read(path.expect("the C library")).unwrap()
}

/// Its file name in a plugin directory.
fn foreign_name() -> String {
    let (before, after) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    format!("plugins/{before}foreign{after}")
}

/// Trains another task on MRPC's data.
fn task(name: &str) -> impl FnOnce(&Scratch) -> CommandLine {
    move |scratch| {
        CommandLine::new("train --quiet")
            .path("--task", name)
            .path("--model", bert())
            .path("--data", fixture("parity/data"))
            .path("--output", scratch.path("run"))
    }
}

/// A command that needs no directory.
fn command(words: &str) -> impl FnOnce(&Scratch) -> CommandLine {
    move |_| CommandLine::new(words)
}

/// Trains with a configuration file.
fn with_file(name: &str, text: &str) -> impl FnOnce(&Scratch) -> CommandLine {
    move |scratch| {
        let file = scratch.write(name, text);
        train("")(scratch).path("--config", file)
    }
}

cases! { is_refused_at_once:
    zero_epochs(2, train("--epochs 0"));
    too_many_epochs(2, train("--epochs 99999"));
    a_negative_batch_size(2, train("--batch-size=-4"));
    a_batch_size_beyond_reason(2, train("--batch-size 99999999999999999999"));
    a_learning_rate_that_is_no_number(2, train("--lr NaN"));
    certain_dropout(2, train("--dropout 1"));
    a_warmup_above_one(2, train("--warmup 1.5"));
    too_many_threads(2, train("--threads 100000"));
    an_unknown_device(2, train("--device gpu"));
    a_device_that_this_build_lacks(2, train("--device cuda"));
    an_input_too_short_for_pairs_of_roberta(2, |s| {
        CommandLine::new("train --task mrpc --quiet --max-length 4")
            .path("--model", fixture("parity/roberta"))
            .path("--data", fixture("parity/data"))
            .path("--output", s.path("run"))
    });
    an_input_too_short_for_a_word(2, command("plan --max-length 2"));
    a_negative_seed(2, train("--seed=-1"));
    an_unknown_schedule(2, train("--schedule progresive"));
    an_unknown_method(2, train("--peft lroa"));
    an_unknown_task(2, task("mrcp"));
    questions_without_files(3, task("squad"));
    a_task_without_data(3, command("train --task mrpc"));
    an_undeclared_option(2, train("--peft lora --peft-opt rank=4"));
    an_undeclared_schedule_option(2, train(
        "--schedule progressive --schedule-opt emebddings=first-part"
    ));
    an_option_out_of_range(2, train("--peft lora --peft-opt r=0"));
    an_option_out_of_the_models_range(2, train(
        "--schedule single-block --schedule-opt block=5"
    ));
    an_option_that_is_no_number(2, train("--peft lora --peft-opt r=many"));
    a_pattern_that_matches_nothing(2, train("--peft lora --peft-opt target_modules=qery"));
    an_option_without_a_value(2, train("--peft lora --peft-opt r"));
    an_option_without_a_method(2, train("--peft-opt r=4"));
    a_misspelt_flag(2, train("--epochz 3"));
    a_misspelt_command(2, command("trian"));
    evaluating_a_base_model(3, command("evaluate --quiet --max-eval-samples 4"));
    plugins_show_of_none(2, command("plugins show lroa"));
    an_unknown_key_in_a_file(2, with_file("key.toml", "epoch = 3\n"));
    a_file_that_is_not_toml(2, with_file("syntax.toml", "epochs = \n"));
    a_bad_value_in_a_file(2, with_file("value.toml", "epochs = 0\n"));
    a_bad_type_in_a_file(2, with_file("type.toml", "epochs = [3]\n"));
    a_configuration_file_that_is_not_there(2, |s| {
        CommandLine::new("").path("--config", s.path("none.toml"))
    });
    a_foreign_library_in_the_plugin_directory(2, |s| {
        s.write(&foreign_name(), foreign_library());
        train("--schedule foreign")(s).path("--plugin-dir", s.path("plugins"))
    });
    a_plugin_directory_that_is_not_there(2, |s| {
        train("")(s).path("--plugin-dir", s.path("none"))
    });
}

#[test]
fn an_unknown_variable_is_named() {
    let mut command = progtune_tests::progtune();
    fails(command.arg("plan").env("PROGTUNE_EPOCHZ", "3"), 2);
}

/// A library that is not a plugin does not stop a run that does not need it; the log and the
/// terminal report it.
#[test]
fn a_library_that_is_no_plugin_is_passed_over() {
    let scratch = Scratch::new();
    scratch.write(&foreign_name(), foreign_library());
    let (_, text) = CommandLine::new("plan")
        .path("--plugin-dir", scratch.path("plugins"))
        .output();
    assert!(
        text.contains("foreign") && text.contains("expected a progtune plugin"),
        "{text}"
    );
}
