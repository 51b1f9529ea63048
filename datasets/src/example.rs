//! One row of a data set, as the readers make it and the host's tokenisation takes it.

/// One row: a text or a pair of texts, and what the model should say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The first (or only) text, exactly as in the file: no trimming, no unquoting.
    pub text: String,
    /// The second text of a sentence-pair task; `None` exactly when the task has one text column.
    pub pair: Option<String>,
    /// `None` where the file gives none: an unlabelled test file (Hugging Face writes -1) or `predict` input.
    pub label: Option<Label>,
}

/// What an [`Example`] is labelled with; the variant follows the task's [`ProblemType`](crate::ProblemType).
#[derive(Debug, Clone, PartialEq)]
pub enum Label {
    /// Class id: an index into [`Task::labels`](crate::Task::labels), in Hugging Face's order.
    Class(u32),
    /// The ids of the labels that hold, ascending, likewise; there may be none.
    Classes(Vec<u32>),
    /// Regression target, finite and unscaled (STS-B: 0 to 5).
    Score(f32),
}
