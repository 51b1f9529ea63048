//! The `progtune` binary: parses, configures, runs, and renders an error once with its exit code.

use progtune::{
    cli::{self, Command, Invocation, PluginsCommand},
    config::{EvaluateConfig, PredictConfig, RunConfig, Sources, resolve_plugin_dirs},
    error::Result,
    inference, logging, plan_command, plugins_command, recipe, terminal,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => error.exit(),
    };
    match run(&invocation) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::say(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(invocation: &Invocation) -> Result<()> {
    let global = &invocation.global;
    let sources = Sources::from_process(global.config.as_deref());
    logging::start(global.verbose, global.quiet);
    match &invocation.command {
        Command::Train(args) => {
            let config = RunConfig::resolve_train(args, &sources)?;
            use_threads(config.threads);
            recipe::train(&config, global.quiet)
        }
        Command::Plan(args) => {
            let config = RunConfig::resolve_plan(&args.train, &sources)?;
            use_threads(config.threads);
            plan_command::run_plan(&config, args.json, args.predict)
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
        Command::Plugins(PluginsCommand::List(args)) => {
            plugins_command::run_list(&resolve_plugin_dirs(&args.dirs, &sources)?, args.json)
        }
        Command::Plugins(PluginsCommand::Show(args)) => {
            plugins_command::run_show(&resolve_plugin_dirs(&args.dirs, &sources)?, &args.id)
        }
    }
}

/// Sizes the thread pools; nothing has used one yet.
fn use_threads(threads: Option<usize>) {
    if let Some(threads) = threads {
        progtune_kernels::threads::configure(threads);
    }
}
