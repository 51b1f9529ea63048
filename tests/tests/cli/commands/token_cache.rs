//! Tokenised data on disk. A second run reads it and gives the same bits. Whatever changes the
//! tokens causes new tokenisation. A damaged file is replaced, and a directory that cannot be used
//! is not an error.

use super::*;
use progtune_tests::in_shell;
use progtune_tests::scratch::{replace_in, set_key};
use std::path::PathBuf;

/// A directory for the cache, with its own model and data.
struct Place {
    scratch: Scratch,
    model: PathBuf,
    data: PathBuf,
}

/// The effects of a command.
struct Outcome {
    stdout: String,
    /// The warnings, at the default verbosity.
    warnings: String,
    /// The numbers of token files read and written.
    read: usize,
    written: usize,
}

impl Place {
    fn new(model: &str) -> Self {
        let scratch = Scratch::new();
        let (model, data) = (scratch.copy(model, "model"), scratch.copy("data", "data"));
        Self {
            scratch,
            model,
            data,
        }
    }

    fn cache(&self) -> PathBuf {
        self.scratch.path("cache")
    }

    /// Runs a command with the model, the data and the cache.
    #[track_caller]
    fn command(&self, words: &str) -> Outcome {
        let output = progtune()
            .args(words.split_whitespace())
            .args(["--task", "mrpc"])
            .arg("--model")
            .arg(&self.model)
            .env("PROGTUNE_TOKEN_CACHE", "auto")
            .env("PROGTUNE_CACHE_DIR", self.cache())
            .env("PROGTUNE_LOG", "debug")
            .env("PROGTUNE_MAX_LENGTH", "64")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{words}: {text}");
        let with = |words: &str| -> Vec<&str> {
            text.lines().filter(|line| line.contains(words)).collect()
        };
        Outcome {
            stdout: String::from_utf8(output.stdout).unwrap(),
            warnings: {
                // Eight rows and one epoch teach the model nothing. The program says so, which is
                // not tested here.
                let mut warnings = with("warning: ");
                warnings.retain(|line| !line.contains("no better than guessing"));
                warnings.join("\n")
            },
            read: with("tokenised examples from ").len(),
            written: with("tokenised examples kept in ").len(),
        }
    }

    /// Trains, and also returns the result's bytes.
    #[track_caller]
    fn train(&self, flags: &str) -> (Outcome, Vec<u8>) {
        let run = self.scratch.path("run");
        let outcome = self.command(&format!(
            "train --quiet --overwrite-output --epochs 1 --lr 1e-3 --data {} --output {} {flags}",
            self.data.display(),
            run.display()
        ));
        (outcome, fs::read(run.join("model.safetensors")).unwrap())
    }

