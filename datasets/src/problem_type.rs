//! The kind of prediction that a head makes. Tasks, metrics, labels and errors use it.

/// The kind of prediction, which determines head and loss. The values are those of Hugging Face's
/// `problem_type` for a whole text or pair, and the two kinds of task that read every token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemType {
    /// One of several classes; cross-entropy.
    SingleLabelClassification,
    /// Any number of several labels; binary cross-entropy.
    MultiLabelClassification,
    /// One number; mean squared error.
    Regression,
    /// A tag for every word; cross-entropy at each word's first token.
    TokenClassification,
    /// The first and the last token of the answer in a text; cross-entropy for each.
    QuestionAnswering,
}

impl ProblemType {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::SingleLabelClassification,
        Self::MultiLabelClassification,
        Self::Regression,
        Self::TokenClassification,
        Self::QuestionAnswering,
    ];

    /// The name in configurations and records. For heads of whole texts it is the value of
    /// `problem_type` in `config.json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SingleLabelClassification => "single_label_classification",
            Self::MultiLabelClassification => "multi_label_classification",
            Self::Regression => "regression",
            Self::TokenClassification => "token_classification",
            Self::QuestionAnswering => "question_answering",
        }
    }

    /// The kind with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether the head reads every token rather than each text's first one.
    pub fn reads_every_token(self) -> bool {
        matches!(self, Self::TokenClassification | Self::QuestionAnswering)
    }
}
