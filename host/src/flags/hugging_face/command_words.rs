//! Commands that people try, and those that do it here. Read by `hugging_face`.

use super::{Word, answer, not_yet, same};

const GENERATES: &str =
    "encoders write no texts; `progtune predict` predicts labels, tags and answers";
const CHECKPOINT: &str = "results are checkpoints for Transformers and adapters for PEFT; `progtune merge` makes a checkpoint of an adapter";
const UPLOAD: &str =
    "upload the run's directory with `hf upload`; Transformers and PEFT can load it";
const DOWNLOAD: &str =
    "models and data sets are downloaded when a command names them, as in --model ORG/NAME";
const TOKENISED: &str = "every command tokenises what it needs, and keeps it; `progtune data inspect FILE` shows the data";
const NEW: &str =
    "`progtune plugins new NAME --kind schedule` writes a plugin; a run needs no project";
const PLUGINS: &str =
    "`progtune plugins list` and `progtune plugins show ID` describe schedules and methods";

/// The commands below `progtune`.
pub static COMMANDS: &[Word] = &[
    same("finetune", &["train"]),
    same("fine_tune", &["train"]),
    same("fit", &["train"]),
    same("eval", &["evaluate"]),
    same("infer", &["predict"]),
    same("inference", &["predict"]),
    answer(
        "run",
        "`progtune train` trains, and `progtune predict` predicts",
    ),
    answer(
        "test",
        "`progtune evaluate --split test` evaluates on the test split",
    ),
    answer(
        "validate",
        "`progtune evaluate` evaluates on the validation split",
    ),
    answer(
        "classify",
        "`progtune predict --input FILE.jsonl` predicts labels",
    ),
    answer("generate", GENERATES),
    answer("chat", GENERATES),
    not_yet(
        "serve",
        "`progtune predict --input FILE.jsonl` predicts for a file",
    ),
    not_yet("onnx", CHECKPOINT),
    answer("export", CHECKPOINT),
    answer("convert", CHECKPOINT),
    answer("save", CHECKPOINT),
    answer(
        "quantize",
        "weights are not quantised; `progtune merge --dtype bf16` halves a checkpoint",
    ),
    answer("push", UPLOAD),
    answer("upload", UPLOAD),
    answer("login", "run `hf auth login`, or set HF_TOKEN"),
    answer("download", DOWNLOAD),
    answer("pull", DOWNLOAD),
    answer("tokenize", TOKENISED),
    answer("preprocess", TOKENISED),
    answer(
        "inspect",
        "`progtune data inspect FILE` describes data files",
    ),
    answer(
        "benchmark",
        "`progtune plan --predict` times this machine and predicts a run",
    ),
    answer("init", NEW),
    answer("new", NEW),
    answer("list", PLUGINS),
    answer("methods", PLUGINS),
    answer("schedules", PLUGINS),
    answer(
        "install",
        "`progtune plugins install FILE` installs a plugin",
    ),
    answer("version", "`progtune --version` prints it"),
];
