//! Values of Hugging Face's flags. Read by `hugging_face`; the values of `peft` and `schedule` are
//! aliases if no id can be written so (`PREFIX_TUNING`), and otherwise hints about an unknown id.

use super::{Word, answer, same};

const LR_CURVE: &str =
    "the curves are linear, cosine, polynomial and constant, all of them after --warmup";
const NO_METHOD: &str = "--peft none, the default, is full fine-tuning";
const NOT_BUILT: &str =
    "this method of PEFT is not built; it may be written as a plugin (docs/plugins.md)";
const LR_SCHEDULE: &str =
    "that is a learning-rate curve (--lr-scheduler); a schedule chooses blocks";
const TAGS: &str = "tagged sentences are data of your own: leave out --task, and give --train-file";

/// The values, each with the key.
pub static VALUES: &[(&str, Word)] = &[
    ("lr_scheduler", same("constant_with_warmup", &["constant"])),
    (
        "lr_scheduler",
        answer(
            "cosine_with_restarts",
            "--lr-scheduler cosine --lr-restart stage begins the curve again with each stage",
        ),
    ),
    ("lr_scheduler", answer("cosine_with_min_lr", LR_CURVE)),
    ("lr_scheduler", answer("inverse_sqrt", LR_CURVE)),
    ("lr_scheduler", answer("reduce_lr_on_plateau", LR_CURVE)),
    ("peft", same("prefix_tuning", &["prefix"])),
    ("peft", same("houlsby", &["adapter"])),
    ("peft", same("double_seq_bn", &["adapter"])),
    ("peft", same("seq_bn", &["pfeiffer"])),
    ("peft", same("par_bn", &["parallel"])),
    ("peft", answer("full", NO_METHOD)),
    ("peft", answer("no", NO_METHOD)),
    ("peft", answer("false", NO_METHOD)),
    (
        "peft",
        answer("qlora", "weights are not quantised; write --peft lora"),
    ),
    ("peft", answer("adalora", NOT_BUILT)),
    ("peft", answer("loha", NOT_BUILT)),
    ("peft", answer("lokr", NOT_BUILT)),
    ("peft", answer("oft", NOT_BUILT)),
    ("peft", answer("prompt_tuning", NOT_BUILT)),
    ("peft", answer("p_tuning", NOT_BUILT)),
    ("schedule", answer("linear", LR_SCHEDULE)),
    ("schedule", answer("constant", LR_SCHEDULE)),
    ("schedule", answer("cosine", LR_SCHEDULE)),
    ("schedule", answer("polynomial", LR_SCHEDULE)),
    ("schedule", same("progtuning", &["progressive"])),
    ("schedule", same("ulmfit", &["gradual-unfreeze"])),
    (
        "schedule",
        same("gradual_unfreezing", &["gradual-unfreeze"]),
    ),
    (
        "schedule",
        answer(
            "freeze",
            "`--schedule top-k --schedule-opt k=N` trains the top N blocks",
        ),
    ),
    ("task", answer("ner", TAGS)),
    ("task", answer("pos", TAGS)),
    ("task", answer("chunk", TAGS)),
    (
        "task",
        answer(
            "text_classification",
            "leave out --task, and give --train-file",
        ),
    ),
    ("task", answer("token_classification", TAGS)),
    (
        "task",
        answer(
            "question_answering",
            "write --task squad, or give --train-file with SQuAD's JSON",
        ),
    ),
];
