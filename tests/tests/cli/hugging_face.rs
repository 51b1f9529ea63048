//! Command lines as users of Hugging Face's scripts type them, through the built binary. The whole
//! table of words is in `tests/tests/docs/from_transformers`.

use progtune_tests::{command_line::CommandLine, fixture, read_json, scratch::Scratch};
use std::fs;

/// A command line of `run_glue.py` trains the same as one in our words, to the last bit.
#[test]
fn a_command_line_of_run_glue_trains() {
    let scratch = Scratch::new();
    let theirs = CommandLine::new("--task_name mrpc --do_train --do_eval True --max_seq_length 64")
        .words("--per_device_train_batch_size 8 --per-device-eval-batch-size 4")
        .words("--learning_rate 2e-5 --num_train_epochs 2.0 --warmup_ratio 0.1 --weight_decay 0.01")
        .words("--lr_scheduler_type constant_with_warmup --seed 7 --report_to none --fp16 False")
        .words("--eval_strategy epoch --load_best_model_at_end True --gradient_checkpointing")
        .words("--optim adamw_torch --peft_type LORA --quiet")
        .path("--model_name_or_path", fixture("parity/bert"))
        .path("--data_dir", fixture("parity/data"))
        .path("--output_dir", scratch.path("theirs"));
    theirs.run();
    let ours = CommandLine::new("train --task mrpc --max-length 64 --batch-size 8")
        .words("--eval-batch-size 4 --lr 2e-5 --epochs 2 --warmup 0.1 --weight-decay 0.01")
        .words("--lr-scheduler constant --seed 7 --load-best-model-at-end --recompute")
        .words("--peft lora --quiet")
        .path("--model", fixture("parity/bert"))
        .path("--data", fixture("parity/data"))
        .path("--output", scratch.path("ours"));
    ours.run();
    for name in ["adapter_model.safetensors", "adapter_config.json"] {
        let [theirs, ours] = ["theirs", "ours"].map(|run| scratch.path(run).join(name));
        assert_eq!(fs::read(theirs).unwrap(), fs::read(ours).unwrap(), "{name}");
    }
    let results = ["theirs", "ours"].map(|run| {
        let results = read_json(&scratch.path(run).join("all_results.json"));
        results["eval_loss"].as_f64().unwrap()
    });
    assert_eq!(results[0], results[1]);
}

#[test]
fn every_word_without_an_equal_is_answered_at_once() {
    CommandLine::new("--task_name mrpc --fp16 --save_steps 500 --learning_rate 2e-5")
        .words("--report_to wandb --resume_from_checkpoint out/checkpoint-500 --lora_r 8")
        .words("--target_modules query value")
        .fail(2);
    CommandLine::new("--device_map auto").fail(2);
    CommandLine::new("predict --output_dir out").fail(2);
    CommandLine::new("serve --port 8000").fail(2);
    CommandLine::new("generate").fail(2);
}

#[test]
fn ids_and_values_of_other_tools_are_explained() {
    CommandLine::new("plan --peft adalora").fail(2);
    CommandLine::new("plan --peft houlsby").fail(2);
    CommandLine::new("plan --schedule cosine").fail(2);
    CommandLine::new("plan --lr_scheduler_type cosine_with_restarts").fail(2);
    CommandLine::new("plan --task_name ner").fail(2);
    let plan = CommandLine::new("plan --peft PREFIX_TUNING --json").run();
    assert!(plan.contains("\"prefix\""), "{plan}");
}

#[test]
fn keys_of_files_and_variables_have_the_same_names() {
    let scratch = Scratch::new();
    let file = scratch.write("a.toml", "learning_rate = 2e-5\nnum_train_epochs = 2\n");
    let plan = CommandLine::new("plan --json")
        .path("--config", &file)
        .run();
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["epochs"].as_array().unwrap().len(), 2, "{plan}");
    let file = scratch.write("b.toml", "fp16 = true\n");
    CommandLine::new("plan").path("--config", &file).fail(2);
    let file = scratch.write("c.toml", "lr = 1e-4\nlearning_rate = 2e-5\n");
    CommandLine::new("plan").path("--config", &file).fail(2);
    let mut plan = CommandLine::new("plan --json").command();
    let output = plan.env("PROGTUNE_NUM_TRAIN_EPOCHS", "4").output().unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["epochs"].as_array().unwrap().len(), 4, "{plan}");
}
