//! `progtune show`: origins of settings, the course and the end of a run, for runs in every state.

use super::*;
use std::process::Stdio;

fn show(run: &Path) -> String {
    CommandLine::new(&format!("show {}", run.display())).run()
}

/// The value and the origin of a setting.
fn setting(shown: &Value, key: &str) -> (String, String) {
    let mut settings = shown["settings"].as_array().unwrap().iter();
    let setting = settings.find(|setting| setting["key"] == key);
    let setting = setting.unwrap_or_else(|| panic!("{key} in {shown:#}"));
    let text = |name: &str| setting[name].as_str().unwrap().to_owned();
    (text("value"), text("origin"))
}

#[test]
fn every_setting_has_its_origin() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let file = scratch.write("c.toml", "weight_decay = 0.1\n[peft_opt]\nr = 4\n");
    let mut command = CommandLine::train("bert", &run)
        .words("--max-steps 1 --peft lora --learning_rate 1e-3 --peft-opt lora_alpha=8")
        .path("--config", &file)
        .command();
    command.env("PROGTUNE_BATCH_SIZE", "4");
    assert!(command.status().unwrap().success());
    let shown = json_of("show", &run);
    let file = format!("file {}", file.display());
    for (key, value, origin) in [
        ("lr", "0.001", "flag --lr"),
        (
            "batch_size",
            "4",
            "environment variable PROGTUNE_BATCH_SIZE",
        ),
        ("weight_decay", "0.1", &file),
        ("peft_opt.r", "\"4\"", &file),
        ("peft_opt.lora_alpha", "\"8\"", "flag --peft-opt"),
        ("epochs", "3", "default"),
        ("max_length", "64", "flag --max-length"),
    ] {
        assert_eq!(setting(&shown, key), (value.into(), origin.into()), "{key}");
    }
    let text = show(&run);
    assert!(text.starts_with("settings\n  model = "), "{text}");
    assert!(
        text.contains("flag --lr\n") && text.contains("\n  defaults: "),
        "{text}"
    );
}

#[test]
fn values_that_a_run_decides_say_so() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "--max-steps 1 --peft lora");
    let shown = json_of("show", &run);
    assert_eq!(setting(&shown, "lr").1, "decided by the run");
}

#[test]
fn a_finished_run_is_told_from_its_settings_to_its_end() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "--epochs 2 --schedule progressive --peft lora");
    let results = read_json(&run.join("all_results.json"));
    let shown = json_of("show", &run);
    assert_eq!(shown["state"], "finished");
    assert_eq!(shown["steps"], results["train_steps"]);
    assert_eq!(shown["evaluations"].as_array().unwrap().len(), 2);
    assert_eq!(shown["results"], results);
    assert_eq!(shown["run"]["progtune"], env!("CARGO_PKG_VERSION"));
    assert_eq!(shown["run"]["machine"]["precision"], "f32");
    assert!(shown["run"].get("origins").is_none());
    assert_eq!(
        shown["base_model"]["sha256"],
        results["base_model"]["sha256"]
    );
    for (at, epoch) in shown["epochs"].as_array().unwrap().iter().enumerate() {
        assert_eq!(epoch["blocks"], results["epochs"][at]["blocks"]);
        let loss = epoch["train_loss"].as_f64().unwrap();
        let expected = results["epochs"][at]["train_loss"].as_f64().unwrap();
        assert!((loss - expected).abs() < 1e-12, "{loss} {expected}");
    }
    let text = show(&run);
    for words in [
        "\nschedule     progressive: progtune-schedule-progressive ",
        "\nmethod       lora: progtune-peft-lora ",
        "\nepochs\n  epoch  blocks  embeddings",
        "\nevaluations\n  step  epoch  accuracy",
        "\nstate        finished after 8 steps",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

/// Neither the model nor the plugins are there any more.
#[test]
fn records_are_enough() {
    let scratch = Scratch::new();
    let model = scratch.copy("bert", "model");
    let run = scratch.path("run");
    CommandLine::train_on(&model, &fixture("parity/data"), &run)
        .words("--max-steps 1 --peft lora")
        .run();
    fs::remove_dir_all(&model).unwrap();
    fs::remove_file(run.join("adapter_model.safetensors")).unwrap();
    assert!(show(&run).contains("state        finished after 1 steps"));
}

#[test]
fn a_run_of_version_0_1_is_shown_without_origins() {
    let shown = json_of("show", &fixture("made_by_0_1/lora"));
    assert_eq!(shown["state"], "finished");
    let settings = shown["settings"].as_array().unwrap();
    assert!(
        settings
            .iter()
            .all(|setting| setting["origin"] == "recorded")
    );
    assert!(show(&fixture("made_by_0_1/lora")).contains("machine      not recorded"));
}

#[cfg(target_os = "linux")]
#[test]
fn running_and_ended_runs_are_told_apart() {
    let scratch = Scratch::new();
    let run = scratch.path("run");
    let mut line = CommandLine::train("bert", &run)
        .words("--epochs 10000 --threads 1")
        .command();
    let mut child = line.stderr(Stdio::null()).spawn().unwrap();
    let metrics = run.join("metrics.jsonl");
    while fs::metadata(&metrics).map_or(0, |about| about.len()) == 0 {
        assert_eq!(child.try_wait().unwrap(), None, "it trains");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let shown = json_of("show", &run);
    assert_eq!(shown["state"], "running");
    assert_eq!(shown["writer"]["process"], child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    let shown = json_of("show", &run);
    assert_eq!(
        (&shown["state"], &shown["writer"]),
        (&"not finished".into(), &Value::Null)
    );
    assert!(shown["steps"].as_u64().unwrap() > 0);
    assert!(show(&run).contains("not finished: it failed or was ended after "));
}

/// No record can control the terminal.
#[test]
fn hostile_records_are_escaped() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "--max-steps 1");
    let bad = "a\u{1b}[31m\u{202e}b\u{9b}0m";
    for (file, key) in [("run.json", "started"), ("run.json", "progtune")] {
        progtune_tests::scratch::set_key(&run.join(file), key, bad.into());
    }
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    let config = config.replace("schedule = \"full\"", "schedule = \"fu\\u001b[2Jll\"");
    fs::write(run.join("config.toml"), config).unwrap();
    let mut metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    metrics += "\u{1b}[2J no record\n{\"step\": \"\u{9b}\", \"epoch\": 1, \"eval_\u{202e}x\": 1}\n";
    fs::write(run.join("metrics.jsonl"), metrics).unwrap();
    for text in [
        show(&run),
        CommandLine::new(&format!("show {} --json", run.display())).run(),
    ] {
        let hidden = text
            .chars()
            .find(|&c| c != '\n' && progtune_plain_text::is_hidden(c));
        assert_eq!(hidden, None, "{text}");
    }
    assert!(show(&run).contains("1 lines of metrics.jsonl are damaged"));
}

#[test]
fn what_is_no_run_is_refused() {
    let scratch = Scratch::new();
    let show = |path: &Path| CommandLine::new(&format!("show {}", path.display())).fail(3);
    show(&fixture("parity/bert"));
    show(&scratch.path("rnu"));
    let run = trained(&scratch, "--max-steps 1");
    fs::write(run.join("plan.json"), "{").unwrap();
    show(&run);
    fs::write(run.join("config.toml"), "seed = 1\n").unwrap();
    show(&run);
}
