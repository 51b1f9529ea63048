//! Messages for a file that is neither local nor available: what was looked for, where it belongs,
//! what to do.

use super::*;
use progtune_tests::cases;

#[test]
fn offline_says_which_files_belong_where() {
    let place = Place::new();
    for words in ["--offline", ""] {
        let mut train = place.train(&format!("--model org/tiny --task mrpc {words}"));
        if words.is_empty() {
            train.env("HF_HUB_OFFLINE", "1");
        }
        let said = outcome(&mut train).bad(3);
        let why = if words.is_empty() {
            "HF_HUB_OFFLINE"
        } else {
            "--offline"
        };
        assert!(said.stderr.contains(why), "{}", said.stderr);
    }
    assert_eq!(place.server.requests(), [], "no request was made");

    // With the model there, the message is the same for the data set.
    place
        .run("plan --model org/tiny --task mrpc --predict")
        .good();
    let model = fixture("parity/bert");
    let words = format!("--model {} --task mrpc --offline", model.display());
    outcome(&mut place.train(&words)).bad(3);
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
    outcome(&mut place.train("--model org/tiny --task mrpc --offline")).bad(3);
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
    for words in ["http://127.0.0.1:1 does not answer", "using the copy in"] {
        assert!(cached.stderr.contains(words), "{}", cached.stderr);
    }
    unreachable("plan --model org/other --task mrpc").bad(3);
    // A commit in the cache does not need the hub.
    let pinned = format!("plan --task mrpc --model org/tiny@{}", commit("1a"));
    assert!(!unreachable(&pinned).good().stderr.contains("answer"));
}

/// A hub with one model for each kind of refusal.
fn refusing() -> Place {
    let gated = Repo {
        path: "org/gated".into(),
        gated: true,
        ..tiny()
    };
    let keras = Repo::new(
        "org/keras",
        "6f",
        vec![
            ("config.json".into(), b"{}".to_vec()),
            ("vocab.txt".into(), b"[PAD]".to_vec()),
            ("tf_model.h5".into(), b"keras".to_vec()),
        ],
    );
    let lora = Repo::new(
        "org/lora",
        "7a",
        vec![("adapter_config.json".into(), b"{}".to_vec())],
    );
    let place = Place::with(vec![tiny(), gated, keras, lora]);
    place.server.know_token("hf_good");
    place
}

/// Plans with a model that the hub refuses. The message does not reveal the token.
fn is_refused(model: &str, token: &str) {
    let place = refusing();
    let mut plan = place.command(&format!("plan --predict --task mrpc --model {model}"));
    if !token.is_empty() {
        plan.env("HF_TOKEN", token);
    }
    let said = outcome(&mut plan).bad(3).stderr;
    assert!(!said.contains("hf_good") && !said.contains("hf_bad"));
}

cases! { is_refused:
    a_gated_model_without_a_token("org/gated", "");
    an_unknown_model_without_a_token("org/none", "");
    an_unknown_model_with_a_token("org/none", "hf_good");
    a_wrong_token("org/tiny", "hf_bad");
    an_unknown_revision("org/tiny@v9", "");
    an_adapter_as_a_model("org/lora", "");
}

#[test]
fn other_weights_are_not_fetched() {
    let place = refusing();
    let data = fixture("parity/data");
    let words = format!("--model org/keras --task mrpc --data {}", data.display());
    outcome(&mut place.train(&words)).bad(3);
}

/// Without safetensors, PyTorch's shards and adapters are fetched.
#[test]
fn pickles_are_fetched_where_there_is_nothing_else() {
    let shards = [1, 2].map(|part| format!("pytorch_model-0000{part}-of-00002.bin"));
    let mut names = vec!["config.json", "vocab.txt", "tokenizer_config.json"];
    names.push("pytorch_model.bin.index.json");
    names.extend(shards.iter().map(String::as_str));
    let model = files(&fixture("pickles/model"), &names, "");
    let names = ["adapter_config.json", "adapter_model.bin"];
    let adapter = files(&fixture("pickles/adapter"), &names, "");
    let place = Place::with(vec![
        Repo::new("org/pickles", "8b", model),
        Repo::new("org/pickled", "9c", adapter),
    ]);
    let words = "predict --task own --model org/pickles --adapter org/pickled --text kebe";
    let said = place.run(words).good();
    assert!(
        said.stdout.contains("logits") || said.stdout.contains("yes"),
        "{}",
        said.stdout
    );
}

/// Plans with a variable that makes the hub unusable.
fn is_named(variable: &str, value: impl FnOnce(&Place) -> String) {
    let place = Place::new();
    let mut plan = place.command("plan --task mrpc --model org/tiny");
    outcome(plan.env(variable, value(&place))).bad(3);
}

cases! { is_named:
    an_endpoint_that_is_elsewhere("HF_ENDPOINT", |place| {
        format!("{}/elsewhere", place.server.endpoint())
    });
    a_certificate_that_is_not_there("SSL_CERT_FILE", |place| {
        place.scratch.path("no.pem").display().to_string()
    });
}

#[test]
fn redirects_that_lead_in_a_circle_end() {
    let place = Place::new();
    place.server.rename("org/loop", "org/pool");
    place.server.rename("org/pool", "org/loop");
    place.run("plan --task mrpc --model org/loop").bad(3);
}
