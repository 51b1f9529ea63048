//! Tests of the round trip through `config.toml`.

use super::*;

/// Resolves `toml` again and compares the result.
pub(super) fn assert_round_trip(config: &RunConfig) {
    let toml = config.to_toml();
    let again = resolve_with(&[], &[], &toml).unwrap_or_else(|error| panic!("{error}\n{toml}"));
    assert_eq!(&again, config, "{toml}");
}

#[test]
fn config_toml_gives_the_same_run_again() {
    assert_round_trip(&RunConfig::default());
    assert_round_trip(&unusual());
}

/// A configuration that differs from the defaults everywhere except in what holds for a single run,
/// which is never written.
fn unusual() -> RunConfig {
    RunConfig {
        inputs: InputsConfig {
            model: Some("models/\"odd\" name".into()),
            init_adapter: Some("adapter".into()),
            data: Some("data".into()),
            own: None,
        },
        hub: HubConfig {
            revision: Some("v1.0".into()),
            data_config: Some("plain_text".into()),
            offline: true,
        },
        data: DataConfig {
            task: "mrpc".into(),
            metrics: vec![Metric::F1, Metric::Accuracy],
            max_train_samples: Some(100),
            max_eval_samples: Some(10),
            max_test_samples: Some(20),
            sample: SampleRule::First,
            seed: u64::MAX,
            answering: answering::UNUSUAL,
        },
        schedule_and_method: unusual_schedule_and_method(),
        training: TrainingConfig {
            epochs: 7,
            max_steps: Some(20),
            seed: u64::MAX,
            dropout: Some(0.0),
            frozen_dropout: true,
            head_init: HeadInit::Prior,
            best_model_metric: Some("f1".into()),
            on_nonfinite: OnNonfinite::Skip,
        },
        evaluating: unusual_evaluating(),
        optimizer: unusual_optimizer(),
        loss: unusual_loss(),
        batching: BatchingConfig {
            train: BatchLimit::Examples(32),
            eval: BatchLimit::Tokens(4096),
            gradient_accumulation_steps: 2,
            max_length: Some(64),
            shuffle: false,
            group_by_length: false,
        },
        caching: CachingConfig {
            token_cache: TokenCacheUse::Off,
            prefix_cache: prefix_cache::Settings {
                mode: Mode::Disk,
                dtype: CacheDtype::F16,
                budget: Some(ByteSize(2 << 30)),
            },
        },
        memory: MemoryConfig {
            recompute: true,
            budget: Some(ByteSize(1_500_000_000)),
        },
        machine: MachineConfig {
            threads: Some(2),
            device: Device::Cuda(1),
            kernels: Kernels::Composed,
            precision: Precision::F32,
        },
        output: OutputConfig {
            directory: Some("runs/x".into()),
            overwrite: false,
            logging_steps: 5,
            profile: None,
        },
        saving: unusual_saving(),
        plugins: PluginSources {
            files: vec!["f".into()],
            directories: vec!["a".into(), "b".into()],
            lock: Some("l".into()),
            locked: true,
            isolation: Isolation::None,
        },
        origins: Origins::default(),
    }
}

fn unusual_loss() -> LossConfig {
    LossConfig {
        class_weights: ClassWeights::Given(vec![0.5, 2.0]),
        label_smoothing: 0.1,
    }
}

fn unusual_saving() -> SavingConfig {
    SavingConfig {
        strategy: SaveStrategy::Steps,
        steps: Some(7),
        minutes: Some(1.5),
        total_limit: 4,
        beginning: Beginning::New,
        allow_changed: vec![],
    }
}

fn unusual_schedule_and_method() -> ScheduleAndMethod {
    ScheduleAndMethod {
        schedule: "single-block".into(),
        schedule_opt: vec![
            ("block".into(), "3".into()),
            ("em.beddings".into(), "a b".into()),
        ],
        peft: Some("lora".into()),
        peft_opt: vec![
            ("r".into(), "8".into()),
            ("targets".into(), "query,value".into()),
        ],
        train_pooler: true,
    }
}

fn unusual_evaluating() -> EvaluatingConfig {
    EvaluatingConfig {
        evaluations: Evaluations {
            strategy: EvalStrategy::Steps,
            steps: Some(EvalSteps::Share(0.1)),
        },
        early_stopping: Some(EarlyStopping {
            patience: 2,
            threshold: 0.01,
        }),
    }
}

fn unusual_optimizer() -> OptimizerConfig {
    OptimizerConfig {
        lr: Some(5e-4),
        lr_scheduler: LrScheduler::Polynomial,
        lr_end: Some(1e-6),
        lr_power: Some(2.0),
        lr_restart: LrRestart::Stage,
        warmup: Warmup::Ratio(1.0 / 3.0),
        adamw: optim::Settings {
            beta1: 0.0,
            beta2: 0.98,
            eps: 1e-6,
            weight_decay: 0.1,
            max_grad_norm: 0.0,
        },
    }
}

#[test]
fn config_toml_tells_how_unset_keys_are_decided() {
    let toml = RunConfig::default().to_toml();
    assert!(toml.contains("# lr: the method's suggestion"), "{toml}");
    assert!(toml.contains("peft = \"none\"\n"), "{toml}");
    for key in keys()
        .filter(|key| !matches!(key.scope, Scope::Inference | Scope::Display))
        .filter(|key| !key.name.ends_with("_opt"))
        .filter(|key| !["overwrite_output", "profile", "resume"].contains(&key.name))
    {
        assert!(toml.contains(key.name), "{} is not in\n{toml}", key.name);
    }
}

/// Version 0.1 took the first rows, and its `config.toml` has no key that says so.
#[test]
fn a_configuration_of_0_1_takes_the_first_rows() {
    let first_line = export::FIRST_LINE;
    let limit = "max_train_samples = 3\n";
    for (file, flags, expected) in [
        (
            format!("{first_line}.\n{limit}"),
            &[][..],
            SampleRule::First,
        ),
        (
            format!("{first_line}.\n{limit}"),
            &["--sample=random"],
            SampleRule::Random,
        ),
        (
            format!("{first_line}.\n{limit}sample = \"stratified\"\n"),
            &[],
            SampleRule::Stratified,
        ),
        (
            format!("{first_line}.\nseed = 1\n"),
            &["--max-eval-samples=3"],
            SampleRule::Stratified,
        ),
        (limit.to_owned(), &[], SampleRule::Stratified),
    ] {
        let config = resolve_with(flags, &[], &file).unwrap();
        assert_eq!(config.data.sample, expected, "{file} {flags:?}");
    }
}
