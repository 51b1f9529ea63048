//! Everything that issue 2 calls bad input, and more of its kind, through the built binary: the exit code, and a message
//! that names the file and line or the key, what was expected, what was found and what to do. Never a panic.
//!
//! `cargo test --test cli bad_input -- --nocapture` prints the messages as tables. Damaged checkpoints are in `checkpoints`.

mod arguments;
mod data;

use progtune_tests::{
    command_line::CommandLine,
    fixture,
    scratch::{Scratch, TensorFile},
};
use std::{fs, path::Path};

/// One bad input.
struct Case {
    what: &'static str,
    line: CommandLine,
    code: i32,
    /// What the message must contain.
    says: Vec<&'static str>,
}

impl Case {
    fn new(what: &'static str, line: CommandLine, code: i32, says: &[&'static str]) -> Self {
        Self {
            what,
            line,
            code,
            says: says.to_vec(),
        }
    }
}

/// Runs every case, and prints the table of their messages.
fn check(scratch: &Scratch, cases: Vec<Case>) {
    let mut table =
        String::from("\n| input | exit code | first line of the message |\n|---|---|---|\n");
    for Case {
        what,
        line,
        code,
        says,
    } in cases
    {
        let text = scratch.hide_path(&line.fail(code));
        assert!(
            text.starts_with("error: "),
            "{what}: nothing comes before the message: {text}"
        );
        assert_eq!(
            text.matches("error: ").count(),
            1,
            "{what}: one error: {text}"
        );
        for part in says {
            assert!(text.contains(part), "{what}: `{part}` is not in: {text}");
        }
        for noise in ["RUST_BACKTRACE", "unwrap", "Os {", "src/", "called `"] {
            assert!(!text.contains(noise), "{what}: {noise} in: {text}");
        }
        table += &format!(
            "| {what} | {code} | {} |\n",
            text.lines().next().unwrap_or_default()
        );
    }
    println!("{table}");
}

fn bert() -> std::path::PathBuf {
    fixture("parity/bert")
}

#[test]
fn runs_that_fail_say_why() {
    let scratch = Scratch::new();
    let output = scratch.path("run");
    let train = || CommandLine::train("bert", &output);
    let nan = scratch.copy("bert", "nan");
    let mut file = TensorFile::read(&nan.join("model.safetensors"));
    file.set(
        "bert.encoder.layer.2.output.dense.bias",
        &[32],
        &[f32::NAN; 32],
    );
    file.write(&nan.join("model.safetensors"));
    let t5 = scratch.copy("bert", "t5");
    progtune_tests::scratch::set_key(&t5.join("config.json"), "model_type", "t5".into());
    let narrow = scratch.copy("bert", "narrow");
    progtune_tests::scratch::set_key(&narrow.join("config.json"), "vocab_size", 100.into());
    scratch.write("file", "");
    let train_model = |model: &Path| CommandLine::train_on(model, &fixture("parity/data"), &output);
    check(
        &scratch,
        vec![
            Case::new(
                "--lr 1e20",
                train().words("--lr 1e20"),
                5,
                &["step 2", "diverged", "lower --lr", "--warmup"],
            ),
            Case::new(
                "--lr 1e20 --peft adapter",
                train().words("--lr 1e20 --peft adapter"),
                5,
                &["diverged", "lower --lr"],
            ),
            Case::new(
                "a checkpoint with NaN",
                train_model(&nan),
                3,
                &[
                    "nan/model.safetensors",
                    "bert.encoder.layer.2.output.dense.bias",
                    "NaN",
                    "32 of 32",
                    "use another",
                ],
            ),
            Case::new(
                "wrong model type",
                train_model(&t5),
                3,
                &[
                    "t5/config.json",
                    "`model_type`",
                    "expected `bert` or `roberta`",
                    "found \"t5\"",
                ],
            ),
            Case::new(
                "vocabulary and embedding sizes that differ",
                train_model(&narrow),
                3,
                &[
                    "120 tokens",
                    "config.json says vocab_size 100",
                    "another model",
                ],
            ),
            Case::new(
                "--model that is not there",
                train_model(&scratch.path("nowhere")),
                3,
                &[
                    "DIR/nowhere: no such directory",
                    "--model",
                    "the id of a model",
                ],
            ),
            Case::new(
                "--device cuda in a CPU build",
                train().words("--device cuda"),
                2,
                &["--device cuda:0", "--features cuda", "--device cpu"],
            ),
            Case::new(
                "--output below a file",
                CommandLine::train("bert", &scratch.path("file/run")),
                2,
                &[
                    "--output DIR/file/run",
                    "DIR/file is a file",
                    "choose another",
                ],
            ),
            Case::new(
                "--output that is a file",
                CommandLine::train("bert", &scratch.path("file")).words("--overwrite-output"),
                2,
                &["--output DIR/file", "is a file", "choose another"],
            ),
            Case::new(
                "predictions below a file",
                CommandLine::new("predict --task mrpc --quiet --split validation")
                    .path("--model", bert())
                    .path("--data", fixture("parity/data"))
                    .path("--output", scratch.path("file/predictions.jsonl")),
                2,
                &["--output DIR/file/predictions.jsonl", "choose another"],
            ),
        ],
    );
    let left: Vec<_> = fs::read_dir(&output)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !left
            .iter()
            .any(|name| name == "all_results.json" || name == "model.safetensors"),
        "{left:?}"
    );
}

