//! The flags of Hugging Face's scripts and Trainer: model, data, optimisation, batches, precision,
//! evaluation, records and the hub. Read by `hugging_face`.

use super::{Meaning, Word, always, answer, same, sets};

const NO: &[&str] = &["false", "no", "none"];
const YES: &[&str] = &["true"];

const PRECISION: &str = "parameters are kept in f32; --precision bf16 computes products in bf16";
const ONE_PROCESS: &str =
    "training runs in one process; --recompute and --memory-budget save memory";
const UPLOAD: &str =
    "upload the run's directory with `hf upload`; Transformers and PEFT can load it";
const TOKEN: &str = "set HF_TOKEN or run `hf auth login`, so that no token is in a command line";
const FROM_MODEL: &str = "tokenizer and configuration come from --model; remove it";
const QUANTISED: &str = "weights are not quantised; --recompute and --memory-budget save memory";
const THREADS: &str = "--threads N sets the threads; batches are prepared in the background";
const DROPOUT: &str = "--dropout {value} sets hidden, attention and classifier dropout";
const SPLITS: &str = "name the files of each split: --train-file, --validation-file, --test-file";

/// The flags and keys.
pub(super) static FLAGS: &[Word] = &[
    // Model and data.
    same("model_name_or_path", &["model"]),
    same("model_name", &["model"]),
    same("pretrained_model_name_or_path", &["model"]),
    same("base_model", &["model"]),
    same("model_revision", &["revision"]),
    same("task_name", &["task"]),
    same("dataset_name", &["data"]),
    same("data_dir", &["data"]),
    same("dataset_config_name", &["data_config"]),
    same("dev_file", &["validation_file"]),
    same("eval_file", &["validation_file"]),
    same("text_column_name", &["text_column"]),
    same("label_column_name", &["label_column"]),
    same("metric_name", &["metrics"]),
    same("null_score_diff_threshold", &["null_threshold"]),
    sets("overwrite_cache", "token_cache", "overwrite"),
    answer(
        "text_column_names",
        "--text-column and --pair-column name one column each",
    ),
    answer(
        "validation_split_percentage",
        "--validation-split takes a share: 0.05 for 5 percent",
    ),
    answer(
        "predict_file",
        "write --validation-file {value} to evaluate on it, or --test-file {value}",
    ),
    answer("train_split_name", SPLITS),
    answer("validation_split_name", SPLITS),
    answer("test_split_name", SPLITS),
    answer(
        "max_predict_samples",
        "--max-eval-samples {value} limits `progtune predict`, too",
    ),
    answer(
        "version_2_with_negative",
        "the data decide; the task for SQuAD v2.0 is --task squad_v2",
    ),
    answer(
        "num_labels",
        "the labels are learned from the training data; remove it",
    ),
    answer("tokenizer_name", FROM_MODEL),
    answer("config_name", FROM_MODEL),
    answer(
        "do_lower_case",
        "the checkpoint's tokenizer files decide; remove it",
    ),
    always(
        "use_fast_tokenizer",
        YES,
        "tokenizers are those of the crate tokenizers; remove it",
    ),
    always(
        "trust_remote_code",
        NO,
        "code from the hub is never run; the models are BERT and RoBERTa",
    ),
    always(
        "ignore_mismatched_sizes",
        YES,
        "a head that does not fit the task is initialised newly",
    ),
    always(
        "remove_unused_columns",
        YES,
        "only the columns of the task are read; remove it",
    ),
    always(
        "label_all_tokens",
        NO,
        "the first token of a word has its tag, as in run_ner.py",
    ),
    always(
        "return_entity_level_metrics",
        YES,
        "all_results.json always has them as eval_per_class",
    ),
    always(
        "shuffle_train_dataset",
        YES,
        "--no-shuffle keeps the order of the training set",
    ),
    // Optimisation.
    same("learning_rate", &["lr"]),
    same("num_train_epochs", &["epochs"]),
    same("num_epochs", &["epochs"]),
    same("lr_scheduler_type", &["lr_scheduler"]),
    answer(
        "lr_scheduler_kwargs",
        "write --lr-end for lr_end and --lr-power for power; other curves have no settings",
    ),
    same("warmup_steps", &["warmup"]),
    same("warmup_ratio", &["warmup"]),
    same("warmup_proportion", &["warmup"]),
    same("label_smoothing_factor", &["label_smoothing"]),
    always(
        "optim",
        &["adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw"],
        "the optimizer is AdamW; remove it",
    ),
    always(
        "full_determinism",
        YES,
        "the same seed always gives the same bits; remove it",
    ),
    answer(
        "data_seed",
        "--seed {value} is the seed of everything, also of the order of the data",
    ),
    answer("hidden_dropout_prob", DROPOUT),
    answer("attention_probs_dropout_prob", DROPOUT),
    answer("classifier_dropout", DROPOUT),
    answer(
        "neftune_noise_alpha",
        "noise on embeddings (NEFTune) is not built; remove it",
    ),
    answer(
        "freeze_encoder",
        "`--schedule top-k --schedule-opt k=0 --schedule-opt embeddings=first-part` trains only the head",
    ),
    answer(
        "freeze_base_model",
        "`--schedule top-k --schedule-opt k=0 --schedule-opt embeddings=first-part` trains only the head",
    ),
    answer(
        "freeze_layers",
        "the schedule decides: `--schedule top-k --schedule-opt k=N` trains the top N blocks",
    ),
    // Batches, length, memory.
    same("per_device_train_batch_size", &["batch_size"]),
    same("per_gpu_train_batch_size", &["batch_size"]),
    same("train_batch_size", &["batch_size"]),
    same("per_device_eval_batch_size", &["eval_batch_size"]),
    same("per_gpu_eval_batch_size", &["eval_batch_size"]),
    same("max_seq_length", &["max_length"]),
    same("gradient_checkpointing", &["recompute"]),
    same("num_threads", &["threads"]),
    always("group_by_length", YES, "--no-group-by-length turns it off"),
    always(
        "pad_to_max_length",
        NO,
        "nothing is padded; --max-length limits the length",
    ),
    always(
        "dataloader_drop_last",
        NO,
        "the last batch is used, whatever its size; remove it",
    ),
    answer(
        "auto_find_batch_size",
        "--memory-budget SIZE recomputes if needed, and says in advance if a run does not fit",
    ),
    answer("preprocessing_num_workers", THREADS),
    answer("dataloader_num_workers", THREADS),
    answer("dataloader_pin_memory", THREADS),
    answer(
        "eval_accumulation_steps",
        "logits never stay on a device; remove it",
    ),
    // Precision and devices.
    sets("bf16", "precision", "bf16"),
    sets("bf16_full_eval", "precision", "bf16"),
    always("fp16", NO, PRECISION),
    always("fp16_full_eval", NO, PRECISION),
    always("tf32", NO, PRECISION),
    answer("half_precision_backend", PRECISION),
    always("torch_dtype", &["float32", "auto"], PRECISION),
    always(
        "dtype",
        &["float32", "auto"],
        "parameters are kept in f32; `progtune merge --dtype` chooses the type of saved weights",
    ),
    always("load_in_8bit", NO, QUANTISED),
    always("load_in_4bit", NO, QUANTISED),
    always(
        "torch_compile",
        NO,
        "the kernels are compiled already; remove it",
    ),
    answer(
        "attn_implementation",
        "--kernels chooses the implementation, and auto the fastest one",
    ),
    answer(
        "device_map",
        "--device names the device: auto, cpu, or cuda in a build for CUDA",
    ),
    sets("no_cuda", "device", "cpu"),
    sets("use_cpu", "device", "cpu"),
    answer("deepspeed", ONE_PROCESS),
    answer("fsdp", ONE_PROCESS),
    answer("ddp_backend", ONE_PROCESS),
    always("local_rank", &["-1", "0"], ONE_PROCESS),
    // Course, evaluation, checkpoints, records.
    same("output_dir", &["output", "merged"]),
    same("overwrite_output_dir", &["overwrite_output"]),
    always(
        "do_train",
        YES,
        "`progtune evaluate` evaluates without training",
    ),
    Word {
        name: "do_eval",
        meaning: Meaning::Beside(
            "do_train",
            "`progtune evaluate` evaluates, and `progtune` trains and evaluates",
        ),
    },
    answer(
        "do_predict",
        "a run measures --test-file at its end; `progtune predict` writes predictions",
    ),
    same("evaluation_strategy", &["eval_strategy"]),
    answer(
        "greater_is_better",
        "the metric decides: lower is better for loss, mse and mae; remove it",
    ),
    same("save_strategy", &["save_strategy"]),
    same("save_steps", &["save_steps"]),
    same("save_total_limit", &["save_total_limit"]),
    always(
        "save_only_model",
        NO,
        "a checkpoint always has the optimizer's state, with which a run continues; remove it",
    ),
    always(
        "save_safetensors",
        YES,
        "results are always safetensors files; remove it",
    ),
    answer(
        "resume_from_checkpoint",
        "--resume auto continues the run in --output, and `progtune resume DIR` the run in DIR",
    ),
    always(
        "report_to",
        &["none"],
        "no tracker is called; metrics.jsonl has the metrics, and --progress json prints events",
    ),
    answer(
        "logging_nan_inf_filter",
        "a loss that is not finite ends the run; --on-nonfinite skip leaves its step out",
    ),
    answer(
        "logging_strategy",
        "--logging-steps N sets the interval of the progress lines",
    ),
    answer(
        "logging_dir",
        "the records are in the directory of --output; remove it",
    ),
    answer(
        "run_name",
        "--output names the run's directory: --output runs/{value}",
    ),
    answer("log_level", "-v and -vv show more of the log"),
    sets("disable_tqdm", "progress", "plain"),
    // The hub.
    always("push_to_hub", NO, UPLOAD),
    answer("hub_model_id", UPLOAD),
    answer("hub_strategy", UPLOAD),
    answer("hub_private_repo", UPLOAD),
    answer("hub_token", TOKEN),
    answer("token", TOKEN),
    answer("use_auth_token", TOKEN),
    answer(
        "cache_dir",
        "set HF_HOME or HF_HUB_CACHE; the hub's cache is shared with Python",
    ),
];
