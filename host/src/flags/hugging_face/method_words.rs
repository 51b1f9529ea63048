//! The flags of scripts with PEFT and AdapterHub. Read by `hugging_face`.

use super::{Word, answer, same};

const LORA: &str = "write --peft lora";
const TARGETS: &str = "write --peft lora --peft-opt target_modules={value}";

/// The flags and keys.
pub(super) static FLAGS: &[Word] = &[
    same("peft_type", &["peft"]),
    same("peft_method", &["peft"]),
    same("adapter_name_or_path", &["adapter", "init_adapter"]),
    same("load_adapter", &["adapter", "init_adapter"]),
    answer("use_peft", LORA),
    answer("use_lora", LORA),
    answer("use_dora", "write --peft dora"),
    answer("r", "write --peft lora --peft-opt r={value}"),
    answer("lora_r", "write --peft lora --peft-opt r={value}"),
    answer("lora_rank", "write --peft lora --peft-opt r={value}"),
    answer(
        "lora_alpha",
        "write --peft lora --peft-opt lora_alpha={value}",
    ),
    answer(
        "lora_dropout",
        "write --peft lora --peft-opt lora_dropout={value}",
    ),
    answer("lora_target_modules", TARGETS),
    answer("target_modules", TARGETS),
    answer("use_rslora", "write --peft lora --peft-opt use_rslora=true"),
    answer(
        "loraplus_lr_ratio",
        "write --peft lora --peft-opt loraplus_lr_ratio={value}",
    ),
    answer(
        "init_lora_weights",
        "LoRA starts as in PEFT; --init-adapter starts from a saved adapter",
    ),
    answer(
        "layers_to_transform",
        "the schedule chooses blocks, per epoch: `progtune help schedules`",
    ),
    answer(
        "modules_to_save",
        "the head is always trained and saved; --train-pooler adds the pooler",
    ),
    answer(
        "task_type",
        "the data decide; --problem-type settles a doubt",
    ),
    answer(
        "num_virtual_tokens",
        "write --peft prefix --peft-opt num_virtual_tokens={value}",
    ),
    answer(
        "prefix_projection",
        "write --peft prefix --peft-opt prefix_projection=true",
    ),
    answer(
        "reduction_factor",
        "write --peft pfeiffer --peft-opt reduction_factor={value}",
    ),
    answer(
        "train_adapter",
        "write --peft pfeiffer, or another method (`progtune help methods`)",
    ),
    answer(
        "adapter_config",
        "--peft names the method: adapter, pfeiffer, parallel, lora, …",
    ),
];
