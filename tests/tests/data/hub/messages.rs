//! What is said when something is neither here nor to be had: what was looked for, where it belongs, what to do.

use super::*;

#[test]
fn offline_says_which_files_belong_where() {
    let place = Place::new();
    for words in ["--offline", ""] {
        let mut train = place.train(&format!("--model org/tiny --task mrpc {words}"));
        if words.is_empty() {
            train.env("HF_HUB_OFFLINE", "1");
        }
        let said = outcome(&mut train).bad(
            3,
            &[
                "org/tiny: no such directory, and the model of this name on the hub is not in the cache (no refs/main)",
                "forbids the network",
                "Expected config.json, tokenizer.json, model.safetensors in ",
                "hf/hub/models--org--tiny/snapshots/COMMIT, and COMMIT itself in refs/main",
                "hf download org/tiny config.json tokenizer.json model.safetensors",
                "--model DIR",
            ],
        );
        let why = if words.is_empty() {
            "HF_HUB_OFFLINE"
        } else {
            "--offline"
        };
        assert!(said.stderr.contains(why), "{}", said.stderr);
    }
    assert_eq!(place.server.requests(), [], "no request was made");

    // With the model there, the same is said of the data set.
    place
        .run("plan --model org/tiny --task mrpc --predict")
        .good();
    let model = fixture("parity/bert");
    let words = format!("--model {} --task mrpc --offline", model.display());
    outcome(&mut place.train(&words)).bad(
        3,
        &[
            "nyu-mll/glue: no such directory, and the data set of this name on the hub is not in the cache",
            "Expected mrpc/train-00000-of-00001.parquet, mrpc/validation-00000-of-00001.parquet",
            "datasets--nyu-mll--glue/snapshots/COMMIT",
            "hf download nyu-mll/glue --repo-type dataset mrpc/train",
            "--data DIR",
        ],
    );
}

#[test]
fn what_the_advice_says_works() {
    let place = Place::new();
    let folder = place.scratch.path("hf/hub/models--org--tiny");
    let snapshot = folder.join("snapshots/by-hand");
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(folder.join("refs")).unwrap();
    for name in MODEL_FILES {
        fs::copy(fixture("parity/bert").join(name), snapshot.join(name)).unwrap();
    }
    fs::write(folder.join("refs/main"), "by-hand\n").unwrap();
    place
        .run("plan --model org/tiny --task mrpc --offline")
        .good();
    fs::remove_file(snapshot.join("model.safetensors")).unwrap();
    outcome(&mut place.train("--model org/tiny --task mrpc --offline")).bad(
        3,
        &[
            "in snapshots/by-hand: no model.safetensors",
            "models--org--tiny/snapshots/by-hand.\n",
        ],
    );
}

#[test]
fn an_unreachable_hub_leaves_the_cache() {
    let place = Place::new();
    place.run("plan --model org/tiny --task mrpc").good();
    let unreachable = |words: &str| {
        let mut command = place.command(words);
        command.env("HF_ENDPOINT", "http://127.0.0.1:1");
        outcome(&mut command)
    };
    let cached = unreachable("plan --model org/tiny --task mrpc").good();
    for words in ["http://127.0.0.1:1 gives no answer", "using the copy in"] {
        assert!(cached.stderr.contains(words), "{}", cached.stderr);
    }
    unreachable("plan --model org/other --task mrpc").bad(
        3,
        &[
            "org/other",
            "gives no answer",
            "Expected config.json in",
            "--model DIR",
        ],
    );
    // A commit in the cache needs no hub.
    let pinned = format!("plan --task mrpc --model org/tiny@{}", commit("1a"));
    assert!(!unreachable(&pinned).good().stderr.contains("answer"));
}

#[test]
fn refusals_say_what_to_do() {
    let gated = Repo {
        path: "org/gated".into(),
        gated: true,
        ..tiny()
    };
    let pickle = Repo::new(
        "org/pickle",
        "6f",
        vec![
            ("config.json".into(), b"{}".to_vec()),
            ("vocab.txt".into(), b"[PAD]".to_vec()),
            ("pytorch_model.bin".into(), b"pickle".to_vec()),
        ],
    );
    let lora = Repo::new(
        "org/lora",
        "7a",
        vec![("adapter_config.json".into(), b"{}".to_vec())],
    );
    let place = Place::with(vec![tiny(), gated, pickle, lora]);
    place.server.know_token("hf_good");
    let said = |model: &str, token: &str, expected: &[&str]| {
        let mut plan = place.command(&format!("plan --predict --task mrpc --model {model}"));
        if !token.is_empty() {
            plan.env("HF_TOKEN", token);
        }
        let said = outcome(&mut plan).bad(3, expected);
        assert!(!said.stderr.contains("hf_good") && !said.stderr.contains("hf_bad"));
    };
    let token_path = place.scratch.path("hf/token").display().to_string();
    said(
        "org/gated",
        "",
        &[
            "org/gated: the model is gated",
            "/org/gated",
            "no token",
            "HF_TOKEN",
            &token_path,
        ],
    );
    said(
        "org/none",
        "",
        &[
            "org/none: ",
            "has no such model",
            "private",
            &token_path,
            "no directory `org/none` here",
        ],
    );
    said(
        "org/none",
        "hf_good",
        &["has no such model", "the token of HF_TOKEN may not see it"],
    );
    said(
        "org/tiny",
        "hf_bad",
        &["org/tiny: ", "does not accept the token of HF_TOKEN"],
    );
    said(
        "org/tiny@v9",
        "",
        &["no revision `v9`", "a branch, a tag or a commit"],
    );
    said("org/lora", "", &["this is an adapter", "--adapter"]);

    let train = |words: &str| outcome(&mut place.train(words));
    let data = fixture("parity/data");
    let data = data.display();
    train(&format!("--model org/pickle --task mrpc --data {data}")).bad(
        3,
        &[
            "org/pickle on the hub: no model.safetensors, only pytorch_model.bin",
            "save_pretrained",
            "--revision refs/pr/N",
        ],
    );
    let strange = "plan --task mrpc --model org/tiny";
    let mut plan = place.command(strange);
    plan.env(
        "HF_ENDPOINT",
        format!("{}/elsewhere", place.server.endpoint()),
    );
    outcome(&mut plan).bad(3, &["has no such model"]);
    place.server.rename("org/loop", "org/pool");
    place.server.rename("org/pool", "org/loop");
    place.run("plan --task mrpc --model org/loop").bad(
        3,
        &["expected a Hugging Face hub, found more than 10 redirects"],
    );
    let mut plan = place.command(strange);
    plan.env("SSL_CERT_FILE", place.scratch.path("no.pem"));
    outcome(&mut plan).bad(3, &["SSL_CERT_FILE", "no.pem", "PEM"]);
}
