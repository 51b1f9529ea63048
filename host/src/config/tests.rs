//! Tests of layering, of the messages for bad values, and of the round trip through `config.toml`.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::{
    cli,
    early_stopping::EarlyStopping,
    evaluations::{EvalSteps, EvalStrategy, Evaluations},
    nonfinite::OnNonfinite,
    prefix_cache::{self, CacheDtype, Mode},
};
use progtune_datasets::{Metric, OwnRequest, SampleRule};
use progtune_engine::{
    model::{ComputePath, Device, Kernels, Precision},
    optim::{self, LrRestart, LrScheduler, Warmup},
    plugin::Isolation,
};
use progtune_pipeline::{
    HeadInit, batch_order::BatchLimit, class_weights::ClassWeights, question_answering::Answering,
    token_cache::TokenCacheUse,
};
use progtune_process::ByteSize;

mod bad_values;
mod completeness;
mod evaluating;
mod inference;
mod own;
mod plugins;
mod written;

use written::assert_round_trip;

/// Resolves a command line over an environment and, if `file` is not empty, a configuration file.
fn resolve_with(
    flags: &[&str],
    variables: &[(&str, &str)],
    file: &str,
) -> Result<RunConfig, ConfigError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run.toml");
    fs::write(&path, file).expect("a file in it");
    let sources = Sources {
        file: (!file.is_empty()).then_some(path),
        variables: variables
            .iter()
            .map(|&(name, value)| (name.into(), value.into()))
            .collect(),
    };
    RunConfig::resolve_train(&arguments(&[], flags), &sources)
}

/// The arguments of a command line whose first words are `command`.
fn arguments(command: &[&str], flags: &[&str]) -> Arguments {
    let words = ["progtune"].iter().chain(command).chain(flags);
    let parsed = cli::parse(words.copied());
    parsed.expect("a command line that parses").arguments
}

