//! `--overwrite-output`: the earlier result stays until the new one is complete, and nothing else
//! is ever lost.

use super::*;
use progtune_tests::outside::copy_directory;

/// Command lines that cannot read one of their inputs at all, with their exit codes.
fn unreadable(scratch: &Scratch, output: &Path) -> Vec<(i32, CommandLine)> {
    let data = fixture("parity/data");
    let bert = fixture("parity/bert");
    let on = |model: &Path, data: &Path| CommandLine::train_on(model, data, output);
    let broken = |name: &str, file: &str| {
        let model = scratch.copy("bert", name);
        fs::write(model.join(file), "xxxx").unwrap();
        on(&model, &data)
    };
    let bad_data = scratch.copy("data", "bad-data");
    for entry in fs::read_dir(&bad_data).unwrap() {
        fs::write(entry.unwrap().path(), "x\ty\n1\n").unwrap();
    }
    let csv = scratch.write("own.csv", "text,label\na,b\nc\n");
    let own = CommandLine::new("train --quiet --validation-split 0.5")
        .path("--model", &bert)
        .path("--train-file", &csv)
        .path("--output", output);
    let lora = scratch.path("lora");
    short(&lora).words("--peft lora").run();
    fs::write(lora.join("adapter_model.safetensors"), "xxxx").unwrap();
    let adapter = short(output).words("--peft lora");
    let plugin = scratch.write("plugin/libnone.so", "xxxx");
    let none = scratch.path("none");
    let words = |words: &str| short(output).words(words);
    vec![
        (3, broken("w", "model.safetensors")),
        (3, broken("c", "config.json")),
        (3, broken("t", "tokenizer.json")),
        (3, on(&none, &data)),
        (3, on(&bert, &bad_data)),
        (3, on(&bert, &none)),
        (3, own),
        (3, adapter.path("--init-adapter", &lora)),
        (2, words("--peft none-such")),
        (2, words("--schedule none-such")),
        (4, short(output).path("--plugin", &plugin)),
        (2, words("--peft lora --peft-opt r=0")),
        (2, words("--metric-for-best-model none-such")),
    ]
}

/// Everything that can be wrong with a run's inputs.
#[test]
fn a_run_that_cannot_read_its_inputs_leaves_the_earlier_result_alone() {
    let scratch = Scratch::new();
    let output = scratch.path("run");
    short(&output).run();
    let notes = output.join("notes.md");
    fs::write(&notes, "mine").unwrap();
    let before = tree(&output);
    for (at, (code, line)) in unreadable(&scratch, &output).into_iter().enumerate() {
        let text = line.words("--overwrite-output").fail(code);
        assert!(tree(&output) == before, "line {at}: {text}");
    }
    // The next run takes the place, and leaves files that are not a run's.
    short(&output).words("--peft lora --overwrite-output").run();
    let after = names(&output);
    assert!(after.contains(&"adapter_model.safetensors".into()));
    assert!(!after.contains(&"model.safetensors".into()), "{after:?}");
    assert_eq!(fs::read_to_string(notes).unwrap(), "mine");
    assert!(
        !after.iter().any(|name| name.starts_with("new-run")),
        "{after:?}"
    );
    let config = fs::read_to_string(output.join("config.toml")).unwrap();
    assert!(!config.contains("overwrite_output"), "{config}");
}