    /// The token files in the cache.
    fn kept(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.cache().join("tokenized")).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

#[test]
fn a_second_run_reads_what_the_first_tokenised() {
    for model in ["bert", "roberta"] {
        let place = Place::new(model);
        let (first, expected) = place.train("");
        assert_eq!((first.read, first.written), (0, 2), "train and validation");
        let (second, result) = place.train("");
        assert_eq!((second.read, second.written), (2, 0));
        assert!(result == expected, "{model}: the same bits");
        let (off, result) = place.train("--token-cache off");
        assert_eq!((off.read, off.written), (0, 0));
        assert!(result == expected, "{model}: the same bits without");
        let (overwritten, result) = place.train("--token-cache overwrite");
        assert_eq!((overwritten.read, overwritten.written), (0, 2));
        assert!(result == expected, "{model}: the same bits");
        assert_eq!(place.kept().len(), 2);
    }
}

#[test]
fn what_changes_the_tokens_is_tokenised_anew() {
    let place = Place::new("bert");
    let (_, expected) = place.train("");
    // Change a row in the training set.
    let train = place.data.join("train.tsv");
    let text = fs::read_to_string(&train).unwrap();
    replace_in(&train, "1\t1000\t", "0\t1000\t");
    let (outcome, result) = place.train("");
    assert_eq!((outcome.read, outcome.written), (1, 1), "a label");
    assert!(result != expected);
    // The same file is recognised again, also under another path.
    fs::write(&train, text).unwrap();
    let (outcome, result) = place.train("");
    assert_eq!((outcome.read, outcome.written), (2, 0));
    assert!(result == expected);
    // Change how much is read, and how long it may be.
    for flags in [
        "--max-length 32",
        "--max-train-samples 8 --max-eval-samples 4",
    ] {
        let (outcome, _) = place.train(flags);
        assert_eq!((outcome.read, outcome.written), (0, 2), "{flags}");
        let (outcome, _) = place.train(flags);
        assert_eq!((outcome.read, outcome.written), (2, 0), "{flags}");
    }
    // Change the tokenizer. Its configuration's setting for capitals takes precedence over
    // `tokenizer.json`.
    let tokenizer = place.model.join("tokenizer.json");
    let mut json = read_json(&tokenizer);
    assert_eq!(json["normalizer"]["lowercase"], true);
    json["normalizer"]["lowercase"] = false.into();
    fs::write(&tokenizer, json.to_string()).unwrap();
    assert_eq!(place.train("").0.written, 2);
    set_key(
        &place.model.join("tokenizer_config.json"),
        "do_lower_case",
        false.into(),
    );
    let (outcome, result) = place.train("");
    assert_eq!((outcome.read, outcome.written), (0, 2));
    assert!(result != expected);
    set_key(
        &place.model.join("tokenizer_config.json"),
        "model_max_length",
        77.into(),
    );
    assert_eq!(place.train("").0.written, 2);
}

#[test]
fn a_damaged_file_is_made_anew() {
    let place = Place::new("bert");
    let (_, expected) = place.train("");
    let intact: Vec<Vec<u8>> = place.kept().iter().map(|f| fs::read(f).unwrap()).collect();
    for (at, length) in [(70, None), (0, None), (0, Some(10)), (0, Some(0))] {
        for (file, bytes) in place.kept().iter().zip(&intact) {
            let mut bytes = bytes[..length.unwrap_or(bytes.len())].to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x40;
            }
            fs::write(file, bytes).unwrap();
        }
        let (outcome, result) = place.train("");
        assert_eq!((outcome.read, outcome.written), (0, 2));
        assert!(
            outcome.warnings.contains("damaged") && outcome.warnings.contains(".tokens"),
            "{}",
            outcome.warnings
        );
        assert!(result == expected);
        let again: Vec<Vec<u8>> = place.kept().iter().map(|f| fs::read(f).unwrap()).collect();
        assert!(again == intact);
        assert_eq!(place.train("").0.warnings, "");
    }
}

#[test]
fn evaluate_and_predict_use_it_too() {
    let place = Place::new("bert");
    place.train("");
    let data = place.data.display();
    let evaluate = format!("evaluate --data {data}");
    let first = place.command(&evaluate);
    assert_eq!((first.read, first.written), (1, 0), "training has kept it");
    let off = place.command(&format!("{evaluate} --token-cache off"));
    let numbers = |outcome: &Outcome| measured(&serde_json::from_str(&outcome.stdout).unwrap());
    assert_eq!(numbers(&first), numbers(&off));

    let predict = format!("predict --data {data} --split validation");
    assert_eq!(place.command(&predict).read, 1);
    let input = place.scratch.write(
        "input.jsonl",
        "{\"sentence1\": \"vepona gite\", \"sentence2\": \"tubo\"}\n",
    );
    let predict = format!("predict --input {}", input.display());
    let first = place.command(&predict);
    let second = place.command(&predict);
    assert_eq!((first.read, first.written), (0, 1));
    assert_eq!((second.read, second.written), (1, 0));
    assert_eq!(first.stdout, second.stdout);
}

