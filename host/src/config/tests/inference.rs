//! Tests of the configurations of `evaluate` and `predict`.

use super::*;

fn evaluate(flags: &[&str], file: &str) -> Result<EvaluateConfig, ConfigError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run.toml");
    fs::write(&path, file).expect("a file in it");
    let sources = Sources {
        file: Some(path),
        variables: vec![],
    };
    let line = ["progtune", "evaluate"]
        .into_iter()
        .chain(flags.iter().copied());
    match cli::parse(line)
        .expect("a command line that parses")
        .command
    {
        Command::Evaluate(args) => EvaluateConfig::resolve(&args, &sources),
        other => panic!("not evaluation: {other:?}"),
    }
}

#[test]
fn evaluate_reads_a_runs_config_as_well() {
    let toml = RunConfig {
        max_length: 64,
        output: Some("runs/x".into()),
        ..Default::default()
    }
    .to_toml();
    let config = evaluate(&["--adapter", "runs/x"], &toml).unwrap();
    assert_eq!(config.inference.max_length, 64);
    assert_eq!(config.inference.adapter, Some("runs/x".into()));
    assert_eq!(config.split, Split::Validation);
    assert_eq!(
        evaluate(&["--split", "train"], "").unwrap().split,
        Split::Train
    );
    let text = evaluate(&["--split", "tets"], "").unwrap_err().to_string();
    assert!(text.ends_with("did you mean `test`?"), "{text}");
    assert!(evaluate(&["--task", "sst2"], "").is_err());
}

#[test]
fn predict_reads_a_file_or_a_split() {
    let resolve = |flags: &[&str]| {
        let line = ["progtune", "predict"]
            .into_iter()
            .chain(flags.iter().copied());
        match cli::parse(line)
            .expect("a command line that parses")
            .command
        {
            Command::Predict(args) => PredictConfig::resolve(&args, &Sources::default()),
            other => panic!("not prediction: {other:?}"),
        }
    };
    let config = resolve(&[
        "--task", "mrpc", "--input", "i.jsonl", "--output", "o.jsonl",
    ])
    .unwrap();
    assert_eq!(config.input, PredictInput::File("i.jsonl".into()));
    assert_eq!(config.output, Some("o.jsonl".into()));
    let config = resolve(&["--task", "mrpc", "--data", "d"]).unwrap();
    assert_eq!(
        config.input,
        PredictInput::Data {
            data: Some("d".into()),
            split: Split::Test
        }
    );
    assert_eq!(config.output, None);
    assert!(resolve(&["--task", "mrpc"]).is_err());
}
