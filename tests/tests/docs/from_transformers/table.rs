//! The words that Hugging Face's users type, and what happens: `typed | = the same here`, `typed |
//! =` if it is accepted and changes nothing, or `typed | answer`. `#` begins a group. Read by
//! `from_transformers`; docs/from-transformers.md has the same table.

/// Flags, which are also keys of files.
pub(super) const FLAGS: &str = r#"
# Model and data
--model_name_or_path org/name | = --model org/name
--model_name org/name | = --model org/name
--pretrained_model_name_or_path org/name | = --model org/name
--base_model org/name | = --model org/name
--model_revision v1 | = --revision v1
--task_name mrpc | = --task mrpc
--dataset_name org/reviews | = --data org/reviews
--data_dir glue/MRPC | = --data glue/MRPC
--dataset_config_name en | = --data-config en
--dev_file dev.csv | = --validation-file dev.csv
--eval_file dev.csv | = --validation-file dev.csv
--text_column_name text | = --text-column text
--label_column_name label | = --label-column label
--metric_name f1 | = --metrics f1
--null_score_diff_threshold 0.5 | = --null-threshold 0.5
--overwrite_cache | = --token-cache overwrite
--text_column_names a,b | --text-column and --pair-column name one column each
--validation_split_percentage 5 | --validation-split takes a share: 0.05 for 5 percent
--predict_file dev.json | write --validation-file dev.json to evaluate on it, or --test-file dev.json
--train_split_name train | name the files of each split: --train-file, --validation-file, --test-file
--validation_split_name dev | name the files of each split: --train-file, --validation-file, --test-file
--test_split_name test | name the files of each split: --train-file, --validation-file, --test-file
--max_predict_samples 9 | --max-eval-samples 9 limits `progtune predict`, too
--version_2_with_negative | the data decide; the task for SQuAD v2.0 is --task squad_v2
--num_labels 2 | the labels are learned from the training data; remove it
--tokenizer_name org/name | tokenizer and configuration come from --model; remove it
--config_name org/name | tokenizer and configuration come from --model; remove it
--do_lower_case | the checkpoint's tokenizer files decide; remove it
--use_fast_tokenizer | =
--use_fast_tokenizer False | tokenizers are those of the crate tokenizers; remove it
--trust_remote_code False | =
--trust_remote_code True | code from the hub is never run; the models are BERT and RoBERTa
--ignore_mismatched_sizes | =
--ignore_mismatched_sizes False | a head that does not fit the task is initialised newly
--remove_unused_columns | =
--remove_unused_columns False | only the columns of the task are read; remove it
--label_all_tokens False | =
--label_all_tokens True | the first token of a word has its tag, as in run_ner.py
--return_entity_level_metrics | =
--return_entity_level_metrics False | all_results.json always has them as eval_per_class
--shuffle_train_dataset | =
--shuffle_train_dataset False | --no-shuffle keeps the order of the training set
# Optimisation
--learning_rate 2e-5 | = --lr 2e-5
--num_train_epochs 3.0 | = --epochs 3
--num_epochs 3 | = --epochs 3
--lr_scheduler_type constant | = --lr-scheduler constant
--lr_scheduler_type cosine | = --lr-scheduler cosine
--lr_scheduler_type polynomial | = --lr-scheduler polynomial
--lr_scheduler_kwargs power=2 | write --lr-end for lr_end and --lr-power for power; other curves have no settings
--warmup_steps 100 | = --warmup 100
--warmup_ratio 0.1 | = --warmup 0.1
--warmup_proportion 0.1 | = --warmup 0.1
--label_smoothing_factor 0.1 | = --label-smoothing 0.1
--optim adamw_torch | =
--optim adafactor | the optimizer is AdamW; remove it
--full_determinism | =
--full_determinism False | the same seed always gives the same bits; remove it
--data_seed 7 | --seed 7 is the seed of everything, also of the order of the data
--hidden_dropout_prob 0.2 | --dropout 0.2 sets hidden, attention and classifier dropout
--attention_probs_dropout_prob 0.2 | --dropout 0.2 sets hidden, attention and classifier dropout
--classifier_dropout 0.2 | --dropout 0.2 sets hidden, attention and classifier dropout
--neftune_noise_alpha 5 | noise on embeddings (NEFTune) is not built; remove it
--freeze_encoder | `--schedule top-k --schedule-opt k=0 --schedule-opt embeddings=first-part` trains only the head
--freeze_base_model | `--schedule top-k --schedule-opt k=0 --schedule-opt embeddings=first-part` trains only the head
--freeze_layers 4 | the schedule decides: `--schedule top-k --schedule-opt k=N` trains the top N blocks
# Batches, length, memory
--per_device_train_batch_size 32 | = --batch-size 32
--per_gpu_train_batch_size 32 | = --batch-size 32
--train_batch_size 32 | = --batch-size 32
--per_device_eval_batch_size 32 | = --eval-batch-size 32
--per_gpu_eval_batch_size 32 | = --eval-batch-size 32
--max_seq_length 128 | = --max-length 128
--gradient_checkpointing | = --recompute
--num_threads 2 | = --threads 2
--group_by_length | =
--group_by_length False | --no-group-by-length turns it off
--pad_to_max_length False | =
--pad_to_max_length True | nothing is padded; --max-length limits the length
--dataloader_drop_last False | =
--dataloader_drop_last True | the last batch is used, whatever its size; remove it
--auto_find_batch_size | --memory-budget SIZE recomputes if needed, and says in advance if a run does not fit
--preprocessing_num_workers 4 | --threads N sets the threads; batches are prepared in the background
--dataloader_num_workers 4 | --threads N sets the threads; batches are prepared in the background
--dataloader_pin_memory | --threads N sets the threads; batches are prepared in the background
--eval_accumulation_steps 8 | logits never stay on a device; remove it
# Precision and devices
--bf16 | = --precision bf16
--bf16_full_eval | = --precision bf16
--fp16 False | =
--fp16 | parameters are kept in f32; --precision bf16 computes products in bf16
--fp16_full_eval False | =
--fp16_full_eval | parameters are kept in f32; --precision bf16 computes products in bf16
--tf32 False | =
--tf32 True | parameters are kept in f32; --precision bf16 computes products in bf16
--half_precision_backend auto | parameters are kept in f32; --precision bf16 computes products in bf16
--torch_dtype float32 | =
--torch_dtype bfloat16 | parameters are kept in f32; --precision bf16 computes products in bf16
--dtype float32 | =
--dtype bfloat16 | parameters are kept in f32; `progtune merge --dtype` chooses the type of saved weights
--load_in_8bit False | =
--load_in_8bit | weights are not quantised; --recompute and --memory-budget save memory
--load_in_4bit False | =
--load_in_4bit | weights are not quantised; --recompute and --memory-budget save memory
--torch_compile False | =
--torch_compile | the kernels are compiled already; remove it
--attn_implementation sdpa | --kernels chooses the implementation, and auto the fastest one
--device_map auto | --device names the device: auto, cpu, or cuda in a build for CUDA
--no_cuda | = --device cpu
--use_cpu | = --device cpu
--deepspeed ds.json | training runs in one process; --recompute and --memory-budget save memory
--fsdp full_shard | training runs in one process; --recompute and --memory-budget save memory
--ddp_backend gloo | training runs in one process; --recompute and --memory-budget save memory
--local_rank -1 | =
--local_rank 2 | training runs in one process; --recompute and --memory-budget save memory
# Course, evaluation, checkpoints, records
--output_dir out | = --output out
--overwrite_output_dir | = --overwrite-output
--do_train | =
--do_train False | `progtune evaluate` evaluates without training
--do_train --do_eval | =
--do_eval | `progtune evaluate` evaluates, and `progtune` trains and evaluates
--do_predict | a run measures --test-file at its end; `progtune predict` writes predictions
--eval_strategy epoch | = --eval-strategy epoch
--eval_strategy steps | = --eval-strategy steps
--eval_strategy no | = --eval-strategy no
--evaluation_strategy steps | = --eval-strategy steps
--eval_steps 100 | = --eval-steps 100
--early_stopping_patience 3 | = --early-stopping-patience 3
--early_stopping_patience 3 --early_stopping_threshold 0.01 | = --early-stopping-patience 3 --early-stopping-threshold 0.01
--greater_is_better True | the metric decides: lower is better for loss, mse and mae; remove it
--save_strategy no | = --save-strategy no
--save_strategy epoch | = --save-strategy epoch
--save_strategy steps | = --save-strategy steps
--save_steps 500 | = --save-steps 500
--save_total_limit 2 | = --save-total-limit 2
--save_only_model False | =
--save_only_model | a checkpoint always has the optimizer's state, with which a run continues; remove it
--save_safetensors | =
--save_safetensors False | results are always safetensors files; remove it
--resume_from_checkpoint out/checkpoint-500 | --resume auto continues the run in --output, and `progtune resume DIR` the run in DIR
--report_to none | =
--report_to wandb | no tracker is called; metrics.jsonl has the metrics, and --progress json prints events
--logging_nan_inf_filter True | a loss that is not finite ends the run; --on-nonfinite skip leaves its step out
--logging_strategy steps | --logging-steps N sets the interval of the progress lines
--logging_dir logs | the records are in the directory of --output; remove it
--run_name mine | --output names the run's directory: --output runs/mine
--log_level info | -v and -vv show more of the log
--disable_tqdm True | = --progress plain
# The hub
--push_to_hub False | =
--push_to_hub | upload the run's directory with `hf upload`; Transformers and PEFT can load it
--hub_model_id me/model | upload the run's directory with `hf upload`; Transformers and PEFT can load it
--hub_strategy end | upload the run's directory with `hf upload`; Transformers and PEFT can load it
--hub_private_repo | upload the run's directory with `hf upload`; Transformers and PEFT can load it
--hub_token | set HF_TOKEN or run `hf auth login`, so that no token is in a command line
--token | set HF_TOKEN or run `hf auth login`, so that no token is in a command line
--use_auth_token | set HF_TOKEN or run `hf auth login`, so that no token is in a command line
--cache_dir cache | set HF_HOME or HF_HUB_CACHE; the hub's cache is shared with Python
# PEFT
--peft_type LORA | = --peft lora
--peft_method lora | = --peft lora
--adapter_name_or_path runs/a | = --init-adapter runs/a
--load_adapter runs/a | = --init-adapter runs/a
--use_peft | write --peft lora
--use_lora | write --peft lora
--use_dora | write --peft dora
--r 8 | write --peft lora --peft-opt r=8
--lora_r 8 | write --peft lora --peft-opt r=8
--lora_rank 8 | write --peft lora --peft-opt r=8
--lora_alpha 16 | write --peft lora --peft-opt lora_alpha=16
--lora_dropout 0.1 | write --peft lora --peft-opt lora_dropout=0.1
--lora_target_modules query | write --peft lora --peft-opt target_modules=query
--target_modules query value | write --peft lora --peft-opt target_modules=query,value
--use_rslora | write --peft lora --peft-opt use_rslora=true
--loraplus_lr_ratio 16 | write --peft lora --peft-opt loraplus_lr_ratio=16
--init_lora_weights gaussian | LoRA starts as in PEFT; --init-adapter starts from a saved adapter
--layers_to_transform 5 | the schedule chooses blocks, per epoch: `progtune help schedules`
--modules_to_save classifier | the head is always trained and saved; --train-pooler adds the pooler
--task_type SEQ_CLS | the data decide; --problem-type settles a doubt
--num_virtual_tokens 20 | write --peft prefix --peft-opt num_virtual_tokens=20
--prefix_projection | write --peft prefix --peft-opt prefix_projection=true
--reduction_factor 16 | write --peft pfeiffer --peft-opt reduction_factor=16
--train_adapter | write --peft pfeiffer, or another method (`progtune help methods`)
--adapter_config pfeiffer | --peft names the method: adapter, pfeiffer, parallel, lora, …
"#;

