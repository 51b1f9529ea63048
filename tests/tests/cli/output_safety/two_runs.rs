//! One writer per output directory.

use super::*;

#[test]
fn the_second_of_two_runs_is_refused_and_told_who_the_first_is() {
    let scratch = Scratch::new();
    let output = scratch.path("out/run");
    let mut first = Running::start(&mut endless(&output).command());
    first.wait_for("\"event\":\"start\"");
    wait_for_a_step(&mut first, &output);
    for line in [
        short(&output).words("--seed 2"),
        short(&output).words("--seed 2 --overwrite-output"),
    ] {
        let text = line.fail(2);
        let who = format!("(process {}, since 20", first.child.id());
        assert!(
            text.contains("another run of progtune is writing to this directory")
                && text.contains(&who)
                && text.contains("choose another --output"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    assert!(names(&output).contains(&".progtune.lock".into()));
    send(&first.child, "TERM");
    let (status, said) = first.end();
    assert_eq!(status.code(), Some(143), "{said}");
    assert_eq!(leftovers(&output), [""; 0]);
    short(&output).words("--overwrite-output").run();
}

/// Whenever the second run starts, at most one succeeds, and the directory belongs to that one.
#[test]
fn of_two_runs_at_once_one_result_is_whole() {
    let scratch = Scratch::new();
    let line = |seed: u32, output: &Path| {
        CommandLine::train("bert", output)
            .words("--epochs 2 --peft lora --threads 1 --seed")
            .words(&seed.to_string())
    };
    let results: Vec<Vec<u8>> = [1, 2]
        .map(|seed| {
            let output = scratch.path(&format!("alone-{seed}"));
            line(seed, &output).run();
            fs::read(output.join("adapter_model.safetensors")).unwrap()
        })
        .into();
    let mut refused = 0;
    for gap in [0, 10, 20, 40, 80, 120, 200, 300, 500] {
        let output = scratch.path(&format!("out-{gap}"));
        let mut children: Vec<Child> = Vec::new();
        for seed in [1, 2] {
            let mut command = line(seed, &output).command();
            command.stderr(Stdio::null()).stdout(Stdio::null());
            children.push(command.spawn().unwrap());
            sleep(Duration::from_millis(gap));
        }
        let codes: Vec<i32> = children
            .iter_mut()
            .map(|child| child.wait().unwrap().code().unwrap())
            .collect();
        // After a long gap the second run finds a finished one.
        assert!(codes == [0, 2] || codes == [2, 0], "{gap} ms: {codes:?}");
        refused += 1;
        let seed = codes.iter().position(|&code| code == 0).unwrap();
        let found = fs::read(output.join("adapter_model.safetensors")).unwrap();
        assert!(found == results[seed], "{gap} ms");
        let config = fs::read_to_string(output.join("config.toml")).unwrap();
        assert!(
            config.contains(&format!("\nseed = {}\n", seed + 1)),
            "{gap} ms"
        );
        assert_eq!(leftovers(&output), [""; 0], "{gap} ms");
    }
    assert_eq!(refused, 9);
}

#[test]
fn the_lock_of_a_killed_run_holds_nobody_up() {
    let scratch = Scratch::new();
    let output = scratch.path("run");
    let mut first = Running::start(&mut endless(&output).command());
    wait_for_a_step(&mut first, &output);
    send(&first.child, "KILL");
    let (status, _) = first.end();
    assert_eq!(status.code(), None);
    assert_eq!(leftovers(&output), [".progtune.lock"]);
    short(&output).run();
    assert_eq!(leftovers(&output), [""; 0]);
    assert!(output.join("all_results.json").exists());
}

/// A command that is refused or fails leaves no directory that it created, and no lock.
#[test]
fn a_run_that_fails_early_leaves_nothing() {
    let scratch = Scratch::new();
    let output = scratch.path("a/b/run");
    let broken = scratch.copy("bert", "model");
    fs::write(broken.join("model.safetensors"), "xxxx").unwrap();
    let data = fixture("parity/data");
    CommandLine::train_on(&broken, &data, &output).fail(3);
    CommandLine::train_on(&broken, &scratch.path("none"), &output).fail(3);
    CommandLine::train("bert", &output)
        .words("--peft none-such")
        .fail(2);
    CommandLine::new("merge --adapter none-such")
        .path("--output", &output)
        .fail(3);
    assert!(!scratch.path("a").exists());
    fs::create_dir_all(&output).unwrap();
    CommandLine::train_on(&broken, &data, &output).fail(3);
    assert_eq!(names(&output), [""; 0], "a directory that was there stays");
}

#[test]
fn merge_and_answers_have_one_writer_too() {
    let scratch = Scratch::new();
    let output = scratch.path("run");
    let mut first = Running::start(&mut endless(&output).command());
    wait_for_a_step(&mut first, &output);
    let lora = scratch.path("lora");
    short(&lora).words("--peft lora").run();
    // If the directory contains files, the message is about the files first.
    CommandLine::new("merge --quiet")
        .path("--model", fixture("parity/bert"))
        .path("--adapter", &lora)
        .path("--output", &output)
        .fail(2);
    CommandLine::evaluate(&fixture("parity/bert"))
        .path("--answers", &output)
        .fail(2);
    send(&first.child, "KILL");
    first.end();
}
