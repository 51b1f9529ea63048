//! Own data with many rows: memory does not grow with the file, and a second run reuses the first
//! one's tokens.

use progtune_tests::{fixture, messages, progtune, read_json, scratch::Scratch};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const WORDS: [&str; 8] = [
    "kebe", "zepi", "moli", "natomo", "gugifu", "fafe", "vepona", "gite",
];

/// JSONL with `n` rows of four to nineteen words; the first word gives the label.
fn rows(scratch: &Scratch, n: usize) -> PathBuf {
    let mut text = String::new();
    for row in 0..n {
        let random = (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        text.push_str("{\"text\": \"");
        for at in 0..4 + random % 16 {
            let word = WORDS[(random >> (2 * at) & 7) as usize];
            write!(text, "{word} ").unwrap();
        }
        writeln!(
            text,
            "{row}\", \"label\": \"{}\"}}",
            ["no", "yes", "maybe"][(random & 7) as usize % 3]
        )
        .unwrap();
    }
    scratch.write(&format!("{n}.jsonl"), text)
}

/// Trains a few steps on a file, a share of which is for validation.
fn train(file: &Path, cache: &Path, run: &Path, share: &str) -> Command {
    let mut command = progtune();
    command
        .args("train --epochs 1 --max-steps 3 --batch-size 8 --max-length 32 --lr 1e-3".split(' '))
        .args("--max-eval-samples 64 --overwrite-output".split(' '))
        .args(["--validation-split", share])
        .arg("--model")
        .arg(fixture("parity/bert"))
        .arg("--train-file")
        .arg(file)
        .arg("--output")
        .arg(run)
        .env("PROGTUNE_TOKEN_CACHE", "auto")
        .env("PROGTUNE_CACHE_DIR", cache)
        .env("PROGTUNE_LOG", "debug");
    command
}

/// The bound in the issue, on a file ten times as large.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_file() {
    use progtune_tests::peak::run_to_peak;
    let scratch = Scratch::new();
    let mut peaks = Vec::new();
    for n in [30_000, 300_000] {
        let file = rows(&scratch, n);
        let cache = scratch.path(&format!("cache-{n}"));
        let run = scratch.path("run");
        let (first, peak) = run_to_peak(&mut train(&file, &cache, &run, "0.01"));
        assert_eq!(
            read_json(&run.join("all_results.json"))["train_samples"],
            n - n / 100
        );
        let model = fs::read(run.join("model.safetensors")).unwrap();
        let kept = |text: &str| text.matches("tokenised examples kept in").count();
        let known = |text: &str| text.matches("tokenised examples from").count();
        assert_eq!(
            (known(&first), kept(&first)),
            (0, 2),
            "train and validation"
        );

        let (second, again) = run_to_peak(&mut train(&file, &cache, &run, "0.01"));
        assert_eq!((known(&second), kept(&second)), (2, 0));
        assert!(
            fs::read(run.join("model.safetensors")).unwrap() == model,
            "the same bits"
        );
        peaks.push((peak, again));
    }
    let [(first, again), (large, large_again)] = [peaks[0], peaks[1]];
    println!("KiB: {first} and {large} when tokenising, {again} and {large_again} after that");
    assert!(large < 1.2 * first, "{large} KiB for ten times {first} KiB");
    assert!(
        large_again < 1.2 * again,
        "{large_again} KiB for ten times {again} KiB"
    );
}

/// Each block of a large file is checked when it is read. A failure is an error that says what to
/// do.
#[test]
fn a_damaged_block_stops_the_run_and_is_made_anew_on_request() {
    let scratch = Scratch::new();
    let file = rows(&scratch, 250_000);
    let (cache, run) = (scratch.path("cache"), scratch.path("run"));
    assert!(
        train(&file, &cache, &run, "0.01")
            .status()
            .unwrap()
            .success()
    );
    let model = fs::read(run.join("model.safetensors")).unwrap();
    let files = fs::read_dir(cache.join("tokenized")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let large = files
        .filter(|path| path.extension().is_some_and(|end| end == "tokens"))
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let mut bytes = fs::read(&large).unwrap();
    assert!(
        bytes.len() > 4 << 20,
        "large enough to be read block by block: {}",
        bytes.len()
    );
    for at in (1000..bytes.len() - 200_000).step_by(500) {
        bytes[at] ^= 0x40;
    }
    fs::write(&large, bytes).unwrap();
    let output = train(&file, &cache, &run, "0.01").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    let at = text.find("error: ").expect("an error");
    messages::check(&text[at..]);
    let mut anew = train(&file, &cache, &run, "0.01");
    assert!(
        anew.args(["--token-cache", "overwrite"])
            .status()
            .unwrap()
            .success()
    );
    assert!(fs::read(run.join("model.safetensors")).unwrap() == model);
    assert!(
        train(&file, &cache, &run, "0.01")
            .status()
            .unwrap()
            .success()
    );
}

/// Findings from the first reading of own files are kept with their tokens, including the omitted
/// rows. Other content, or another request, is read again.
#[test]
fn what_was_found_out_is_told_again() {
    let scratch = Scratch::new();
    let file = rows(&scratch, 200);
    let good = fs::read_to_string(&file).unwrap();
    let damaged = good.replacen("{\"text\": \"", "{\"text\" \"", 3);
    fs::write(&file, &damaged).unwrap();
    let (cache, run) = (scratch.path("cache"), scratch.path("run"));
    let outcome = |flags: &str| {
        let mut command = train(&file, &cache, &run, "0.2");
        let output = command.args(flags.split_whitespace()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        let log = fs::read_to_string(run.join("log.txt")).unwrap();
        let left_out: Vec<String> = log
            .lines()
            .filter_map(|line| Some(line.split_once("row left out: ")?.1.to_owned()))
            .collect();
        let results = read_json(&run.join("all_results.json"));
        let known = text.matches("tokenised examples from").count();
        (left_out, results["train_samples"].as_u64().unwrap(), known)
    };
    let (left_out, n, known) = outcome("--on-bad-row skip");
    assert_eq!((left_out.len(), n, known), (3, 158, 0));
    assert!(left_out[0].contains("200.jsonl, line 1"), "{left_out:?}");
    assert_eq!(outcome("--on-bad-row skip"), (left_out.clone(), n, 2));
    assert_eq!(
        outcome("--on-bad-row skip --seed 7").2,
        0,
        "other rows are held out"
    );
    assert_eq!(
        outcome("--on-bad-row skip --token-cache off"),
        (left_out, n, 0)
    );
    fs::write(&file, &good).unwrap();
    assert_eq!(outcome("--on-bad-row skip"), (Vec::new(), 160, 0));
}
