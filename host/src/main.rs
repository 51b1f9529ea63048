//! The `progtune` binary: parses, configures, runs, and renders an error once with its exit code.

use progtune::{
    cli::{
        self, Command, Invocation,
        arguments::{ABOUT, JSON, PAGES, PREDICT, RUN_DIRECTORY, SHELL, SVG},
    },
    config::{
        CheckConfig, EvaluateConfig, InspectConfig, MergeConfig, PredictConfig, RunConfig, Sources,
        resolve_plugins, show, verbosity, without_effect,
    },
    flags::hugging_face,
    fork_config, replay_config, resume_config, run_check, run_completions, run_evaluate, run_help,
    run_inspect, run_man, run_merge, run_plan, run_plugins, run_predict, run_replay, show_command,
    train,
};
use progtune_engine::{
    Error, Result,
    plugin::{self, EntryKind, PluginFault},
};
use progtune_hub::keep_secrets;
use progtune_kernels::simd;
use progtune_pipeline::token_cache;
use progtune_process::{
    interrupt, logging,
    terminal::{self, Screen, events, note},
};
use std::{ffi::OsString, process::ExitCode, time::Instant};

fn main() -> ExitCode {
    let started = Instant::now();
    plugin::probe::answer_if_asked(&plugin::OFFER);
    let text = |word: OsString| word.to_string_lossy().into_owned();
    let words: Vec<String> = std::env::args_os().map(text).collect();
    terminal::say_panics();
    keep_secrets();
    terminal::set_up(show::guessed(&words, &|name| std::env::var(name).ok()));
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => return refuse(error),
    };
    interrupt::listen(|| progtune_plugin_loader::set_cancelled(true));
    let outcome = run(&invocation, started);
    let is_news = interrupt::may_say_how_it_ended();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if is_news {
                events::failure(&message(&error), error.exit_code());
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// The message of an error. An unknown id is explained if Hugging Face's tools know it.
fn message(error: &Error) -> String {
    match error {
        Error::Plugin(PluginFault::UnknownId { kind, id, .. }) => {
            let key = match kind {
                EntryKind::Schedule => "schedule",
                EntryKind::Method => "peft",
            };
            format!("{error}{}", hugging_face::hint(key, id))
        }
        _ => error.to_string(),
    }
}

/// Reports wrong arguments, or prints the requested help. Wrong arguments are parsed again in
/// escaped form, so that the message shows them escaped.
fn refuse(error: clap::Error) -> ExitCode {
    if error.exit_code() == 0 {
        error.exit();
    }
    let error = cli::parse(cli::shown_arguments()).err().unwrap_or(error);
    let message = error.render().to_string();
    let shown = Screen::from(&message);
    if !events::are_on() && shown.as_str() == message {
        // Keeps clap's colours, which the plain text lacks.
        error.exit();
    }
    let message = shown.as_str().trim_start_matches("error: ").trim_end();
    events::failure(message, 2);
    ExitCode::from(2)
}

fn run(invocation: &Invocation, started: Instant) -> Result<()> {
    let arguments = &invocation.arguments;
    let sources = Sources::of_process(arguments);
    terminal::set_up(show::resolve(arguments, &sources)?);
    logging::start(verbosity(arguments));
    token_cache::set_up()?;
    simd::check_variable().map_err(Error::Usage)?;
    if matches!(invocation.command, Command::Evaluate | Command::Predict) {
        for flag in without_effect(arguments) {
            note(&format!(
                "{flag} has no effect here: every example is computed once, and nothing is cached"
            ));
        }
    }
    match invocation.command {
        Command::Train => {
            let config = RunConfig::resolve_train(arguments, &sources)?;
            use_threads(config.machine.threads);
            train(&config, started)
        }
        Command::Resume => {
            let config = resume_config(arguments, &sources)?;
            use_threads(config.machine.threads);
            train(&config, started)
        }
        Command::Fork => {
            let config = fork_config(arguments, &sources)?;
            use_threads(config.machine.threads);
            train(&config, started)
        }
        Command::Replay => {
            let (config, run) = replay_config(arguments, &sources)?;
            use_threads(config.machine.threads);
            run_replay(&config, &run, started)
        }
        Command::Plan => {
            let config = RunConfig::resolve_plan(arguments, &sources)?;
            use_threads(config.machine.threads);
            let [json, predict] = [&JSON, &PREDICT].map(|flag| arguments.is_on(flag));
            run_plan(&config, json, predict, arguments.one(&SVG).as_deref())
        }
        Command::Evaluate => {
            let config = EvaluateConfig::resolve(arguments, &sources)?;
            use_threads(config.inference.machine.threads);
            run_evaluate(&config)
        }
        Command::Predict => {
            let config = PredictConfig::resolve(arguments, &sources)?;
            use_threads(config.inference.machine.threads);
            run_predict(&config)
        }
        Command::Merge => {
            let config = MergeConfig::resolve(arguments, &sources)?;
            use_threads(config.threads);
            run_merge(&config)
        }
        Command::Show => {
            show_command::run_show(&arguments.required(&RUN_DIRECTORY), arguments.is_on(&JSON))
        }
        Command::Check => {
            let directory = arguments.required(&RUN_DIRECTORY);
            let config = CheckConfig::resolve(directory, arguments, &sources)?;
            use_threads(config.inference.machine.threads);
            run_check(&config, arguments.is_on(&JSON))
        }
        Command::Inspect => run_inspect(&InspectConfig::resolve(arguments, &sources)?),
        Command::Plugins(command) => {
            let places = resolve_plugins(arguments, &sources)?;
            run_plugins(command, arguments, &places)
        }
        Command::Help => run_help(&arguments.all(&ABOUT)),
        Command::Completions => {
            let places = resolve_plugins(arguments, &sources)?;
            run_completions(arguments.required(&SHELL), &places)
        }
        Command::Man => run_man(&arguments.required(&PAGES)),
    }
}

/// Sizes the thread pools, which nothing has used yet. The default is the number of cores, because
/// candle would otherwise count them in every operation.
#[allow(unsafe_code)]
fn use_threads(threads: Option<usize>) {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or_else(cores);
    // SAFETY: the only other thread is that of `interrupt::listen`. It waits for a signal, and
    // reads the environment only through `std::env`.
    unsafe { progtune_kernels::threads::configure(threads) };
}
