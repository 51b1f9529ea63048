//! The same seed gives the same bits with any number of threads, and another seed gives other bits.
//! Dropout, shuffling and new parameters are all on.

use super::*;

/// The result file from a run with these flags.
fn result(model: &str, flags: &str) -> Vec<u8> {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::train(model, &run)
        .words("--epochs 2 --dropout 0.3 --lr 1e-3")
        .words(flags)
        .run();
    let names = [
        "model.safetensors",
        "adapter_model.safetensors",
        "adapter.safetensors",
    ];
    let path = names
        .iter()
        .map(|name| run.join(name))
        .find(|path| path.exists());
    fs::read(path.expect("a result")).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_gives_others() {
    for (model, flags) in [
        ("bert", "--schedule progressive"),
        (
            "bert",
            "--schedule grow-from-hb --peft lora --peft-opt lora_dropout=0.2",
        ),
        ("roberta", "--schedule wo-lb --peft adapter"),
        ("roberta", "--peft bitfit --kernels composed"),
    ] {
        let first = result(model, flags);
        assert_eq!(result(model, flags), first, "{model} {flags}");
        assert_eq!(
            result(model, &format!("{flags} --seed 42")),
            first,
            "42 is the default"
        );
        assert_ne!(
            result(model, &format!("{flags} --seed 43")),
            first,
            "{model} {flags}"
        );
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for (model, flags) in [
        ("bert", "--schedule progressive"),
        ("bert", "--peft lora --peft-opt lora_dropout=0.2"),
        (
            "bert",
            "--schedule progressive --kernels composed --frozen-dropout",
        ),
        (
            "roberta",
            "--gradient-accumulation-steps 2 --batch-size 3 --peft adapter",
        ),
        ("bert", "--peft dora --peft-opt target_modules=query,dense"),
        ("roberta", "--peft prefix --peft-opt prefix_projection=true"),
    ] {
        let one = result(model, &format!("{flags} --threads 1"));
        for threads in [2, 4] {
            assert_eq!(
                result(model, &format!("{flags} --threads {threads}")),
                one,
                "{model} {flags}: {threads} threads"
            );
        }
    }
}

/// Dropout is a function of step and position, so a block's second forward pass repeats its first.
#[test]
fn recomputation_changes_no_bit() {
    for (model, flags) in [
        ("bert", "--schedule progressive"),
        (
            "bert",
            "--schedule grow-from-hb --peft lora --peft-opt lora_dropout=0.2",
        ),
        (
            "roberta",
            "--schedule wo-lb --peft adapter --frozen-dropout --gradient-accumulation-steps 2",
        ),
        ("roberta", "--schedule progressive --kernels composed"),
        (
            "bert",
            "--peft lora --peft-opt lora_dropout=0.2 --kernels composed",
        ),
        ("bert", "--peft dora --peft-opt lora_dropout=0.2"),
        ("bert", "--schedule progressive --peft ia3"),
        ("roberta", "--schedule progressive --peft prefix"),
    ] {
        assert_eq!(
            result(model, &format!("{flags} --recompute")),
            result(model, flags),
            "{model} {flags}"
        );
    }
}

/// Very large numbers are taken literally: one batch for everything, no early stop.
#[test]
fn large_numbers_are_no_fault() {
    let most = u64::MAX;
    let one_batch = result("bert", "--batch-size 27");
    let flags = format!("--batch-size {most} --eval-batch-size {most} --max-steps {most}");
    assert_eq!(result("bert", &flags), one_batch);
    let one_step = result("bert", "--batch-size 3 --gradient-accumulation-steps 9");
    let flags = format!("--gradient-accumulation-steps {most} --max-train-samples {most}");
    assert_eq!(
        result(
            "bert",
            &format!("--batch-size 3 {flags} --logging-steps {most}")
        ),
        one_step
    );
}

#[test]
fn evaluation_does_not_depend_on_batches_or_threads() {
    let line = CommandLine::evaluate(&fixture("parity/roberta"));
    let measure = |flags: &str| -> Vec<(String, Value)> {
        measured(&serde_json::from_str(&line.clone().words(flags).run()).unwrap())
    };
    let expected = measure("");
    for flags in [
        "--threads 1",
        "--threads 3",
        "--eval-batch-size 1",
        "--eval-batch-size 5",
        "--eval-batch-size 100",
    ] {
        for ((key, found), (_, expected)) in measure(flags).iter().zip(&expected) {
            let difference = found.as_f64().unwrap() - expected.as_f64().unwrap();
            assert!(
                difference.abs() < 1e-6,
                "{flags}: {key} differs by {difference}"
            );
        }
    }
}
