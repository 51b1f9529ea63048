//! Every command with its description, its examples, and its flags grouped as in the help. `cli`
//! builds the command line from this list.

use super::arguments::*;
use crate::config::flags::{
    ADAPTER, ANSWERS, CONFIG, CONTEXT, DATA, DATA_CONFIG, DEVICE, DTYPE, EVAL_BATCH_SIZE,
    EVAL_BATCH_TOKENS, FILES, HEAD_TASK, INPUT, KEEP_COLUMNS, KERNELS, MAX_EVAL_SAMPLES,
    MAX_LENGTH, MERGED, METRICS, MODEL, OUTPUT_FORMAT, PEFT_OPT, PRECISION, PREDICTIONS, QUESTION,
    QUIET, SAMPLE, SCHEDULE_OPT, SEED, SPLIT, TASK, TEXT, TEXT_PAIR, THREADS, TOP_K, VERBOSE,
};
use crate::config::{
    BATCHES, CHECKPOINTS, COURSE, DISPLAY, HUB, MACHINE, MEMORY, MODELS, OPTIMISATION, ORDER,
    OUTPUTS, OWN_DATA, OWN_TRAINING, PLUGINS, QUESTIONS, SCHEDULE_AND_METHOD, TASKS,
};
use crate::flags::{Declared, List};

/// A command to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Fine-tune a model.
    Train,
    /// Continue a run that was cut short.
    Resume,
    /// Begin a new run at a checkpoint of another one.
    Fork,
    /// Run a recorded run again and compare.
    Replay,
    /// Show what training would update.
    Plan,
    /// Evaluate a model.
    Evaluate,
    /// Write a model's predictions.
    Predict,
    /// Merge an adapter into its base model.
    Merge,
    /// Show the records of a run.
    Show,
    /// Prove that a result is whole.
    Check,
    /// Inspect data files.
    Inspect,
    /// A command about plugins.
    Plugins(PluginsCommand),
    /// Show a topic, a command or a flag.
    Help,
    /// Print a completion script.
    Completions,
    /// Write the manual pages.
    Man,
}

/// A command about plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginsCommand {
    /// List the plugins.
    List,
    /// Describe a plugin.
    Show,
    /// Explain which library an id resolves to.
    Why,
    /// Pin plugins.
    Lock,
    /// Install libraries.
    Install,
    /// Remove a library.
    Remove,
    /// Write a new crate.
    New,
    /// Check a library.
    Check,
}

/// A command as the help describes it.
pub(super) struct Described {
    /// The words that name the command after `progtune`; empty for `progtune` itself.
    pub path: &'static str,
    /// The command to run; `None` if a command below it is required.
    pub command: Option<Command>,
    pub about: &'static str,
    /// Examples that readers can adapt.
    pub examples: &'static str,
    /// The flags under their headings.
    pub flags: &'static [&'static [Group]],
}

/// A heading (empty for clap's own) and the flags below it. Groups with the same heading are shown
/// as one.
pub(super) type Group = (&'static str, List);

impl Described {
    /// All flags of the command.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static dyn Declared> {
        let groups = self.flags.iter().copied().flatten();
        groups.flat_map(|(_, list)| list.iter().copied())
    }
}

/// The flags of every command.
pub(super) const GLOBAL: &[Group] = &[
    ("Every command", &[&CONFIG, &VERBOSE, &QUIET]),
    ("Every command", DISPLAY),
];

pub(super) const TRAINING: &[Group] = &[
    ("Model and data", MODELS),
    ("Model and data", TASKS),
    ("Hub", HUB),
    ("Own data", OWN_DATA),
    ("Own data", OWN_TRAINING),
    ("Schedule and method", SCHEDULE_AND_METHOD),
    ("Plugins", PLUGINS),
    ("Optimisation", OPTIMISATION),
    ("Evaluation and stopping", COURSE),
    ("Batches and length", BATCHES),
    ("Batches and length", ORDER),
    ("Questions about texts", QUESTIONS),
    ("Memory", MEMORY),
    ("Output", OUTPUTS),
    ("Checkpoints", CHECKPOINTS),
    ("Machine", MACHINE),
];

