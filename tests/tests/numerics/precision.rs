//! `--precision bf16` on the CPU, and the instruction sets of `PROGTUNE_SIMD`. The numbers of a
//! run are the same bits on every instruction set and any number of threads, and close to f32's.

use progtune_tests::{
    command_line::CommandLine, progtune, read_json, read_jsonl, scratch::Scratch,
};
use std::{fs, path::Path, process::Command};

/// A short run of the BERT fixture, with one block's weights under LoRA.
fn run(output: &Path, words: &str) -> Command {
    CommandLine::train("bert", output)
        .words("--epochs 2 --batch-size 8 --lr 1e-4 --schedule progressive --token-cache off")
        .words(words)
        .command()
}

#[track_caller]
fn succeed(mut command: Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// The instruction sets of this machine, as an error lists them.
fn instruction_sets(scratch: &Scratch) -> Vec<String> {
    let mut command = run(&scratch.path("none"), "");
    let output = command.env("PROGTUNE_SIMD", "none").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let names = said
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    let (names, _) = names.unwrap_or_else(|| panic!("{said}"));
    names.split(", ").map(str::to_owned).collect()
}

#[test]
fn bf16_gives_the_same_bits_everywhere_and_nearly_those_of_f32() {
    let scratch = Scratch::new();
    for (peft, weights_name) in [
        ("none", "model.safetensors"),
        ("lora", "adapter_model.safetensors"),
        ("adapter", "adapter.safetensors"),
    ] {
        let train = |name: &str, precision: &str, threads: &str, simd: &str| {
            let output = scratch.path(&format!("{peft}-{name}"));
            let words = format!("--peft {peft} --precision {precision} --threads {threads}");
            let mut command = run(&output, &words);
            command.env("PROGTUNE_SIMD", simd);
            succeed(command);
            let losses: Vec<f64> = read_jsonl(&output.join("metrics.jsonl"))
                .iter()
                .filter_map(|line| line["loss"].as_f64())
                .collect();
            (fs::read(output.join(weights_name)).unwrap(), losses)
        };
        let (f32_weights, f32_losses) = train("f32", "f32", "2", "");
        let (weights, losses) = train("bf16", "bf16", "2", "");
        assert!(weights != f32_weights, "{peft}: bf16 changes nothing");
        for (loss, expected) in losses.iter().zip(&f32_losses) {
            assert!(
                (loss - expected).abs() < 1e-2,
                "{peft}: {loss} and {expected}"
            );
        }
        assert!(train("one-thread", "bf16", "1", "").0 == weights, "{peft}");
        let again = scratch.path(&format!("{peft}-again"));
        succeed(run(
            &again,
            &format!("--peft {peft} --precision bf16 --recompute"),
        ));
        assert!(
            fs::read(again.join(weights_name)).unwrap() == weights,
            "{peft}: --recompute"
        );
        // Without fused multiply-adds the head, which stays in f32, has other bits.
        for simd in instruction_sets(&scratch)
            .iter()
            .filter(|name| *name != "portable")
        {
            assert!(
                train(simd, "bf16", "2", simd).0 == weights,
                "{peft}: {simd}"
            );
        }
    }
}

#[test]
fn a_result_in_bf16_is_used_like_any_other() {
    let scratch = Scratch::new();
    let output = scratch.path("run");
    succeed(run(&output, "--precision bf16"));
    let record = read_json(&output.join("run.json"));
    assert_eq!(record["machine"]["precision"], "bf16");
    let mut check = progtune();
    check.arg("check").arg(&output);
    succeed(check);
    for precision in ["f32", "bf16"] {
        CommandLine::evaluate(&output)
            .words(&format!("--precision {precision}"))
            .run();
    }
}

#[test]
fn what_cannot_be_computed_is_refused() {
    let scratch = Scratch::new();
    let output = scratch.path("run");
    let text = CommandLine::train("bert", &output)
        .words("--precision bf16 --kernels composed")
        .fail(2);
    assert!(
        text.contains("only the fused kernels compute in bf16"),
        "{text}"
    );
    let text = CommandLine::train("bert", &output)
        .words("--precision tf32")
        .fail(2);
    assert!(text.contains("NVIDIA"), "{text}");
    assert!(instruction_sets(&scratch).contains(&"portable".to_owned()));
    assert!(!output.exists());
}