/// What is sure to fail fails before anything is written.
#[test]
fn wrong_arguments_leave_no_directory_behind() {
    let scratch = Scratch::new();
    let output = scratch.path("run");
    for (flags, code) in [
        ("--device cuda", 2),
        ("--epochs 0", 2),
        ("--schedule none-such", 2),
        ("--peft none-such", 2),
    ] {
        CommandLine::train("bert", &output).words(flags).fail(code);
        assert!(!output.exists(), "{flags}");
    }
    CommandLine::train_on(&bert(), &scratch.path("no-data"), &output).fail(3);
    assert!(!output.exists());
}

/// A path that may not be written to: only where permissions hold, which they do not for root.
#[cfg(unix)]
#[test]
fn a_directory_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let locked = scratch.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    let line = CommandLine::train("bert", &locked.join("run")).words("--max-steps 1");
    if fs::create_dir(locked.join("root")).is_ok() {
        line.run();
        return;
    }
    let text = line.fail(2);
    assert!(
        text.contains("--output") && text.contains("check the permissions"),
        "{text}"
    );
}

#[test]
fn adapters_that_do_not_fit_say_why() {
    let scratch = Scratch::new();
    let evaluate = |adapter: &Path| CommandLine::evaluate(&bert()).path("--adapter", adapter);
    let parity = fixture("parity/bert");
    let lora = |name: &str| scratch.copy("bert/lora", name);
    let rank = lora("rank");
    progtune_tests::scratch::set_key(&rank.join("adapter_config.json"), "r", 8.into());
    let kind = lora("kind");
    progtune_tests::scratch::set_key(
        &kind.join("adapter_config.json"),
        "peft_type",
        "LOHA".into(),
    );
    let json = lora("json");
    fs::write(json.join("adapter_config.json"), "{").unwrap();
    let cut = lora("cut");
    fs::write(cut.join("adapter_model.safetensors"), [0; 100]).unwrap();
    let weightless = lora("weightless");
    fs::remove_file(weightless.join("adapter_model.safetensors")).unwrap();
    let headless = lora("headless");
    let weights = headless.join("adapter_model.safetensors");
    let mut file = TensorFile::read(&weights);
    file.tensors.retain(|key, _| !key.contains("classifier"));
    file.write(&weights);
    let base = scratch.copy("bert", "base");
    let mut file = TensorFile::read(&base.join("model.safetensors"));
    file.tensors.retain(|key, _| !key.contains("classifier"));
    file.write(&base.join("model.safetensors"));
    let neutral = scratch.copy("bert/adapter", "neutral");
    progtune_tests::scratch::set_key(
        &neutral.join("progtune_adapter.json"),
        "method",
        "unheard-of".into(),
    );
    let future = scratch.copy("bert/adapter", "future");
    progtune_tests::scratch::set_key(
        &future.join("progtune_adapter.json"),
        "format_version",
        2.into(),
    );
    let train = |flags: &str, adapter: &Path| {
        CommandLine::train("bert", &scratch.path("run"))
            .words(flags)
            .path("--init-adapter", adapter)
    };
    check(
        &scratch,
        vec![
            Case::new(
                "no adapter in the directory",
                evaluate(&scratch.path("")),
                3,
                &[
                    "no adapter here",
                    "adapter_config.json",
                    "progtune_adapter.json",
                ],
            ),
            Case::new(
                "the adapter of another model",
                evaluate(&fixture("parity/roberta/lora")),
                3,
                &[
                    "for an encoder `roberta`, this model has an encoder `bert`",
                    "--model",
                ],
            ),
            Case::new(
                "a rank that the tensors do not have",
                evaluate(&rank),
                3,
                &[
                    "rank/adapter_config.json",
                    "keys `r` and `rank_pattern`",
                    "the rank 8, its tensors have 4",
                ],
            ),
            Case::new(
                "a PEFT type without a plugin",
                evaluate(&kind),
                3,
                &[
                    "kind/adapter_config.json",
                    "`peft_type`",
                    "expected \"LORA\", \"IA3\", \"VERA\" or \"PREFIX_TUNING\"",
                    "found \"LOHA\"",
                ],
            ),
            Case::new(
                "adapter_config.json cut short",
                evaluate(&json),
                3,
                &["json/adapter_config.json", "line 1"],
            ),
            Case::new(
                "damaged adapter weights",
                evaluate(&cut),
                3,
                &["cut/adapter_model.safetensors", "damaged"],
            ),
            Case::new(
                "no adapter weights",
                evaluate(&weightless),
                3,
                &["weightless/adapter_model.safetensors"],
            ),
            Case::new(
                "an adapter without head on a base without head",
                CommandLine::evaluate(&base).path("--adapter", &headless),
                3,
                &[
                    "DIR/headless: neither the base model nor the adapter has",
                    "classifier.bias",
                    "modules_to_save",
                ],
            ),
            Case::new(
                "the adapter of an unknown method",
                evaluate(&neutral),
                2,
                &["no method 'unheard-of'", "adapter, bitfit, dora"],
            ),
            Case::new(
                "an adapter of a later version",
                evaluate(&future),
                3,
                &[
                    "future/progtune_adapter.json",
                    "`format_version`",
                    "expected 1, found 2",
                ],
            ),
            Case::new(
                "--init-adapter of another method",
                train("--peft lora", &parity.join("adapter")),
                2,
                &["--init-adapter", "of method adapter", "--peft lora"],
            ),
            Case::new(
                "--init-adapter with other options",
                train("--peft lora --peft-opt r=8", &parity.join("lora")),
                3,
                &["expected [8, 32], found [4, 32]", "--peft-opt"],
            ),
            Case::new(
                "--init-adapter without --peft",
                train("", &parity.join("lora")),
                2,
                &["init_adapter", "full fine-tuning", "--peft"],
            ),
        ],
    );
}