/// Many processes share a small cache: each gives the result that it gives alone, and what is left
/// is whole and within the limit.
#[test]
fn many_processes_share_a_cache() {
    let place = Place::new("bert");
    let lengths = ["16", "24", "32", "48", "64", "64"];
    let output = |round: usize, at: usize| place.scratch.path(&format!("run-{round}-{at}"));
    let train = |length: &str, output: &Path, cache: &str| {
        let mut command = progtune();
        command
            .args("train --quiet --task mrpc --epochs 1 --lr 1e-3 --max-length".split(' '))
            .arg(length)
            .arg("--model")
            .arg(&place.model)
            .arg("--data")
            .arg(&place.data)
            .arg("--output")
            .arg(output)
            .env("PROGTUNE_TOKEN_CACHE", cache)
            .env("PROGTUNE_CACHE_DIR", place.cache());
        command
    };
    let result = |output: &Path| fs::read(output.join("model.safetensors")).unwrap();
    let expected: Vec<Vec<u8>> = lengths
        .iter()
        .enumerate()
        .map(|(at, length)| {
            let alone = train(length, &output(0, at), "auto").status();
            assert!(alone.unwrap().success());
            result(&output(0, at))
        })
        .collect();
    let sizes = || -> Vec<u64> {
        let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
        place.kept().iter().map(size).collect()
    };
    assert_eq!(sizes().len(), 10, "two splits for each of five lengths");
    // Half of the files fit, so that each process deletes what others want to read.
    let limit = sizes().iter().sum::<u64>() / 2;
    for (round, cache) in [(1, "auto"), (2, "overwrite"), (3, "auto")] {
        let children: Vec<_> = lengths
            .iter()
            .enumerate()
            .map(|(at, length)| {
                let mut command = train(length, &output(round, at), cache);
                command.env("PROGTUNE_CACHE_SIZE", limit.to_string());
                command.stderr(std::process::Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        for (at, child) in children.into_iter().enumerate() {
            let done = child.wait_with_output().unwrap();
            let said = String::from_utf8(done.stderr).unwrap();
            assert!(done.status.success(), "{round}, {at}: {said}");
            assert!(!said.contains("damaged"), "{round}, {at}: {said}");
            assert!(result(&output(round, at)) == expected[at], "{round}, {at}");
        }
        if round != 1 {
            assert!(sizes().iter().sum::<u64>() <= limit, "{round}");
        }
        let names: Vec<PathBuf> = place.kept();
        let is_kept = |path: &PathBuf| path.extension().is_some_and(|end| end == "tokens");
        assert!(names.iter().all(is_kept), "{names:?}");
    }
}

#[test]
fn a_size_that_is_none_is_refused() {
    let place = Place::new("bert");
    let mut command = progtune();
    command.args(["plan", "--task", "mrpc", "--model"]);
    command.arg(&place.model).env("PROGTUNE_CACHE_SIZE", "lots");
    fails(&mut command, 2);
}

/// Input that can be read only once is not hashed first.
#[cfg(target_os = "linux")]
#[test]
fn a_pipe_is_an_input_like_any_other() {
    let row = "{\"sentence1\": \"vepona gite\", \"sentence2\": \"tubo\"}";
    let place = Place::new("bert");
    let pipe = place.scratch.path("pipe");
    let mut predict = progtune();
    predict.args("predict --task mrpc --token-cache auto --input".split(' '));
    predict.arg(&pipe).arg("--model").arg(&place.model);
    predict.env("PROGTUNE_CACHE_DIR", place.cache());
    let script = "mkfifo \"$PIPE\"; echo \"$ROW\" > \"$PIPE\" & exec timeout 60 \"$@\"";
    let output = in_shell(script, &predict)
        .env("PIPE", &pipe)
        .env("ROW", row)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    // The fixture's model has a head, so there is a line for the row.
    assert!(output.status.success(), "{text}");
    assert_eq!(
        output.stdout.iter().filter(|&&byte| byte == b'\n').count(),
        1
    );
}

/// A cache hit hides nothing that a user would want to know. Bad data and bad tokenizers are
/// refused, warm or cold.
#[test]
fn what_is_wrong_is_said_whatever_is_kept() {
    let place = Place::new("bert");
    place.train("");
    let train = |model: &Path, data: &Path| {
        let mut command = progtune();
        command.args("train --quiet --task mrpc --max-length 64 --overwrite-output".split(' '));
        command.arg("--model").arg(model).arg("--data").arg(data);
        command.arg("--output").arg(place.scratch.path("run"));
        command.env("PROGTUNE_TOKEN_CACHE", "auto");
        command.env("PROGTUNE_CACHE_DIR", place.cache());
        fails(&mut command, 3);
    };
    let data = place.data.join("train.tsv");
    let text = fs::read_to_string(&data).unwrap();
    fs::write(&data, text.replace("1\t1000\t", "7\t1000\t")).unwrap();
    train(&place.model, &place.data);
    set_key(&place.model.join("config.json"), "vocab_size", 20.into());
    train(&place.model, &fixture("parity/data"));
}

#[test]
fn a_cache_that_cannot_be_used_is_no_fault() {
    let place = Place::new("bert");
    let expected = place.train("--token-cache off").1;
    // The run without the cache has put its plugins there.
    fs::remove_dir_all(place.cache()).unwrap();
    fs::write(place.cache(), "a file").unwrap();
    let (outcome, result) = place.train("");
    assert_eq!((outcome.read, outcome.written), (0, 0));
    assert_eq!(outcome.warnings, "");
    assert!(result == expected);
}
