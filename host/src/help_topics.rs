//! The topics of `progtune help`: the pages of the documentation in short. Shown by `help_command`;
//! `cli` completes their names. A test compares them with the pages in `docs/`.

/// A topic.
#[derive(Debug)]
pub struct Topic {
    /// The name to type.
    pub name: &'static str,
    /// One line for the list of topics.
    pub summary: &'static str,
    /// The page with all of it, below `docs/` and without `.md`; its name also names the topic.
    pub page: &'static str,
    /// The text, in 80 columns.
    pub text: &'static str,
}

/// The topics in the order of the list.
pub static TOPICS: &[Topic] = &[
    Topic {
        name: "start",
        summary: "the first run, and one on your own data",
        page: "training",
        text: include_str!("help_topics/start.txt"),
    },
    Topic {
        name: "transformers",
        summary: "flags of Hugging Face's scripts, and PEFT's settings",
        page: "from-transformers",
        text: include_str!("help_topics/transformers.txt"),
    },
    Topic {
        name: "data",
        summary: "files of your own: formats, columns, labels",
        page: "data",
        text: include_str!("help_topics/data.txt"),
    },
    Topic {
        name: "tags",
        summary: "a tag for each word: token classification",
        page: "token-classification",
        text: include_str!("help_topics/tags.txt"),
    },
    Topic {
        name: "questions",
        summary: "question answering as in SQuAD",
        page: "question-answering",
        text: include_str!("help_topics/questions.txt"),
    },
    Topic {
        name: "hub",
        summary: "models and data sets on the Hugging Face hub",
        page: "hub",
        text: include_str!("help_topics/hub.txt"),
    },
    Topic {
        name: "checkpoints",
        summary: "which models are read, and how",
        page: "checkpoints",
        text: include_str!("help_topics/checkpoints.txt"),
    },
    Topic {
        name: "tokenizers",
        summary: "which tokenizer files are read, and how",
        page: "tokenizers",
        text: include_str!("help_topics/tokenizers.txt"),
    },
    Topic {
        name: "training",
        summary: "settings, optimizer, loss, evaluation, early stopping",
        page: "training",
        text: include_str!("help_topics/training.txt"),
    },
    Topic {
        name: "schedules",
        summary: "which blocks each epoch trains",
        page: "schedules-and-methods",
        text: include_str!("help_topics/schedules.txt"),
    },
    Topic {
        name: "methods",
        summary: "PEFT methods: which parameters are trained",
        page: "schedules-and-methods",
        text: include_str!("help_topics/methods.txt"),
    },
    Topic {
        name: "plan",
        summary: "what a run trains and costs, before it starts",
        page: "plan",
        text: include_str!("help_topics/plan.txt"),
    },
    Topic {
        name: "memory",
        summary: "memory, batches, speed, caches, threads",
        page: "memory-and-speed",
        text: include_str!("help_topics/memory.txt"),
    },
    Topic {
        name: "progress",
        summary: "bars, lines, events, logs",
        page: "progress-events",
        text: include_str!("help_topics/progress.txt"),
    },
    Topic {
        name: "resume",
        summary: "checkpoints: continue, fork or replay a run",
        page: "resuming",
        text: include_str!("help_topics/resume.txt"),
    },
    Topic {
        name: "results",
        summary: "the files of a run, and how to use them",
        page: "results",
        text: include_str!("help_topics/results.txt"),
    },
    Topic {
        name: "runs",
        summary: "the records of a run, and whether its result is whole",
        page: "runs",
        text: include_str!("help_topics/runs.txt"),
    },
    Topic {
        name: "adapters",
        summary: "adapters that PEFT saved",
        page: "peft-adapters",
        text: include_str!("help_topics/adapters.txt"),
    },
    Topic {
        name: "plugins",
        summary: "schedules and methods of your own",
        page: "plugins",
        text: include_str!("help_topics/plugins.txt"),
    },
    Topic {
        name: "agreement",
        summary: "how results compare with PyTorch and PEFT",
        page: "agreement",
        text: include_str!("help_topics/agreement.txt"),
    },
    Topic {
        name: "install",
        summary: "installing, completions, manual pages, CUDA",
        page: "install",
        text: include_str!("help_topics/install.txt"),
    },
];

/// The names of the topics.
pub(crate) fn names() -> Vec<&'static str> {
    TOPICS.iter().map(|topic| topic.name).collect()
}

/// The topic with this name, or the first one with a page of this name.
pub(crate) fn find(name: &str) -> Option<&'static Topic> {
    let mut named = TOPICS.iter().filter(|topic| topic.name == name);
    named
        .next()
        .or_else(|| TOPICS.iter().find(|topic| topic.page == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit_on_a_screen_of_80_columns() {
        for topic in TOPICS {
            let wide = topic.text.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{}", topic.name);
            let count = topic.text.lines().count();
            assert!((4..=24).contains(&count), "{}: {count} lines", topic.name);
            assert!(topic.text.ends_with('\n'), "{}", topic.name);
        }
    }
}
