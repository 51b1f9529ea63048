//! Data sets named by their ids: for named tasks, and chosen by the user.

use super::*;

fn rows(n: usize) -> Vec<u8> {
    let row = |i: usize| match i % 2 {
        0 => format!("gite tubo {},good\n", i % 7),
        _ => format!("zufa kazi {},bad\n", i % 7),
    };
    let rows: String = (0..n).map(row).collect();
    format!("text,label\n{rows}").into_bytes()
}

fn csv(path: &str, names: &[&str]) -> Repo {
    let files = names.iter().map(|name| ((*name).to_owned(), rows(24)));
    Repo::new(path, "8b", files.collect())
}

fn model() -> String {
    fixture("parity/bert").display().to_string()
}

#[test]
fn a_named_task_finds_its_data_set() {
    let place = Place::new();
    let mut train =
        place.command("train --max-length 64 --max-steps 2 --output run --task mrpc --model");
    let said = outcome(train.arg(model())).good().stderr;
    assert!(
        said.contains(&format!("data: nyu-mll/glue@{} from the hub", commit("2b"))),
        "{said}"
    );
    let by_path = fixture("parity/data");
    let evaluate = |data: &str| {
        let words = format!("evaluate --task mrpc --quiet --max-length 64 --model run {data}");
        let json: serde_json::Value =
            serde_json::from_str(&place.run(&words).good().stdout).unwrap();
        json["eval_loss"].clone()
    };
    let expected = evaluate(&format!("--data {}", by_path.display()));
    for data in [
        "",
        "--data nyu-mll/glue",
        "--data nyu-mll/glue@main",
        "--data nyu-mll/glue --offline",
    ] {
        assert_eq!(evaluate(data), expected, "{data}");
    }
    let predict = "predict --task mrpc --quiet --max-length 64 --model run --split validation";
    assert!(place.run(predict).good().stdout.contains("logits"));
}

#[test]
fn a_data_set_of_ones_own_choice() {
    let repo = csv(
        "datasets/me/reviews",
        &[
            "README.md",
            "data/train.csv",
            "data/validation.csv",
            "data/test.csv",
        ],
    );
    let place = Place::with(vec![repo]);
    let mut train = place.train("--data me/reviews --text-column text --model");
    outcome(train.arg(model())).good();
    let results = read_json(&place.scratch.path("run/all_results.json"));
    assert_eq!(results["hub"]["data"]["id"], "me/reviews");
    assert!(results["test_accuracy"].is_number(), "{results}");
    let config = fs::read_to_string(place.scratch.path("run/config.toml")).unwrap();
    assert!(
        config.contains(&format!("data = \"me/reviews@{}\"", commit("8b"))),
        "{config}"
    );
    assert!(
        config.contains("task = \"own\"") && !config.contains("train_file ="),
        "{config}"
    );
    let mut again =
        place.command("train --quiet --config run/config.toml --output again --offline");
    outcome(&mut again).good();
    let again = read_json(&place.scratch.path("again/all_results.json"));
    assert_eq!(again["eval_loss"], results["eval_loss"]);
    let evaluate =
        "evaluate --quiet --max-length 64 --model run --task own --data me/reviews --split test";
    let measured: serde_json::Value =
        serde_json::from_str(&place.run(evaluate).good().stdout).unwrap();
    assert_eq!(measured["eval_loss"], results["test_loss"]);

    let predict = "predict --quiet --max-length 64 --model run --task own --data me/reviews";
    let lines = place.run(predict).good().stdout;
    assert_eq!(lines.lines().count(), 24, "the test split");

    // A share of the training rows takes precedence over the data set's own validation split.
    let words =
        "--data me/reviews --text-column text --validation-split 0.25 --overwrite-output --model";
    outcome(place.train(words).arg(model())).good();
    let results = read_json(&place.scratch.path("run/all_results.json"));
    assert_eq!(results["eval_samples"], 6, "a quarter of 24");

    // A directory with that layout works too.
    let directory = place.scratch.path("laid-out/data");
    fs::create_dir_all(&directory).unwrap();
    for name in ["train.csv", "dev.csv"] {
        fs::write(directory.join(name), rows(24)).unwrap();
    }
    let mut train = place.train("--data laid-out --text-column text --overwrite-output --model");
    outcome(train.arg(model())).good();
}

#[test]
fn a_configuration_is_chosen() {
    let repo = csv(
        "datasets/me/many",
        &[
            "en/train.csv",
            "en/validation.csv",
            "fr/train.csv",
            "fr/validation.csv",
        ],
    );
    let place = Place::with(vec![repo]);
    let train = |words: &str| {
        let mut train = place.train(&format!(
            "--data me/many --text-column text {words} --model"
        ));
        outcome(train.arg(model()))
    };
    train("").bad(3);
    train("--data-config de").bad(3);
    train("--data-config ../en").bad(2);
    train("--data-config fr").good();
    let requests = place.server.requests();
    assert!(fetched(&requests, "en/train.csv").is_empty());
    assert_eq!(fetched(&requests, "fr/train.csv").len(), 1);
}

#[test]
fn names_that_lead_out_of_the_cache_are_no_files() {
    let names = [
        "../../../../train.csv",
        "/train.csv",
        "data/../train.csv",
        "data/train.csv",
        "data/dev.csv",
    ];
    let place = Place::with(vec![csv("datasets/me/hostile", &names)]);
    let mut train = place.train("--data me/hostile --text-column text --model");
    outcome(train.arg(model())).good();
    let requests = place.server.requests();
    let files: Vec<&str> = requests
        .iter()
        .filter(|r| r.method == "HEAD" && r.path.contains("/resolve/"))
        .filter_map(|r| r.path.split(&commit("8b")).nth(1))
        .collect();
    assert_eq!(files, ["/data/train.csv", "/data/dev.csv"]);
}

#[test]
fn what_is_missing_in_a_data_set_is_said() {
    let place = Place::with(vec![
        csv("datasets/me/train-only", &["train.csv"]),
        csv("datasets/me/script", &["README.md", "loader.py"]),
    ]);
    let train = |words: &str| {
        let mut train = place.train(&format!("--text-column text {words} --model"));
        outcome(train.arg(model()))
    };
    train("--data me/train-only").bad(2);
    train("--data me/train-only --validation-split 0.25").good();
    train("--data me/script --overwrite-output").bad(3);
    train("--data no/such/place --overwrite-output").bad(2);
    let evaluate = format!(
        "evaluate --task own --data me/train-only --model {}",
        model()
    );
    place.run(&evaluate).bad(2);
}

/// The commands that a run prints for its result work unchanged: the adapter records the id and the
/// commit of its base model.
#[test]
fn the_command_for_a_result_over_a_model_of_the_hub_works() {
    let place = Place::new();
    outcome(&mut place.train("--model org/tiny --task mrpc --peft lora")).good();
    let results = read_json(&place.scratch.path("run/all_results.json"));
    let command = results["predict_command"].as_str().unwrap();
    assert_eq!(command, "progtune predict --adapter run --input FILE.jsonl");
    let pair = "{\"sentence1\": \"kebe\", \"sentence2\": \"moli\"}\n";
    place.scratch.write("FILE.jsonl", pair);
    let words = command.strip_prefix("progtune ").unwrap();
    let used = place.run(words).good();
    assert!(used.stdout.contains("\"label\""), "{}", used.stdout);
}