/// A trained model, how it reads, and the examples that it is used on.
const IN_USE: &[Group] = &[
    (
        "Model and data",
        &[&MODEL, &ADAPTER, &TASK, &METRICS, &MAX_EVAL_SAMPLES],
    ),
    (
        "Batches and length",
        &[&EVAL_BATCH_SIZE, &EVAL_BATCH_TOKENS, &MAX_LENGTH],
    ),
    ("Hub", HUB),
    ("Plugins", PLUGINS),
    ("Model and data", &[&DATA, &DATA_CONFIG, &SPLIT]),
    ("Own data", OWN_DATA),
    ("Questions about texts", QUESTIONS),
    ("Questions about texts", &[&ANSWERS]),
];

/// The commands in the order of the help.
pub(super) const COMMANDS: &[Described] = &[
    Described {
        path: "",
        command: Some(Command::Train),
        about: env!("CARGO_PKG_DESCRIPTION"),
        examples: "\
  progtune --schedule progressive --peft lora
  progtune --train-file reviews.csv --validation-split 0.1 --peft lora
  progtune --model bert --task mrpc --data glue/MRPC --schedule progressive
  progtune --model google-bert/bert-base-uncased --task sst2 --peft lora
  progtune plan --schedule progressive --peft lora
  progtune predict --adapter runs/sample-progressive-lora-seed42 \\
    --input FILE.jsonl",
        flags: &[TRAINING],
    },
    Described {
        path: "train",
        command: Some(Command::Train),
        about: "Fine-tune a model; this is what progtune does without a command",
        examples: "\
  progtune train --schedule progressive --peft lora --peft-opt r=4
  progtune train --train-file reviews.csv --validation-split 0.1
  progtune train --config runs/a/config.toml --seed 43 --output runs/b",
        flags: &[TRAINING],
    },
    Described {
        path: "plan",
        command: Some(Command::Plan),
        about: "Show what training would update in each epoch, and the cost",
        examples: "\
  progtune plan --schedule progressive --peft lora
  progtune plan --model bert --task sst2 --schedule grow-from-hb --svg plan.svg
  progtune plan --schedule progressive --predict",
        flags: &[TRAINING, &[("Output", &[&JSON, &SVG, &PREDICT])]],
    },
    Described {
        path: "resume",
        command: Some(Command::Resume),
        about: "Continue a run that was cut short, after its newest checkpoint, bit for bit",
        examples: "\
  progtune resume runs/sample-progressive-lora-seed42
  progtune resume runs/a --threads 4
  progtune resume runs/a --epochs 5",
        flags: &[&[("", &[&RUN])], TRAINING],
    },
    Described {
        path: "fork",
        command: Some(Command::Fork),
        about: "Begin a new run at a checkpoint of another one, with another schedule or other settings",
        examples: "\
  progtune fork runs/a --at 1 --schedule progressive --output runs/b
  progtune fork runs/a --lr 1e-5",
        flags: &[&[("", &[&RUN]), ("Checkpoints", &[&AT])], TRAINING],
    },
    Described {
        path: "replay",
        command: Some(Command::Replay),
        about: "Run a finished run again, and compare weights, losses and evaluations bit for bit",
        examples: "\
  progtune replay runs/sample-progressive-lora-seed42
  progtune replay runs/a --threads 1 --output runs/a-again",
        flags: &[&[("", &[&RUN])], TRAINING],
    },
    Described {
        path: "evaluate",
        command: Some(Command::Evaluate),
        about: "Evaluate a model on labelled data",
        examples: "\
  progtune evaluate --adapter runs/sample-progressive-lora-seed42
  progtune evaluate --model bert --task mrpc --data glue/MRPC \\
    --adapter a=runs/a --adapter b=runs/b
  progtune evaluate --model runs/own-full-full-seed42 --test-file more.csv",
        flags: &[
            IN_USE,
            &[("Model and data", &[&SAMPLE, &SEED]), ("Machine", MACHINE)],
        ],
    },
    Described {
        path: "predict",
        command: Some(Command::Predict),
        about: "Write a model's predictions for unlabelled examples",
        examples: "\
  progtune predict --adapter runs/sample-progressive-lora-seed42 \\
    --text wonderful --text boring
  progtune predict --model runs/own-full-full-seed42 --input new.csv \\
    --keep-columns id,url --output predictions.csv
  progtune predict --model runs/own-full-full-seed42 --input -",
        flags: &[
            IN_USE,
            &[
                ("Input", &[&INPUT, &TEXT, &TEXT_PAIR, &QUESTION, &CONTEXT]),
                (
                    "Output",
                    &[&PREDICTIONS, &OUTPUT_FORMAT, &KEEP_COLUMNS, &TOP_K],
                ),
                ("Machine", MACHINE),
            ],
        ],
    },
    Described {
        path: "merge",
        command: Some(Command::Merge),
        about: "Merge an adapter into its base model and write a plain checkpoint",
        examples: "\
  progtune merge --adapter runs/sample-progressive-lora-seed42 --output merged
  progtune merge --model bert --adapter runs/a --output merged --dtype bf16",
        flags: &[&[
            ("Model and data", &[&MODEL, &ADAPTER, &HEAD_TASK]),
            ("Output", &[&MERGED, &DTYPE]),
            ("Hub", HUB),
            ("Plugins", PLUGINS),
            ("Machine", &[&THREADS]),
        ]],
    },
    Described {
        path: "show",
        command: Some(Command::Show),
        about: "Show what a run's directory records: settings and their origins, versions, machine, epochs, evaluations, end",
        examples: "\
  progtune show runs/sample-progressive-lora-seed42
  progtune show runs/own-full-full-seed42 --json",
        flags: &[&[("", &[&RUN_DIRECTORY, &JSON])]],
    },
    Described {
        path: "check",
        command: Some(Command::Check),
        about: "Check that a result is whole: its files have the recorded hashes, and the loaded model gives the recorded logits",
        examples: "\
  progtune check runs/sample-progressive-lora-seed42
  progtune check runs/a --model models/bert",
        flags: &[&[
            ("", &[&RUN_DIRECTORY, &JSON]),
            ("Model and data", &[&MODEL]),
            ("Hub", HUB),
            ("Plugins", PLUGINS),
            ("Machine", &[&THREADS, &DEVICE, &PRECISION, &KERNELS]),
        ]],
    },
    Described {
        path: "data",
        command: None,
        about: "Inspect data files before training on them",
        examples: "  progtune data inspect reviews.csv",
        flags: &[],
    },
    Described {
        path: "data inspect",
        command: Some(Command::Inspect),
        about: "Show the contents of data files: columns, labels, lengths in tokens, duplicates, truncation",
        examples: "\
  progtune data inspect reviews.csv
  progtune data inspect --train-file train.csv --test-file test.csv",
        flags: &[&[
            ("", &[&FILES]),
            ("Own data", OWN_DATA),
            ("Model", &[&MODEL, &MAX_LENGTH]),
            ("Hub", HUB),
        ]],
    },
    Described {
        path: "plugins",
        command: None,
        about: "List, describe, pin, install and remove plugins",
        examples: "\
  progtune plugins list
  progtune plugins show lora
  progtune plugins new my-schedule --kind schedule",
        flags: &[],
    },
    Described {
        path: "plugins list",
        command: Some(Command::Plugins(PluginsCommand::List)),
        about: "List all schedules and methods without running their code",
        examples: "\
  progtune plugins list
  progtune plugins list --json --plugin-dir my-plugins",
        flags: &[&[("Plugins", PLUGINS), ("Plugins", &[&JSON])]],
    },
    Described {
        path: "plugins show",
        command: Some(Command::Plugins(PluginsCommand::Show)),
        about: "Describe a schedule or method: its options, its file, and the parameters that a method inserts into a model",
        examples: "\
  progtune plugins show progressive
  progtune plugins show lora --model bert",
        flags: &[&[("", &[&ID]), ("Plugins", PLUGINS), ("Plugins", &[&MODEL])]],
    },
    Described {
        path: "plugins why",
        command: Some(Command::Plugins(PluginsCommand::Why)),
        about: "Explain which library an id resolves to: the searched directories, the pins, the libraries passed over",
        examples: "  progtune plugins why lora",
        flags: &[&[("", &[&ID]), ("Plugins", PLUGINS)]],
    },
    Described {
        path: "plugins lock",
        command: Some(Command::Plugins(PluginsCommand::Lock)),
        about: "Pin plugins to their current builds in progtune.lock",
        examples: "\
  progtune plugins lock
  progtune plugins lock lora --plugin my-lora.so",
        flags: &[&[("", &[&IDS]), ("Plugins", PLUGINS)]],
    },
    Described {
        path: "plugins install",
        command: Some(Command::Plugins(PluginsCommand::Install)),
        about: "Copy plugin libraries into the user's plugin directory, after trying each in a child process",
        examples: "\
  progtune plugins install target/release/libmy_schedule.so
  progtune plugins install target/release/libprogtune_*.so",
        flags: &[&[("", &[&LIBRARIES, &FORCE]), ("Plugins", PLUGINS)]],
    },
    Described {
        path: "plugins remove",
        command: Some(Command::Plugins(PluginsCommand::Remove)),
        about: "Remove a plugin library from the user's plugin directory",
        examples: "  progtune plugins remove my-schedule",
        flags: &[&[("", &[&ID]), ("Plugins", PLUGINS)]],
    },
    Described {
        path: "plugins new",
        command: Some(Command::Plugins(PluginsCommand::New)),
        about: "Write the crate of a new plugin, which builds, passes its tests and runs",
        examples: "\
  progtune plugins new my-schedule --kind schedule
  progtune plugins new my-method --kind peft --path crates",
        flags: &[&[
            ("", &[&NAME, &KIND, &PATH, &PLUGIN_API]),
            ("Plugins", PLUGINS),
        ]],
    },
    Described {
        path: "plugins check",
        command: Some(Command::Plugins(PluginsCommand::Check)),
        about: "Check a built library: the contract, and a method's graphs against a reference",
        examples: "\
  progtune plugins check target/debug/libmy_method.so
  progtune plugins check target/debug/libmy_method.so --peft-opt r=4",
        flags: &[&[
            ("", &[&LIBRARY, &ONLY_ID, &SCHEDULE_OPT, &PEFT_OPT, &JSON]),
            ("Plugins", PLUGINS),
        ]],
    },
    Described {
        path: "help",
        command: Some(Command::Help),
        about: "Explain a topic, a command or a flag",
        examples: "\
  progtune help
  progtune help schedules
  progtune help plugins new
  progtune help learning_rate",
        flags: &[&[("", &[&ABOUT])]],
    },
    Described {
        path: "completions",
        command: Some(Command::Completions),
        about: "Print the completion script for a shell",
        examples: "\
  progtune completions bash
  progtune completions zsh --plugin-dir my-plugins",
        flags: &[&[("", &[&SHELL]), ("Plugins", PLUGINS)]],
    },
    Described {
        path: "man",
        command: Some(Command::Man),
        about: "Write the manual pages",
        examples: "  progtune man --output ~/.local/share/man/man1",
        flags: &[&[("", &[&PAGES])]],
    },
];
