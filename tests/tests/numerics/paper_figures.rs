//! The paper's updated-parameter figures (Tables 2 and 3, Fig. 4) from `progtune plan --json`,
//! within 0.1 M. Where the paper's two adapter cells do not follow from its equations, the figures
//! are ours.

use progtune_tests::run;
use serde_json::Value;

const BERT_BASE: &str = r#"{"model_type":"bert","vocab_size":30522,"hidden_size":768,"num_hidden_layers":12,"num_attention_heads":12,"intermediate_size":3072,"max_position_embeddings":512,"type_vocab_size":2}"#;
const BERT_LARGE: &str = r#"{"model_type":"bert","vocab_size":30522,"hidden_size":1024,"num_hidden_layers":24,"num_attention_heads":16,"intermediate_size":4096,"max_position_embeddings":512,"type_vocab_size":2}"#;
const ROBERTA_BASE: &str = r#"{"model_type":"roberta","vocab_size":50265,"hidden_size":768,"num_hidden_layers":12,"num_attention_heads":12,"intermediate_size":3072,"max_position_embeddings":514,"type_vocab_size":1,"pad_token_id":1}"#;

/// `total_updated_parameters` in millions for a model directory that contains only `config.json`.
fn planned(config: &str, task: &str, epochs: u32, schedule: &str, peft: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("config.json"), config).unwrap();
    let model = directory.path().display().to_string();
    let epochs = epochs.to_string();
    let mut arguments = vec![
        "plan",
        "--json",
        "--model",
        &model,
        "--task",
        task,
        "--epochs",
        &epochs,
        "--schedule",
        schedule,
    ];
    arguments.extend(peft);
    serde_json::from_slice(&run(&arguments).stdout).unwrap()
}

fn total(plan: &Value) -> f64 {
    plan["total_updated_parameters"].as_f64().unwrap() / 1e6
}

#[track_caller]
fn assert_figure(plan: &Value, paper: f64, what: &str) {
    let ours = total(plan);
    println!("{what}: {ours:.3} M, the paper prints {paper}");
    assert!(
        (ours - paper).abs() <= 0.1,
        "{what}: {ours} M, the paper prints {paper}"
    );
}

#[test]
fn squad() {
    assert_figure(
        &planned(BERT_BASE, "squad", 3, "progressive", &[]),
        241.6,
        "BERT-base, SQuAD v1.1, progressive",
    );
    assert_figure(
        &planned(BERT_BASE, "squad-v2", 2, "full", &[]),
        217.7,
        "BERT-base, SQuAD v2.0, full",
    );
    assert_figure(
        &planned(BERT_BASE, "squad-v2", 2, "progressive", &[]),
        175.3,
        "BERT-base, SQuAD v2.0, progressive",
    );
}

#[test]
fn glue_full_fine_tuning_of_bert_large() {
    assert_figure(
        &planned(BERT_LARGE, "mrpc", 3, "full", &[]),
        1005.4,
        "BERT-large, GLUE, full",
    );
    assert_figure(
        &planned(BERT_LARGE, "mrpc", 3, "progressive", &[]),
        703.1,
        "BERT-large, GLUE, progressive",
    );
}

#[test]
fn bitfit() {
    for (epochs, full, progressive) in [(8, 0.8, 0.5), (10, 1.0, 0.6)] {
        let peft = ["--peft", "bitfit"];
        assert_figure(
            &planned(BERT_BASE, "mrpc", epochs, "full", &peft),
            full,
            "BitFit, full",
        );
        assert_figure(
            &planned(BERT_BASE, "mrpc", epochs, "progressive", &peft),
            progressive,
            "BitFit, progressive",
        );
    }
}

#[test]
fn lora() {
    let cells = [
        ("mrpc", 30, 26.6, 22.6),
        ("qnli", 25, 22.2, 18.9),
        ("rte", 80, 70.9, 60.2),
        ("sst2", 60, 53.2, 45.1),
        ("stsb", 40, 35.4, 30.1),
    ];
    for (task, epochs, full, progressive) in cells {
        let peft = ["--peft", "lora", "--peft-opt", "r=8"];
        assert_figure(
            &planned(ROBERTA_BASE, task, epochs, "full", &peft),
            full,
            &format!("LoRA, {task}, full"),
        );
        let plan = planned(ROBERTA_BASE, task, epochs, "progressive", &peft);
        assert_figure(&plan, progressive, &format!("LoRA, {task}, progressive"));
    }
}

/// The paper counts only the adapters (48 wide, AdapterHub's preset). Its progressive cells, 9.9
/// and 11.9, follow from no reading of its Eq. 2 and 3; ours are 16.1 and 20.0.
#[test]
fn adapter() {
    let head = 2.0 * 768.0 + 2.0;
    for (epochs, full, progressive) in [(16, 28.6, 16.1), (20, 35.8, 20.0)] {
        for (schedule, figure) in [("full", full), ("progressive", progressive)] {
            let plan = planned(BERT_BASE, "mrpc", epochs, schedule, &["--peft", "adapter"]);
            let adapters = total(&plan) - head * f64::from(epochs) / 1e6;
            println!("adapter, {epochs} epochs, {schedule}: {adapters:.3} M");
            assert!(
                (adapters - figure).abs() <= 0.1,
                "{schedule}, {epochs} epochs: {adapters}"
            );
        }
    }
}

/// The plan's epochs are numbered from 1, shrink from the bottom and have correct sums; T may be
/// larger than L.
#[test]
fn the_plan_lists_every_epoch() {
    for epochs in [1, 3, 5, 12, 16, 30] {
        let plan = planned(
            BERT_BASE,
            "sst2",
            epochs,
            "progressive",
            &["--peft", "lora"],
        );
        let list = plan["epochs"].as_array().unwrap();
        assert_eq!(list.len(), epochs as usize);
        let mut sum = 0;
        for (i, epoch) in list.iter().enumerate() {
            let t = i as u64 + 1;
            assert_eq!(epoch["epoch"], t);
            let k = (12 * (u64::from(epochs) - t + 1)).div_ceil(u64::from(epochs));
            let blocks: Vec<u64> = epoch["blocks"]
                .as_array()
                .unwrap()
                .iter()
                .map(|b| b.as_u64().unwrap())
                .collect();
            assert_eq!(
                blocks,
                (12 - k..12).collect::<Vec<_>>(),
                "epoch {t} of {epochs}"
            );
            sum += epoch["trainable_parameters"].as_u64().unwrap();
        }
        assert_eq!(plan["total_updated_parameters"].as_u64().unwrap(), sum);
    }
}
