//! `progtune check`: a whole result is one line, and every kind of damage is named.

use super::*;
use progtune_tests::{cases, scratch::set_key};

fn check(run: &Path) -> CommandLine {
    CommandLine::new(&format!("check {}", run.display()))
}

/// The message about damage. It contains logits, which differ between machines, so it is not among
/// the recorded messages.
#[track_caller]
fn damage(run: &Path) -> String {
    let output = check(run).command().output().expect("the binary starts");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

fn a_whole_result_is_proved(flags: &str, kind: &str) {
    let scratch = Scratch::new();
    let run = trained(&scratch, &format!("--max-steps 2 {flags}"));
    let said = check(&run).run();
    assert_eq!(said.lines().count(), 1, "{said}");
    for words in [
        "run: whole: ",
        " files have the recorded hashes",
        &format!("the {kind} can be loaded"),
        "its logits are the recorded bits",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let json = json_of("check", &run);
    assert_eq!(json["whole"], true);
    assert_eq!(json["damage"], serde_json::json!([]));
    // Other kernels add in another order.
    let other = if flags.contains("composed") {
        "fused"
    } else {
        "composed"
    };
    let said = check(&run).path("--kernels", other).run();
    assert!(
        said.contains("its logits agree to 1e-3 with those of progtune"),
        "{said}"
    );
}

cases! { a_whole_result_is_proved:
    of_full_fine_tuning("--schedule progressive", "model");
    of_bitfit("--peft bitfit", "model");
    of_lora("--peft lora", "adapter");
    of_dora("--peft dora", "adapter");
    of_vera("--peft vera", "adapter");
    of_ia3("--peft ia3", "adapter");
    of_prefix("--peft prefix", "adapter");
    of_a_projected_prefix("--peft prefix --peft-opt prefix_projection=true", "adapter");
    of_bottlenecks("--peft pfeiffer", "adapter");
    of_kron_a("--peft kron-a --threads 1", "adapter");
    of_composed_kernels("--peft lora --kernels composed", "adapter");
}

/// Changes one byte of a file.
fn flip(path: &Path, from_end: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() - from_end;
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

#[test]
fn damaged_weights_and_a_missing_file_are_named() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "--max-steps 1 --peft lora");
    flip(&run.join("adapter_model.safetensors"), 2);
    fs::remove_file(run.join("task.json")).unwrap();
    let said = damage(&run);
    for words in [
        "adapter_model.safetensors: expected SHA-256 ",
        "task.json: expected a file, found none",
        "verification.json: the logits of the loaded model differ: example ",
        "restore these files from a copy, or train again",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let line = check(&run).words("--json").command().output().unwrap();
    let json: Value = serde_json::from_slice(&line.stdout).unwrap();
    assert_eq!(json["whole"], false);
    assert!(json["damage"].as_array().unwrap().len() >= 3, "{json:#}");
}

#[test]
fn a_truncated_checkpoint_is_named() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "--max-steps 1");
    let path = run.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    let said = check(&run).fail(3);
    assert!(
        said.contains("it cannot be loaded: ") && said.contains("truncated"),
        "{said}"
    );
}

/// The hashes tell of the damaged record, but not the logits, if somebody changed both.
#[test]
fn logits_are_compared_even_if_the_hashes_agree() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "--max-steps 1");
    set_key(&run.join("all_results.json"), "files", Value::Null);
    assert!(
        check(&run)
            .run()
            .contains("; not checked: the hashes of the files")
    );
    flip(&run.join("model.safetensors"), 2);
    let said = damage(&run);
    assert!(
        said.contains("the logits of the loaded model differ"),
        "{said}"
    );
}

#[test]
fn results_of_version_0_1_are_checked_as_far_as_possible() {
    let made = |name: &str| fixture("made_by_0_1").join(name);
    let base = fixture("parity/bert");
    for name in ["lora", "adapter", "full"] {
        let line = check(&made(name));
        let line = if name == "full" {
            line
        } else {
            line.path("--model", &base)
        };
        let said = line.run();
        assert!(
            said.contains("can be loaded; not checked: the hashes of the files")
                && said.contains("the logits, which were not recorded"),
            "{said}"
        );
    }
}

#[test]
fn what_is_no_finished_run_is_refused() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "--max-steps 1");
    fs::remove_file(run.join("all_results.json")).unwrap();
    let said = check(&run).fail(3);
    assert!(said.contains("this run is not finished"), "{said}");
    let empty = scratch.path("empty");
    fs::create_dir(&empty).unwrap();
    check(&empty).fail(3);
    check(&scratch.path("rnu")).fail(3);
}

#[test]
fn a_merged_model_is_verified_and_can_be_checked() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "--max-steps 2 --peft lora --lr 1e-2");
    for dtype in ["f32", "f16", "bf16"] {
        let merged = scratch.path(dtype);
        CommandLine::new("merge --quiet")
            .path("--adapter", &run)
            .path("--output", &merged)
            .path("--dtype", dtype)
            .run();
        let said = check(&merged).run();
        assert!(
            said.contains("whole: the model can be loaded; not checked: "),
            "{said}"
        );
    }
}