fn message(flags: &[&str], variables: &[(&str, &str)], file: &str) -> String {
    let error = resolve_with(flags, variables, file).expect_err("an error");
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn defaults_are_those_of_the_design() {
    let config = resolve_with(&[], &[], "").unwrap();
    assert_eq!(config, RunConfig::default());
    let expected = RunConfig {
        inputs: InputsConfig::default(),
        hub: HubConfig::default(),
        data: DataConfig {
            task: "sample".into(),
            metrics: vec![],
            max_train_samples: None,
            max_eval_samples: None,
            max_test_samples: None,
            sample: SampleRule::Stratified,
            seed: 42,
            answering: Answering::default(),
        },
        schedule_and_method: ScheduleAndMethod {
            schedule: "full".into(),
            schedule_opt: vec![],
            peft: None,
            peft_opt: vec![],
            train_pooler: false,
        },
        training: TrainingConfig {
            epochs: 3,
            max_steps: None,
            seed: 42,
            dropout: None,
            frozen_dropout: false,
            head_init: HeadInit::Auto,
            best_model_metric: None,
            on_nonfinite: OnNonfinite::Stop,
        },
        evaluating: default_evaluating(),
        optimizer: default_optimizer(),
        loss: LossConfig {
            class_weights: ClassWeights::Even,
            label_smoothing: 0.0,
        },
        batching: BatchingConfig {
            train: BatchLimit::Examples(8),
            eval: BatchLimit::Examples(8),
            gradient_accumulation_steps: 1,
            max_length: None,
            shuffle: true,
            group_by_length: true,
        },
        caching: CachingConfig {
            token_cache: TokenCacheUse::Auto,
            prefix_cache: prefix_cache::Settings {
                mode: Mode::Auto,
                dtype: CacheDtype::F32,
                budget: None,
            },
        },
        memory: MemoryConfig {
            recompute: false,
            budget: None,
        },
        machine: MachineConfig {
            threads: None,
            device: Device::Cpu,
            kernels: Kernels::Auto,
            precision: Precision::Auto,
        },
        output: default_output(),
        saving: default_saving(),
        plugins: PluginSources::default(),
        origins: Origins::default(),
    };
    assert_eq!(config, expected);
    assert_eq!(
        config.output_dir(),
        PathBuf::from("runs/sample-full-full-seed42")
    );
}

/// The defaults of evaluations.
fn default_evaluating() -> EvaluatingConfig {
    EvaluatingConfig {
        evaluations: Evaluations {
            strategy: EvalStrategy::Epoch,
            steps: None,
        },
        early_stopping: None,
    }
}

/// The defaults of checkpoints.
fn default_output() -> OutputConfig {
    OutputConfig {
        directory: None,
        overwrite: false,
        logging_steps: 50,
        profile: None,
    }
}

fn default_saving() -> SavingConfig {
    SavingConfig {
        strategy: SaveStrategy::Epoch,
        steps: None,
        minutes: None,
        total_limit: 1,
        beginning: Beginning::New,
        allow_changed: vec![],
    }
}

/// The defaults of the optimizer.
fn default_optimizer() -> OptimizerConfig {
    OptimizerConfig {
        lr: None,
        lr_scheduler: LrScheduler::Linear,
        lr_end: None,
        lr_power: None,
        lr_restart: LrRestart::None,
        warmup: Warmup::Steps(0),
        adamw: optim::Settings {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
        },
    }
}

#[test]
fn flags_go_over_variables_over_the_file_over_defaults() {
    let file = "batch_size = 2\nepochs = 5\nseed = 1\nlr = 1e-3\n";
    let variables = [("PROGTUNE_BATCH_SIZE", "16"), ("PROGTUNE_SEED", "2")];
    let config = resolve_with(&["--seed", "3"], &variables, file).unwrap();
    assert_eq!((config.training.epochs, config.training.seed), (5, 3));
    assert_eq!(config.batching.train, BatchLimit::Examples(16));
    assert_eq!(config.batching.eval, BatchLimit::Examples(8));
    assert_eq!(config.optimizer.lr, Some(1e-3));
}

#[test]
fn none_unsets_what_a_lower_layer_set() {
    let file = "max_steps = 10\npeft = \"lora\"\nthreads = 2\nmodel = \"bert\"\n";
    let flags = [
        "--max-steps",
        "none",
        "--peft",
        "none",
        "--threads",
        "none",
        "--model",
        "embedded",
    ];
    let config = resolve_with(&flags, &[], file).unwrap();
    assert_eq!(config, RunConfig::default());
}

#[test]
fn switches_can_be_given_and_taken_back() {
    let config = resolve_with(&["--no-shuffle", "--no-group-by-length"], &[], "").unwrap();
    assert!(!config.batching.shuffle && !config.batching.group_by_length);
    let config = resolve_with(&["--no-shuffle=false"], &[], "no_shuffle = true\n").unwrap();
    assert!(config.batching.shuffle);
    let config = resolve_with(&[], &[("PROGTUNE_FROZEN_DROPOUT", "true")], "").unwrap();
    assert!(config.training.frozen_dropout);
}

#[test]
fn plugin_options_merge_by_name() {
    let file =
        "peft = \"lora\"\n[peft_opt]\nr = 4\nscale = 0.5\ntargets = [\"query\", \"value\"]\n";
    let variables = [("PROGTUNE_PEFT_OPT", "r=16; bias=none")];
    let flags = [
        "--peft-opt",
        "r=32",
        "--peft-opt",
        "name=a=b",
        "--schedule-opt",
        "block=3",
    ];
    let config = resolve_with(&flags, &variables, file).unwrap();
    let expected = [
        ("bias", "none"),
        ("name", "a=b"),
        ("r", "32"),
        ("scale", "0.5"),
        ("targets", "query,value"),
    ];
    assert_eq!(
        config.schedule_and_method.peft_opt,
        expected.map(|(name, value)| (name.to_string(), value.to_string()))
    );
    assert_eq!(
        config.schedule_and_method.schedule_opt,
        [("block".to_string(), "3".to_string())]
    );
}

#[test]
fn unknown_keys_name_the_place_and_the_nearest_key() {
    let text = message(&[], &[], "bach_size = 3\n");
    assert!(
        text.contains("run.toml: there is no key `bach_size`"),
        "{text}"
    );
    assert!(text.contains("did you mean 'batch_size'"), "{text}");
    let text = message(&[], &[], "batch-size = 3\n");
    assert!(text.contains("did you mean 'batch_size'"), "{text}");
    let text = message(&[], &[], "zzz = 3\n");
    assert!(text.contains("progtune --help"), "{text}");
    let text = message(&[], &[("PROGTUNE_LEARNING_RAT", "1")], "");
    assert!(
        text.starts_with("environment variable PROGTUNE_LEARNING_RAT: there is no key"),
        "{text}"
    );
    let text = message(&[], &[("PROGTUNE_BACH_SIZE", "1")], "");
    assert!(
        text.contains("did you mean 'PROGTUNE_BATCH_SIZE'"),
        "{text}"
    );
    let text = message(&[], &[("PROGTUNE_EPOCH", "")], "");
    assert!(text.contains("did you mean 'PROGTUNE_EPOCHS'"), "{text}");
    let text = message(&[], &[], "split = \"test\"\n");
    assert!(text.contains("a key of evaluate and predict"), "{text}");
}

#[test]
fn variables_that_are_not_keys_pass() {
    let variables = [
        ("PROGTUNE_PLUGIN_PATH", "p"),
        ("PROGTUNE_LOG", "debug"),
        ("PROGTUNE_CACHE_DIR", "c"),
        ("PROGTUNE_CACHE_SIZE", "1GiB"),
        ("PROGTUNE_SHARED", "s"),
        ("PROGTUNE_MINILM", "m"),
        ("PROGTUNE_CONFIG", "c"),
        ("PROGTUNE_EPOCHS", ""),
        ("PROGTUNE_SPLIT", "test"),
        ("PATH", "p"),
    ];
    assert_eq!(
        resolve_with(&[], &variables, "").unwrap(),
        RunConfig::default()
    );
}

#[test]
fn an_option_given_twice_is_refused() {
    let text = message(
        &["--peft", "lora", "--peft-opt", "r=8", "--peft-opt", "r=16"],
        &[],
        "",
    );
    assert!(text.contains("the option `r` once"), "{text}");
}

#[test]
fn what_belongs_to_a_method_needs_one() {
    let text = message(&["--peft-opt", "r=8"], &[], "");
    assert!(text.contains("peft_opt (from flag --peft-opt)"), "{text}");
    assert!(
        text.contains("the option `r` belongs to a PEFT method"),
        "{text}"
    );
    let text = message(&["--init-adapter", "a"], &[], "");
    assert!(
        text.contains("an adapter belongs to a PEFT method"),
        "{text}"
    );
}

#[test]
fn a_batch_is_bounded_by_examples_or_by_tokens() {
    let limit = |flags: &[&str], file| resolve_with(flags, &[], file).unwrap().batching.train;
    assert_eq!(limit(&[], ""), BatchLimit::Examples(8));
    assert_eq!(
        limit(&["--batch-tokens", "512"], ""),
        BatchLimit::Tokens(512)
    );
    for (size, tokens) in [
        ("--batch-size", "--batch-tokens"),
        ("--eval-batch-size", "--eval-batch-tokens"),
    ] {
        let text = message(&[size, "4", tokens, "512"], &[], "");
        assert!(
            text.contains(&format!("(from flag {size}) and "))
                && text.contains("exclude each other"),
            "{text}"
        );
    }
    let text = message(&["--batch-tokens", "512"], &[], "batch_size = 8\n");
    assert!(text.starts_with("batch_size (from file "), "{text}");
    // `none` unsets a file's setting for either limit.
    let flags = ["--batch-tokens", "512", "--batch-size", "none"];
    assert_eq!(limit(&flags, "batch_size = 4\n"), BatchLimit::Tokens(512));
    let flags = ["--batch-tokens", "none", "--batch-size", "4"];
    assert_eq!(limit(&flags, "batch_tokens = 9\n"), BatchLimit::Examples(4));
    let text = message(&["--batch-size", "none"], &[], "");
    assert!(
        text.contains("expected a whole number of at least 1"),
        "{text}"
    );
}

#[test]
fn fused_kernels_are_those_of_the_device() {
    let config = resolve_with(&["--device", "cuda", "--kernels", "fused"], &[], "").unwrap();
    assert_eq!(config.machine.device, Device::Cuda(0));
    assert_eq!(config.machine.path(), ComputePath::Gpu);
    assert_eq!(config.machine.precision_name(), "tf32");
    assert!(RunConfig::default().machine.is_fused());
    assert_eq!(RunConfig::default().machine.precision_name(), "f32");
    let composed = ["--device", "cuda", "--kernels", "composed"];
    let text = message(&[&composed[..], &["--precision", "tf32"]].concat(), &[], "");
    assert!(
        text.contains("only the fused kernels compute in tf32"),
        "{text}"
    );
}

#[test]
fn data_without_a_task_is_own_data() {
    let config = resolve_with(&["--data", "org/name@v1"], &[], "").unwrap();
    assert_eq!(config.data.task, "own");
    assert_eq!(
        config.inputs.own,
        Some(OwnRequest::default()).map(|own| OwnRequest { seed: 42, ..own })
    );
    assert_eq!(config.inputs.data, Some("org/name@v1".into()));
    assert_round_trip(&config);
    let config = resolve_with(&["--data", "org/name", "--task", "mrpc"], &[], "").unwrap();
    assert_eq!(
        (config.data.task.as_str(), config.inputs.own),
        ("mrpc", None)
    );
    assert_eq!(
        resolve_with(&["--task", "mrpc"], &[], "")
            .unwrap()
            .inputs
            .data,
        None
    );
}

#[test]
fn unreadable_files_are_named() {
    let text = message(&[], &[], "epochs = \n");
    assert!(
        text.contains("run.toml: not TOML") && text.contains("line 1"),
        "{text}"
    );
    let sources = Sources {
        file: Some("no/such.toml".into()),
        variables: vec![],
    };
    let error = RunConfig::resolve_train(&Arguments::default(), &sources).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no/such.toml: cannot read the configuration file")
    );
}

