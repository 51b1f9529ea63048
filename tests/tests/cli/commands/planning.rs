//! `plan`, which needs only a `config.json`, and `plugins`.

use super::*;

fn plan(model: &Path, flags: &str) -> Value {
    let text = CommandLine::new("plan --json")
        .words(flags)
        .path("--model", model)
        .run();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn numbers(plan: &Value, key: &str) -> Vec<u64> {
    plan["epochs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|epoch| epoch[key].as_u64().unwrap())
        .collect()
}

#[test]
fn a_plan_is_what_training_does() {
    let scratch = Scratch::new();
    for flags in [
        "--schedule progressive --peft lora",
        "--schedule grow-from-hb --peft adapter",
        "--schedule wo-lb --schedule-opt embeddings=first-part",
        "--schedule single-block --schedule-opt block=2 --peft bitfit",
    ] {
        let run = scratch.path("run");
        CommandLine::train("roberta", &run)
            .words("--epochs 3 --overwrite-output")
            .words(flags)
            .run();
        let planned = plan(
            &fixture("parity/roberta"),
            &format!("--task mrpc --epochs 3 {flags}"),
        );
        let trained = read_json(&run.join("plan.json"));
        for key in [
            "epochs",
            "total_updated_parameters",
            "model_parameters",
            "candidate_parameters",
        ] {
            assert_eq!(planned[key], trained[key], "{flags}: {key}");
        }
        assert_eq!(
            trained["total_updated_parameters"],
            read_json(&run.join("all_results.json"))["total_updated_parameters"]
        );
        assert_eq!(numbers(&planned, "epoch"), [1, 2, 3]);
        let sum: u64 = numbers(&planned, "trainable_parameters").iter().sum();
        assert_eq!(planned["total_updated_parameters"], sum, "{flags}");
    }
}

#[test]
fn a_plan_needs_a_config_json_alone() {
    let scratch = Scratch::new();
    let config = fs::read(fixture("parity/bert/config.json")).unwrap();
    scratch.write("bare/config.json", config);
    let flags = "--task mrpc --schedule progressive --peft lora --epochs 4";
    let mut bare = plan(&scratch.path("bare"), flags);
    bare["model"] = fixture("parity/bert").display().to_string().into();
    assert_eq!(bare, plan(&fixture("parity/bert"), flags));
}

/// Sizes by hand: embeddings 120·32 + 64·32 + 2·32 + 64, pooler 32·32 + 32, classifier 2·32 + 2, a
/// block 4·(32·32 + 32) + 2·32·64 + 64 + 32 + 4·32.
#[test]
fn the_numbers_are_right() {
    let (embeddings, block, pooler, head) = (6016, 8544, 1056, 66);
    let model = fixture("parity/bert");
    let full = plan(&model, "--task mrpc --epochs 2");
    assert_eq!(
        full["model_parameters"],
        embeddings + 5 * block + pooler + head
    );
    assert_eq!(
        full["total_updated_parameters"],
        2 * (embeddings + 5 * block + pooler + head)
    );
    assert_eq!(full["peft"], Value::Null);
    let single = plan(
        &model,
        "--task mrpc --epochs 1 --schedule single-block --schedule-opt block=3",
    );
    assert_eq!(single["epochs"][0]["blocks"], serde_json::json!([3]));
    assert_eq!(
        single["total_updated_parameters"],
        embeddings + block + pooler + head
    );
    let lora = plan(&model, "--task mrpc --epochs 1 --peft lora --peft-opt r=4");
    assert_eq!(lora["total_updated_parameters"], 5 * 2 * 2 * 4 * 32 + head);
    for task in ["squad", "squad-v2"] {
        let squad = plan(&model, &format!("--epochs 1 --task {task}"));
        assert_eq!(
            squad["total_updated_parameters"],
            embeddings + 5 * block + head,
            "{task}: two outputs, no pooler"
        );
        let lora = plan(
            &model,
            &format!("--epochs 1 --task {task} --peft lora --peft-opt r=4"),
        );
        assert_eq!(
            lora["total_updated_parameters"],
            5 * 2 * 2 * 4 * 32 + head,
            "{task}"
        );
    }
}

#[test]
fn the_table_shows_the_same_numbers() {
    let text = CommandLine::new("plan --task mrpc --schedule progressive --epochs 3")
        .path("--model", fixture("parity/bert"))
        .run();
    let json = plan(
        &fixture("parity/bert"),
        "--task mrpc --schedule progressive --epochs 3",
    );
    let digits: Vec<String> = text.lines().map(|line| line.replace(',', "")).collect();
    for (epoch, size) in numbers(&json, "trainable_parameters").iter().enumerate() {
        let start = format!("{:>5} ", epoch + 1);
        let line = digits
            .iter()
            .find(|line| line.starts_with(&start))
            .unwrap_or_else(|| panic!("{text}"));
        assert!(line.ends_with(&format!(" {size}")), "{line}");
    }
    let total = format!(" {}", json["total_updated_parameters"]);
    assert!(
        digits
            .iter()
            .any(|line| line.starts_with("total") && line.ends_with(&total)),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

/// The table and the JSON say so if a schedule decides something during the run.
#[test]
fn a_plan_says_what_it_knows() {
    let model = fixture("parity/bert");
    let table = |flags: &str| {
        let text = CommandLine::new("plan --task mrpc --epochs 2")
            .words(flags)
            .path("--model", &model)
            .run();
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        text
    };
    let text = table("--schedule lisa");
    assert!(
        text.contains(" …  ") && text.ends_with(
            "lisa decides again every 20 steps:\nblocks and figures are those of each epoch's first steps\n"
        ),
        "{text}"
    );
    let json = plan(&model, "--task mrpc --epochs 2 --schedule lisa");
    assert_eq!(json["interval_steps"], 20);
    assert_eq!(json["signals"], serde_json::json!([]));

    let text = table("--schedule auto-freeze");
    assert!(
        text.contains("at most 0-4") && text.contains("at most 100.0 % of"),
        "{text}"
    );
    assert!(
        text.ends_with(
            "auto-freeze follows block_grad_norm: it begins with blocks 0-4\n\
             (49,858 parameters), and the figures are upper bounds\n"
        ),
        "{text}"
    );
    let json = plan(&model, "--task mrpc --epochs 2 --schedule auto-freeze");
    assert_eq!(json["signals"], serde_json::json!(["block_grad_norm"]));
    assert_eq!(
        json["total_updated_parameters"],
        json["full_schedule_updated_parameters"]
    );
    // With the data the number of steps is known, and every decision counts.
    let flags = "--epochs 2 --schedule lisa --schedule-opt interval_steps=3 \
                 --schedule-opt embeddings=first-part --batch-size 4";
    let data = fixture("parity/data");
    let predicted = CommandLine::new("plan --json --predict --task mrpc --max-length 64")
        .words(flags)
        .path("--model", &model)
        .path("--data", &data)
        .run();
    let predicted: Value = serde_json::from_str(&predicted).unwrap();
    let scratch = Scratch::new();
    let run = scratch.path("run");
    CommandLine::train("bert", &run).words(flags).run();
    assert_eq!(
        predicted["total_updated_parameters"],
        read_json(&run.join("plan.json"))["total_updated_parameters"]
    );
    assert_ne!(
        predicted["total_updated_parameters"],
        plan(&model, &format!("--task mrpc {flags}"))["total_updated_parameters"]
    );
    // There is nothing to say about the others.
    let text = table("--schedule top-k");
    assert!(
        text.ends_with("of training every block in every epoch\n"),
        "{text}"
    );
}

const PLUGINS: [(&str, &str); 12] = [
    ("schedule", "auto-freeze"),
    ("schedule", "full"),
    ("schedule", "gradual-unfreeze"),
    ("schedule", "grow-from-hb"),
    ("schedule", "lisa"),
    ("schedule", "progressive"),
    ("schedule", "single-block"),
    ("schedule", "top-k"),
    ("schedule", "wo-lb"),
    ("peft", "adapter"),
    ("peft", "bitfit"),
    ("peft", "lora"),
];

#[test]
fn plugins_are_listed() {
    let text = CommandLine::new("plugins list").run();
    let json: Value = serde_json::from_str(&CommandLine::new("plugins list --json").run()).unwrap();
    for (kind, id) in PLUGINS {
        assert!(
            text.lines()
                .any(|line| line.split_whitespace().next() == Some(id)),
            "{id} in {text}"
        );
        let entries: Vec<&Value> = json
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["id"] == id)
            .collect();
        assert_eq!(entries.len(), 1, "{id}");
        assert_eq!(entries[0]["kind"] == "schedule", kind == "schedule", "{id}");
        assert_eq!(entries[0]["license"], "Apache-2.0");
        assert!(entries[0]["options"].is_array());
    }
}

#[test]
fn a_plugin_is_shown_with_its_options() {
    for (kind, id) in PLUGINS {
        let text = CommandLine::new("plugins show").words(id).run();
        assert!(text.starts_with(&format!("{id} (")), "{text}");
        assert!(
            text.contains("sha256") && text.contains("Apache-2.0"),
            "{text}"
        );
        let flag = if kind == "schedule" {
            "--schedule-opt"
        } else {
            "--peft-opt"
        };
        assert!(text.contains(flag) || text.contains("no options"), "{text}");
    }
    let lora = CommandLine::new("plugins show lora").run();
    for option in [
        "r=",
        "lora_alpha=",
        "lora_dropout=",
        "target_modules=",
        "use_rslora=",
        "default 8",
        "default 16",
    ] {
        assert!(lora.contains(option), "{option} in {lora}");
    }
}

fn floats(plan: &Value, key: &str) -> Vec<f64> {
    let epochs = plan["epochs"].as_array().unwrap();
    epochs
        .iter()
        .map(|epoch| {
            epoch[key]
                .as_f64()
                .unwrap_or_else(|| panic!("{key}: {plan:#}"))
        })
        .collect()
}

/// The times are real ones on a machine that may be busy, so the test only checks how they add up.
/// The memory is arithmetic.
#[test]
fn predictions_follow_the_work() {
    let predict = |flags: &str| -> Value {
        let text = CommandLine::new("plan --predict --json --task sample")
            .words(flags)
            .run();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    };
    let flags = "--schedule progressive --peft lora --epochs 6 --max-train-samples 256";
    let run = predict(&format!("{flags} --batch-size 32"));
    let secs = floats(&run, "predicted_secs");
    assert_eq!(secs.len(), 6);
    assert!(secs.iter().all(|&s| s >= 0.0 && s.is_finite()), "{secs:?}");
    let sum: f64 = secs.iter().sum();
    assert!((run["predicted_secs"].as_f64().unwrap() - sum).abs() <= 1e-9 * sum);
    for (epoch, step) in floats(&run, "predicted_step_secs").iter().enumerate() {
        let rest = secs[epoch] - floats(&run, "predicted_eval_secs")[epoch];
        assert!(
            (rest - 8.0 * step).abs() <= 1e-6 * secs[epoch],
            "an epoch has 8 steps of 32: {run:#}"
        );
    }
    let peaks = numbers(&run, "predicted_peak_bytes");
    let whole = run["predicted_peak_bytes"].as_u64().unwrap();
    assert!(peaks.iter().all(|&peak| peak <= whole));

    // With six blocks and six epochs, epoch t freezes t − 1 blocks and knows the output of t − 2.
    let starts: Vec<f64> = floats(&run, "prefix_cache_start");
    assert_eq!(starts, [0.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(run["prefix_cache"]["training_share"], 1.0, "{run:#}");
    let spared = floats(&run, "prefix_cache_spared_secs");
    assert!(
        spared[..2] == [0.0, 0.0] && spared.iter().all(|&s| s >= 0.0),
        "{spared:?}"
    );
    let off = predict(&format!("{flags} --batch-size 32 --prefix-cache off"));
    assert_eq!(off["prefix_cache"], Value::Null);
    let cached = run["prefix_cache"]["bytes"].as_u64().unwrap();
    let last = |plan: &Value| numbers(plan, "predicted_peak_bytes")[5];
    assert_eq!(last(&run) - last(&off), cached);

    let flags = "--peft lora --max-train-samples 256 --epochs 1 --batch-size 128";
    let peaks = numbers(&off, "predicted_peak_bytes");
    assert!(peaks.is_sorted_by(|a, b| a >= b), "{peaks:?}");
    let (more, recomputed) = (predict(flags), predict(&format!("{flags} --recompute")));
    assert!(numbers(&more, "predicted_peak_bytes")[0] > peaks[0]);
    assert!(numbers(&recomputed, "predicted_peak_bytes") < numbers(&more, "predicted_peak_bytes"));
}

#[test]
fn predictions_without_data_are_for_the_longest_sequences() {
    let line = CommandLine::new("plan --predict --task mrpc --max-length 40 --batch-size 4")
        .path("--model", fixture("parity/bert"));
    let json: Value = serde_json::from_str(&line.clone().words("--json").run()).unwrap();
    assert_eq!(
        json["predicted_for"],
        "batches of sequences of 40 tokens, the maximum (no --data)"
    );
    assert_eq!(json["predicted_secs"], Value::Null);
    assert!(
        floats(&json, "predicted_step_secs")
            .iter()
            .all(|&s| s > 0.0)
    );
    let text = line.run();
    assert!(
        text.contains("s/step  peak MiB\n") && text.contains("sequences of 40 tokens"),
        "{text}"
    );
    assert!(
        text.lines()
            .skip(1)
            .take(6)
            .all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let plain = CommandLine::new("plan --json --task mrpc").path("--model", fixture("parity/bert"));
    assert!(!plain.run().contains("predicted"), "only when asked for");
}

/// The picture is well-formed XML with a square for every part and epoch, and agrees with the
/// table.
#[test]
fn a_plan_is_drawn() {
    let scratch = Scratch::new();
    let file = scratch.path("plan.svg");
    let table = CommandLine::new("plan --task mrpc --schedule progressive --epochs 3")
        .path("--model", fixture("parity/bert"))
        .path("--svg", &file)
        .run();
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.contains('■') && !line.contains("trained"))
        .map(|line| line.split_whitespace().nth(2).unwrap())
        .collect();
    assert_eq!(rows, ["■■■■■", "·■■■■", "···■■"], "{table}");
    let svg = fs::read_to_string(&file).unwrap();
    // There are seven parts (head, five blocks, embeddings) and three epochs.
    assert_eq!(svg.matches("<title>").count(), 21, "{svg}");
    assert_eq!(svg.matches(": frozen</title>").count(), 4);
    for words in ["block 4", "embeddings", "progressive, full fine-tuning"] {
        assert!(svg.contains(&format!(">{words}</text>")), "{words}: {svg}");
    }
    let total = table
        .lines()
        .find(|line| line.starts_with("total"))
        .unwrap();
    let total = total.split_whitespace().last().unwrap();
    assert!(
        svg.contains(&format!("{total} updated parameters")),
        "{svg}"
    );
    let count = |text: &str| svg.matches(text).count();
    assert_eq!(count("<text"), count("</text>"));
    assert_eq!(count("<rect"), count("/>") + count("</rect>"));
}
