//! One row of a data set, as the readers produce it and the host's tokenisation consumes it.

/// One row: a text or a pair of texts, and the label that the model should predict.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The first (or only) text, exactly as in the file: neither trimmed nor unquoted.
    pub text: String,
    /// The second text of a sentence-pair task; `None` if and only if the task has one text column.
    pub pair: Option<String>,
    /// `None` if the file gives no label: an unlabelled test file (Hugging Face writes -1) or
    /// `predict` input.
    pub label: Option<Label>,
}

/// The label of an [`Example`]. Its variant follows the task's [`ProblemType`](crate::ProblemType).
#[derive(Debug, Clone, PartialEq)]
pub enum Label {
    /// A class id: an index into [`Task::labels`](crate::Task::labels), in Hugging Face's order.
    Class(u32),
    /// The ids of the labels that apply, ascending, as indices into the same list; possibly none.
    Classes(Vec<u32>),
    /// A regression target, finite and unscaled (STS-B: 0 to 5).
    Score(f32),
}