#[cfg(unix)]
#[test]
fn variables_that_are_not_text() {
    use std::os::unix::ffi::OsStringExt;
    let variables = vec![
        ("PROGTUNE_TASK".into(), OsString::from_vec(vec![0xff])),
        ("OTHER".into(), OsString::from_vec(vec![0xff])),
    ];
    let sources = Sources {
        file: None,
        variables,
    };
    let error = RunConfig::resolve_train(&Arguments::default(), &sources).unwrap_err();
    assert!(error.to_string().contains("expected UTF-8 text"), "{error}");
}

#[test]
fn warmup_is_a_share_or_a_count() {
    let warmup = |text| {
        let config = resolve_with(&["--warmup", text], &[], "");
        config.unwrap().optimizer.warmup
    };
    assert_eq!(warmup("0.06"), Warmup::Ratio(0.06));
    assert_eq!(warmup("0.0"), Warmup::Steps(0));
    assert_eq!(warmup("1"), Warmup::Steps(1));
    assert_eq!(warmup("100.0"), Warmup::Steps(100));
    assert_eq!(Warmup::Ratio(0.06).steps(110), 7);
    assert_eq!(Warmup::Steps(5).steps(110), 5);
}

#[test]
fn a_default_output_stays_inside_runs() {
    let plain = RunConfig::default();
    let config = RunConfig {
        schedule_and_method: ScheduleAndMethod {
            peft: Some("../lora".into()),
            ..plain.schedule_and_method
        },
        data: DataConfig {
            task: "a b".into(),
            ..plain.data
        },
        ..RunConfig::default()
    };
    assert_eq!(
        config.output_dir(),
        PathBuf::from("runs/a_b-full-.._lora-seed42")
    );
}
