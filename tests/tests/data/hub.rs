//! Models, adapters and data sets named by their ids, with a local hub and the test's own cache.

mod data;
mod python;
mod refusals;
mod transfers;

use progtune_tests::{
    fixture,
    hub_server::{HubServer, Repo, Request, Trouble},
    messages, progtune, read_json,
    scratch::Scratch,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A hub and an empty cache.
struct Place {
    server: HubServer,
    scratch: Scratch,
}

/// The output of a command.
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Place {
    /// A hub with the fixtures' tiny BERT as `org/tiny` and the MRPC fixture as the data set
    /// `nyu-mll/glue`.
    fn new() -> Self {
        Self::with(vec![tiny(), glue()])
    }

    fn with(repos: Vec<Repo>) -> Self {
        Self {
            server: HubServer::new(repos),
            scratch: Scratch::new(),
        }
    }

    fn command(&self, words: &str) -> Command {
        let mut command = progtune();
        command
            .args(words.split_whitespace())
            .current_dir(self.scratch.path(""))
            .env("HF_HOME", self.scratch.path("hf"))
            .env("HF_ENDPOINT", self.server.endpoint())
            .env("HF_HUB_OFFLINE", "0");
        command
    }

    #[track_caller]
    fn run(&self, words: &str) -> Outcome {
        outcome(&mut self.command(words))
    }

    /// A short training run into `run`.
    fn train(&self, words: &str) -> Command {
        let mut command = self.command("train --quiet --max-length 64 --max-steps 2 --output run");
        command.args(words.split_whitespace());
        command
    }

    /// A file of the commit in the cache.
    fn cached(&self, folder: &str, commit: &str, name: &str) -> PathBuf {
        let hub = self.scratch.path("hf/hub");
        hub.join(format!("{folder}/snapshots/{commit}/{name}"))
    }
}

#[track_caller]
fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().expect("the binary starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let outcome = Outcome {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    if let Some(code) = outcome.code.filter(|&code| code != 0) {
        messages::check_command(command, code, &outcome.stderr);
    }
    outcome
}

impl Outcome {
    #[track_caller]
    fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// Asserts that the command failed with `code` and the recorded message.
    #[track_caller]
    fn bad(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        self
    }
}

/// A fixture's files under names with a prefix.
fn files(directory: &Path, names: &[&str], prefix: &str) -> Vec<(String, Vec<u8>)> {
    let read = |name: &&str| {
        let contents = fs::read(directory.join(name)).expect("a fixture");
        (format!("{prefix}{name}"), contents)
    };
    names.iter().map(read).collect()
}

const MODEL_FILES: [&str; 4] = [
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
];

fn tiny() -> Repo {
    let mut files = files(&fixture("parity/bert"), &MODEL_FILES, "");
    files.push(("README.md".into(), b"a model".to_vec()));
    files.push(("onnx/model.onnx".into(), b"not wanted".to_vec()));
    Repo::new("org/tiny", "1a", files).large("model.safetensors")
}

fn glue() -> Repo {
    let mut all = files(&fixture("parity/data"), &["train.tsv", "dev.tsv"], "mrpc/");
    all.push(("cola/train.tsv".into(), b"not wanted".to_vec()));
    Repo::new("datasets/nyu-mll/glue", "2b", all).large("mrpc/train.tsv")
}

fn commit(of: &str) -> String {
    of.repeat(20)
}

fn fetched<'a>(requests: &'a [Request], name: &str) -> Vec<&'a Request> {
    requests
        .iter()
        .filter(|r| r.method == "GET" && r.path.ends_with(name))
        .collect()
}

#[test]
fn a_plan_needs_no_weights() {
    let place = Place::new();
    let plan = place.run("plan --model org/tiny --task mrpc --json").good();
    assert!(plan.stdout.contains("\"org/tiny\""), "{}", plan.stdout);
    let expected = format!(
        "fetching org/tiny at 1a1a1a1 from {}",
        place.server.endpoint()
    );
    assert!(plan.stderr.contains(&expected), "{}", plan.stderr);
    assert_eq!(
        plan.stderr.matches("fetched ").count(),
        1,
        "{}",
        plan.stderr
    );
    let paths: Vec<String> = place
        .server
        .requests()
        .into_iter()
        .map(|r| r.path)
        .collect();
    let file = format!("/org/tiny/resolve/{}/config.json", commit("1a"));
    assert_eq!(
        paths,
        ["/api/models/org/tiny/revision/main", &file, &file],
        "the listing, HEAD and GET"
    );
    // Again: only the listing, to learn whether `main` is another commit now, and nothing offline.
    place.run("plan --model org/tiny --task mrpc").good();
    assert_eq!(place.server.requests().len(), 1);
    let offline = place
        .run("plan --model org/tiny --task mrpc --offline --json")
        .good();
    assert_eq!(offline.stdout, plan.stdout);
    assert_eq!(place.server.requests(), []);
}

