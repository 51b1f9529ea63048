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
    EvaluateConfig::resolve(&arguments(&["evaluate"], flags), &sources)
}

#[test]
fn evaluate_reads_a_runs_config_as_well() {
    let plain = RunConfig::default();
    let toml = RunConfig {
        batching: BatchingConfig {
            max_length: Some(64),
            ..plain.batching
        },
        output: OutputConfig {
            directory: Some("runs/x".into()),
            ..plain.output
        },
        ..RunConfig::default()
    }
    .to_toml();
    let config = evaluate(&["--adapter", "runs/x"], &toml).unwrap();
    assert_eq!(config.inference.max_length, Some(64));
    let adapter = &config.inference.models.adapters[0];
    assert_eq!(adapter.directory, Some("runs/x".into()));
    assert_eq!(adapter.name, "x");
    assert_eq!(config.split, Split::Validation);
    assert_eq!(
        evaluate(&["--split", "train"], "").unwrap().split,
        Split::Train
    );
    let text = evaluate(&["--split", "tets"], "").unwrap_err().to_string();
    assert!(text.ends_with("did you mean 'test'?"), "{text}");
}

#[test]
fn predict_reads_a_file_or_a_split() {
    let resolve = |flags: &[&str]| {
        PredictConfig::resolve(&arguments(&["predict"], flags), &Sources::default())
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
}

#[test]
fn predict_reads_texts() {
    let resolve = |flags: &[&str]| {
        let arguments = arguments(&["predict"], flags);
        PredictConfig::resolve(&arguments, &Sources::default()).map_err(|e| e.to_string())
    };
    let pair = |first: &str, second: Option<&str>| TypedPair {
        first: first.into(),
        second: second.map(str::to_owned),
    };
    let config = resolve(&[
        "--text",
        "- a",
        "--text",
        "b",
        "--text-pair",
        "c",
        "--text-pair",
        "d",
    ]);
    let rows = vec![pair("- a", Some("c")), pair("b", Some("d"))];
    let config = config.unwrap();
    assert_eq!(config.input, PredictInput::Texts(rows));
    assert_eq!((config.output_format, config.top_k), (None, None));
    let error = resolve(&["--text", "a", "--text", "b", "--text-pair", "c"]).unwrap_err();
    assert_eq!(
        error,
        "text_pair (from flag --text-pair): expected as many as there are texts before them (2), found 1; give one for each, \
         in the same order"
    );
    let asked = resolve(&["--question", "a?", "--question", "b?", "--context", "c"]).unwrap();
    let rows = vec![pair("a?", Some("c")), pair("b?", Some("c"))];
    assert_eq!(asked.input, PredictInput::Questions(rows));
    assert_eq!(
        resolve(&["--input", "-"]).unwrap().input,
        PredictInput::Stdin
    );
    assert_eq!(resolve(&[]).unwrap().input, PredictInput::Unsaid);
    let of_file = resolve(&["--input", "a.csv", "--text-column", "t"]).unwrap();
    assert_eq!(of_file.reading.text_column.as_deref(), Some("t"));
    assert_eq!(of_file.inference.task, None);
}

#[test]
fn predictions_have_the_form_of_their_file() {
    let resolve = |flags: &[&str]| {
        let arguments = arguments(&["predict", "--text", "a"], flags);
        PredictConfig::resolve(&arguments, &Sources::default()).map_err(|e| e.to_string())
    };
    for (flags, expected) in [
        (&["--output", "a.CSV"][..], Some(OutputFormat::Csv)),
        (&["--output", "a.tsv"], Some(OutputFormat::Tsv)),
        (&["--output", "a.json"], Some(OutputFormat::Jsonl)),
        (
            &["--output", "a.csv", "--output-format", "jsonl"],
            Some(OutputFormat::Jsonl),
        ),
        (&["--output-format", "table"], Some(OutputFormat::Table)),
        (&[], None),
    ] {
        assert_eq!(resolve(flags).unwrap().output_format, expected, "{flags:?}");
    }
    let error = resolve(&["--output-format", "cvs"]).unwrap_err();
    assert!(error.ends_with("did you mean 'csv'?"), "{error}");
    let columns = |flags: &[&str]| resolve(flags).map(|config| config.keep_columns);
    assert_eq!(columns(&[]).unwrap(), KeepColumns::Id);
    assert_eq!(
        columns(&["--keep-columns", "all"]).unwrap(),
        KeepColumns::All
    );
    let named = KeepColumns::Named(vec!["id".into(), "url".into()]);
    assert_eq!(columns(&["--keep-columns", "id, url"]).unwrap(), named);
    assert!(columns(&["--keep-columns", "id,"]).is_err());
    assert_eq!(resolve(&["--top-k", "3"]).unwrap().top_k, Some(3));
    assert!(resolve(&["--top-k", "0"]).is_err());
}

#[test]
fn a_model_that_is_not_named_is_the_recorded_one() {
    let is_given = |flags: &[&str]| evaluate(flags, "").unwrap().inference.models.is_model_given;
    assert!(!is_given(&["--adapter", "a"]));
    assert!(is_given(&["--adapter", "a", "--model", "b"]));
    assert!(is_given(&["--adapter", "a", "--model", "embedded"]));
}

#[test]
fn flags_of_the_prefix_cache_have_no_effect_on_a_result() {
    let line = arguments(&["predict", "--text", "a"], &["--prefix-cache", "off"]);
    assert_eq!(without_effect(&line), ["--prefix-cache"]);
    assert_eq!(without_effect(&arguments(&["predict"], &[])), [""; 0]);
}

#[test]
fn adapters_have_names_of_their_own() {
    let adapters = |flags: &[&str], file: &str| -> Result<Vec<(String, Option<String>)>, String> {
        let config = evaluate(flags, file).map_err(|error| error.to_string())?;
        let text = |path: PathBuf| path.display().to_string();
        let choices = config.inference.models.adapters.into_iter();
        Ok(choices
            .map(|choice| (choice.name, choice.directory.map(text)))
            .collect())
    };
    let pair = |name: &str, directory: &str| (name.to_owned(), Some(directory.to_owned()));
    let none = |name: &str| (name.to_owned(), None);
    assert_eq!(adapters(&[], "").unwrap(), [none("none")]);
    assert_eq!(
        adapters(
            &[
                "--adapter",
                "runs/a/",
                "--adapter",
                "b=runs/lr=1",
                "--adapter",
                "none"
            ],
            ""
        )
        .unwrap(),
        [pair("a", "runs/a/"), pair("b", "runs/lr=1"), none("none")]
    );
    assert_eq!(
        adapters(&["--adapter", "./lr=1"], "").unwrap(),
        [pair("lr=1", "./lr=1")]
    );
    assert_eq!(
        adapters(&[], "adapter = ['base=none', 'x']").unwrap(),
        [none("base"), pair("x", "x")]
    );
    assert_eq!(
        adapters(&["--adapter", "one/x", "--adapter", "two/x"], "").unwrap_err(),
        "adapter `two/x` and another adapter named `x` exclude each other: results are distinguished by name; name them: \
         --adapter NAME=DIR"
    );
    assert_eq!(
        adapters(&["--adapter", "=x"], "").unwrap_err(),
        "adapter (from flag --adapter): expected DIR or NAME=DIR, found `=x`; give something like --adapter runs/my-run"
    );
}

#[test]
fn merge_takes_one_adapter() {
    let resolve = |flags: &[&str]| {
        let arguments = arguments(&["merge", "--output", "out"], flags);
        MergeConfig::resolve(&arguments, &Sources::default()).map_err(|e| e.to_string())
    };
    let config = resolve(&["--adapter", "runs/x", "--dtype", "bf16"]).unwrap();
    assert_eq!(config.adapter, PathBuf::from("runs/x"));
    assert_eq!(
        (config.dtype, config.task),
        (progtune_engine::export::WeightDtype::Bf16, None)
    );
    let config = resolve(&["--adapter", "runs/x", "--task", "sample"]).unwrap();
    assert_eq!(config.task.as_deref(), Some("sample"));
    assert!(resolve(&[]).unwrap_err().contains("--adapter is missing"));
    assert!(
        resolve(&["--adapter", "a", "--adapter", "b"])
            .unwrap_err()
            .contains("expected one adapter, because one model is written, found `more than one`")
    );
    assert!(
        resolve(&["--adapter", "a", "--dtype", "f64"])
            .unwrap_err()
            .starts_with("dtype (from flag --dtype): expected one of f32, f16, bf16, found `f64`")
    );
}
