//! Damaged checkpoints are noticed, whatever byte it is, and the one before is used.

use super::*;
use progtune::checkpoint::Shelf;

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_used() {
    let scratch = Scratch::new();
    let whole = trained(&scratch, "whole", "--peft bitfit");
    let expected = everything(&whole);
    let cut = scratch.path("cut");
    for (file, damage) in [
        ("step-6.safetensors", "expected the SHA-256"),
        ("step-6.json", "its SHA-256 differs"),
    ] {
        killed_after(&whole, 6, &cut);
        let path = cut.join("checkpoints").join(file);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(&path, bytes).unwrap();
        let (_, said) = CommandLine::new("resume")
            .words(&cut.display().to_string())
            .output();
        assert!(said.contains(file) && said.contains(damage), "{said}");
        assert!(said.contains("continuing after step 5"), "{said}");
        assert_same(&cut, &expected, file);
    }
    killed_after(&whole, 1, &cut);
    fs::write(cut.join("checkpoints/step-1.json"), "{}").unwrap();
    let message = resume(&cut, "").fail(3);
    assert!(message.contains("step-1.json"), "{message}");
}

/// Every byte of the newest checkpoint is changed in turn, and every length is cut.
#[test]
fn every_byte_of_a_checkpoint_counts() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::train("bert", &run)
        .words(
            "--epochs 2 --save-total-limit 2 --peft bitfit --schedule wo-lb --max-train-samples 8",
        )
        .run();
    let shelf = Shelf::of(&run);
    let [first, last] = shelf.steps()[..] else {
        panic!("{:?}", shelf.steps());
    };
    let newest = || shelf.newest().map(|found| found.unwrap().state.place.step);
    assert_eq!(newest().unwrap(), last);
    for extension in ["json", "safetensors"] {
        let path = run.join(format!("checkpoints/step-{last}.{extension}"));
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            assert_eq!(newest().unwrap(), first, "{extension}, byte {at}");
        }
        for percent in 0..100 {
            fs::write(&path, &whole[..whole.len() * percent / 100]).unwrap();
            assert_eq!(newest().unwrap(), first, "{extension}, {percent} %");
        }
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(newest().unwrap(), last);
}

/// Random bits of a real checkpoint are flipped, one at a time.
#[test]
fn ten_thousand_random_bits_of_a_real_checkpoint_count() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::new(
        "train --quiet --peft lora --epochs 2 --max-train-samples 16 --max-eval-samples 8",
    )
    .words("--save-total-limit 2")
    .path("--output", &run)
    .run();
    let shelf = Shelf::of(&run);
    let [first, last] = shelf.steps()[..] else {
        panic!("{:?}", shelf.steps());
    };
    let mut random = 88_172_645_463_325_252_u64;
    for extension in ["json", "safetensors"] {
        let path = run.join(format!("checkpoints/step-{last}.{extension}"));
        let mut bytes = fs::read(&path).unwrap();
        for _ in 0..5000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (at, bit) = (random as usize / 8 % bytes.len(), random % 8);
            bytes[at] ^= 1 << bit;
            fs::write(&path, &bytes).unwrap();
            let newest = shelf.newest().map(|found| found.unwrap().state.place.step);
            assert_eq!(newest.unwrap(), first, "{extension}, byte {at}, bit {bit}");
            bytes[at] ^= 1 << bit;
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert!(shelf.open(last).is_ok());
}