#[test]
fn a_run_records_commits_and_runs_again_from_the_cache() {
    let place = Place::new();
    let words = "--model org/tiny --task mrpc --peft lora";
    outcome(&mut place.train(words)).good();
    let requests = place.server.requests();
    assert!(
        fetched(&requests, "README.md").is_empty()
            && fetched(&requests, "cola/train.tsv").is_empty()
    );
    let link = place.cached("models--org--tiny", &commit("1a"), "model.safetensors");
    let blob = fs::read_link(&link).expect("a link");
    assert_eq!(
        blob,
        Path::new("../../blobs").join(tiny().etag("model.safetensors"))
    );

    let read = |name: &str| read_json(&place.scratch.path("run").join(name));
    let hub = serde_json::json!({
        "model": { "id": "org/tiny", "commit": commit("1a") },
        "data": { "id": "nyu-mll/glue", "commit": commit("2b") },
    });
    let results = read("all_results.json");
    assert_eq!(results["hub"], hub);
    assert_eq!(read("plan.json")["hub"], hub);
    let adapter = read("adapter_config.json");
    assert_eq!(adapter["base_model_name_or_path"], "org/tiny");
    assert_eq!(adapter["revision"], commit("1a"));
    let config = fs::read_to_string(place.scratch.path("run/config.toml")).unwrap();
    for line in [
        format!("model = \"org/tiny@{}\"", commit("1a")),
        format!("data = \"nyu-mll/glue@{}\"", commit("2b")),
    ] {
        assert!(
            config.lines().any(|other| other == line),
            "{line} in {config}"
        );
    }

    // The hub gets a new commit, but the recorded run does not.
    place.server.put(Repo {
        commit: commit("3c"),
        ..tiny()
    });
    let mut again =
        place.command("train --quiet --config run/config.toml --output again --offline");
    outcome(&mut again).good();
    assert_eq!(place.server.requests(), []);
    let again = read_json(&place.scratch.path("again/all_results.json"));
    assert_eq!(again["eval_loss"], results["eval_loss"]);

    let evaluate = "evaluate --model org/tiny --revision REV --adapter run --quiet --max-length 64";
    let pinned = evaluate.replace("REV", &commit("1a"));
    let measured = place.run(&pinned).good().stdout;
    let measured: serde_json::Value = serde_json::from_str(&measured).unwrap();
    assert_eq!(measured["eval_loss"], results["eval_loss"]);
    // Model and data are those of the run, at their commits, so the hub is asked for nothing.
    assert_eq!(place.server.requests(), []);
    let recorded = "evaluate --adapter run --quiet";
    let recorded = place.run(recorded).good().stdout;
    let recorded: serde_json::Value = serde_json::from_str(&recorded).unwrap();
    assert_eq!(recorded["eval_loss"], results["eval_loss"]);
    assert_eq!(place.server.requests(), []);
}

#[test]
fn an_old_name_leads_to_the_new_one() {
    let place = Place::new();
    place.server.rename("tiny", "org/tiny");
    place.run("plan --model tiny --task mrpc").good();
    let config = place.cached("models--tiny", &commit("1a"), "config.json");
    assert!(config.exists(), "under the name that was asked for");
    place
        .run("plan --model tiny@main --task mrpc --offline")
        .good();
}

#[test]
fn a_path_goes_before_an_id() {
    let place = Place::new();
    fs::create_dir_all(place.scratch.path("org")).unwrap();
    let copy = place.scratch.copy("bert", "org/tiny");
    assert!(copy.join("config.json").exists());
    place.run("plan --model org/tiny --task mrpc").good();
    assert_eq!(place.server.requests(), []);
    place
        .run("plan --model org/tiny --revision v1 --task mrpc")
        .bad(2);
}

#[test]
fn revisions_are_branches_tags_and_commits() {
    let mut repo = tiny();
    repo.revisions = vec!["v1.0".into(), "refs/pr/3".into()];
    let place = Place::with(vec![repo]);
    for words in ["org/tiny@v1.0", "org/tiny --revision refs/pr/3"] {
        place
            .run(&format!("plan --task mrpc --model {words}"))
            .good();
    }
    let refs = place.scratch.path("hf/hub/models--org--tiny/refs");
    for name in ["v1.0", "refs/pr/3"] {
        assert_eq!(fs::read_to_string(refs.join(name)).unwrap(), commit("1a"));
    }
    let path = "/api/models/org/tiny/revision/refs%2Fpr%2F3";
    assert!(place.server.requests().iter().any(|r| r.path == path));
    place
        .run("plan --task mrpc --model org/tiny@v1.0 --revision v2")
        .bad(2);
}

#[test]
fn a_sharded_model_is_fetched_whole() {
    let names = [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "vocab.txt",
    ];
    let sharded = fixture("parity/checkpoints/sharded");
    let repo = Repo::new("org/sharded", "4d", files(&sharded, &names, ""));
    let place = Place::with(vec![repo, glue()]);
    outcome(&mut place.train("--model org/sharded --task mrpc")).good();
    for name in names {
        assert!(
            place
                .cached("models--org--sharded", &commit("4d"), name)
                .exists()
        );
    }
    fs::remove_file(place.cached("models--org--sharded", &commit("4d"), names[2])).unwrap();
    outcome(&mut place.train("--model org/sharded --task mrpc --overwrite-output --offline"))
        .bad(3);
}

#[test]
fn adapters_come_from_the_hub_too() {
    let lora = fixture("parity/bert/lora");
    let names = ["adapter_config.json", "adapter_model.safetensors"];
    let adapter = Repo::new("someone/lora", "5e", files(&lora, &names, ""));
    let place = Place::with(vec![tiny(), glue(), adapter]);
    let words = "evaluate --task mrpc --quiet --max-length 64 --model org/tiny --adapter";
    let by_id = place.run(&format!("{words} someone/lora")).good();
    let by_path = place.run(&format!("{words} {}", lora.display())).good();
    let metric = |outcome: &Outcome| {
        let json: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        json["eval_loss"].clone()
    };
    assert_eq!(metric(&by_id), metric(&by_path));
    let mut train =
        place.train("--model org/tiny --task mrpc --peft lora --init-adapter someone/lora");
    outcome(&mut train).good();
    let results = read_json(&place.scratch.path("run/all_results.json"));
    assert_eq!(results["hub"]["init_adapter"]["commit"], commit("5e"));
    place
        .run("merge --model org/tiny --adapter someone/lora --task mrpc --output merged")
        .good();
    assert!(place.scratch.path("merged/model.safetensors").exists());
}
