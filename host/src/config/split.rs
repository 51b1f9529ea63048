//! The part of a data set that `evaluate` and `predict` read: `--split`. A field of their
//! configurations.

use crate::flags::{Flag, Form, Scope};
use progtune_process::name_of;
use std::fmt;

pub(crate) static SPLIT: Flag<Split> = Flag::key(
    "split",
    "NAME",
    "Split of the data: validation, test or train",
)
.computed("validation for evaluate, test for predict; of own files the one there is")
.example("validation")
.scope(Scope::Inference)
.usual()
.form(Form::OneOf(Split::NAMES));

/// A part of a task's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The part for training.
    Train,
    /// The part for evaluation, called `dev` in GLUE's files.
    Validation,
    /// The part for testing, often without labels.
    Test,
}

impl Split {
    pub(super) const NAMES: &'static [(&'static str, Self)] = &[
        ("validation", Self::Validation),
        ("test", Self::Test),
        ("train", Self::Train),
    ];
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}
