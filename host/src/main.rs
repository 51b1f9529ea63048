//! The `progtune` binary: parses, configures, runs, and renders an error once with its exit code.

use progtune::{
    cli::{self, Command, DataCommand, Invocation},
    completions_command,
    config::{
        EvaluateConfig, InspectConfig, MergeConfig, PredictConfig, RunConfig, Sources,
        resolve_plugins,
    },
    error::Result,
    hub::environment,
    inference, inspect_command, interrupt, logging, merge_command, plan_command, plugin,
    plugins_command, recipe,
    terminal::{self, Screen, Show, events},
    token_cache,
};
use std::{ffi::OsString, process::ExitCode, time::Instant};

fn main() -> ExitCode {
    let started = Instant::now();
    plugin::probe::answer_if_asked(&plugin::OFFER);
    let text = |word: OsString| word.to_string_lossy().into_owned();
    let words: Vec<String> = std::env::args_os().map(text).collect();
    terminal::say_panics();
    environment::keep_secrets();
    terminal::set_up(Show::guessed(&words, &|name| std::env::var(name).ok()));
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => return refuse(error),
    };
    interrupt::listen();
    let outcome = run(&invocation, started);
    let is_news = interrupt::may_say_how_it_ended();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if is_news {
                events::failure(&error);
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// What clap says: of arguments that are wrong, or the help that was asked for. It says of the arguments what it would of
/// escaped ones.
fn refuse(error: clap::Error) -> ExitCode {
    if error.exit_code() == 0 {
        error.exit();
    }
    let error = cli::parse(cli::shown_arguments()).err().unwrap_or(error);
    let message = error.render().to_string();
    let shown = Screen::from(&message);
    if !events::are_on() && shown.as_str() == message {
        // In its colours, which the text alone has not.
        error.exit();
    }
    let message = shown.as_str().trim_start_matches("error: ").trim_end();
    events::failure_of(message, 2);
    ExitCode::from(2)
}

fn run(invocation: &Invocation, started: Instant) -> Result<()> {
    let global = &invocation.global;
    let sources = Sources::from_process(global.config.as_deref());
    terminal::set_up(Show::resolve(global, &sources)?);
    logging::start(global.verbose);
    token_cache::remove_leftovers();
    match &invocation.command {
        Command::Train(args) => {
            let config = RunConfig::resolve_train(args, &sources)?;
            use_threads(config.threads);
            recipe::train(&config, started)
        }
        Command::Plan(args) => {
            let config = RunConfig::resolve_plan(&args.train, &sources)?;
            use_threads(config.threads);
            plan_command::run_plan(&config, args.json, args.predict, args.svg.as_deref())
        }
        Command::Evaluate(args) => {
            let config = EvaluateConfig::resolve(args, &sources)?;
            use_threads(config.inference.threads);
            inference::run_evaluate(&config)
        }
        Command::Predict(args) => {
            let config = PredictConfig::resolve(args, &sources)?;
            use_threads(config.inference.threads);
            inference::run_predict(&config)
        }
        Command::Merge(args) => {
            let config = MergeConfig::resolve(args, &sources)?;
            use_threads(config.threads);
            merge_command::run_merge(&config)
        }
        Command::Data(DataCommand::Inspect(args)) => {
            inspect_command::run_inspect(&InspectConfig::resolve(args, &sources)?)
        }
        Command::Plugins(command) => {
            let places = resolve_plugins(command.sources(), &sources)?;
            plugins_command::run(command, &places)
        }
        Command::Completions(args) => {
            let places = resolve_plugins(&args.sources, &sources)?;
            completions_command::run_completions(args, &places)
        }
        Command::Man(args) => completions_command::run_man(args),
    }
}

/// Sizes the thread pools, which nothing has used yet. Without a number it takes that of the cores,
/// because candle would count them at every operation.
#[allow(unsafe_code)]
fn use_threads(threads: Option<usize>) {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or_else(cores);
    // SAFETY: the only other thread is that of `interrupt::listen`. It waits for a signal, and
    // reads the environment only through `std::env`.
    unsafe { progtune_kernels::threads::configure(threads) };
}
