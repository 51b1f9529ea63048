//! The model families and their differences, as data. A new family is a row here, and its head in
//! [`crate::model::description::head_layers`].

use crate::task_kind::kind_of;
use progtune_datasets::ProblemType;

/// The model families of this version, by Hugging Face's `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `bert`.
    Bert,
    /// `roberta`.
    Roberta,
}

/// The properties of a family.
pub(super) struct Family {
    /// Hugging Face's `model_type`.
    pub model_type: &'static str,
    /// The beginning of the names of its classes.
    pub class_prefix: &'static str,
    /// The default of `type_vocab_size`.
    pub type_vocab_size: usize,
    /// The default of `pad_token_id`.
    pub pad_token_id: usize,
    /// Whether positions are numbered from `pad_token_id + 1` instead of 0.
    pub positions_follow_padding: bool,
}

impl Architecture {
    /// All families.
    pub const ALL: [Self; 2] = [Self::Bert, Self::Roberta];

    pub(super) fn family(self) -> Family {
        match self {
            Self::Bert => Family {
                model_type: "bert",
                class_prefix: "Bert",
                type_vocab_size: 2,
                pad_token_id: 0,
                positions_follow_padding: false,
            },
            Self::Roberta => Family {
                model_type: "roberta",
                class_prefix: "Roberta",
                type_vocab_size: 1,
                pad_token_id: 1,
                positions_follow_padding: true,
            },
        }
    }

    /// Hugging Face's `model_type`, which is also the base model's prefix in checkpoints.
    ///
    /// ```
    /// use progtune_engine::model::Architecture;
    ///
    /// assert_eq!(Architecture::Roberta.model_type(), "roberta");
    /// ```
    pub fn model_type(self) -> &'static str {
        self.family().model_type
    }

    /// The name in `architectures` of the model with the head of such a task.
    pub fn class_of(self, problem: ProblemType) -> String {
        let prefix = self.family().class_prefix;
        format!("{prefix}{}", kind_of(problem).class_suffix())
    }
}