/// Commands.
pub(super) const COMMANDS: &str = r#"
progtune finetune | = progtune train
progtune fine-tune | = progtune train
progtune fit | = progtune train
progtune eval | = progtune evaluate
progtune infer | = progtune predict
progtune inference | = progtune predict
progtune run | `progtune train` trains, and `progtune predict` predicts
progtune test | `progtune evaluate --split test` evaluates on the test split
progtune validate | `progtune evaluate` evaluates on the validation split
progtune classify | `progtune predict --input FILE.jsonl` predicts labels
progtune generate | encoders write no texts; `progtune predict` predicts labels, tags and answers
progtune chat | encoders write no texts; `progtune predict` predicts labels, tags and answers
progtune serve | not supported yet; `progtune predict --input FILE.jsonl` predicts for a file
progtune onnx | not supported yet; results are checkpoints for Transformers and adapters for PEFT; `progtune merge` makes a checkpoint of an adapter
progtune export | results are checkpoints for Transformers and adapters for PEFT; `progtune merge` makes a checkpoint of an adapter
progtune convert | results are checkpoints for Transformers and adapters for PEFT; `progtune merge` makes a checkpoint of an adapter
progtune save | results are checkpoints for Transformers and adapters for PEFT; `progtune merge` makes a checkpoint of an adapter
progtune quantize | weights are not quantised; `progtune merge --dtype bf16` halves a checkpoint
progtune push | upload the run's directory with `hf upload`; Transformers and PEFT can load it
progtune upload | upload the run's directory with `hf upload`; Transformers and PEFT can load it
progtune login | run `hf auth login`, or set HF_TOKEN
progtune download | models and data sets are downloaded when a command names them, as in --model ORG/NAME
progtune pull | models and data sets are downloaded when a command names them, as in --model ORG/NAME
progtune tokenize | every command tokenises what it needs, and keeps it; `progtune data inspect FILE` shows the data
progtune preprocess | every command tokenises what it needs, and keeps it; `progtune data inspect FILE` shows the data
progtune inspect | `progtune data inspect FILE` describes data files
progtune benchmark | `progtune plan --predict` times this machine and predicts a run
progtune init | `progtune plugins new NAME --kind schedule` writes a plugin; a run needs no project
progtune new | `progtune plugins new NAME --kind schedule` writes a plugin; a run needs no project
progtune list | `progtune plugins list` and `progtune plugins show ID` describe schedules and methods
progtune methods | `progtune plugins list` and `progtune plugins show ID` describe schedules and methods
progtune schedules | `progtune plugins list` and `progtune plugins show ID` describe schedules and methods
progtune install | `progtune plugins install FILE` installs a plugin
progtune version | `progtune --version` prints it
"#;