/// An interrupted, failed or killed run leaves the earlier result whole, and the message says so.
#[test]
fn a_run_that_does_not_end_well_leaves_the_earlier_result_whole() {
    let scratch = Scratch::new();
    let output = scratch.path("run");
    short(&output).run();
    let before = tree(&output);
    let of_before = || {
        let mut now = tree(&output);
        now.retain(|name, _| !name.starts_with("new-run") && name != ".progtune.lock");
        now
    };
    let new = output.join("new-run");
    let overwriting = || endless(&output).words("--overwrite-output");

    let mut running = Running::start(&mut overwriting().command());
    wait_for_a_step(&mut running, &new);
    assert!(of_before() == before, "while it trains");
    send(&running.child, "INT");
    let (status, said) = running.end();
    assert_eq!(status.code(), Some(130), "{said}");
    let unchanged = format!("the earlier result in {} is unchanged", output.display());
    assert!(said.contains(&unchanged), "{said}");
    assert!(of_before() == before);
    assert_eq!(leftovers(&output), [""; 0]);

    let text = CommandLine::train("bert", &output)
        .words("--lr 1e20 --overwrite-output")
        .fail(5);
    assert!(
        text.contains("diverged") && text.contains(&unchanged),
        "{text}"
    );
    assert!(of_before() == before);

    let mut running = Running::start(&mut overwriting().command());
    wait_for_a_step(&mut running, &new);
    send(&running.child, "KILL");
    running.end();
    assert!(of_before() == before);

    short(&output).words("--seed 7 --overwrite-output").run();
    assert_eq!(names(&output), before.keys().cloned().collect::<Vec<_>>());
    assert!(tree(&output) != before);
    let reference = scratch.path("reference");
    short(&reference).words("--seed 7").run();
    for name in ["model.safetensors", "config.json", "vocab.txt"] {
        let read = |run: &Path| fs::read(run.join(name)).unwrap();
        assert!(read(&output) == read(&reference), "{name}");
    }
}

/// A run whose last act was cut short after any number of files is completed by the next command.
#[test]
fn a_replacement_that_was_cut_short_is_completed() {
    let scratch = Scratch::new();
    let (earlier, finished) = (scratch.path("earlier"), scratch.path("finished"));
    short(&earlier).run();
    short(&finished).words("--peft lora --seed 7").run();
    let expected = tree(&finished);
    let mut moving = names(&finished);
    moving.retain(|name| !name.contains('/'));
    let mut without_results = moving.clone();
    without_results.retain(|name| name != "all_results.json");
    for moved in 0..=without_results.len() {
        let output = scratch.path("run");
        let _ = fs::remove_dir_all(&output);
        let staged = output.join("new-run");
        copy_directory(&earlier, &output);
        fs::remove_file(output.join("all_results.json")).unwrap();
        copy_directory(&finished, &staged);
        fs::write(staged.join("moving.txt"), moving.join("\n") + "\n").unwrap();
        for name in &without_results[..moved] {
            let target = output.join(name);
            let _ = fs::remove_dir_all(&target);
            fs::rename(staged.join(name), target).unwrap();
        }
        let refused = short(&output).command().output().unwrap();
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(text.contains("a finished run is here"), "{text}");
        let mut now = tree(&output);
        now.remove(".progtune.lock");
        assert!(now == expected, "{moved}: {:?}", now.keys());
    }
}

/// A directory that is not a run's: foreign files stay, and one with a name that a run uses causes
/// a refusal.
#[test]
fn foreign_files_are_not_replaced() {
    let scratch = Scratch::new();
    for (name, contents) in [
        ("model.safetensors", "another model"),
        ("vocab.txt", "words"),
        ("all_results.json", "{}"),
        ("config.toml", "[package]\nname = \"another program's\"\n"),
        ("log.txt", "a diary"),
    ] {
        let output = scratch.path("foreign");
        scratch.write(&format!("foreign/{name}"), contents);
        let before = tree(&output);
        let text = short(&output).words("--overwrite-output").fail(2);
        assert!(
            text.contains(&format!("file {name} would be lost")),
            "{text}"
        );
        short(&output).fail(2);
        assert!(tree(&output) == before, "{name}");
        fs::remove_dir_all(&output).unwrap();
    }
    let output = scratch.path("beside");
    scratch.write("beside/thesis.tex", "years of work");
    scratch.write("beside/sub/data.csv", "a,b");
    short(&output).words("--overwrite-output").run();
    let found = tree(&output);
    assert_eq!(found["thesis.tex"], b"years of work");
    assert_eq!(found["sub/data.csv"], b"a,b");
    assert!(found.contains_key("all_results.json"));
}