/// Values of flags.
pub(super) const VALUES: &str = r#"
--lr_scheduler_type constant_with_warmup | = --lr-scheduler constant
--lr_scheduler_type cosine_with_restarts | --lr-scheduler cosine --lr-restart stage begins the curve again with each stage
--lr_scheduler_type cosine_with_min_lr | the curves are linear, cosine, polynomial and constant, all of them after --warmup
--lr_scheduler_type inverse_sqrt | the curves are linear, cosine, polynomial and constant, all of them after --warmup
--lr_scheduler_type reduce_lr_on_plateau | the curves are linear, cosine, polynomial and constant, all of them after --warmup
--peft PREFIX_TUNING | = --peft prefix
--peft HOULSBY | = --peft adapter
--peft houlsby | write `--peft adapter`
--peft DOUBLE_SEQ_BN | = --peft adapter
--peft SEQ_BN | = --peft pfeiffer
--peft PAR_BN | = --peft parallel
--peft full | --peft none, the default, is full fine-tuning
--peft no | --peft none, the default, is full fine-tuning
--peft false | --peft none, the default, is full fine-tuning
--peft qlora | weights are not quantised; write --peft lora
--peft adalora | this method of PEFT is not built; it may be written as a plugin (docs/plugins.md)
--peft loha | this method of PEFT is not built; it may be written as a plugin (docs/plugins.md)
--peft lokr | this method of PEFT is not built; it may be written as a plugin (docs/plugins.md)
--peft oft | this method of PEFT is not built; it may be written as a plugin (docs/plugins.md)
--peft prompt_tuning | this method of PEFT is not built; it may be written as a plugin (docs/plugins.md)
--peft p_tuning | this method of PEFT is not built; it may be written as a plugin (docs/plugins.md)
--schedule linear | that is a learning-rate curve (--lr-scheduler); a schedule chooses blocks
--schedule constant | that is a learning-rate curve (--lr-scheduler); a schedule chooses blocks
--schedule cosine | that is a learning-rate curve (--lr-scheduler); a schedule chooses blocks
--schedule polynomial | that is a learning-rate curve (--lr-scheduler); a schedule chooses blocks
--schedule PROGTUNING | = --schedule progressive
--schedule progtuning | write `--schedule progressive`
--schedule ULMFIT | = --schedule gradual-unfreeze
--schedule ulmfit | write `--schedule gradual-unfreeze`
--schedule GRADUAL_UNFREEZING | = --schedule gradual-unfreeze
--schedule freeze | `--schedule top-k --schedule-opt k=N` trains the top N blocks
--task_name ner | tagged sentences are data of your own: leave out --task, and give --train-file
--task_name pos | tagged sentences are data of your own: leave out --task, and give --train-file
--task_name chunk | tagged sentences are data of your own: leave out --task, and give --train-file
--task_name text-classification | leave out --task, and give --train-file
--task_name token-classification | tagged sentences are data of your own: leave out --task, and give --train-file
--task_name question-answering | write --task squad, or give --train-file with SQuAD's JSON
"#;
